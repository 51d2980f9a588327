/**
 * Typed messages on their way to the agent, in order. A message counts as delivered only when its record
 * comes back, so each is sent again after every `hello`; the agent knows them by id and records none twice.
 */

const RETRY_DELAYS_MS = [500, 1000, 2000, 4000];

/** @typedef {{ id: string, text: string, createdAt: number }} Typed */

export class Outbox {
  #send;
  /** @type {readonly Typed[]} */
  #pending = [];
  /** @type {Set<string>} sent since the outbox was opened */
  #sent = new Set();
  #isOpen = false;
  #epoch = 0;
  #failures = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {number | null} the epoch of the run that is sending now */
  #sending = null;

  /** @param {(message: Typed) => Promise<void>} send rejects when it surely or possibly did not go out */
  constructor(send) {
    this.#send = send;
  }

  /** @param {readonly Typed[]} pending everything without a record, oldest first */
  update(pending) {
    this.#pending = pending;
    void this.#run();
  }

  /** An agent is ready: everything pending goes out (again). */
  open() {
    this.close();
    this.#isOpen = true;
    void this.#run();
  }

  /** Nobody listens any more. */
  close() {
    this.#isOpen = false;
    this.#epoch += 1;
    this.#failures = 0;
    this.#sent.clear();
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async #run() {
    if (!this.#isOpen || this.#timer !== undefined || this.#sending === this.#epoch) return;
    const epoch = this.#epoch;
    this.#sending = epoch;
    try {
      for (let next = this.#next(); next !== undefined; next = this.#next()) {
        await this.#send(next);
        if (epoch !== this.#epoch) return;
        this.#sent.add(next.id);
        this.#failures = 0;
      }
    } catch {
      if (epoch !== this.#epoch) return;
      const delayMs = RETRY_DELAYS_MS[Math.min(this.#failures, RETRY_DELAYS_MS.length - 1)];
      this.#failures += 1;
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        void this.#run();
      }, delayMs);
    } finally {
      if (this.#sending === epoch) this.#sending = null;
    }
  }

  #next() {
    return this.#pending.find((message) => !this.#sent.has(message.id));
  }
}
