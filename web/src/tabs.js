/**
 * One tab of a browser holds the conversation: the last one that asked for it. LiveKit removes the older one as a
 * duplicate anyway. With the lock, that tab knows why, and does not come back by itself.
 */

const LOCK = 'rejoin.conversation';

export class TabClaim {
  /** @type {(() => void) | null} */
  #release = null;
  #held = false;

  /** Whether this tab has the conversation. */
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
