import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { App } from './app.js';
import { toSaved } from './conversation.js';

const UNREADABLE = { code: 'conversation_unreadable', message: 'It cannot be opened.' };
const turn = { id: 't1', key: 't1', seq: 1, role: 'user', text: 'Hi', createdAt: 1, interrupted: false, saved: true };

const flush = async () => {
  for (let index = 0; index < 50; index += 1) await Promise.resolve();
};
const pass = async (ms) => {
  mock.timers.tick(ms);
  await flush();
};

beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout'] });
  Object.defineProperty(globalThis, 'navigator', { value: {}, configurable: true });
});
afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
});

/**
 * A page that was live and shows one turn, before a gateway that gives these answers, the last one for ever.
 * It lets nobody in, so LiveKit is never asked for anything.
 *
 * @param {{ status: number, error: object }[]} answers
 */
async function comeBack(answers) {
  const asked = [];
  mock.method(globalThis, 'fetch', async (_url, { body }) => {
    asked.push(JSON.parse(body));
    const { status, error } = answers.length > 1 ? answers.shift() : answers[0];
    return new Response(JSON.stringify({ error }), { status });
  });
  const conversation = toSaved({ sessionId: 's1', language: 'en', turns: [turn], pending: [], syncedSeq: 1, ended: false });
  const app = new App({
    identity: { isNew: false, remembered: true, proof: async () => ({ participant_identity: 'i' }), forget() {} },
    history: { load: async () => ({ conversation, settings: { live: true } }), save() {}, wipe: async () => {} },
    onChange() {},
  });
  assert.equal(await app.restore(), true);
  await app.rejoin();
  await flush();
  return { app, asked };
}
const unreadable = { status: 409, error: UNREADABLE };
const away = { status: 503, error: { code: 'store_unavailable', message: 'Not now.' } };
const shownBy = (app) => app.model.conversation.turns.map(({ text }) => text);

test('A conversation that does not open is asked for once; what is shown of it stays.', async () => {
  const { app, asked } = await comeBack([unreadable]);
  await pass(120_000);
  assert.deepEqual(asked, [{ participant_identity: 'i', session_id: 's1', after_seq: 1 }]);
  assert.equal(app.model.state, 'Failed');
  assert.deepEqual(app.model.failure, { message: UNREADABLE.message, retrying: false, unreadable: true });
  assert.deepEqual(shownBy(app), ['Hi']);
});

test('A new one is asked for once, however often the button is pressed and the page tries again.', async () => {
  const { app, asked } = await comeBack([unreadable, away]);
  app.startNew();
  app.startNew();
  await flush();
  for (let tries = 0; tries < 6; tries += 1) await pass(20_000);
  const [, pressed, ...later] = asked;
  assert.deepEqual(pressed, { participant_identity: 'i', new_session: true });
  assert.ok(later.length > 3);
  assert.ok(later.every((body) => !('new_session' in body)));
  assert.deepEqual(shownBy(app), ['Hi']);
});

test('Where nobody was told that it does not open, nothing begins a new one.', async () => {
  const { app, asked } = await comeBack([away]);
  app.startNew();
  await pass(20_000);
  assert.ok(asked.length > 1);
  assert.ok(asked.every((body) => !('new_session' in body)));
});

test('Where a new one does not open either, the page stops, and offers no further one.', async () => {
  const operator = { status: 409, error: { code: 'operator_needed', message: 'Tell them.' } };
  const { app, asked } = await comeBack([unreadable, operator]);
  app.startNew();
  await flush();
  await pass(120_000);
  assert.equal(asked.length, 2);
  assert.deepEqual(app.model.failure, { message: 'Tell them.', retrying: false, unreadable: false });
  app.startNew();
  await flush();
  assert.equal(asked.length, 2);
});
