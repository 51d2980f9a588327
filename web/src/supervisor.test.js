import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { FAILURES_UNTIL_FAILED, Supervisor } from './supervisor.js';

const flush = async () => {
  for (let index = 0; index < 20; index += 1) await Promise.resolve();
};
const passes = () => Promise.resolve();
const fails = () => Promise.reject(new Error('unreachable'));

beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
afterEach(() => mock.timers.reset());

/** @param {(signal: AbortSignal) => Promise<void>} attempt */
function setUp(attempt) {
  const log = [];
  const behaviour = { attempt };
  const supervisor = new Supervisor(
    {
      attempt: (signal) => {
        log.push('attempt');
        return behaviour.attempt(signal);
      },
      onConnected: () => log.push('connected'),
      onFailed: (_error, retrying) => log.push(retrying ? 'failed, retrying' : 'failed'),
    },
    () => 0.5,
  );
  return { supervisor, log, behaviour };
}

async function pass(ms) {
  mock.timers.tick(ms);
  await flush();
}

test('It connects at once.', async () => {
  const { supervisor, log } = setUp(passes);
  supervisor.start();
  await flush();
  assert.deepEqual(log, ['attempt', 'connected']);
});

test('It backs off, says when that is a failure, and goes on behind it until it works.', async () => {
  const { supervisor, log, behaviour } = setUp(fails);
  supervisor.start();
  await flush();
  for (const delayMs of [500, 1000, 2000]) {
    await pass(delayMs - 1);
    await pass(1);
  }
  assert.deepEqual(log, Array(FAILURES_UNTIL_FAILED - 1).fill('attempt'));
  await pass(4000);
  assert.deepEqual(log.slice(-2), ['attempt', 'failed, retrying']);
  behaviour.attempt = passes;
  await pass(8000);
  assert.deepEqual(log.slice(-2), ['attempt', 'connected']);
});

test('An error that no repetition cures ends it.', async () => {
  const { supervisor, log } = setUp(() => Promise.reject(Object.assign(new Error('no'), { retryable: false })));
  supervisor.start();
  await flush();
  await pass(120_000);
  assert.deepEqual(log, ['attempt', 'failed']);
});

test('A lost connection is tried at once, and news of a network end the wait.', async () => {
  const { supervisor, log, behaviour } = setUp(passes);
  supervisor.start();
  await flush();
  behaviour.attempt = fails;
  supervisor.lost();
  await pass(0);
  assert.deepEqual(log, ['attempt', 'connected', 'attempt']);
  behaviour.attempt = passes;
  supervisor.hurry();
  await flush();
  assert.deepEqual(log.slice(-2), ['attempt', 'connected']);
  supervisor.hurry();
  await flush();
  assert.equal(log.length, 5, 'there was nothing to hurry');
});

test('When stopped it aborts the attempt under way and stays silent about it.', async () => {
  /** @type {AbortSignal | undefined} */
  let seen;
  const { supervisor, log } = setUp((signal) => {
    seen = signal;
    return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  });
  supervisor.start();
  await flush();
  supervisor.stop();
  await pass(120_000);
  assert.equal(seen?.aborted, true);
  assert.deepEqual(log, ['attempt']);
});
