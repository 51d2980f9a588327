import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INITIAL_STATE, isLive, nextState } from './states.js';

const walk = (...events) => events.reduce(nextState, INITIAL_STATE);

test('A first visit waits for its visitor.', () => assert.equal(walk('nothing-saved'), 'Idle'));
test('A return connects by itself.', () => assert.equal(walk('connect', 'joined'), 'Connected'));
test('A conversation that was ended stays ended until it is continued.', () => {
  assert.equal(walk('was-ended'), 'Ended');
  assert.equal(walk('was-ended', 'joined'), 'Ended');
  assert.equal(walk('was-ended', 'connect'), 'Connecting');
});
test('An interruption ends in Connected without a click.', () => {
  assert.equal(walk('connect', 'joined', 'lost'), 'Reconnecting');
  assert.equal(walk('connect', 'joined', 'lost', 'joined'), 'Connected');
  assert.equal(walk('connect', 'joined', 'lost', 'gave-up', 'joined'), 'Connected');
});
test('Trouble on the way to the first connection is still Connecting.', () => {
  assert.equal(walk('connect', 'lost'), 'Connecting');
});
test('A failure can be tried again.', () => assert.equal(walk('connect', 'gave-up', 'connect'), 'Connecting'));
test('A late event of a connection that was left changes nothing.', () => {
  for (const event of ['lost', 'joined', 'gave-up']) assert.equal(walk('connect', 'joined', 'end', event), 'Ended');
});
test('A conversation is live while it is wanted, working or not.', () => {
  assert.deepEqual(
    ['Idle', 'Restoring', 'Connecting', 'Connected', 'Reconnecting', 'Failed', 'Ended'].filter(isLive),
    ['Connecting', 'Connected', 'Reconnecting', 'Failed'],
  );
});
