import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { ASK_AFTER_MS, ASK_EVERY_MS, DeadLinkProbe } from './dead-link-probe.js';

beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
afterEach(() => mock.timers.reset());

/** @param {() => boolean} answers */
function setUp(answers) {
  const seen = { asked: 0, dead: 0 };
  const probe = new DeadLinkProbe({
    ask: async () => {
      seen.asked += 1;
      return answers();
    },
    onDead: () => (seen.dead += 1),
  });
  return { probe, seen };
}
const pass = async (ms) => {
  mock.timers.tick(ms);
  for (let index = 0; index < 10; index += 1) await Promise.resolve();
};

test('An outage that ends in time causes no request.', async () => {
  const { probe, seen } = setUp(() => true);
  probe.watch(true);
  await pass(ASK_AFTER_MS - 1);
  probe.watch(false);
  await pass(60_000);
  assert.deepEqual(seen, { asked: 0, dead: 0 });
});

test('Where the gateway answers twice, the connection is given up, once.', async () => {
  const { probe, seen } = setUp(() => true);
  probe.watch(true);
  await pass(ASK_AFTER_MS);
  probe.watch(true);
  assert.deepEqual(seen, { asked: 1, dead: 0 });
  await pass(ASK_EVERY_MS);
  assert.deepEqual(seen, { asked: 2, dead: 1 });
  await pass(60_000);
  assert.deepEqual(seen, { asked: 2, dead: 1 });
});

test('While the network is gone, the connection is kept, for as long as it takes.', async () => {
  let isThere = false;
  const { probe, seen } = setUp(() => isThere);
  probe.watch(true);
  await pass(ASK_AFTER_MS);
  for (let times = 0; times < 30; times += 1) await pass(ASK_EVERY_MS);
  assert.equal(seen.dead, 0);
  isThere = true;
  await pass(ASK_EVERY_MS);
  probe.watch(false);
  await pass(60_000);
  assert.equal(seen.dead, 0, 'it was mended meanwhile');
});
