import assert from 'node:assert/strict';
import { test } from 'node:test';
import { QualityProbe, encode } from './quality.js';

/** A report as Chromium makes it, with what a test does not care about left out. */
function report(...stats) {
  return new Map(stats.map((each) => [each.id, each]));
}

const path = (seconds) => [
  { id: 't', type: 'transport', selectedCandidatePairId: 'p' },
  { id: 'o', type: 'candidate-pair', currentRoundTripTime: 9, nominated: true, state: 'succeeded' },
  { id: 'p', type: 'candidate-pair', currentRoundTripTime: seconds, nominated: true, state: 'succeeded' },
];
const heard = (received, lost, id = 'in') => ({
  id,
  type: 'inbound-rtp',
  packetsReceived: received,
  packetsLost: lost,
});
const said = (sent, lost) => [
  { id: 'out', type: 'outbound-rtp', packetsSent: sent },
  { id: 'there', type: 'remote-inbound-rtp', localId: 'out', packetsLost: lost, roundTripTime: 0.5 },
];

test('The round trip is that of the pair in use, in the slower direction.', () => {
  const quality = new QualityProbe().sample([report(...path(0.04)), report(...path(0.06))]);
  assert.deepEqual(quality, { roundTrip: 0.06, loss: null });
});

test('Where the pair does not tell it, the receiver of what we say does.', () => {
  assert.equal(new QualityProbe().sample([report(...said(10, 0))])?.roundTrip, 0.5);
});

test('Nothing is told while the round trip is not known.', () => {
  assert.equal(new QualityProbe().sample([report(heard(10, 1))]), null);
  assert.equal(new QualityProbe().sample([]), null);
});

test('Loss counts both directions, since the sample before.', () => {
  const probe = new QualityProbe();
  assert.equal(probe.sample([report(...path(0.1), heard(90, 10)), report(...said(100, 0))])?.loss, 0.05);
  assert.equal(probe.sample([report(...path(0.1), heard(190, 10)), report(...said(200, 50))])?.loss, 0.25);
  assert.equal(probe.sample([report(...path(0.1), heard(190, 10)), report(...said(200, 50))])?.loss, null);
});

test('A packet that came late after all makes no loss below nothing.', () => {
  const probe = new QualityProbe();
  probe.sample([report(...path(0.1), heard(90, 10))]);
  assert.equal(probe.sample([report(...path(0.1), heard(195, 5))])?.loss, 0);
});

test('A stream that begins again is counted from its beginning.', () => {
  const probe = new QualityProbe();
  probe.sample([report(...path(0.1), heard(1000, 0))]);
  assert.equal(probe.sample([report(...path(0.1), heard(9, 1))])?.loss, 0.1);
});

test('The message is what the agent reads.', () => {
  const text = new TextDecoder().decode(encode({ roundTrip: 0.04, loss: null }));
  assert.equal(text, '{"v":1,"round_trip":0.04,"loss":null}');
});
