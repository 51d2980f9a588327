import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { Outbox } from './outbox.js';

const message = (id) => ({ id, text: id, createdAt: 0 });
const flush = async () => {
  for (let index = 0; index < 20; index += 1) await Promise.resolve();
};

/** @param {(id: string) => Promise<void> | void} [behave] */
function setUp(behave = () => {}) {
  const sent = [];
  const outbox = new Outbox(async ({ id }) => {
    sent.push(id);
    await behave(id);
  });
  return { outbox, sent };
}

test('Nothing is sent before an agent is ready; then one message after the record of another.', async () => {
  const { outbox, sent } = setUp();
  outbox.update([message('a'), message('b')]);
  await flush();
  assert.deepEqual(sent, []);
  outbox.open();
  outbox.update([message('a'), message('b'), message('c')]);
  await flush();
  assert.deepEqual(sent, ['a'], 'the next waits');
  outbox.update([message('b'), message('c')]);
  await flush();
  assert.deepEqual(sent, ['a', 'b']);
  outbox.update([message('c')]);
  await flush();
  assert.deepEqual(sent, ['a', 'b', 'c']);
  outbox.update([]);
  await flush();
  outbox.close();
  assert.deepEqual(sent, ['a', 'b', 'c']);
});

test('A message whose record comes while it is still being sent delays no other.', async () => {
  /** @type {() => void} */
  let finish = () => {};
  const { outbox, sent } = setUp((id) => (id === 'a' ? new Promise((resolve) => (finish = resolve)) : undefined));
  outbox.update([message('a'), message('b')]);
  outbox.open();
  await flush();
  outbox.update([message('b')]);
  finish();
  await flush();
  assert.deepEqual(sent, ['a', 'b']);
  outbox.close();
});

test('What has no record yet is sent again to the next agent, what has is not.', async () => {
  const { outbox, sent } = setUp();
  outbox.update([message('a'), message('b')]);
  outbox.open();
  await flush();
  outbox.close();
  outbox.update([message('b')]);
  outbox.open();
  await flush();
  assert.deepEqual(sent, ['a', 'b']);
  outbox.open();
  await flush();
  assert.deepEqual(sent, ['a', 'b', 'b']);
  outbox.close();
});

test('A message whose record does not come is sent again after a while.', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  const { outbox, sent } = setUp();
  outbox.update([message('a')]);
  outbox.open();
  await flush();
  mock.timers.tick(19_999);
  await flush();
  assert.deepEqual(sent, ['a']);
  mock.timers.tick(1);
  await flush();
  assert.deepEqual(sent, ['a', 'a']);
});

test('A message that does not go out holds back those behind it, and is tried again.', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  let failures = 2;
  const { outbox, sent } = setUp((id) => {
    if (id === 'a' && failures-- > 0) throw new Error('no data channel');
  });
  outbox.update([message('a'), message('b')]);
  outbox.open();
  await flush();
  assert.deepEqual(sent, ['a']);
  outbox.update([message('a'), message('b')]);
  await flush();
  assert.deepEqual(sent, ['a'], 'new messages do not hurry it');
  mock.timers.tick(500);
  await flush();
  assert.deepEqual(sent, ['a', 'a']);
  mock.timers.tick(1000);
  await flush();
  assert.deepEqual(sent, ['a', 'a', 'a']);
  outbox.update([message('b')]);
  await flush();
  assert.deepEqual(sent, ['a', 'a', 'a', 'b']);
});

test('A closed outbox waits for nothing, and a send under way does not count for the next agent.', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  /** @type {() => void} */
  let finish = () => {};
  const { outbox, sent } = setUp(() => new Promise((resolve) => (finish = resolve)));
  outbox.update([message('a')]);
  outbox.open();
  await flush();
  const finishFirst = finish;
  outbox.open();
  await flush();
  assert.deepEqual(sent, ['a', 'a']);
  finishFirst();
  finish();
  await flush();
  outbox.close();
  mock.timers.tick(60_000);
  await flush();
  assert.deepEqual(sent, ['a', 'a']);
});
