import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AgentKeepsFailing,
  ConversationUnreadable,
  GatewayGarbled,
  GatewayRefused,
  GatewayUnavailable,
  GatewayUnreachable,
  GoesOnElsewhere,
  requestToken,
} from './gateway.js';

const proof = { participant_identity: 'i'.repeat(22), participant_attributes: { 'rj.load': 'l'.repeat(22) } };
const answer = {
  server_url: 'wss://livekit.example',
  participant_token: 'token',
  participant_identity: 'p',
  room_name: 's1',
  session_id: 's1',
  resumed: true,
  last_seq: 2,
  language: 'en',
  turns: [{ id: 't1', seq: 1, role: 'user', text: 'Hi', created_at: 1.5, interrupted: false }, { id: 'broken' }],
};
const reply = (body, status = 201) => async () =>
  new Response(typeof body === 'string' ? body : JSON.stringify(body), { status });
const ask = (fetcher, more = {}) => requestToken({ proof, sessionId: null, afterSeq: 0, ...more }, fetcher);

test('It asks for exactly what the contract allows.', async () => {
  const bodies = [];
  const fetcher = async (url, init) => {
    assert.equal(url, 'api/token');
    bodies.push(JSON.parse(init.body));
    return new Response(JSON.stringify(answer), { status: 201 });
  };
  await ask(fetcher);
  await ask(fetcher, { sessionId: 's1', afterSeq: 7 });
  assert.deepEqual(bodies, [proof, { ...proof, session_id: 's1', after_seq: 7 }]);
});

test('A request for a new session names no other session.', async () => {
  const bodies = [];
  const fetcher = async (_url, init) => {
    bodies.push(JSON.parse(init.body));
    return new Response(JSON.stringify(answer), { status: 201 });
  };
  await ask(fetcher, { sessionId: 's1', afterSeq: 7, newSession: true });
  assert.deepEqual(bodies, [{ ...proof, new_session: true }]);
});

test('A conversation that does not open is an error of its own, and final; other refusals are not it.', async () => {
  const error = { code: 'conversation_unreadable', message: 'It is kept, but cannot be opened.' };
  await assert.rejects(ask(reply({ error }, 409)), (thrown) => {
    assert.ok(thrown instanceof ConversationUnreadable);
    assert.deepEqual([thrown.message, thrown.retryable], [error.message, false]);
    return true;
  });
  const other = { code: 'operator_needed', message: 'Please tell the operator of this service.' };
  await assert.rejects(ask(reply({ error: other }, 409)), (thrown) => {
    assert.ok(!(thrown instanceof ConversationUnreadable));
    assert.deepEqual([thrown.message, thrown.retryable], [other.message, false]);
    return true;
  });
});

test('What the page was told without the store, and whether to yield to another device, is asked with the session.', async () => {
  const bodies = [];
  const fetcher = async (_url, init) => {
    bodies.push(JSON.parse(init.body));
    return new Response(JSON.stringify(answer), { status: 201 });
  };
  await ask(fetcher, { sessionId: 's1', withoutStore: true, unlessElsewhere: true });
  await ask(fetcher, { sessionId: null, withoutStore: true, unlessElsewhere: true });
  assert.deepEqual(bodies, [{ ...proof, session_id: 's1', after_seq: 0, without_store: true, unless_elsewhere: true }, proof]);
});

test('An answer without the store says so; any other is of the record.', async () => {
  assert.equal((await ask(reply(answer))).saved, true);
  assert.equal((await ask(reply({ ...answer, saved: false }))).saved, false);
});

test('Agents that keep failing, and a conversation that goes on elsewhere, are errors of their own, and final.', async () => {
  for (const [code, Kind] of [['agent_keeps_failing', AgentKeepsFailing], ['goes_on_elsewhere', GoesOnElsewhere]]) {
    await assert.rejects(ask(reply({ error: { code, message: 'So it is.' } }, 409)), (thrown) => {
      assert.ok(thrown instanceof Kind);
      assert.deepEqual([thrown.code, thrown.message, thrown.retryable], [code, 'So it is.', false]);
      return true;
    });
  }
});

test('A turn that came late is marked so, and no other is.', async () => {
  const [on_time] = answer.turns;
  const turns = [on_time, { ...on_time, id: 'old', late: true }, { ...on_time, id: 'odd', late: 'yes' }];
  const admission = await ask(reply({ ...answer, turns }));
  assert.deepEqual(
    admission.turns.map(({ id, late }) => [id, late]),
    [['t1', undefined], ['old', true], ['odd', undefined]],
  );
});

test('It gives the answer in the words of the page, saved turns included, broken ones left out.', async () => {
  const admission = await ask(reply(answer));
  assert.equal(admission.sessionId, 's1');
  assert.deepEqual(admission.turns, [
    { id: 't1', seq: 1, role: 'user', text: 'Hi', createdAt: 1.5, interrupted: false, saved: true },
  ]);
});

test('A refusal carries the code and the sentence of the gateway, and is final.', async () => {
  const error = { code: 'bad_identity', message: 'Reload the page to get a new identity.' };
  await assert.rejects(ask(reply({ error }, 422)), (thrown) => {
    assert.ok(thrown instanceof GatewayRefused);
    assert.deepEqual([thrown.code, thrown.message, thrown.retryable], [error.code, error.message, false]);
    return true;
  });
});

test('Trouble that may pass is retryable, whether the gateway or a proxy answered.', async () => {
  for (const status of [408, 429, 500, 502, 503]) {
    await assert.rejects(ask(reply('<html>Bad gateway</html>', status)), (thrown) => {
      assert.ok(thrown instanceof GatewayUnavailable);
      assert.deepEqual([thrown.code, thrown.retryable], [`http_${status}`, true]);
      return true;
    });
  }
});

test('No answer is retryable, too.', async () => {
  await assert.rejects(ask(() => Promise.reject(new TypeError('Failed to fetch'))), GatewayUnreachable);
});

test('A success that is no admission is garbled.', async () => {
  for (const body of ['', '<html>', '[]', '{}', { ...answer, session_id: 7 }]) {
    await assert.rejects(ask(reply(body)), GatewayGarbled);
  }
});

test('An aborted request throws the reason of the abort, not an error of the gateway.', async () => {
  const controller = new AbortController();
  controller.abort(new Error('stopped'));
  await assert.rejects(ask(() => Promise.reject(new TypeError('aborted')), { signal: controller.signal }), /stopped/);
});
