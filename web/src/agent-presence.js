/** Which agent is in the room, what it tells the page, and how long the page has waited for one. */
import { AgentWaitTimer } from './agent-wait-timer.js';
import { isBehind } from './conversation.js';
import { Outbox } from './outbox.js';
import { isLive } from './states.js';
import { isAsking } from './takeover.js';

/** How long the page says that the assistant is back. */
const BACK_FOR_MS = 6000;

/** @typedef {{ identity: string, state: import('./connection.js').AgentState | null }} Agent */

/**
 * @typedef {object} AgentHooks
 * @property {(message: import('./outbox.js').Typed, to: string) => Promise<void>} send
 * @property {() => void} onOverdue the agent takes long: the gateway should look after it
 * @property {() => void} onBehind turns were missed that only the gateway has
 * @property {() => void} onErased everything about the participant is gone
 */

export class AgentPresence {
  #page;
  #hooks;
  /** @type {Agent[]} */
  #agents = [];
  /** @type {string | null} */
  #current = null;
  #greeted = false;
  /** Whether the agent has left on purpose, so that none will come. */
  #hasEnded = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #isBack;
  #waitTimer;
  #outbox;

  /**
   * @param {import('./model.js').Page} page
   * @param {AgentHooks} hooks
   */
  constructor(page, hooks) {
    this.#page = page;
    this.#hooks = hooks;
    this.#waitTimer = new AgentWaitTimer({
      onChange: (waiting) => page.set({ waiting }),
      onOverdue: hooks.onOverdue,
    });
    this.#outbox = new Outbox(async (message) => {
      if (this.#current === null) throw new Error('no agent');
      await hooks.send(message, this.#current);
    });
  }

  /** Whether an agent has said hello, and is still there. */
  get isThere() {
    return this.#current !== null;
  }

  /** Starts the wait for an agent, from zero. */
  startWaiting() {
    this.#waitTimer.start();
  }

  stopWaiting() {
    this.#waitTimer.stop();
  }

  /** The agent has left on purpose. */
  ended() {
    this.#hasEnded = true;
    this.#waitTimer.stop();
  }

  /** The page is in the room, for the first time or again. */
  joined() {
    this.#hasEnded = false;
    if (this.isThere) this.#outbox.open();
    else this.#waitTimer.start();
  }

  /** The connection was restored: what was sent meanwhile may be lost. */
  reconnected() {
    if (this.isThere) this.#outbox.open();
  }

  /** No agent can be reached any more. */
  lost() {
    this.#current = null;
    this.#page.set({ agentNotice: null });
    this.#outbox.close();
    this.#show();
  }

  /** @param {readonly import('./outbox.js').Typed[]} pending what was typed and has no record yet */
  deliver(pending) {
    this.#outbox.update(pending);
  }

  /** @param {Agent[]} agents that are in the room now */
  changed(agents) {
    this.#agents = agents;
    if (this.isThere && !agents.some(({ identity }) => identity === this.#current)) {
      this.lost();
      if (this.#page.model().state === 'Connected' && !this.#hasEnded) this.#waitTimer.start();
    }
    this.#show();
  }

  /**
   * @param {import('./protocol.js').AgentRecord} record
   * @param {string} from identity of the agent
   * @param {number} sentAt Unix seconds, by the agent's clock
   */
  told(record, from, sentAt) {
    const { state, conversation } = this.#page.model();
    if (!isLive(state)) return; // It is late: the conversation was left or erased.
    switch (record.type) {
      case 'hello':
        return this.#hello(record, from, sentAt);
      case 'turn':
        // An agent that greets a returning page sends older turns again.
        if (!conversation.turns.some(({ id }) => id === record.turn.id)) this.#markGreeting(record.turn);
        return this.#page.dispatch({ ...record, nowMs: performance.now() });
      case 'saved':
        return this.#page.dispatch(record);
      case 'refused':
        this.#page.set({ refusal: record.message });
        return this.#page.dispatch({ type: 'refused', id: record.id });
      case 'notice':
        return this.#page.set({ agentNotice: noticeIn(record) });
      case 'erased':
        return this.#hooks.onErased();
    }
  }

  /** @param {import('./connection.js').HeardDraft} draft */
  heard(draft) {
    if (!isLive(this.#page.model().state)) return;
    this.#markGreeting(draft);
    this.#page.dispatch({ type: 'draft', ...draft, createdAt: Date.now() / 1000, nowMs: performance.now() });
  }

  /**
   * @param {import('./protocol.js').Hello} hello
   * @param {string} from
   * @param {number} sentAt
   */
  #hello(hello, from, sentAt) {
    this.#current = from;
    this.#page.set({ agentNotice: null }); // A notice that still holds comes again.
    this.#waitTimer.stop();
    this.#show();
    // The agent marks each of its hellos. A page that knows this agent has been told.
    if (hello.back && from !== this.#page.model().conversation.agent) this.#sayItIsBack();
    this.#page.dispatch({ ...hello, from, sentAt });
    this.#outbox.open();
    const { conversation } = this.#page.model();
    if (isBehind(conversation, hello.lastSeq) || isAsking(conversation) || conversation.withoutStore) {
      this.#hooks.onBehind();
    }
  }

  #show() {
    const agent = this.#agents.find(({ identity }) => identity === this.#current) ?? this.#agents[0];
    this.#page.set({ agentReady: this.isThere, agentState: agent?.state ?? null });
  }

  #sayItIsBack() {
    clearTimeout(this.#isBack);
    this.#page.set({ back: true });
    this.#isBack = setTimeout(() => this.#page.set({ back: false }), BACK_FOR_MS);
  }

  /** @param {{ role: import('./protocol.js').Role, text: string }} words */
  #markGreeting({ role, text }) {
    if (this.#greeted || !this.isThere || role !== 'assistant' || text.trim() === '') return;
    this.#greeted = true;
    performance.mark('rejoin:greeting');
  }
}

/**
 * @param {{ text: string, language: string | null }} record
 * @returns {import('./model.js').AgentNotice | null} null when the agent takes its notice back
 */
const noticeIn = ({ text, language }) => (text === '' ? null : { text, language });
