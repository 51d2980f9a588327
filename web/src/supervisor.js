/**
 * Keeps a connection alive from outside LiveKit. Each attempt takes a new token, so it also works where LiveKit's own
 * reconnect cannot: the token expired, the room is gone, the server was replaced.
 */

/** The last delay repeats for as long as the page is open. */
export const RETRY_DELAYS_MS = [0, 500, 1000, 2000, 4000, 8000, 15000];
/** After this many failures in a row the page shows one: after about 8 s of quick refusals, later with timeouts. */
export const FAILURES_UNTIL_FAILED = 5;
const JITTER = 0.25;

/**
 * @typedef {object} SupervisorHooks
 * @property {(signal: AbortSignal) => Promise<void>} attempt resolves when connected. An error with
 *   `retryable: false` ends the attempts.
 * @property {() => void} onConnected
 * @property {(error: Error, retrying: boolean) => void} onFailed may be called again while `retrying`
 */

export class Supervisor {
  #hooks;
  #random;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {AbortController | null} set while an attempt is under way */
  #attempt = null;
  #failures = 0;

  /**
   * @param {SupervisorHooks} hooks
   * @param {() => number} random
   */
  constructor(hooks, random = Math.random) {
    this.#hooks = hooks;
    this.#random = random;
  }

  /** Connects now, whatever was planned. */
  start() {
    this.stop();
    void this.#run();
  }

  /** The connection was lost: connects again, the first time at once. */
  lost() {
    this.stop();
    this.#schedule();
  }

  /** Makes a planned attempt now: the network may be back. */
  hurry() {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    void this.#run();
  }

  /** Ends the attempts. */
  stop() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#attempt?.abort();
    this.#attempt = null;
    this.#failures = 0;
  }

  async #run() {
    this.#timer = undefined;
    const attempt = new AbortController();
    this.#attempt = attempt;
    try {
      await this.#hooks.attempt(attempt.signal);
      if (attempt.signal.aborted) return;
      this.#attempt = null;
      this.#failures = 0;
      this.#hooks.onConnected();
    } catch (error) {
      if (attempt.signal.aborted) return;
      this.#attempt = null;
      this.#failures += 1;
      this.#failed(/** @type {Error & { retryable?: boolean }} */ (error));
    }
  }

  /** @param {Error & { retryable?: boolean }} error */
  #failed(error) {
    const retrying = error.retryable !== false;
    if (retrying) this.#schedule();
    if (!retrying || this.#failures >= FAILURES_UNTIL_FAILED) this.#hooks.onFailed(error, retrying);
  }

  #schedule() {
    const base = RETRY_DELAYS_MS[Math.min(this.#failures, RETRY_DELAYS_MS.length - 1)] ?? 0;
    const delayMs = base * (1 + JITTER * (2 * this.#random() - 1));
    this.#timer = setTimeout(() => void this.#run(), delayMs);
  }
}
