import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EMPTY, MAX_TURNS, WAIT_FOR_DRAFT_MS, isBehind, reduce } from './conversation.js';
import { fromSaved, toSaved } from './saved-conversation.js';

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
const admission = (more = {}) => ({
  saved: true,
  serverUrl: 'wss://livekit.example',
  token: 'x',
  sessionId: 's1',
  resumed: true,
  lastSeq: 0,
  language: 'en',
  turns: [],
  ...more,
});
const draft = (segment, role, text, more = {}) => ({
  type: 'draft',
  segment,
  stream: 1,
  role,
  text,
  open: true,
  createdAt: 2000,
  nowMs: 0,
  ...more,
});
const typed = (id, text) => ({ type: 'typed', message: { id, text, createdAt: 1500 } });
const play = (events, state = EMPTY) => events.reduce(reduce, state);
const live = (...turns) => turns.map((each) => ({ type: 'turn', turn: each, nowMs: 0 }));
const admitted = (more) => ({ type: 'admitted', admission: admission(more) });
const hello = (lastSeq, from = 'agent-1', saved = true, sentAt = 0) => ({ type: 'hello', from, language: 'en', lastSeq, saved, sentAt });
const saved = (...seqs) => ({ type: 'saved', turns: seqs.map((seq) => ({ id: `t${seq}`, seq })) });
const texts = (items) => items.map(({ text }) => text);

test('Turns are shown in the order of the server, whatever the order they come in.', () => {
  const state = play([admitted(), ...live(turn(3, 'user', 'c'), turn(1, 'user', 'a'), turn(2, 'assistant', 'b'))]);
  assert.deepEqual(texts(state.turns), ['a', 'b', 'c']);
});

test('A turn that comes twice is shown once, and stays saved.', () => {
  const state = play([admitted(), ...live(turn(1, 'user', 'a', { saved: true }), turn(1, 'user', 'a'))]);
  assert.equal(state.turns.length, 1);
  assert.equal(state.turns[0].saved, true);
});

test('Only the newest hundred turns are kept.', () => {
  const turns = Array.from({ length: MAX_TURNS + 20 }, (_, index) => turn(index + 1, 'user', `${index + 1}`));
  const state = play([admitted({ turns, lastSeq: 120 })]);
  assert.equal(state.turns.length, MAX_TURNS);
  assert.equal(state.turns[0].seq, 21);
});

test('Turns that came late are shown behind the turn they follow, and take no other turn away.', () => {
  const late = [
    turn(2, 'user', 'x', { id: 'x', late: true }),
    turn(2, 'assistant', 'y', { id: 'y', late: true }),
  ];
  const turns = [turn(1, 'user', 'a'), turn(2, 'assistant', 'b'), ...late, turn(3, 'user', 'c')];
  const state = play([admitted({ turns, lastSeq: 3 }), ...live(turn(4, 'user', 'd'), turn(2, 'assistant', 'b'))]);
  assert.deepEqual(texts(state.turns), ['a', 'b', 'x', 'y', 'c', 'd']);
  assert.deepEqual(texts(fromSaved(toSaved(state)).turns), ['a', 'b', 'x', 'y', 'c', 'd']);
  assert.deepEqual(texts(play([admitted({ turns, lastSeq: 4 })], state).turns), ['a', 'b', 'x', 'y', 'c', 'd']);
});

test('An unsaved turn whose number was given to another comes back when it comes late.', () => {
  const turns = [turn(1, 'user', 'a'), turn(2, 'assistant', 'new'), turn(1, 'user', 'old', { id: 'old', late: true })];
  const before = play([admitted(), ...live(turn(1, 'user', 'a'), turn(2, 'user', 'old', { id: 'old' }))]);
  const taken = play(live(turn(2, 'assistant', 'new')), before);
  assert.deepEqual(texts(taken.turns), ['a', 'new']);
  assert.deepEqual(texts(play([admitted({ turns, lastSeq: 2 })], taken).turns), ['a', 'old', 'new']);
});

test('A late turn that is recorded after all, as it was sent again, stands once, under its number.', () => {
  const old = turn(1, 'user', 'x', { id: 'x', late: true });
  const before = play([admitted({ turns: [turn(1, 'user', 'a'), old, turn(2, 'assistant', 'b')], lastSeq: 2 })]);
  const after = play(live(turn(3, 'user', 'x', { id: 'x' })), before);
  assert.deepEqual(after.turns.map(({ text, seq, late }) => [text, seq, late]), [
    ['a', 1, undefined],
    ['b', 2, undefined],
    ['x', 3, undefined],
  ]);
});

test('Turns that came late keep their order when they are told again, and when another comes between.', () => {
  const [x, y, z] = ['x', 'y', 'z'].map((id) => turn(0, 'user', id, { id, late: true }));
  const turns = [turn(1, 'user', 'a'), turn(2, 'assistant', 'b')];
  const before = play([admitted({ turns: [x, z, ...turns], lastSeq: 2 })]);
  assert.deepEqual(texts(before.turns), ['x', 'z', 'a', 'b']);
  assert.deepEqual(texts(play([admitted({ turns: [x, y, z], lastSeq: 2 })], before).turns), ['x', 'y', 'z', 'a', 'b']);
});

test('A saved mark applies to its turn, even when it comes first.', () => {
  const state = play([admitted(), saved(1, 2), ...live(turn(1, 'user', 'a'))]);
  assert.equal(state.turns[0].saved, true);
  const later = play([...live(turn(3, 'user', 'c')), saved(3)], state);
  assert.deepEqual(later.turns.map(({ saved }) => saved), [true, true]);
});

test('The record replaces the draft of its role, in the place of the draft.', () => {
  const state = play([admitted(), hello(0), draft('g1', 'assistant', 'Hello the'), draft('g2', 'user', 'Hi')]);
  const [assistant] = state.drafts;
  const next = play(live(turn(1, 'assistant', 'Hello there.')), state);
  assert.deepEqual(texts(next.turns), ['Hello there.']);
  assert.deepEqual(texts(next.drafts), ['Hi']);
  assert.equal(next.turns[0].key, assistant.key);
});

test('Late text of a draft whose record has come is ignored.', () => {
  const state = play([
    admitted(),
    draft('g1', 'assistant', 'Hello'),
    ...live(turn(1, 'assistant', 'Hello there.')),
    draft('g1', 'assistant', 'Hello there.', { open: false }),
  ]);
  assert.deepEqual(state.drafts, []);
});

test('A draft of the next speech survives the record of the last one.', () => {
  const state = play([
    admitted(),
    draft('g1', 'assistant', 'The first answer.', { open: false }),
    draft('g2', 'assistant', 'Something else begins'),
    ...live(turn(1, 'assistant', 'The first answer.')),
  ]);
  assert.deepEqual(texts(state.drafts), ['Something else begins']);
});

test('All finished segments of a speech go when its record comes, though the recogniser changed words.', () => {
  const state = play([
    admitted(),
    draft('g1', 'user', 'My name is', { open: false }),
    draft('g2', 'user', 'Mario', { open: false }),
    ...live(turn(1, 'user', 'My name is Maria.')),
  ]);
  assert.deepEqual(state.drafts, []);
});

test('A segment that ends after its record came does not stay behind.', () => {
  const state = play([
    admitted(),
    draft('g1', 'user', 'completely other'),
    ...live(turn(1, 'user', 'My name is Maria')),
    draft('g1', 'user', 'My name is Maria', { stream: 2, open: false }),
  ]);
  assert.deepEqual(state.drafts, []);
});

test('A draft that comes after its record is not shown, but saying the same again is.', () => {
  const recorded = play(live(turn(1, 'user', 'Yes.')));
  const late = play([draft('a', 'user', 'Yes.'), draft('a', 'user', 'Yes.', { stream: 2, open: false })], recorded);
  assert.deepEqual(texts(late.drafts), []);
  assert.deepEqual(texts(play([draft('b', 'user', 'Yes.')], late).drafts), ['Yes.']);
  assert.deepEqual(texts(play([draft('a', 'user', 'No.')], recorded).drafts), ['No.']);
});

test('A record waits two seconds for its draft, and then takes no draft any more.', () => {
  const recorded = play(live(turn(1, 'assistant', 'We')));
  const after = (nowMs) => texts(reduce(recorded, draft('g1', 'assistant', 'Welcome', { nowMs })).drafts);
  assert.deepEqual(after(WAIT_FOR_DRAFT_MS), []);
  assert.deepEqual(after(WAIT_FOR_DRAFT_MS + 1), ['Welcome']);
});

for (const [what, event] of [
  ['a hello', hello(1)],
  ['an admission', { type: 'admitted', admission: admission({ lastSeq: 1 }) }],
  ['an admission to another session', { type: 'admitted', admission: admission({ sessionId: 's2' }) }],
  ['a typed message', typed('m1', 'What is my name?')],
]) {
  test(`No record waits for its draft beyond ${what}.`, () => {
    const state = play([admitted(), ...live(turn(1, 'assistant', 'We')), event, draft('g1', 'assistant', 'Welcome')]);
    assert.deepEqual(texts(state.drafts), ['Welcome']);
  });
}

test('A record of an earlier page load waits for no draft, interrupted or resent.', () => {
  for (const more of [{ interrupted: true, text: 'We' }, { text: 'Welcome back. This is visit number 2.' }]) {
    const old = turn(1, 'assistant', 'x', { createdAt: 1000, ...more });
    const state = play([admitted(), hello(1, 'agent-1', true, 1001), ...live(old), draft('g1', 'assistant', 'Welcome')]);
    assert.deepEqual(texts(state.drafts), ['Welcome']);
  }
});

test('An interrupted record of an earlier page load does not take the draft of the next speech.', () => {
  const cut = turn(1, 'assistant', 'We', { createdAt: 1000, interrupted: true });
  const state = play([admitted(), hello(0, 'agent-1', true, 1001), draft('g1', 'assistant', 'Welcome'), ...live(cut)]);
  assert.deepEqual([texts(state.turns), texts(state.drafts)], [['We'], ['Welcome']]);
});

test('A speech that goes on over a second hello of its agent is shown once, also when it is interrupted.', () => {
  const cut = turn(1, 'assistant', 'Welcome ba', { createdAt: 1002, interrupted: true });
  const state = play([
    admitted(),
    hello(0, 'agent-1', false, 1001),
    draft('g1', 'assistant', 'Welcome'),
    hello(0, 'agent-1', true, 1003),
    ...live(cut),
  ]);
  assert.deepEqual([texts(state.turns), texts(state.drafts)], [['Welcome ba'], []]);
});

test('Saying the same again is a draft of its own.', () => {
  const state = play([
    admitted(),
    draft('g1', 'user', 'Yes', { open: false }),
    ...live(turn(1, 'user', 'Yes')),
    draft('g2', 'user', 'Yes', { open: false }),
  ]);
  assert.deepEqual(texts(state.drafts), ['Yes']);
});

test('An older interim result cannot overwrite a newer one.', () => {
  const state = play([
    draft('g1', 'user', 'one two', { stream: 2 }),
    draft('g1', 'user', 'one', { stream: 1, open: true }),
  ]);
  assert.deepEqual(texts(state.drafts), ['one two']);
});

test('An empty stream shows nothing, and an empty end keeps the text.', () => {
  assert.deepEqual(play([draft('g1', 'assistant', '', { open: false })]).drafts, []);
  const state = play([draft('g1', 'assistant', 'So far'), draft('g1', 'assistant', '', { open: false })]);
  assert.deepEqual(texts(state.drafts), ['So far']);
  assert.equal(state.drafts[0].open, false);
});

test('A typed message waits under its own id until the record with that id comes.', () => {
  const state = play([admitted(), typed('m1', 'Hello'), typed('m2', 'Again')]);
  assert.deepEqual(texts(state.pending), ['Hello', 'Again']);
  const next = play(live(turn(1, 'user', 'Hello', { id: 'm1' })), state);
  assert.deepEqual(texts(next.pending), ['Again']);
  assert.equal(next.turns[0].key, 'm1');
});

test('A message that the agent refused is not sent again.', () => {
  const state = play([admitted(), typed('m1', 'x'), typed('m2', 'y'), { type: 'refused', id: 'm1' }]);
  assert.deepEqual(texts(state.pending), ['y']);
});

test('The record of a typed message leaves the draft of speech alone.', () => {
  const state = play([
    admitted(),
    typed('m1', 'Hello'),
    draft('g1', 'user', 'Hello', { open: false }),
    ...live(turn(1, 'user', 'Hello', { id: 'm1' })),
  ]);
  assert.deepEqual(texts(state.drafts), ['Hello']);
});

test('The answer of the gateway fills in what is missing and settles what was typed.', () => {
  const state = play([
    admitted(),
    ...live(turn(1, 'user', 'a')),
    typed('m1', 'b'),
    admitted({ lastSeq: 3, turns: [turn(2, 'user', 'b', { id: 'm1', saved: true }), turn(3, 'assistant', 'c')] }),
  ]);
  assert.deepEqual(texts(state.turns), ['a', 'b', 'c']);
  assert.deepEqual(state.pending, []);
  assert.equal(state.isNew, false);
});

test('Another session drops what was shown and takes along what was not sent.', () => {
  const state = play([admitted(), ...live(turn(1, 'user', 'old')), typed('m1', 'unsent'), draft('g', 'user', 'x')]);
  const next = reduce(state, { type: 'admitted', admission: admission({ sessionId: 's2', resumed: false }) });
  assert.equal(next.sessionId, 's2');
  assert.equal(next.isNew, true);
  assert.deepEqual([next.turns, next.drafts, next.syncedSeq], [[], [], 0]);
  assert.deepEqual(texts(next.pending), ['unsent']);
});

test('A first session is not announced as a new one.', () => {
  assert.equal(play([typed('m1', 'Hi'), admitted({ resumed: false })]).isNew, false);
});

test('What is known for sure grows only while nothing can have been missed.', () => {
  const joined = play([admitted({ lastSeq: 4 })]);
  assert.equal(joined.syncedSeq, 4);
  const early = play(live(turn(7, 'user', 'x')), joined);
  assert.equal(early.syncedSeq, 4, 'before hello, turns 5 and 6 may have been missed');
  assert.equal(isBehind(early, 7), true);
  const caughtUp = play([hello(7), admitted({ lastSeq: 7 }), { type: 'synced' }, ...live(turn(9, 'user', 'y'))], early);
  assert.equal(caughtUp.syncedSeq, 7, 'what is not saved may yet be lost, and its number be given to another');
  assert.equal(play([saved(9)], caughtUp).syncedSeq, 9);
  assert.equal(play(live(turn(9, 'user', 'y', { saved: true })), caughtUp).syncedSeq, 9);
  const disturbed = play([{ type: 'disturbed' }, ...live(turn(12, 'user', 'z', { saved: true }))], caughtUp);
  assert.equal(disturbed.syncedSeq, 7);
});

test('Hello drops drafts that will not be finished, and keeps the one that is being spoken.', () => {
  const state = play([
    admitted(),
    draft('g1', 'user', 'half a sen'),
    draft('g2', 'assistant', 'cut off', { open: false }),
    draft('g3', 'assistant', 'speaking now'),
    hello(0),
  ]);
  assert.deepEqual(texts(state.drafts), ['speaking now']);
});

test('A saved conversation comes back as it was, without drafts.', () => {
  const state = play([admitted({ lastSeq: 2 }), hello(2), ...live(turn(3, 'user', 'a')), saved(3), typed('m1', 'b'), draft('g', 'user', 'x')]);
  const back = fromSaved(structuredClone(toSaved(state)));
  assert.deepEqual(texts(back.turns), ['a']);
  assert.deepEqual(texts(back.pending), ['b']);
  assert.deepEqual([back.sessionId, back.syncedSeq, back.agent, back.ended, back.drafts], ['s1', 3, 'agent-1', false, []]);
});

test('A value that is not a saved conversation is ignored.', () => {
  for (const value of [null, undefined, 7, 'x', [], {}, { turns: [], pending: [] }, { turns: 1, pending: [] }]) {
    assert.equal(fromSaved(value), null);
  }
});
