/**
 * Detects a silent outage early. When every packet is lost, LiveKit reports it after 15 s and the browser's ICE after
 * 7 s, but the answers to the browser's own connectivity checks stop at once. As measured, the last answer was never
 * older than 3 s on a working path, and an outage showed about 2.5 s after it began.
 */

const STALE_AFTER_MS = 3000;
/** A longer gap between samples means that the timer slept, not that the network failed. */
const ASLEEP_AFTER_MS = 2000;

export class Watchdog {
  /** @type {string | null} */
  #pairId = null;
  #responses = 0;
  #lastAnswerMs = 0;
  #lastSampleMs = 0;

  /**
   * @param {{ pairId: string, responses: number } | null} pair the candidate pair in use; null if unknown
   * @param {number} nowMs monotonic
   * @returns {'flowing' | 'stalled' | 'unknown'}
   */
  sample(pair, nowMs) {
    const slept = nowMs - this.#lastSampleMs > ASLEEP_AFTER_MS;
    this.#lastSampleMs = nowMs;
    if (pair === null) {
      this.#pairId = null;
      return 'unknown';
    }
    const answered = pair.pairId === this.#pairId && pair.responses > this.#responses;
    const fresh = slept || pair.pairId !== this.#pairId;
    if (fresh || answered) {
      this.#pairId = pair.pairId;
      this.#responses = pair.responses;
      this.#lastAnswerMs = nowMs;
      return answered ? 'flowing' : 'unknown';
    }
    return nowMs - this.#lastAnswerMs > STALE_AFTER_MS ? 'stalled' : 'flowing';
  }

  /** Forgets everything: the transport is a new one. */
  reset() {
    this.#pairId = null;
  }
}

/**
 * @param {RTCStatsReport} report
 * @returns {{ pairId: string, responses: number } | null}
 */
export function activePair(report) {
  /** @type {string | undefined} */
  let selected;
  for (const stats of report.values()) {
    if (stats.type === 'transport' && stats.selectedCandidatePairId) selected = stats.selectedCandidatePairId;
  }
  for (const stats of report.values()) {
    if (stats.type !== 'candidate-pair' || typeof stats.responsesReceived !== 'number') continue;
    // Firefox has no transport stats; it marks the pair itself.
    const active = selected ? stats.id === selected : stats.nominated && stats.state === 'succeeded';
    if (active) return { pairId: stats.id, responses: stats.responsesReceived };
  }
  return null;
}
