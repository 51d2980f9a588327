import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { ASK_AGAIN_MS } from './admission.js';
import { OVERDUE_AFTER_MS } from './agent-wait-timer.js';
import { App } from './app.js';
import { Connection } from './connection.js';
import { toSaved } from './saved-conversation.js';

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

const conversation = toSaved({ sessionId: 's1', language: 'en', turns: [turn], pending: [], syncedSeq: 1, ended: false });

/**
 * A page before a gateway that gives these answers, the last one for ever.
 *
 * @param {{ status: number, body: object }[]} answers
 * @param {(onLate: (saved: object) => boolean) => Promise<object>} load what the page has saved
 */
function open(answers, load) {
  const asked = [];
  /** What the room is told by, so that a test can be the room. @type {any} */
  let hooks;
  mock.method(globalThis, 'fetch', async (_url, { body }) => {
    asked.push(JSON.parse(body));
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    return new Response(JSON.stringify(answer.body), { status: answer.status });
  });
  const app = new App({
    identity: { isNew: false, remembered: true, proof: async () => ({ participant_identity: 'i' }), forget() {} },
    history: { load, save() {}, wipe: async () => {} },
    onChange() {},
    openConnection(given) {
      hooks = given;
      return new Connection(given);
    },
  });
  return { app, asked, hooks };
}

/**
 * A page that was live and shows one turn, and goes on.
 *
 * @param {{ status: number, body: object }[]} answers
 */
async function comeBack(answers) {
  const page = open(answers, async () => ({ conversation, settings: { live: true } }));
  assert.equal(await page.app.restore(), true);
  await page.app.rejoin();
  await flush();
  return page;
}

/**
 * A page whose database answers so late that it was painted without it.
 *
 * @param {boolean} live whether the user was in the conversation
 * @param {{ status: number, body: object }[]} [answers] of the gateway
 */
async function openBeforeItsDatabase(live, answers = [away]) {
  let onLate = () => false;
  const page = open(answers, async (given) => {
    onLate = given;
    return { conversation: null, settings: null };
  });
  assert.equal(await page.app.restore(), false);
  assert.equal(page.app.model.state, 'Idle');
  return { ...page, answer: () => onLate({ conversation, settings: { live } }) };
}
const refused = (status, code, message) => ({ status, body: { error: { code, message } } });
const unreadable = refused(409, 'conversation_unreadable', 'It cannot be opened.');
const away = refused(503, 'store_unavailable', 'Not now.');
const isUnreadable = { message: 'It cannot be opened.', retrying: false, remedy: 'new' };
const shownBy = (app) => app.model.conversation.turns.map(({ text }) => text);

test('What a slow database answers late is shown, and the conversation goes on by itself.', async () => {
  const { app, asked, answer } = await openBeforeItsDatabase(true);
  assert.equal(answer(), true);
  await flush();
  assert.deepEqual(shownBy(app), ['Hi']);
  assert.equal(app.model.state, 'Connecting');
  assert.equal(asked.length, 1);
  await app.end();
});

test('A conversation that was ended stays so, however late the database says it.', async () => {
  const { app, asked, answer } = await openBeforeItsDatabase(false);
  assert.equal(answer(), true);
  await flush();
  assert.deepEqual([app.model.state, shownBy(app), asked.length], ['Ended', ['Hi'], 0]);
});

test('Whoever has begun to talk meanwhile is not interrupted by a slow database.', async () => {
  const { app, answer } = await openBeforeItsDatabase(true);
  await app.rejoin();
  assert.equal(answer(), false);
  assert.deepEqual(shownBy(app), []);
  await app.end();
});

test('The page asks once for a conversation that does not open, and keeps what it shows.', async () => {
  const { app, asked } = await comeBack([unreadable]);
  await pass(120_000);
  assert.deepEqual(asked, [{ participant_identity: 'i', session_id: 's1', after_seq: 1 }]);
  assert.equal(app.model.state, 'Failed');
  assert.deepEqual(app.model.failure, isUnreadable);
  assert.deepEqual(shownBy(app), ['Hi']);
});

test('The page asks once for a new conversation, however often the button is pressed and the page tries again.', async () => {
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

test('While the gateway is only unavailable, no new conversation can be started.', async () => {
  const { app, asked } = await comeBack([away]);
  app.startNew();
  await pass(20_000);
  assert.ok(asked.length > 1);
  assert.ok(asked.every((body) => !('new_session' in body)));
});

test('If a new conversation does not open either, the page stops, and offers no further one.', async () => {
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

test('When no agent can open the conversation, the page tells so and stops waiting.', async () => {
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

/**
 * The page in its room, with the hooks by which the room tells it things.
 *
 * @param {{ status: number, body: object }[]} answers of the gateway, as in {@link comeBack}
 */
async function inTheRoom(answers) {
  const left = letIn();
  return { ...(await comeBack(answers)), left };
}

/** Lets pages join and leave rooms that are not there. Returns how often one left. */
function letIn() {
  let left = 0;
  mock.method(Connection.prototype, 'join', async (/** @type {Promise<unknown>} */ admission) => void (await admission));
  mock.method(Connection.prototype, 'leaveRoom', async () => void (left += 1));
  mock.method(Connection.prototype, 'leave', async () => void (left += 1));
  return () => left;
}
const admission = (more = {}) => ({
  status: 201,
  body: { server_url: 'wss://x', participant_token: 'x', session_id: 's1', resumed: true, last_seq: 1, turns: [], ...more },
});
const hello = (more = {}) => ({ type: 'hello', sessionId: 's1', language: 'en', lastSeq: 1, back: false, saved: true, ...more });

test('Admitted without the store, the page asks again until it has what it lacks.', async () => {
  const late = { id: 't2', seq: 2, role: 'assistant', text: 'Hello', created_at: 2 };
  const away = admission({ saved: false });
  const { app, asked, hooks } = await inTheRoom([away, away, admission({ last_seq: 2, turns: [late] })]);
  assert.equal(app.model.saveStatus.store, 'away');
  hooks.onRecord(hello({ saved: false }), 'agent');
  await flush();
  await pass(ASK_AGAIN_MS);
  assert.deepEqual(asked.map((body) => body.without_store), [undefined, true, true]);
  assert.deepEqual(shownBy(app), ['Hi', 'Hello']);
  assert.equal(app.model.saveStatus.store, 'back');
  await pass(ASK_AGAIN_MS);
  assert.equal(app.model.saveStatus.store, 'there');
  const before = asked.length;
  await pass(ASK_AGAIN_MS);
  assert.equal(asked.length, before);
});

test('When no agent will come, the page tells so at once, leaves, and offers another try and a new conversation.', async () => {
  const { app, asked, hooks, left } = await inTheRoom([admission()]);
  hooks.onAgents([{ identity: 'ghost', state: 'listening' }]);
  hooks.onRecord(hello(), 'ghost');
  hooks.onAgentGaveUp();
  await flush();
  assert.deepEqual([app.model.state, app.model.failure.remedy, left()], ['Failed', 'either', 1]);
  assert.match(app.model.failure.message, /^The assistant stopped several times in this conversation\./);
  assert.deepEqual(shownBy(app), ['Hi']);
  await pass(120_000);
  assert.equal(asked.length, 1);
  app.startNew();
  await flush();
  assert.equal(asked.at(-1).new_session, true);
});

test('The return of the assistant is shown once, for a while, if the agent is new to the page.', async () => {
  const { app, hooks } = await inTheRoom([admission()]);
  hooks.onRecord(hello(), 'first');
  assert.equal(app.model.back, false);
  hooks.onRecord(hello({ back: true }), 'second');
  assert.equal(app.model.back, true);
  await pass(10_000);
  hooks.onRecord(hello({ back: true }), 'second');
  assert.equal(app.model.back, false);
});

test('When the agent ends the conversation, the page ends it too, and asks for no other agent.', async () => {
  const { app, asked, hooks, left } = await inTheRoom([admission()]);
  hooks.onAgents([{ identity: 'agent', state: 'listening' }]);
  hooks.onRecord(hello(), 'agent');
  hooks.onAgentEnded(true);
  hooks.onAgents([]);
  await pass(120_000);
  assert.deepEqual([app.model.state, app.model.setAside, asked.length, left()], ['Idle', 'agent', 1, 1]);
  assert.deepEqual(shownBy(app), ['Hi']);
});

test('When the agent has handed the call to a human, the page stays, and waits for no agent.', async () => {
  const { app, asked, hooks, left } = await inTheRoom([admission()]);
  hooks.onAgents([{ identity: 'agent', state: 'listening' }]);
  hooks.onRecord(hello(), 'agent');
  hooks.onAgentEnded(false);
  hooks.onAgents([]);
  await pass(120_000);
  assert.deepEqual([app.model.state, app.model.waiting, asked.length, left()], ['Connected', 'no', 1, 0]);
  await app.end();
});

test('Removed as a duplicate, the page comes back only if the conversation is not open elsewhere.', async () => {
  const { app, asked, hooks } = await inTheRoom([admission(), refused(409, 'goes_on_elsewhere', 'Elsewhere.'), admission()]);
  hooks.onDropped('duplicate');
  await pass(1000);
  assert.equal(asked.at(-1).unless_elsewhere, true);
  assert.deepEqual([app.model.state, app.model.setAside, app.model.failure], ['Idle', 'device', null]);
  app.resume();
  await flush();
  assert.equal(asked.at(-1).unless_elsewhere, undefined);
  assert.equal(app.model.state, 'Connected');
});

test('After a false report of a duplicate the page is back with one request.', async () => {
  const { app, asked, hooks } = await inTheRoom([admission()]);
  hooks.onDropped('duplicate');
  await pass(1000);
  assert.deepEqual([app.model.state, asked.length], ['Connected', 2]);
});

test('A second duplicate within a minute is another device, as this tab holds the conversation.', async () => {
  const { app, asked, hooks } = await inTheRoom([admission()]);
  hooks.onDropped('duplicate');
  await pass(1000);
  hooks.onDropped('duplicate');
  await pass(1000);
  assert.deepEqual([app.model.state, app.model.setAside, asked.length], ['Idle', 'device', 2]);
});

test('A slow database does not take the conversation back from another device.', async () => {
  letIn();
  const { app, asked, hooks, answer } = await openBeforeItsDatabase(true, [admission()]);
  await app.rejoin();
  await flush();
  for (let times = 0; times < 2; times += 1) {
    hooks.onDropped('duplicate');
    await pass(1000);
  }
  assert.deepEqual([app.model.state, app.model.setAside, asked.length], ['Idle', 'device', 2]);
  assert.equal(answer(), false);
  await flush();
  assert.deepEqual([app.model.state, asked.length], ['Idle', 2]);
});

test('A page that the browser paused comes back without a click when it wakes.', async () => {
  const { app, asked, hooks } = await inTheRoom([admission()]);
  hooks.onDropped('paused');
  await flush();
  assert.deepEqual([app.model.state, app.model.setAside], ['Idle', 'paused']);
  app.wake();
  await flush();
  assert.deepEqual([app.model.state, app.model.setAside, asked.length], ['Connected', null, 2]);
});

test('The notice of an agent holds until it takes it back, sends another hello, or is gone.', async () => {
  const { app, hooks } = await inTheRoom([admission()]);
  const notice = { type: 'notice', text: 'I hear nothing right now.', language: 'en' };
  const begin = () => {
    hooks.onAgents([{ identity: 'first', state: 'listening' }]);
    hooks.onRecord(hello(), 'first');
    hooks.onRecord(notice, 'first');
    assert.deepEqual(app.model.agentNotice, { text: notice.text, language: 'en' });
  };
  begin();
  hooks.onRecord({ ...notice, text: '' }, 'first');
  assert.equal(app.model.agentNotice, null);
  begin();
  hooks.onRecord(hello(), 'first');
  assert.equal(app.model.agentNotice, null);
  begin();
  hooks.onAgents([]);
  assert.equal(app.model.agentNotice, null);
});
