/**
 * How good the connection is, in numbers, from WebRTC's own statistics. The page sends them to its agent now and then,
 * and the operator sees them among the metrics. docs/architecture.md has the message.
 */

export const TOPIC = 'rj.quality';
/** Early, since a participant with a bad connection may leave soon. */
export const FIRST_AFTER_MS = 3000;
export const EVERY_MS = 10_000;

/**
 * @typedef {object} Quality
 * @property {number} roundTrip seconds
 * @property {number | null} loss share of packets, 0 to 1, since the sample before; null if none were sent
 */

export class QualityProbe {
  /** Packets that each stream had carried, and lost, at the sample before. @type {Map<string, { all: number, lost: number }>} */
  #before = new Map();

  /**
   * @param {RTCStatsReport[]} reports one per track
   * @returns {Quality | null} null while the round trip is unknown
   */
  sample(reports) {
    let [all, lost] = [0, 0];
    for (const [id, stream] of streamsIn(reports)) {
      const before = this.#before.get(id);
      this.#before.set(id, stream);
      // Fewer than before: a new stream under an old name.
      const isNew = before === undefined || stream.all < before.all;
      all += stream.all - (isNew ? 0 : before.all);
      // Late packets count as lost at first, and are subtracted when they come.
      lost += Math.max(0, stream.lost - (isNew ? 0 : before.lost));
    }
    const roundTrip = roundTripIn(reports);
    return roundTrip === null ? null : { roundTrip, loss: all > 0 ? Math.min(1, lost / all) : null };
  }
}

/** @param {Quality} quality */
export function encode({ roundTrip, loss }) {
  return new TextEncoder().encode(JSON.stringify({ v: 1, round_trip: roundTrip, loss }));
}

/**
 * Return the round trip of the slower direction. Each direction has a transport of its own.
 *
 * @param {RTCStatsReport[]} reports
 * @returns {number | null} seconds
 */
function roundTripIn(reports) {
  const known = reports.map(roundTripOf).filter((seconds) => seconds !== null);
  return known.length > 0 ? Math.max(...known) : null;
}

/**
 * @param {RTCStatsReport} report
 * @returns {number | null}
 */
function roundTripOf(report) {
  const all = [...report.values()];
  const selected = all.find(({ type }) => type === 'transport')?.selectedCandidatePairId;
  const pair = all.find(
    (stats) =>
      stats.type === 'candidate-pair' &&
      // Firefox has no transport stats; it marks the pair itself.
      (selected ? stats.id === selected : stats.nominated && stats.state === 'succeeded'),
  );
  const seconds =
    pair?.currentRoundTripTime ?? all.find(({ type }) => type === 'remote-inbound-rtp')?.roundTripTime;
  return Number.isFinite(seconds) ? seconds : null;
}

/**
 * @param {RTCStatsReport[]} reports
 * @returns {Map<string, { all: number, lost: number }>} by id of the stream
 */
function streamsIn(reports) {
  /** @type {Map<string, { all: number, lost: number }>} */
  const streams = new Map();
  for (const report of reports) {
    for (const stats of report.values()) {
      if (stats.type === 'inbound-rtp') {
        const lost = Math.max(0, stats.packetsLost ?? 0);
        streams.set(stats.id, { all: (stats.packetsReceived ?? 0) + lost, lost });
      } else if (stats.type === 'remote-inbound-rtp') {
        // What the other side has lost of ours; how many that were of, our own side knows.
        const sent = report.get(stats.localId)?.packetsSent ?? 0;
        streams.set(stats.id, { all: sent, lost: Math.max(0, stats.packetsLost ?? 0) });
      }
    }
  }
  return streams;
}
