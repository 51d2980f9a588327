import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { App } from './app.js';
import { Connection } from './connection.js';
import { toSaved } from './conversation.js';
import { OVERDUE_AFTER_MS } from './patience.js';

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
 *
 * @param {{ status: number, body: object }[]} answers
 */
async function comeBack(answers) {
  const asked = [];
  mock.method(globalThis, 'fetch', async (_url, { body }) => {
    asked.push(JSON.parse(body));
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    return new Response(JSON.stringify(answer.body), { status: answer.status });
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
const refused = (status, code, message) => ({ status, body: { error: { code, message } } });
const unreadable = refused(409, 'conversation_unreadable', 'It cannot be opened.');
const away = refused(503, 'store_unavailable', 'Not now.');
const isUnreadable = { message: 'It cannot be opened.', retrying: false, remedy: 'new' };
const shownBy = (app) => app.model.conversation.turns.map(({ text }) => text);

test('A conversation that does not open is asked for once; what is shown of it stays.', async () => {
  const { app, asked } = await comeBack([unreadable]);
  await pass(120_000);
  assert.deepEqual(asked, [{ participant_identity: 'i', session_id: 's1', after_seq: 1 }]);
  assert.equal(app.model.state, 'Failed');
  assert.deepEqual(app.model.failure, isUnreadable);
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
  const { app, asked } = await comeBack([unreadable, refused(409, 'operator_needed', 'Tell them.')]);
  app.startNew();
  await flush();
  await pass(120_000);
  assert.equal(asked.length, 2);
  assert.deepEqual(app.model.failure, { message: 'Tell them.', retrying: false, remedy: 'retry' });
  app.startNew();
  await flush();
  assert.equal(asked.length, 2);
});

test('Who waits for an agent that cannot open the conversation is told so, and waits no more.', async () => {
  mock.method(Connection.prototype, 'join', async (/** @type {Promise<unknown>} */ admission) => void (await admission));
  const leaveRoom = mock.method(Connection.prototype, 'leaveRoom', async () => {});
  const admission = { server_url: 'wss://x', participant_token: 'x', session_id: 's1', resumed: true, last_seq: 1, turns: [] };
  const { app, asked } = await comeBack([{ status: 201, body: admission }, unreadable]);
  assert.equal(app.model.state, 'Connected');
  await pass(OVERDUE_AFTER_MS);
  assert.equal(app.model.state, 'Failed');
  assert.deepEqual(app.model.failure, isUnreadable);
  assert.equal(leaveRoom.mock.callCount(), 1);
  await pass(120_000);
  assert.equal(asked.length, 2);
  assert.equal(app.model.waiting, 'no');
  assert.deepEqual(shownBy(app), ['Hi']);
});
