import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Watchdog, activePair } from './watchdog.js';

/** One sample each half second; `responses` says how many answers had come by then. */
function feed(watchdog, responses, { fromMs = 0, stepMs = 500, pairId = 'p' } = {}) {
  return responses.map((count, index) => watchdog.sample({ pairId, responses: count }, fromMs + index * stepMs));
}

test('A path with an answer at least every three seconds is flowing.', () => {
  const verdicts = feed(new Watchdog(), [1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3]);
  assert.equal(verdicts.includes('stalled'), false);
});

test('A path without an answer for more than three seconds is stalled, and flows with the next answer.', () => {
  const verdicts = feed(new Watchdog(), [1, 2, 2, 2, 2, 2, 2, 2, 2, 3]);
  assert.deepEqual(verdicts.slice(-3), ['flowing', 'stalled', 'flowing']);
});

test('A timer that slept says nothing about the network.', () => {
  const watchdog = new Watchdog();
  feed(watchdog, [1, 2]);
  assert.equal(watchdog.sample({ pairId: 'p', responses: 2 }, 60_000), 'unknown');
  assert.equal(watchdog.sample({ pairId: 'p', responses: 2 }, 60_500), 'flowing');
});

test('Another candidate pair begins anew.', () => {
  const watchdog = new Watchdog();
  feed(watchdog, [5, 5, 5, 5, 5, 5, 5]);
  assert.equal(watchdog.sample({ pairId: 'q', responses: 1 }, 3500), 'unknown');
});

test('The pair in use is the one that the transport names, else the nominated one.', () => {
  const pair = (id, more) => [id, { id, type: 'candidate-pair', responsesReceived: 3, state: 'succeeded', ...more }];
  const chrome = new Map([
    pair('a', { nominated: true }),
    pair('b', { nominated: true }),
    ['t', { id: 't', type: 'transport', selectedCandidatePairId: 'b' }],
  ]);
  assert.deepEqual(activePair(chrome), { pairId: 'b', responses: 3 });
  assert.deepEqual(activePair(new Map([pair('a', {}), pair('b', { nominated: true })])), { pairId: 'b', responses: 3 });
  assert.equal(activePair(new Map()), null);
});
