/** How long an agent may take before the page says something, and does something. */

/**
 * - `no`: the agent is there, or nobody waits
 * - `coming`: long enough to mention
 * - `late`: long enough to offer another try
 *
 * @typedef {'no' | 'coming' | 'late'} AgentWait
 */

export const MENTION_AFTER_MS = 1000;
/** Before anybody is told that it is late, the page asks the gateway once to look after the agent. */
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

  /** The wait begins (again). */
  start() {
    this.stop();
    this.#timers = [
      setTimeout(() => this.#hooks.onChange('coming'), MENTION_AFTER_MS),
      setTimeout(() => this.#hooks.onOverdue(), OVERDUE_AFTER_MS),
      setTimeout(() => this.#hooks.onChange('late'), LATE_AFTER_MS),
    ];
  }

  /** The agent is there, or it does not matter any more. */
  stop() {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers = [];
    this.#hooks.onChange('no');
  }
}
