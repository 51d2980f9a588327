/**
 * One tab of a browser holds the conversation: the last that asked for it. LiveKit would throw the older
 * one out as a duplicate anyway; with the lock, that tab knows why, and does not fight back.
 */

const LOCK = 'rejoin.conversation';

export class TabClaim {
  /** @type {(() => void) | null} */
  #release = null;
  #held = false;

  /** Whether no other tab of this browser has taken it. */
  get held() {
    return this.#held;
  }

  /**
   * Takes the conversation, from another tab if need be.
   *
   * @param {() => void} onTaken another tab took it from this one
   */
  claim(onTaken) {
    this.release();
    this.#held = true;
    if (!navigator.locks) return;
    const mine = new Promise((resolve) => {
      this.#release = () => resolve(undefined);
    });
    const release = this.#release;
    navigator.locks.request(LOCK, { steal: true }, () => mine).catch((error) => {
      if (error.name !== 'AbortError' || this.#release !== release) return;
      this.#release = null;
      this.#held = false;
      onTaken();
    });
  }

  release() {
    const release = this.#release;
    this.#release = null;
    this.#held = false;
    release?.();
  }
}
