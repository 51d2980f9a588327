/** Gets the page into its room, and back into it after a loss. */
import { DeadLinkProbe, gatewayAnswers } from './dead-link-probe.js';
import { AgentKeepsFailing, ConversationUnreadable, GoesOnElsewhere, requestToken } from './gateway.js';
import { isLive } from './states.js';
import { Supervisor } from './supervisor.js';

/** A second duplicate so soon after the first is no false alarm. */
const DUPLICATE_AGAIN_MS = 60_000;
/** While the store is away, the page asks the gateway again after this time for what it lacks. */
export const ASK_AGAIN_MS = 5000;

/**
 * @typedef {object} AdmissionParts
 * @property {import('./model.js').Page} page
 * @property {import('./identity.js').Identity} identity
 * @property {import('./connection.js').Connection} connection
 * @property {import('./agent-presence.js').AgentPresence} agent
 * @property {() => boolean} holdsTab whether no other tab of this browser has taken the conversation
 * @property {(why: import('./model.js').SetAside) => void} onSetAside the conversation goes on elsewhere, or is paused
 */

export class AdmissionFlow {
  #parts;
  #page;
  #duplicateAt = -Infinity;
  /** Whether LiveKit threw this page out for another one, which may be really there. */
  #mayBeElsewhere = false;
  /** Whether the next request, and only that one, asks for a new conversation. */
  #asksForNew = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #askingAgain;
  #supervisor;
  #deadLinkProbe = new DeadLinkProbe({ ask: gatewayAnswers, onDead: () => this.#joinAnew() });

  /** @param {AdmissionParts} parts */
  constructor(parts) {
    this.#parts = parts;
    this.#page = parts.page;
    this.#supervisor = new Supervisor({
      attempt: (signal) => parts.connection.join(this.#request(signal), signal),
      onConnected: () => this.#joined(),
      onFailed: (error, retrying) => this.#failed(error, retrying),
    });
  }

  /** @param {boolean} newSession whether to ask for a new conversation */
  start(newSession) {
    this.#mayBeElsewhere = false;
    this.#asksForNew = newSession;
    this.#supervisor.start();
  }

  /** The network may be back: a planned attempt is made now. */
  hurry() {
    this.#supervisor.hurry();
  }

  /** Ends all attempts. */
  stop() {
    this.#supervisor.stop();
    this.#deadLinkProbe.watch(false);
    clearTimeout(this.#askingAgain);
  }

  /** Asks for what was missed, and makes the gateway look after the agent, without leaving the room. */
  async refresh() {
    const { sessionId } = this.#page.model().conversation;
    try {
      const admission = await this.#request();
      if (admission.sessionId === sessionId) {
        if (admission.saved) this.#page.dispatch({ type: 'synced' });
        return;
      }
      // The session that this room belongs to is over.
      await this.#joinAnew();
    } catch (error) {
      // An agent that is there goes on with what it knows; without one, none will come.
      if (remedyOf(error) !== 'retry' && !this.#parts.agent.isThere) {
        return this.#noAgentWillCome(/** @type {Error} */ (error));
      }
      console.warn('not refreshed', error);
      this.#askAgain();
    }
  }

  /** No further agent comes for a while. One that is still shown has died. */
  agentGaveUp() {
    void this.#noAgentWillCome(new AgentKeepsFailing());
  }

  /** @param {boolean} troubled packets do not flow */
  troubled(troubled) {
    this.#page.become(troubled ? 'lost' : 'joined');
    this.#deadLinkProbe.watch(troubled);
  }

  /** LiveKit has reconnected by itself. */
  mended() {
    this.#page.dispatch({ type: 'disturbed' });
    this.#parts.agent.reconnected();
    void this.refresh();
  }

  /** @param {import('./connection.js').Drop} drop */
  dropped(drop) {
    this.#deadLinkProbe.watch(false);
    this.#parts.agent.lost();
    this.#parts.agent.stopWaiting();
    this.#page.dispatch({ type: 'disturbed' });
    if (drop === 'paused') return this.#parts.onSetAside('paused');
    if (drop === 'closed') {
      this.#supervisor.stop();
      return this.#failed(new Error('This conversation was closed.'), false);
    }
    if (drop === 'duplicate') {
      // Without another tab that took it, LiveKit mistook our own reconnect for another device, once.
      const again = performance.now() - this.#duplicateAt < DUPLICATE_AGAIN_MS;
      this.#duplicateAt = performance.now();
      if (!this.#parts.holdsTab()) return this.#parts.onSetAside('tab');
      if (again) return this.#parts.onSetAside('device');
      this.#mayBeElsewhere = true;
    }
    this.#page.become('lost');
    this.#supervisor.lost();
  }

  /** @param {AbortSignal} [signal] */
  async #request(signal) {
    // Reset at once: if the answer is lost, a plain request finds out whether the new conversation has begun.
    const newSession = this.#asksForNew;
    this.#asksForNew = false;
    const proof = await this.#parts.identity.proof();
    const { sessionId, syncedSeq, withoutStore } = this.#page.model().conversation;
    const admission = await requestToken({
      proof,
      sessionId,
      afterSeq: syncedSeq,
      newSession,
      withoutStore,
      unlessElsewhere: this.#mayBeElsewhere,
      ...(signal && { signal }),
    });
    signal?.throwIfAborted();
    this.#mayBeElsewhere = false;
    this.#page.dispatch({ type: 'admitted', admission });
    this.#askAgain();
    return admission;
  }

  /** While the store is away the gateway cannot give what the page lacks, so the page asks again and again. */
  #askAgain() {
    clearTimeout(this.#askingAgain);
    if (!this.#page.model().conversation.withoutStore) return;
    this.#askingAgain = setTimeout(() => {
      if (this.#page.model().state === 'Connected') void this.refresh();
    }, ASK_AGAIN_MS);
  }

  #joined() {
    this.#page.set({ failure: null });
    this.#page.become('joined');
    this.#parts.agent.joined();
  }

  /** Leaves the room, and joins again with a new token. */
  async #joinAnew() {
    this.#page.become('lost');
    this.#parts.agent.lost();
    this.#parts.agent.stopWaiting();
    this.#deadLinkProbe.watch(false);
    this.#page.dispatch({ type: 'disturbed' });
    await this.#parts.connection.leaveRoom();
    this.#supervisor.start();
  }

  /** @param {Error} error why, in words for the user */
  async #noAgentWillCome(error) {
    if (!isLive(this.#page.model().state)) return;
    this.#parts.agent.lost();
    this.#supervisor.stop();
    this.#deadLinkProbe.watch(false);
    this.#parts.agent.stopWaiting();
    this.#failed(error, false);
    await this.#parts.connection.leaveRoom();
  }

  /**
   * @param {Error} error
   * @param {boolean} retrying
   */
  #failed(error, retrying) {
    if (error instanceof GoesOnElsewhere) return this.#parts.onSetAside('device');
    this.#page.set({ failure: { message: error.message, retrying, remedy: remedyOf(error) } });
    this.#page.become('gave-up');
  }
}

/**
 * @param {unknown} error
 * @returns {import('./model.js').Remedy}
 */
function remedyOf(error) {
  if (error instanceof ConversationUnreadable) return 'new';
  return error instanceof AgentKeepsFailing ? 'either' : 'retry';
}
