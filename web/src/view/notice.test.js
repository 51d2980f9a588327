import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EMPTY } from '../conversation.js';
import { ALL_SAVED } from '../save-status.js';
import { noticeOf } from './notice.js';

const model = (more) => ({
  state: 'Connected',
  conversation: EMPTY,
  waiting: 'no',
  mic: 'off',
  micWanted: false,
  failure: null,
  refusal: null,
  agentNotice: null,
  back: false,
  saveStatus: ALL_SAVED,
  remembered: true,
  ...more,
});
const failed = (failure, more = {}) =>
  noticeOf(model({ state: 'Failed', failure: { message: 'No.', retrying: false, remedy: 'retry', ...failure }, ...more }));

test('While all is well there is no notice.', () => assert.equal(noticeOf(model()), null));

test('A failure offers another try, and says when the page tries by itself.', () => {
  assert.deepEqual(failed({}), { text: 'No.', tone: 'problem', buttons: ['retry'] });
  assert.deepEqual(failed({ retrying: true }).text, 'No. This page keeps trying.');
});

test('A conversation that does not open offers a new one, and no other try.', () => {
  assert.deepEqual(failed({ remedy: 'new' }), { text: 'No.', tone: 'problem', buttons: ['start-new'] });
});

test('Where words are shown, the notice tells how long they stay.', () => {
  const conversation = { ...EMPTY, turns: [{ id: 't', key: 't' }] };
  assert.equal(failed({ remedy: 'new' }, { conversation }).text, 'No. What you see here stays until then.');
});

test('Where the agents died again and again, the notice offers another try and a new conversation.', () => {
  assert.deepEqual(failed({ remedy: 'either' }).buttons, ['retry', 'start-new']);
});

test('One quiet line tells that the store is away, and for a moment that all is saved.', () => {
  const says = (store) => noticeOf(model({ saveStatus: { ...ALL_SAVED, store } }));
  assert.deepEqual([says('away').tone, says('back').tone], ['quiet', 'quiet']);
  assert.match(says('away').text, /^Not saved yet/);
  assert.match(says('back').text, /is saved/);
});

test('The return of the assistant is a quiet notice, and none while the connection is lost.', () => {
  assert.deepEqual(noticeOf(model({ back: true })), { text: 'Your assistant is back.', tone: 'quiet' });
  assert.match(noticeOf(model({ back: true, state: 'Reconnecting' })).text, /connection is lost/);
});

test('The notice of an agent is shown in its own language, before what is less urgent.', () => {
  const agentNotice = { text: 'Ahora mismo no te oigo.', language: 'es' };
  const shown = noticeOf(model({ agentNotice, back: true, saveStatus: { ...ALL_SAVED, store: 'away' } }));
  assert.deepEqual(shown, { text: 'Ahora mismo no te oigo.', tone: 'problem', language: 'es' });
});
