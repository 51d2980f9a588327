/**
 * The conductor: turns what people, the gateway and the room do into changes of one model, which the views
 * show. Everything with rules of its own lives elsewhere; here is only who tells whom.
 */
import { Connection } from './connection.js';
import { EMPTY, fromSaved, isBehind, reduce, toSaved } from './conversation.js';
import { AgentKeepsFailing, ConversationUnreadable, GoesOnElsewhere, requestToken } from './gateway.js';
import { randomId } from './ids.js';
import { LevelMeter } from './levels.js';
import { isMicrophoneGranted } from './microphone.js';
import { Outbox } from './outbox.js';
import { AgentWaitTimer } from './agent-wait-timer.js';
import { ALL_SAVED, SaveStatusWatch } from './save-status.js';
import { DeadLinkProbe, gatewayAnswers } from './dead-link-probe.js';
import { INITIAL_STATE, isLive, nextState } from './states.js';
import { Supervisor } from './supervisor.js';
import { TabClaim } from './tabs.js';
import { isAsking, unsent } from './takeover.js';
import { isObject, isText } from './protocol.js';

/** A second duplicate so soon after the first is no false alarm. */
const DUPLICATE_AGAIN_MS = 60_000;
/** While the store is away: how soon the gateway is asked again for what the page lacks. */
export const ASK_AGAIN_MS = 5000;
/** How long it is said that the assistant is back. */
const BACK_FOR_MS = 6000;

/**
 * @typedef {object} Settings kept with the conversation
 * @property {boolean} live whether a reload goes on by itself
 * @property {'on' | 'muted' | 'off'} mic what the user wants of it
 * @property {string | null} deviceId
 */

/** @type {Readonly<Settings>} */
const DEFAULT_SETTINGS = Object.freeze({ live: false, mic: 'off', deviceId: null });

/**
 * @typedef {object} Model everything that the views show
 * @property {import('./states.js').State} state
 * @property {import('./conversation.js').Conversation} conversation
 * @property {boolean} agentReady
 * @property {import('./connection.js').AgentState | null} agentState
 * @property {import('./agent-wait-timer.js').AgentWait} waiting for the agent
 * @property {import('./microphone.js').MicState} mic
 * @property {boolean} micWanted the user had it on
 * @property {boolean} audioBlocked
 * @property {{ message: string, retrying: boolean, remedy: 'retry' | 'new' | 'either' } | null} failure `remedy`: what
 *   may help, another try or a new conversation
 * @property {string | null} refusal why the agent did not take a message
 * @property {{ text: string, language: string | null } | null} agentNotice what the agent says of itself that is no
 *   turn: that it cannot think, hear or speak just now
 * @property {'tab' | 'device' | 'paused' | null} setAside why the conversation is not here, though not ended
 * @property {import('./save-status.js').SaveStatus} saveStatus
 * @property {boolean} back an agent has just gone on where another one had stopped
 * @property {boolean} erased
 * @property {boolean} remembered
 */

export class App {
  /** @type {Model} */
  model;
  levels = new LevelMeter(() => this.#connection.coarseLevels());
  #identity;
  #history;
  #onChange;
  /** @type {Settings} */
  #settings = { ...DEFAULT_SETTINGS };
  /** @type {string | null} identity of the agent that said hello */
  #agent = null;
  #agents = /** @type {{ identity: string, state: import('./connection.js').AgentState | null }[]} */ ([]);
  #greeted = false;
  #duplicateAt = -Infinity;
  /** Whether LiveKit threw this page out for another one, which may be really there. */
  #mayBeElsewhere = false;
  /** Whether the next request, and only that one, asks for a new conversation. */
  #asksForNew = false;
  #tab = new TabClaim();
  #outbox = new Outbox((message) => this.#send(message));
  #waitTimer = new AgentWaitTimer({
    onChange: (waiting) => this.#set({ waiting }),
    onOverdue: () => void this.#refresh(),
  });
  #deadLinkProbe = new DeadLinkProbe({ ask: gatewayAnswers, onDead: () => this.#joinAnew() });
  #saveWatch = new SaveStatusWatch((saveStatus) => this.#set({ saveStatus }));
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #askingAgain;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #isBack;
  #supervisor = new Supervisor({
    attempt: (signal) => this.#connection.join(this.#requestAdmission(signal), signal),
    onConnected: () => this.#joined(),
    onFailed: (error, retrying) => this.#failed(error, retrying),
  });
  #connection;

  /**
   * @param {object} parts
   * @param {import('./identity.js').Identity} parts.identity
   * @param {import('./history.js').History} parts.history
   * @param {() => void} parts.onChange the model is another one
   * @param {(hooks: import('./connection.js').ConnectionHooks) => Connection} [parts.openConnection]
   */
  constructor({ identity, history, onChange, openConnection = (hooks) => new Connection(hooks) }) {
    this.#identity = identity;
    this.#history = history;
    this.#onChange = onChange;
    this.#connection = openConnection({
      onDropped: (drop) => this.#dropped(drop),
      onTrouble: (troubled) => this.#troubled(troubled),
      onMended: () => this.#mended(),
      onRecord: (record, from, sentAt) => this.#record(record, from, sentAt),
      onDraft: (draft) => this.#draft(draft),
      onAgents: (agents) => this.#agentsChanged(agents),
      onAgentGaveUp: () => this.#agentGaveUp(),
      onAudioBlocked: (audioBlocked) => this.#set({ audioBlocked }),
      onMic: (mic) => this.#set({ mic }),
      onTrack: (who, track) => this.levels.listen(who, track),
    });
    this.model = this.#freshModel();
  }

  /**
   * Brings back what was saved, without any network. After it the first screen can be painted.
   *
   * @returns {Promise<boolean>} whether the conversation should go on by itself
   */
  async restore() {
    if (this.#identity.isNew) {
      // What an earlier identity left belongs to nobody here.
      await this.#history.wipe();
      this.#become('nothing-saved');
      return false;
    }
    const { conversation: saved, settings } = await this.#history.load();
    this.#settings = settingsFrom(settings);
    const conversation = fromSaved(saved) ?? EMPTY;
    this.#set({ conversation, micWanted: this.#settings.mic === 'on' });
    this.#outbox.update(unsent(conversation));
    if (this.#settings.live) return true;
    this.#become(conversation === EMPTY ? 'nothing-saved' : 'was-ended');
    return false;
  }

  /** Loads LiveKit's code, for when it will be needed. */
  warmUp() {
    this.#connection.warmUp().catch(() => {});
  }

  /** Goes on after a reload. Opens the microphone only where that asks nobody anything. */
  async rejoin() {
    this.#connect();
    if (this.#settings.mic === 'on' && (await isMicrophoneGranted())) {
      await this.#connection.openMicrophone(this.#settings.deviceId);
    }
  }

  /** "Start talking". */
  startTalking() {
    this.#connect();
    void this.#openMicrophone();
  }

  /** "Continue" after End, after being set aside, or in this tab instead of another. */
  resume() {
    if (this.model.setAside === 'tab') {
      location.reload(); // The other tab wrote the history meanwhile.
      return;
    }
    this.#connect();
    if (this.#settings.mic === 'on') void this.#openMicrophone();
  }

  /** "Try again": a new token, which also makes the gateway look after the agent. */
  retry() {
    if (this.model.state === 'Failed') this.#connect();
    else if (isLive(this.model.state)) {
      this.#waitTimer.start();
      void this.#refresh();
    }
  }

  /** "Start a new conversation", in place of one that does not open, or that no agent survives. */
  startNew() {
    if ((this.model.failure?.remedy ?? 'retry') === 'retry') return;
    this.#asksForNew = true;
    this.#connect();
  }

  /** The network is said to be back, or the page has been asleep. */
  wake() {
    if (this.model.setAside === 'paused') return void this.rejoin();
    this.#supervisor.hurry();
  }

  /**
   * Sends what was typed, now or as soon as an agent is there. Begins a conversation when there is none.
   *
   * @param {string} text
   */
  type(text) {
    const message = { id: randomId(), text, createdAt: Date.now() / 1000 };
    this.#set({ refusal: null });
    this.#dispatch({ type: 'typed', message });
    if (!isLive(this.model.state) && this.model.state !== 'Restoring') this.#connect();
  }

  /** "End". */
  async end() {
    this.#settings.live = false;
    this.#become('end');
    this.#dispatch({ type: 'ended' });
    await this.#leave();
  }

  async toggleMicrophone() {
    if (this.model.mic === 'on') {
      this.#setSettings({ mic: 'muted' });
      await this.#connection.muteMicrophone();
    } else if (this.model.mic !== 'asking') {
      await this.#openMicrophone();
    }
  }

  microphones() {
    return this.#connection.microphones();
  }

  /** @param {string} deviceId */
  async useMicrophone(deviceId) {
    this.#setSettings({ deviceId });
    await this.#connection.useMicrophone(deviceId);
  }

  async startAudio() {
    await this.#connection.startAudio();
  }

  /** @returns {Model} */
  #freshModel() {
    return {
      state: INITIAL_STATE,
      conversation: EMPTY,
      agentReady: false,
      agentState: null,
      waiting: 'no',
      mic: 'off',
      micWanted: false,
      audioBlocked: false,
      failure: null,
      refusal: null,
      agentNotice: null,
      setAside: null,
      saveStatus: ALL_SAVED,
      back: false,
      erased: false,
      remembered: this.#identity.remembered,
    };
  }

  #connect() {
    this.#settings.live = true;
    this.#mayBeElsewhere = false;
    this.#tab.claim(() => this.#putAside('tab'));
    this.#set({ failure: null, setAside: null, erased: false });
    this.#become('connect');
    this.#supervisor.start();
    this.#save();
  }

  async #openMicrophone() {
    this.#setSettings({ mic: 'on' });
    await this.#connection.openMicrophone(this.#settings.deviceId);
  }

  /** @param {AbortSignal} [signal] */
  async #requestAdmission(signal) {
    // Taken back at once: if the answer is lost, a plain request finds out whether the new one has begun.
    const newSession = this.#asksForNew;
    this.#asksForNew = false;
    const proof = await this.#identity.proof();
    const { sessionId, syncedSeq, withoutStore } = this.model.conversation;
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
    this.#dispatch({ type: 'admitted', admission });
    this.#askAgain();
    return admission;
  }

  /** While the store is away the page was not given what it lacks, so it asks again, and again. */
  #askAgain() {
    clearTimeout(this.#askingAgain);
    if (!this.model.conversation.withoutStore) return;
    this.#askingAgain = setTimeout(() => {
      if (this.model.state === 'Connected') void this.#refresh();
    }, ASK_AGAIN_MS);
  }

  /** Asks for what was missed, and makes the gateway look after the agent, without leaving the room. */
  async #refresh() {
    const { sessionId } = this.model.conversation;
    try {
      const admission = await this.#requestAdmission();
      if (admission.sessionId === sessionId) {
        if (admission.saved) this.#dispatch({ type: 'synced' });
        return;
      }
      // The session that this room belongs to is over.
      await this.#joinAnew();
    } catch (error) {
      // An agent that is there goes on with what it knows; without one, none will come.
      if (remedyOf(error) !== 'retry' && this.#agent === null) return this.#noAgentWillCome(/** @type {Error} */ (error));
      console.warn('not refreshed', error);
      this.#askAgain();
    }
  }

  /** An agent that is still shown is one that died, then. */
  #agentGaveUp() {
    void this.#noAgentWillCome(new AgentKeepsFailing());
  }

  /** @param {Error} error why, for a person */
  async #noAgentWillCome(error) {
    if (!isLive(this.model.state)) return;
    this.#agentLost();
    this.#supervisor.stop();
    this.#deadLinkProbe.watch(false);
    this.#waitTimer.stop();
    this.#failed(error, false);
    await this.#connection.leaveRoom();
  }

  #joined() {
    this.#set({ failure: null });
    this.#become('joined');
    if (this.#agent === null) this.#waitTimer.start();
    else this.#outbox.open();
  }

  /** @param {boolean} troubled packets do not flow */
  #troubled(troubled) {
    this.#become(troubled ? 'lost' : 'joined');
    this.#deadLinkProbe.watch(troubled);
  }

  /** Leaves the room, and joins again with a new token. */
  async #joinAnew() {
    this.#become('lost');
    this.#agentLost();
    this.#waitTimer.stop();
    this.#deadLinkProbe.watch(false);
    this.#dispatch({ type: 'disturbed' });
    await this.#connection.leaveRoom();
    this.#supervisor.start();
  }

  #mended() {
    this.#dispatch({ type: 'disturbed' });
    if (this.#agent !== null) this.#outbox.open();
    void this.#refresh();
  }

  /** @param {import('./connection.js').Drop} drop */
  #dropped(drop) {
    this.#deadLinkProbe.watch(false);
    this.#agentLost();
    this.#waitTimer.stop();
    this.#dispatch({ type: 'disturbed' });
    if (drop === 'paused') return this.#putAside('paused');
    if (drop === 'closed') {
      this.#supervisor.stop();
      return this.#failed(new Error('The conversation was closed on the server.'), false);
    }
    if (drop === 'duplicate') {
      // Without another tab that took it, LiveKit mistook our own reconnect for somebody else, once.
      const again = performance.now() - this.#duplicateAt < DUPLICATE_AGAIN_MS;
      this.#duplicateAt = performance.now();
      if (again || !this.#tab.held) return this.#putAside('tab');
      this.#mayBeElsewhere = true;
    }
    this.#become('lost');
    this.#supervisor.lost();
  }

  /**
   * @param {Error} error
   * @param {boolean} retrying
   */
  #failed(error, retrying) {
    if (error instanceof GoesOnElsewhere) return this.#putAside('device');
    this.#set({ failure: { message: error.message, retrying, remedy: remedyOf(error) } });
    this.#become('gave-up');
  }

  /** @param {'tab' | 'device' | 'paused'} why */
  #putAside(why) {
    this.#set({ setAside: why });
    this.#become('set-aside');
    void this.#leave();
  }

  async #leave() {
    this.#supervisor.stop();
    this.#deadLinkProbe.watch(false);
    this.#agentLost();
    this.#waitTimer.stop();
    clearTimeout(this.#askingAgain);
    this.#set({ failure: null, audioBlocked: false });
    this.#tab.release();
    await this.#connection.leave();
  }

  /** @param {{ identity: string, state: import('./connection.js').AgentState | null }[]} agents */
  #agentsChanged(agents) {
    this.#agents = agents;
    if (this.#agent !== null && !agents.some(({ identity }) => identity === this.#agent)) {
      this.#agentLost();
      if (this.model.state === 'Connected') this.#waitTimer.start();
    }
    this.#showAgent();
  }

  #agentLost() {
    this.#agent = null;
    this.#set({ agentNotice: null });
    this.#outbox.close();
    this.#showAgent();
  }

  #showAgent() {
    const agent = this.#agents.find(({ identity }) => identity === this.#agent) ?? this.#agents[0];
    this.#set({ agentReady: this.#agent !== null, agentState: agent?.state ?? null });
  }

  /**
   * @param {import('./protocol.js').AgentRecord} record
   * @param {string} from
   * @param {number} sentAt Unix seconds, by the agent's clock
   */
  #record(record, from, sentAt) {
    if (!isLive(this.model.state)) return; // A straggler of a conversation that was left or erased.
    switch (record.type) {
      case 'hello': {
        this.#agent = from;
        this.#set({ agentNotice: null }); // If it still holds, it is told again.
        this.#waitTimer.stop();
        this.#showAgent();
        // It says so at each hello; to a page that knows it, that is no news.
        if (record.back && from !== this.model.conversation.agent) this.#sayItIsBack();
        this.#dispatch({ ...record, from, sentAt });
        this.#outbox.open();
        const { conversation } = this.model;
        if (isBehind(conversation, record.lastSeq) || isAsking(conversation) || conversation.withoutStore) {
          void this.#refresh();
        }
        break;
      }
      case 'turn':
        if (record.turn.role === 'assistant' && !this.#isKnown(record.turn)) this.#markGreeting(record.turn.text);
        this.#dispatch({ ...record, nowMs: performance.now() });
        break;
      case 'saved':
        this.#dispatch(record);
        break;
      case 'refused':
        this.#set({ refusal: record.message });
        this.#dispatch({ type: 'refused', id: record.id });
        break;
      case 'notice':
        this.#set({ agentNotice: record.text === '' ? null : { text: record.text, language: record.language } });
        break;
      case 'erased':
        void this.#erase();
        break;
    }
  }

  /** @param {{ segment: string, stream: number, role: import('./protocol.js').Role, text: string, open: boolean }} draft */
  #draft(draft) {
    if (!isLive(this.model.state)) return;
    if (draft.role === 'assistant') this.#markGreeting(draft.text);
    this.#dispatch({ type: 'draft', ...draft, createdAt: Date.now() / 1000, nowMs: performance.now() });
  }

  #sayItIsBack() {
    clearTimeout(this.#isBack);
    this.#set({ back: true });
    this.#isBack = setTimeout(() => this.#set({ back: false }), BACK_FOR_MS);
  }

  /** @param {import('./protocol.js').RecordedTurn} turn one that the agent says again, perhaps */
  #isKnown(turn) {
    return this.model.conversation.turns.some(({ id }) => id === turn.id);
  }

  /** @param {string} text */
  #markGreeting(text) {
    if (this.#greeted || this.#agent === null || text.trim() === '') return;
    this.#greeted = true;
    performance.mark('rejoin:greeting');
  }

  async #erase() {
    this.#settings = { ...DEFAULT_SETTINGS };
    // First, so that nothing that happens meanwhile is said or kept under the old identity.
    this.#identity.forget();
    this.#set({ erased: true, remembered: this.#identity.remembered, micWanted: false });
    this.#dispatch({ type: 'erased' });
    this.#become('set-aside');
    await this.#leave();
    await this.#history.wipe();
  }

  /** @param {import('./outbox.js').Typed} message */
  async #send(message) {
    if (this.#agent === null) throw new Error('no agent');
    await this.#connection.sendTyped(message, this.#agent);
  }

  /** @param {import('./states.js').StateEvent} event */
  #become(event) {
    const state = nextState(this.model.state, event);
    if (state === this.model.state) return;
    this.#set({ state });
    if (state === 'Connected') performance.mark('rejoin:connected');
  }

  /** @param {import('./conversation.js').ConversationEvent} event */
  #dispatch(event) {
    const conversation = reduce(this.model.conversation, event);
    if (conversation === this.model.conversation) return;
    this.#set({ conversation });
    if (event.type === 'draft') return;
    this.#outbox.update(unsent(conversation));
    this.#saveWatch.update(conversation);
    this.#save();
  }

  /** @param {Partial<Settings>} change */
  #setSettings(change) {
    Object.assign(this.#settings, change);
    this.#set({ micWanted: this.#settings.mic === 'on' });
    this.#save();
  }

  /** Each change is saved as it comes; a tab that was set aside no longer speaks for the conversation. */
  #save() {
    const { conversation, setAside, erased } = this.model;
    if (setAside === 'tab' || erased || conversation === EMPTY) return;
    this.#history.save({ conversation: toSaved(conversation), settings: { ...this.#settings } });
  }

  /** @param {Partial<Model>} change */
  #set(change) {
    this.model = { ...this.model, ...change };
    this.#onChange();
  }
}

/**
 * @param {unknown} error
 * @returns {'retry' | 'new' | 'either'}
 */
function remedyOf(error) {
  if (error instanceof ConversationUnreadable) return 'new';
  return error instanceof AgentKeepsFailing ? 'either' : 'retry';
}

/**
 * @param {any} value
 * @returns {Settings}
 */
function settingsFrom(value) {
  if (!isObject(value)) return { ...DEFAULT_SETTINGS };
  return {
    live: value.live === true,
    mic: value.mic === 'on' || value.mic === 'muted' ? value.mic : 'off',
    deviceId: isText(value.deviceId) ? value.deviceId : null,
  };
}
