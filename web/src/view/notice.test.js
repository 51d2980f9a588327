import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EMPTY } from '../conversation.js';
import { noticeOf } from './notice.js';

const model = (more) => ({
  state: 'Connected',
  conversation: EMPTY,
  waiting: 'no',
  mic: 'off',
  micWanted: false,
  failure: null,
  refusal: null,
  remembered: true,
  ...more,
});
const failed = (failure, more = {}) =>
  noticeOf(model({ state: 'Failed', failure: { message: 'No.', retrying: false, unreadable: false, ...failure }, ...more }));

test('While all is well nothing is said.', () => assert.equal(noticeOf(model()), null));

test('A failure offers another try, and says when the page tries by itself.', () => {
  assert.deepEqual(failed({}), { text: 'No.', tone: 'problem', button: 'retry' });
  assert.deepEqual(failed({ retrying: true }).text, 'No. This page keeps trying.');
});

test('A conversation that does not open offers a new one, and no other try.', () => {
  assert.deepEqual(failed({ unreadable: true }), { text: 'No.', tone: 'problem', button: 'start-new' });
});

test('Where words are shown, it is said how long they stay.', () => {
  const conversation = { ...EMPTY, turns: [{ id: 't', key: 't' }] };
  assert.equal(failed({ unreadable: true }, { conversation }).text, 'No. What is shown here stays until you do.');
});
