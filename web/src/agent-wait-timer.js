/** Times the wait for an agent: when the page mentions it, and when it asks the gateway for help. */

/**
 * - `no`: the agent is there, or the page does not wait for one
 * - `coming`: the wait is long enough to mention
 * - `late`: the wait is long enough to offer another try
 *
 * @typedef {'no' | 'coming' | 'late'} AgentWait
 */

export const MENTION_AFTER_MS = 1000;
/** Before the user reads that the agent is late, the page asks the gateway once to look after it. */
export const OVERDUE_AFTER_MS = 8000;
export const LATE_AFTER_MS = 15_000;

export class AgentWaitTimer {
  #hooks;
  /** @type {ReturnType<typeof setTimeout>[]} */
  #timers = [];

  /** @param {{ onChange: (waiting: AgentWait) => void, onOverdue: () => void }} hooks */
  constructor(hooks) {
    this.#hooks = hooks;
  }

  /** Starts the wait, or starts it again from zero. */
  start() {
    this.stop();
    this.#timers = [
      setTimeout(() => this.#hooks.onChange('coming'), MENTION_AFTER_MS),
      setTimeout(() => this.#hooks.onOverdue(), OVERDUE_AFTER_MS),
      setTimeout(() => this.#hooks.onChange('late'), LATE_AFTER_MS),
    ];
  }

  /** Ends the wait: the agent is there, or the page left. */
  stop() {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers = [];
    this.#hooks.onChange('no');
  }
}
