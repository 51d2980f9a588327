import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { LATE_AFTER_MS, SAID_FOR_MS, SaveStatusWatch } from './save-status.js';

beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
afterEach(() => mock.timers.reset());

function setUp() {
  const said = [];
  const watch = new SaveStatusWatch(({ late, saved, store }) => said.push([[...late].join(), [...saved].join(), store]));
  const update = (turns, withoutStore = false) =>
    watch.update({ turns: Object.entries(turns).map(([id, state]) => ({ id, saved: state === 'saved', fate: state })), withoutStore });
  return { said, update };
}

test('What is saved in time is not spoken of.', () => {
  const { said, update } = setUp();
  update({ a: 'unsaved' });
  mock.timers.tick(LATE_AFTER_MS - 1);
  update({ a: 'saved' });
  mock.timers.tick(60_000);
  assert.deepEqual(said, []);
});

test('A turn that takes too long is said to be unsaved, and for a moment to be saved.', () => {
  const { said, update } = setUp();
  update({ a: 'saved', b: 'unsaved' });
  mock.timers.tick(LATE_AFTER_MS);
  update({ a: 'saved', b: 'unsaved' });
  update({ a: 'saved', b: 'saved' });
  mock.timers.tick(SAID_FOR_MS);
  update({ a: 'saved', b: 'saved' });
  assert.deepEqual(said, [
    ['b', '', 'away'],
    ['', 'b', 'back'],
    ['', '', 'there'],
  ]);
});

test('While the gateway says that the store is away, that is said at once.', () => {
  const { said, update } = setUp();
  update({}, true);
  update({}, true);
  update({}, false);
  mock.timers.tick(SAID_FOR_MS);
  assert.deepEqual(said.map(([, , store]) => store), ['away', 'back', 'there']);
});

test('Some saved and some not: the store counts as away, and those that are saved are named.', () => {
  const { said, update } = setUp();
  update({ a: 'unsaved', b: 'unsaved' });
  mock.timers.tick(LATE_AFTER_MS);
  update({ a: 'saved', b: 'unsaved' });
  assert.deepEqual(said.at(-1), ['b', 'a', 'away']);
  mock.timers.tick(SAID_FOR_MS);
  assert.deepEqual(said.at(-1), ['b', '', 'away']);
});

test('What is lost, or gone, is not waited for.', () => {
  const { said, update } = setUp();
  update({ a: 'unsaved', b: 'unsaved' });
  mock.timers.tick(LATE_AFTER_MS);
  update({ a: 'lost' });
  assert.deepEqual(said.at(-1), ['', '', 'back']);
  mock.timers.tick(SAID_FOR_MS);
  assert.deepEqual(said.at(-1), ['', '', 'there']);
});
