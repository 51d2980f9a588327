/**
 * Finds a connection that is dead while the network is not: another address, a long sleep, a router that forgot.
 * When packets stop, the probe asks the gateway over a connection of its own. If the gateway answers and packets
 * still do not flow, joining anew helps. LiveKit alone finds that out after 15 s.
 */

/** LiveKit repairs a short outage by itself. */
export const ASK_AFTER_MS = 1500;
export const ASK_EVERY_MS = 1000;
const ANSWERS_NEEDED = 2;
const ANSWER_WITHIN_MS = 3000;

export class DeadLinkProbe {
  #hooks;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #isOn = false;
  #answers = 0;
  #epoch = 0;

  /** @param {{ ask: () => Promise<boolean>, onDead: () => void }} hooks `ask`: whether the gateway answers */
  constructor(hooks) {
    this.#hooks = hooks;
  }

  /** @param {boolean} troubled whether packets do not flow */
  watch(troubled) {
    if (troubled === this.#isOn) return;
    clearTimeout(this.#timer);
    this.#isOn = troubled;
    this.#answers = 0;
    this.#epoch += 1;
    if (troubled) this.#askIn(ASK_AFTER_MS);
  }

  /** @param {number} delayMs */
  #askIn(delayMs) {
    const epoch = this.#epoch;
    this.#timer = setTimeout(async () => {
      const answered = await this.#hooks.ask();
      if (epoch !== this.#epoch) return;
      this.#answers = answered ? this.#answers + 1 : 0;
      if (this.#answers < ANSWERS_NEEDED) return this.#askIn(ASK_EVERY_MS);
      this.watch(false);
      this.#hooks.onDead();
    }, delayMs);
  }
}

/** @returns {Promise<boolean>} */
export async function gatewayAnswers() {
  try {
    return (await fetch('healthz', { cache: 'no-store', signal: AbortSignal.timeout(ANSWER_WITHIN_MS) })).ok;
  } catch {
    return false;
  }
}
