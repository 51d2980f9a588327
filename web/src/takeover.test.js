import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EMPTY, reduce } from './conversation.js';
import { fromSaved, toSaved } from './saved-conversation.js';
import { isAsking, unsent } from './takeover.js';

const turn = (seq, role, text, more = {}) => ({
  id: `t${seq}`,
  seq,
  role,
  text,
  createdAt: 1000 + seq,
  interrupted: false,
  saved: false,
  ...more,
});
const live = (...turns) => turns.map((each) => ({ type: 'turn', turn: each, nowMs: 0 }));
const admitted = (more) => ({
  type: 'admitted',
  admission: { sessionId: 's1', resumed: true, lastSeq: 0, language: 'en', turns: [], saved: true, ...more },
});
const hello = (lastSeq, from, saved = true) => ({ type: 'hello', from, language: 'en', lastSeq, saved, sentAt: 0 });
const draft = (segment, role, text, more = {}) => ({
  ...{ type: 'draft', segment, stream: 1, role, text, open: true, createdAt: 2000, nowMs: 0 },
  ...more,
});
const typed = (id, text) => ({ type: 'typed', message: { id, text, createdAt: 1500 } });
const synced = { type: 'synced' };
const play = (events, state = EMPTY) => events.reduce(reduce, state);
const shown = ({ turns }) => turns.map(({ text, saved, fate }) => [text, fate ?? (saved ? 'saved' : 'unsaved')]);
const ids = (items) => items.map(({ id }) => id);

/** One saved turn, then what the first agent left: a typed message with a record that was not saved. */
const left = () =>
  play([
    admitted({ turns: [turn(1, 'user', 'a', { saved: true })], lastSeq: 1 }),
    hello(1, 'first'),
    typed('m', 'b'),
    ...live(turn(2, 'user', 'b', { id: 'm' })),
  ]);

test('A typed message whose record was never saved is sent to the next agent, and stays where it is shown.', () => {
  const before = left();
  assert.deepEqual(unsent(before), []);
  const after = play([hello(1, 'second')], before);
  assert.deepEqual(ids(unsent(after)), ['m']);
  assert.deepEqual(shown(after), [['a', 'saved'], ['b', 'resend']]);
  const recorded = play(live(turn(2, 'user', 'b', { id: 'm' })), after);
  assert.deepEqual(unsent(recorded), []);
  assert.deepEqual(shown(recorded), [['a', 'saved'], ['b', 'unsaved']]);
});

test('The same agent, saying hello again, is sent nothing twice.', () => {
  assert.deepEqual(unsent(play([hello(2, 'first')], left())), []);
});

test('What turns out to be saved is not sent again.', () => {
  const after = play([hello(2, 'second')], left());
  assert.deepEqual(unsent(play([admitted({ turns: [turn(2, 'user', 'b', { id: 'm', saved: true })], lastSeq: 2 })], after)), []);
  assert.deepEqual(unsent(play([{ type: 'saved', turns: [{ id: 'm', seq: 2 }] }], after)), []);
});

test('A turn of the next agent that gets the same number takes no unsent message away.', () => {
  const after = play([hello(1, 'second'), ...live(turn(2, 'assistant', 'c'))], left());
  assert.deepEqual(ids(unsent(after)), ['m']);
  assert.deepEqual(after.turns.map(({ text }) => text), ['a', 'c', 'b']);
});

test('What is to be sent again outlives a reload, and a new session.', () => {
  const reloaded = fromSaved(structuredClone(toSaved(left())));
  assert.deepEqual(ids(unsent(play([hello(1, 'second')], reloaded))), ['m']);
  assert.deepEqual(ids(unsent(play([admitted({ sessionId: 's2', resumed: false })], reloaded))), ['m']);
});

test('What was heard and never saved is marked as lost once the record is known, and not before.', () => {
  const before = play([...live(turn(3, 'assistant', 'c'))], left());
  const after = play([hello(1, 'second'), admitted({ saved: false, lastSeq: 1 })], before);
  assert.deepEqual(shown(after), [['a', 'saved'], ['b', 'resend'], ['c', 'asked']]);
  assert.equal(isAsking(after), true);
  const known = play([admitted({ lastSeq: 1 }), synced], after);
  assert.deepEqual(shown(known), [['a', 'saved'], ['b', 'resend'], ['c', 'lost']]);
  const late = turn(1, 'assistant', 'c', { id: 't3', late: true, saved: true });
  assert.deepEqual(shown(play([admitted({ lastSeq: 1, turns: [late] })], known)), [['a', 'saved'], ['c', 'saved'], ['b', 'resend']]);
});

test('The half sentence of an agent that died becomes its record, in its place, once.', () => {
  const half = play([draft('g', 'assistant', 'I was going to'), hello(1, 'second')], left());
  assert.deepEqual(half.drafts.map(({ text }) => text), ['I was going to']);
  const record = turn(2, 'assistant', 'I was going', { interrupted: true, saved: true });
  const known = play([admitted({ turns: [record], lastSeq: 2 }), synced], half);
  assert.deepEqual(known.drafts, []);
  assert.equal(known.turns.find(({ id }) => id === 't2').key, half.drafts[0].key);
});

test('The answer of the next agent does not take the place of the half sentence before it.', () => {
  const half = play([draft('g', 'assistant', 'I was going to'), hello(1, 'second')], left());
  const answered = play(live(turn(3, 'assistant', 'Your name is Maria.')), half);
  assert.deepEqual(answered.drafts.map(({ text }) => text), ['I was going to']);
  assert.deepEqual(play([synced], answered).drafts, []);
});

test('What the dead agent is still heard to say is ignored.', () => {
  const half = play([draft('g', 'assistant', 'I was'), hello(1, 'second'), draft('g', 'assistant', 'I was alive', { stream: 2 })], left());
  assert.deepEqual(half.drafts.map(({ text }) => text), ['I was']);
});

test('What the first agent said before its hello stays.', () => {
  const state = play([admitted(), draft('g', 'assistant', 'Hello'), hello(0, 'first')]);
  assert.deepEqual(state.drafts.map(({ text, left: isLeft }) => [text, isLeft]), [['Hello', undefined]]);
});

test('While its agent has not reached the store, its turns stand at the end, whatever their numbers.', () => {
  const known = [turn(1, 'user', 'a', { saved: true }), turn(2, 'assistant', 'b', { saved: true })];
  const unplaced = play([
    admitted({ turns: known, lastSeq: 2 }),
    admitted({ saved: false, lastSeq: 2 }),
    hello(0, 'first', false),
    ...live(turn(1, 'user', 'c', { id: 'c' }), turn(2, 'assistant', 'd', { id: 'd' }), turn(1, 'user', 'c', { id: 'c' })),
  ]);
  assert.deepEqual(shown(unplaced), [['a', 'saved'], ['b', 'saved'], ['c', 'unsaved'], ['d', 'unsaved']]);
  assert.deepEqual([unplaced.syncedSeq, unplaced.withoutStore], [2, true]);
  const merged = play(
    [
      hello(4, 'first'),
      ...live(turn(3, 'user', 'c', { id: 'c', saved: true }), turn(4, 'assistant', 'd', { id: 'd' })),
      { type: 'saved', turns: [{ id: 'd', seq: 4 }] },
      admitted({ lastSeq: 4 }),
      synced,
    ],
    unplaced,
  );
  assert.deepEqual(merged.turns.map(({ text, seq, late, saved }) => [text, seq, late, saved]), [
    ['a', 1, undefined, true],
    ['b', 2, undefined, true],
    ['c', 3, undefined, true],
    ['d', 4, undefined, true],
  ]);
  assert.deepEqual([merged.syncedSeq, merged.withoutStore], [4, false]);
});

test('A session that the store has begun anew keeps what was said without it, and nothing older.', () => {
  const before = play([
    admitted({ turns: [turn(1, 'user', 'a', { saved: true })], lastSeq: 1 }),
    admitted({ saved: false, lastSeq: 1 }),
    hello(0, 'first', false),
    ...live(turn(1, 'user', 'b', { id: 'b' })),
  ]);
  const after = play([admitted({ resumed: false })], before);
  assert.deepEqual(shown(after), [['b', 'unsaved']]);
  assert.equal(after.syncedSeq, 0);
});
