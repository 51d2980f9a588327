import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { LinkHealth } from './link-health.js';
import { FIRST_AFTER_MS } from './quality.js';

const flush = async () => {
  for (let index = 0; index < 20; index += 1) await Promise.resolve();
};
const pass = async (ms) => {
  for (let passed = 0; passed < ms; passed += 500) {
    nowMs += 500;
    mock.timers.tick(500);
    await flush();
  }
};
let nowMs = 0;

beforeEach(() => {
  nowMs = 0;
  mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  mock.method(performance, 'now', () => nowMs);
});
afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
});

/** The health of a room with one track. Its connectivity checks are answered while `link.answers`. */
function setUp() {
  const link = { answers: true, responses: 0 };
  const report = () => {
    if (link.answers) link.responses += 1;
    return new Map([
      ['T', { id: 'T', type: 'transport', selectedCandidatePairId: 'P' }],
      ['P', { id: 'P', type: 'candidate-pair', responsesReceived: link.responses, currentRoundTripTime: 0.04 }],
    ]);
  };
  const track = { getRTCStatsReport: async () => report() };
  const sent = [];
  const room = {
    localParticipant: {
      audioTrackPublications: new Map([['a', { track }]]),
      publishData: async (data, options) => void sent.push([JSON.parse(new TextDecoder().decode(data)), options]),
    },
    remoteParticipants: new Map(),
  };
  const told = [];
  const health = new LinkHealth(room, () => [{ identity: 'agent' }], (troubled) => told.push(troubled));
  return { health, link, told, sent };
}

test('Packets that stop are trouble, and no trouble any more when they flow again.', async () => {
  const { health, link, told } = setUp();
  health.start();
  await pass(2000);
  link.answers = false;
  await pass(4000);
  assert.deepEqual(told, [true]);
  link.answers = true;
  await pass(1000);
  assert.deepEqual(told, [true, false]);
});

test('While LiveKit reconnects, flowing packets alone do not end the trouble.', async () => {
  const { health, told } = setUp();
  health.start();
  health.reconnecting();
  health.reconnecting();
  await pass(2000);
  assert.deepEqual(told, [true]);
  health.reconnected();
  assert.deepEqual(told, [true, false]);
});

test('Before it starts and after it stops, nothing is reported, and the agent is told nothing.', async () => {
  const { health, link, told, sent } = setUp();
  health.reconnecting();
  health.start();
  health.stop();
  link.answers = false;
  await pass(FIRST_AFTER_MS + 5000);
  health.reconnecting();
  assert.deepEqual([told, sent], [[], []]);
});

test('The agents are told the quality of the connection, again and again.', async () => {
  const { health, sent } = setUp();
  health.start();
  await pass(FIRST_AFTER_MS + 10_000);
  assert.equal(sent.length, 2);
  const [[quality, { destinationIdentities }]] = sent;
  assert.deepEqual([quality.round_trip, destinationIdentities], [0.04, ['agent']]);
});
