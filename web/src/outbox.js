/**
 * Typed messages on their way to the agent: one at a time, since text streams may overtake each other. A message
 * counts as delivered when its record comes back, and is sent again until then. The agent records an id once.
 */

const RETRY_DELAYS_MS = [500, 1000, 2000, 4000];
/** The agent takes a message after it has answered the one before, so a record may take a while. */
const RECORD_WITHIN_MS = 20_000;

/** @typedef {{ id: string, text: string, createdAt: number }} Typed */

export class Outbox {
  #send;
  /** @type {readonly Typed[]} */
  #pending = [];
  /** @type {string | null} id of the message that was sent last, since the outbox was opened */
  #sent = null;
  #isOpen = false;
  #epoch = 0;
  #failures = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {number | null} the epoch of the run that is sending now */
  #sending = null;

  /** @param {(message: Typed) => Promise<void>} send rejects if the message may not have gone out */
  constructor(send) {
    this.#send = send;
  }

  /** @param {readonly Typed[]} pending all messages without a record, oldest first */
  update(pending) {
    const hasRecord = this.#sent !== null && pending.every(({ id }) => id !== this.#sent);
    this.#pending = pending;
    if (hasRecord) {
      this.#sent = null;
      clearTimeout(this.#timer);
      this.#timer = undefined;
    }
    void this.#run();
  }

  /** An agent is ready: all pending messages go out, also those that were sent before. */
  open() {
    this.close();
    this.#isOpen = true;
    void this.#run();
  }

  /** No agent listens any more. */
  close() {
    this.#isOpen = false;
    this.#epoch += 1;
    this.#failures = 0;
    this.#sent = null;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async #run() {
    const next = this.#pending[0];
    if (!this.#isOpen || next === undefined) return;
    if (this.#timer !== undefined || this.#sent !== null || this.#sending === this.#epoch) return;
    const epoch = this.#epoch;
    this.#sending = epoch;
    let delayMs = RECORD_WITHIN_MS;
    try {
      await this.#send(next);
      this.#failures = 0;
    } catch {
      delayMs = RETRY_DELAYS_MS[Math.min(this.#failures, RETRY_DELAYS_MS.length - 1)] ?? RECORD_WITHIN_MS;
      this.#failures += 1;
    }
    if (this.#sending === epoch) this.#sending = null;
    if (epoch !== this.#epoch) return;
    if (!this.#pending.some(({ id }) => id === next.id)) return void this.#run();
    this.#sent = next.id;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#sent = null;
      void this.#run();
    }, delayMs);
  }
}
