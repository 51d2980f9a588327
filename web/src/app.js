/** What a user can do on the page, and the one model that the views show. */
import { AdmissionFlow } from './admission.js';
import { AgentPresence } from './agent-presence.js';
import { Connection } from './connection.js';
import { EMPTY, reduce } from './conversation.js';
import { randomId } from './ids.js';
import { LevelMeter } from './levels.js';
import { isMicrophoneGranted } from './microphone.js';
import { freshModel } from './model.js';
import { SaveStatusWatch } from './save-status.js';
import { fromSaved, toSaved } from './saved-conversation.js';
import { DEFAULT_SETTINGS, settingsFrom } from './settings.js';
import { isLive, nextState } from './states.js';
import { TabClaim } from './tabs.js';
import { unsent } from './takeover.js';

/** @typedef {import('./model.js').Model} Model */

export class App {
  /** @type {Model} */
  model;
  levels = new LevelMeter(() => this.#connection.coarseLevels());
  #identity;
  #history;
  #onChange;
  /** @type {import('./settings.js').Settings} */
  #settings = { ...DEFAULT_SETTINGS };
  #tab = new TabClaim();
  #saveWatch = new SaveStatusWatch((saveStatus) => this.#set({ saveStatus }));
  #agent;
  #admission;
  #connection;

  /**
   * @param {object} parts
   * @param {import('./identity.js').Identity} parts.identity
   * @param {import('./history.js').History} parts.history
   * @param {() => void} parts.onChange called after each change of the model
   * @param {(hooks: import('./connection.js').ConnectionHooks) => Connection} [parts.openConnection] for tests
   */
  constructor({ identity, history, onChange, openConnection = (hooks) => new Connection(hooks) }) {
    this.#identity = identity;
    this.#history = history;
    this.#onChange = onChange;
    /** @type {import('./model.js').Page} */
    const page = {
      model: () => this.model,
      set: (change) => this.#set(change),
      become: (event) => this.#become(event),
      dispatch: (event) => this.#dispatch(event),
    };
    const agent = new AgentPresence(page, {
      send: (message, to) => this.#connection.sendTyped(message, to),
      onOverdue: () => void this.#admission.refresh(),
      onBehind: () => void this.#admission.refresh(),
      onErased: () => void this.#erase(),
    });
    const connection = openConnection({
      onDropped: (drop) => this.#admission.dropped(drop),
      onTrouble: (troubled) => this.#admission.troubled(troubled),
      onMended: () => this.#admission.mended(),
      onRecord: (record, from, sentAt) => agent.told(record, from, sentAt),
      onDraft: (draft) => agent.heard(draft),
      onAgents: (agents) => agent.changed(agents),
      onAgentGaveUp: () => this.#admission.agentGaveUp(),
      // With others in the room the call goes on: the agent has handed it to a human, say.
      onAgentEnded: (alone) => (alone ? this.#endByAgent() : agent.ended()),
      onAudioBlocked: (audioBlocked) => this.#set({ audioBlocked }),
      onMic: (mic) => this.#set({ mic }),
      onTrack: (role, track) => this.levels.listen(role, track),
    });
    this.#agent = agent;
    this.#connection = connection;
    this.#admission = new AdmissionFlow({
      page,
      identity,
      connection,
      agent,
      holdsTab: () => this.#tab.held,
      onSetAside: (why) => this.#putAside(why),
    });
    this.model = freshModel(identity.remembered);
  }

  /**
   * Restores what was saved, without the network. Then the first screen can be painted.
   *
   * @returns {Promise<boolean>} whether the conversation should go on without a click
   */
  async restore() {
    if (this.#identity.isNew) {
      // What an earlier identity left must not be shown.
      await this.#history.wipe();
      this.#become('nothing-saved');
      return false;
    }
    return this.#take(await this.#history.load((late) => this.#takeLate(late)));
  }

  /**
   * @param {import('./history.js').Saved} saved
   * @returns {boolean} whether the conversation should go on without a click
   */
  #take(saved) {
    this.#settings = settingsFrom(saved.settings);
    const conversation = fromSaved(saved.conversation) ?? EMPTY;
    const setAside = this.#settings.agentEnded ? 'agent' : null;
    this.#set({ conversation, setAside, micWanted: this.#settings.mic === 'on' });
    this.#agent.deliver(unsent(conversation));
    if (this.#settings.live) return true;
    this.#become(conversation === EMPTY ? 'nothing-saved' : 'was-ended');
    return false;
  }

  /**
   * @param {import('./history.js').Saved} saved
   * @returns {boolean} false if the user did not wait for it, even if another tab has taken over since
   */
  #takeLate(saved) {
    if (this.model.state !== 'Idle' || this.#settings.live || this.#identity.isNew) return false;
    if (this.#take(saved)) void this.rejoin();
    return true;
  }

  /** Loads LiveKit's code ahead of its use. */
  warmUp() {
    this.#connection.warmUp().catch(() => {});
  }

  /** Goes on after a reload. Opens the microphone only if the browser does not ask the user for it. */
  async rejoin() {
    this.#connect();
    if (this.#settings.mic === 'on' && (await isMicrophoneGranted())) {
      await this.#connection.microphone.open(this.#settings.deviceId);
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

  /** "Try again": a new token. The gateway then looks after the agent, too. */
  retry() {
    if (this.model.state === 'Failed') this.#connect();
    else if (isLive(this.model.state)) {
      this.#agent.startWaiting();
      void this.#admission.refresh();
    }
  }

  /** "Start a new conversation", in place of one that does not open, or in which agents keep failing. */
  startNew() {
    if ((this.model.failure?.remedy ?? 'retry') === 'retry') return;
    this.#connect(true);
  }

  /** The browser reports that the network is back, or the page was asleep. */
  wake() {
    if (this.model.setAside === 'paused') return void this.rejoin();
    this.#admission.hurry();
  }

  /**
   * Sends a typed message, now or as soon as an agent is there. Starts a conversation if there is none.
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
      await this.#connection.microphone.mute();
    } else if (this.model.mic !== 'asking') {
      await this.#openMicrophone();
    }
  }

  microphones() {
    return this.#connection.microphone.devices();
  }

  /** @param {string} deviceId */
  async useMicrophone(deviceId) {
    this.#setSettings({ deviceId });
    await this.#connection.microphone.use(deviceId);
  }

  async startAudio() {
    await this.#connection.startAudio();
  }

  /** @param {boolean} [newSession] whether to ask for a new conversation */
  #connect(newSession = false) {
    this.#settings.live = true;
    this.#settings.agentEnded = false;
    this.#tab.claim(() => this.#putAside('tab'));
    this.#set({ failure: null, setAside: null, erased: false });
    this.#become('connect');
    this.#admission.start(newSession);
    this.#save();
  }

  async #openMicrophone() {
    this.#setSettings({ mic: 'on' });
    await this.#connection.microphone.open(this.#settings.deviceId);
  }

  /** @param {import('./model.js').SetAside} why */
  #putAside(why) {
    this.#set({ setAside: why });
    this.#become('set-aside');
    void this.#leave();
  }

  /** The agent has ended the conversation, and nobody else is in the room. */
  #endByAgent() {
    this.#settings.live = false; // A reload does not begin another one.
    this.#settings.agentEnded = true;
    this.#dispatch({ type: 'ended' });
    this.#putAside('agent');
    this.#save();
  }

  async #leave() {
    this.#admission.stop();
    this.#agent.lost();
    this.#agent.stopWaiting();
    this.#set({ failure: null, audioBlocked: false });
    this.#tab.release();
    await this.#connection.leave();
  }

  async #erase() {
    this.#settings = { ...DEFAULT_SETTINGS };
    // First, so that nothing is sent or kept under the old identity meanwhile.
    this.#identity.forget();
    this.#set({ erased: true, remembered: this.#identity.remembered, micWanted: false });
    this.#dispatch({ type: 'erased' });
    this.#become('set-aside');
    await this.#leave();
    await this.#history.wipe();
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
    this.#agent.deliver(unsent(conversation));
    this.#saveWatch.update(conversation);
    this.#save();
  }

  /** @param {Partial<import('./settings.js').Settings>} change */
  #setSettings(change) {
    Object.assign(this.#settings, change);
    this.#set({ micWanted: this.#settings.mic === 'on' });
    this.#save();
  }

  /** Saves each change at once. A tab that was set aside must not overwrite what the other tab saves. */
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
