/**
 * One LiveKit room, for the life of the page: join, leave, what is heard and said in it. LiveKit mends what
 * it can by itself; `onDropped` says when it gave up, and what to do about it.
 */
import { parseRecord } from './protocol.js';
import { Watchdog, activePair } from './watchdog.js';
import { EVERY_MS, FIRST_AFTER_MS, QualityProbe, TOPIC, encode } from './quality.js';
import { hasMicrophoneApi, micStateOf } from './microphone.js';

/** @typedef {import('livekit-client').Room} Room */
/** @typedef {import('livekit-client').LocalAudioTrack} LocalAudioTrack */
/** @typedef {import('livekit-client').RemoteParticipant} RemoteParticipant */
/** @typedef {import('./microphone.js').MicState} MicState */

/** Shorter than LiveKit's own (44 s): after this, a new token and a new room do more than another try. */
const LIVEKIT_RETRY_DELAYS_MS = [0, 300, 1200, 2700, 4800];
const WATCH_EVERY_MS = 500;
/** A record that never ends must not hold up those behind it. */
const RECORD_TIMEOUT_MS = 4000;
/** Nor may a message that the data channel neither takes nor refuses. */
const SEND_TIMEOUT_MS = 5000;

/** @typedef {'retry' | 'duplicate' | 'closed' | 'paused'} Drop */

/** @typedef {'initializing' | 'idle' | 'listening' | 'thinking' | 'speaking'} AgentState */
/** Attribute of our own participant, by which those who watch over the room say what became of its agents. */
const AGENT = 'rj.agent';
const GAVE_UP = 'gave_up';
const AGENT_STATES = ['initializing', 'idle', 'listening', 'thinking', 'speaking'];

/**
 * @typedef {object} ConnectionHooks
 * @property {(drop: Drop) => void} onDropped
 * @property {(troubled: boolean) => void} onTrouble packets do not flow; false when they do again
 * @property {() => void} onMended LiveKit reconnected; the agent may have missed something, and so may we
 * @property {(record: import('./protocol.js').AgentRecord, from: string, sentAt: number) => void} onRecord in order of
 *   arrival; `sentAt`: Unix seconds, by the clock of the agent
 * @property {(draft: { segment: string, stream: number, role: import('./protocol.js').Role, text: string, open: boolean }) => void} onDraft
 * @property {(agents: { identity: string, state: AgentState | null }[]) => void} onAgents
 * @property {() => void} onAgentGaveUp those who watch over this room will send no further agent for a while
 * @property {(blocked: boolean) => void} onAudioBlocked
 * @property {(mic: MicState) => void} onMic
 * @property {(who: 'user' | 'assistant', track: MediaStreamTrack | null) => void} onTrack
 */

export class Connection {
  #hooks;
  /** @type {Promise<typeof import('livekit-client')> | null} */
  #livekit = null;
  /** @type {Room | null} */
  #room = null;
  #joined = false;
  #streams = 0;
  /** @type {Promise<void>} */
  #records = Promise.resolve();
  #watchdog = new Watchdog();
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #watch;
  #quality = new QualityProbe();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #telling;
  /** Trouble has two witnesses: LiveKit's events and the watchdog. */
  #trouble = { livekit: false, watchdog: false };
  /** @type {LocalAudioTrack | null} */
  #mic = null;
  /** @type {Promise<void> | null} */
  #opening = null;
  #micEpoch = 0;

  /** @param {ConnectionHooks} hooks */
  constructor(hooks) {
    this.#hooks = hooks;
  }

  /** Fetches and compiles LiveKit's code; 149 kB, so never before the first paint. */
  warmUp() {
    this.#livekit ??= import('livekit-client').catch((error) => {
      this.#livekit = null; // A failed import may be tried again.
      throw Object.assign(new Error('A part of this page did not load. Check your connection.'), { cause: error });
    });
    return this.#livekit;
  }

  /**
   * @param {Promise<import('./protocol.js').Admission>} admission fetched while the code loads
   * @param {AbortSignal} signal leaves again when aborted
   */
  async join(admission, signal) {
    const [livekit, { serverUrl, token }] = await Promise.all([this.warmUp(), admission]);
    signal.throwIfAborted();
    const room = (this.#room ??= this.#createRoom(livekit));
    const abort = () => void room.disconnect();
    signal.addEventListener('abort', abort, { once: true });
    try {
      await room.connect(serverUrl, token, { maxRetries: 0, autoSubscribe: true });
      signal.throwIfAborted();
    } catch (error) {
      signal.throwIfAborted();
      throw Object.assign(new Error('The voice server cannot be reached. Check your connection.'), {
        cause: error,
      });
    } finally {
      signal.removeEventListener('abort', abort);
    }
    this.#joined = true;
    this.#setTrouble({ livekit: false, watchdog: false });
    this.#startWatch();
    this.#reportAgents();
    this.#readOwnAttributes();
    void this.#publishMicrophone();
  }

  /** Leaves for good, so that the server knows at once, and lets the microphone go. */
  async leave() {
    this.#joined = false;
    this.#stopWatch();
    this.closeMicrophone();
    await this.#room?.disconnect();
  }

  /** Leaves the room only, to join another one. */
  async leaveRoom() {
    this.#joined = false;
    this.#stopWatch();
    await this.#room?.disconnect(false);
  }

  /**
   * @param {import('./outbox.js').Typed} message
   * @param {string} to identity of the agent
   */
  async sendTyped({ id, text }, to) {
    if (this.#room === null || !this.#joined) throw new Error('not in the room');
    const sent = this.#room.localParticipant.sendText(text, {
      topic: 'lk.chat',
      destinationIdentities: [to],
      attributes: { 'rj.msg': id },
    });
    await Promise.race([sent, timeout(SEND_TIMEOUT_MS)]);
  }

  /** @returns {import('./levels.js').Levels} amplitudes as the server reports them, a few times a second */
  coarseLevels() {
    const agents = this.#agents();
    return {
      user: this.#room?.localParticipant.audioLevel ?? 0,
      assistant: Math.max(0, ...agents.map(({ audioLevel }) => audioLevel)),
    };
  }

  /** Plays what the browser held back; call it from a click. */
  async startAudio() {
    await this.#room?.startAudio();
  }

  /**
   * Opens the microphone, or unmutes it; publishes it as soon as there is a room. Asks the user where the
   * browser wants that.
   *
   * @param {string | null} deviceId
   */
  async openMicrophone(deviceId) {
    if (!hasMicrophoneApi()) return this.#hooks.onMic('unsupported');
    if (this.#mic !== null) {
      await this.#mic.unmute();
      return this.#hooks.onMic('on');
    }
    this.#opening ??= this.#acquire(deviceId).finally(() => {
      this.#opening = null;
    });
    await this.#opening;
  }

  async muteMicrophone() {
    if (this.#mic === null) return;
    await this.#mic.mute();
    this.#hooks.onMic('muted');
  }

  closeMicrophone() {
    this.#micEpoch += 1;
    const mic = this.#mic;
    this.#mic = null;
    if (mic === null) return;
    mic.stop();
    this.#hooks.onTrack('user', null);
    this.#hooks.onMic('off');
  }

  /** @returns {Promise<{ id: string, label: string, active: boolean }[]>} */
  async microphones() {
    if (!hasMicrophoneApi()) return [];
    const { Room } = await this.warmUp();
    const devices = await Room.getLocalDevices('audioinput', false);
    const active = (await this.#mic?.getDeviceId()) ?? 'default';
    return devices.map(({ deviceId, label }) => ({ id: deviceId, label, active: deviceId === active }));
  }

  /** @param {string} deviceId */
  async useMicrophone(deviceId) {
    if (this.#mic === null) return;
    await this.#mic.setDeviceId({ exact: deviceId });
    this.#hooks.onTrack('user', this.#mic.mediaStreamTrack);
  }

  /** @param {string | null} deviceId */
  async #acquire(deviceId) {
    this.#hooks.onMic('asking');
    const epoch = this.#micEpoch;
    try {
      const { createLocalAudioTrack } = await this.warmUp();
      const track = await createLocalAudioTrack({
        echoCancellation: true,
        noiseSuppression: true,
        autoGainControl: true,
        ...(deviceId === null ? {} : { deviceId: { ideal: deviceId } }),
      });
      if (epoch !== this.#micEpoch) return track.stop();
      this.#mic = track;
      track.on('ended', () => {
        if (this.#mic === track) this.closeMicrophone(); // Unplugged, or permission taken back.
      });
      this.#hooks.onTrack('user', track.mediaStreamTrack);
      this.#hooks.onMic('on');
      await this.#publishMicrophone();
    } catch (error) {
      if (epoch === this.#micEpoch) this.#hooks.onMic(micStateOf(error));
    }
  }

  async #publishMicrophone() {
    const [room, mic] = [this.#room, this.#mic];
    if (room === null || mic === null || !this.#joined) return;
    const published = [...room.localParticipant.audioTrackPublications.values()];
    if (published.some((publication) => publication.track === mic)) return;
    try {
      const { Track } = await this.warmUp();
      await room.localParticipant.publishTrack(mic, { source: Track.Source.Microphone });
    } catch (error) {
      // The room went away meanwhile: the next join publishes it.
      if (this.#joined) console.warn('microphone not published', error);
    }
  }

  /** @param {typeof import('livekit-client')} livekit */
  #createRoom({ Room, RoomEvent, Track }) {
    const room = new Room({
      // A reload is then no leave: the agent stays, and the return is told by the load id in the token.
      disconnectOnPageLeave: false,
      // The same microphone goes on in the next room, without asking and without a blink of its light.
      stopLocalTrackOnUnpublish: false,
      reconnectPolicy: {
        nextRetryDelayInMs: ({ retryCount }) => {
          const delayMs = LIVEKIT_RETRY_DELAYS_MS[retryCount];
          return delayMs === undefined ? null : delayMs * (0.5 + Math.random());
        },
      },
    });

    room.registerTextStreamHandler('lk.transcription', (reader, { identity }) => {
      void this.#readDraft(room, reader, identity);
    });
    room.registerTextStreamHandler('rj.record', (reader, { identity }) => {
      this.#readRecord(room, reader, identity);
    });

    const reportAgents = () => this.#reportAgents();
    room
      .on(RoomEvent.Disconnected, (reason) => this.#dropped(reason))
      .on(RoomEvent.Reconnecting, () => this.#setTrouble({ livekit: true }))
      .on(RoomEvent.SignalReconnecting, () => this.#setTrouble({ livekit: true }))
      .on(RoomEvent.Reconnected, () => {
        this.#watchdog.reset();
        this.#setTrouble({ livekit: false, watchdog: false });
        this.#reportAgents();
        if (this.#joined) this.#hooks.onMended();
      })
      .on(RoomEvent.ParticipantConnected, reportAgents)
      .on(RoomEvent.ParticipantDisconnected, reportAgents)
      .on(RoomEvent.ParticipantAttributesChanged, (_changed, participant) => {
        if (participant === room.localParticipant) this.#readOwnAttributes();
        else this.#reportAgents();
      })
      .on(RoomEvent.AudioPlaybackStatusChanged, () => this.#hooks.onAudioBlocked(!room.canPlaybackAudio))
      .on(RoomEvent.TrackSubscribed, (track, _publication, participant) => {
        if (track.kind !== Track.Kind.Audio) return;
        track.attach(); // Also plays it; a refusal comes as AudioPlaybackStatusChanged.
        if (participant.isAgent) this.#hooks.onTrack('assistant', track.mediaStreamTrack);
      })
      .on(RoomEvent.TrackUnsubscribed, (track, _publication, participant) => {
        for (const element of track.detach()) element.remove();
        if (participant.isAgent) this.#hooks.onTrack('assistant', null);
      });
    return room;
  }

  /** @param {import('livekit-client').DisconnectReason | undefined} reason */
  #dropped(reason) {
    this.#stopWatch();
    if (!this.#joined) return; // Asked for, or an attempt that says so itself.
    this.#joined = false;
    this.#hooks.onAgents([]);
    this.#hooks.onDropped(dropOf(reason));
  }

  #readOwnAttributes() {
    if (this.#joined && this.#room?.localParticipant.attributes[AGENT] === GAVE_UP) this.#hooks.onAgentGaveUp();
  }

  #reportAgents() {
    this.#hooks.onAgents(this.#agents().map((agent) => ({ identity: agent.identity, state: agentStateOf(agent) })));
  }

  /**
   * @param {Room} room
   * @param {import('livekit-client').TextStreamReader} reader
   * @param {string} identity of whoever said it
   */
  async #readDraft(room, reader, identity) {
    const role = identity === room.localParticipant.identity ? 'user' : 'assistant';
    if (role === 'assistant' && !mayBeAgent(room, identity)) return;
    const segment = reader.info.attributes?.['lk.segment_id'] ?? reader.info.id;
    const stream = ++this.#streams;
    let text = '';
    try {
      for await (const chunk of reader) {
        text += chunk;
        this.#hooks.onDraft({ segment, stream, role, text, open: true });
      }
    } catch {
      // The sender is gone: what was said so far stays.
    }
    // The assistant's segment is one stream, as it is spoken. The user's is one stream per interim result,
    // each with the whole text, and only the last one says that it is final.
    const isFinal = reader.info.attributes?.['lk.transcription_final'] === 'true';
    this.#hooks.onDraft({ segment, stream, role, text, open: role === 'user' && !isFinal });
  }

  /**
   * @param {Room} room
   * @param {import('livekit-client').TextStreamReader} reader
   * @param {string} identity
   */
  #readRecord(room, reader, identity) {
    const text = Promise.race([reader.readAll(), timeout(RECORD_TIMEOUT_MS)]).catch(() => null);
    this.#records = this.#records.then(async () => {
      const record = parseRecord((await text) ?? '');
      if (record === null || !mayBeAgent(room, identity)) return;
      this.#hooks.onRecord(record, identity, reader.info.timestamp / 1000);
    });
  }

  #startWatch() {
    this.#stopWatch();
    this.#watchdog.reset();
    this.#watch = setInterval(() => void this.#look(), WATCH_EVERY_MS);
    this.#quality = new QualityProbe();
    this.#telling = setTimeout(() => void this.#tellQuality(), FIRST_AFTER_MS);
  }

  #stopWatch() {
    clearInterval(this.#watch);
    clearTimeout(this.#telling);
    this.#watch = undefined;
    this.#trouble = { livekit: false, watchdog: false };
  }

  async #look() {
    // Any track shows the state of the path: all of them go over one transport in each direction.
    const [track] = this.#tracks();
    const report = await track?.getRTCStatsReport().catch(() => undefined);
    if (this.#watch === undefined) return;
    const verdict = this.#watchdog.sample(report ? activePair(report) : null, performance.now());
    if (verdict === 'stalled') this.#setTrouble({ watchdog: true });
    if (verdict === 'flowing') this.#setTrouble({ watchdog: false });
  }

  /** Tells the agent how good this connection is, and again after a while; what does not get through is not missed. */
  async #tellQuality() {
    this.#telling = setTimeout(() => void this.#tellQuality(), EVERY_MS);
    const room = this.#room;
    const reports = await Promise.all(this.#tracks().map((track) => track.getRTCStatsReport().catch(() => undefined)));
    const quality = this.#quality.sample(reports.filter((report) => report !== undefined));
    const agents = this.#agents().map(({ identity }) => identity);
    if (room === null || !this.#joined || quality === null || agents.length === 0) return;
    const options = { reliable: true, topic: TOPIC, destinationIdentities: agents };
    await room.localParticipant.publishData(encode(quality), options).catch(() => {});
  }

  #tracks() {
    if (this.#room === null) return [];
    const { localParticipant, remoteParticipants } = this.#room;
    return [localParticipant, ...remoteParticipants.values()]
      .flatMap((participant) => [...participant.audioTrackPublications.values()])
      .map(({ track }) => track)
      .filter((track) => track !== undefined);
  }

  #agents() {
    return [...(this.#room?.remoteParticipants.values() ?? [])].filter(({ isAgent }) => isAgent);
  }

  /** @param {Partial<{ livekit: boolean, watchdog: boolean }>} change */
  #setTrouble(change) {
    const before = this.#trouble.livekit || this.#trouble.watchdog;
    Object.assign(this.#trouble, change);
    const after = this.#trouble.livekit || this.#trouble.watchdog;
    if (this.#joined && before !== after) this.#hooks.onTrouble(after);
  }
}

/**
 * What to do after a `Disconnected`, by its reason. Often there is none (retries ran out, the token expired
 * in mid-reconnect), and then a new token helps.
 *
 * @param {number | undefined} reason `DisconnectReason` of the LiveKit protocol
 * @returns {Drop}
 */
export function dropOf(reason) {
  switch (reason) {
    case 1: // CLIENT_INITIATED, and not by us: the browser froze or discarded the page
      return 'paused';
    case 2: // DUPLICATE_IDENTITY
      return 'duplicate';
    case 4: // PARTICIPANT_REMOVED
    case 5: // ROOM_DELETED
      return 'closed';
    default:
      return 'retry';
  }
}

/**
 * @param {RemoteParticipant} agent
 * @returns {AgentState | null}
 */
function agentStateOf(agent) {
  const state = agent.attributes['lk.agent.state'] ?? '';
  return AGENT_STATES.includes(state) ? /** @type {AgentState} */ (state) : null;
}

/**
 * Data may come in before the news that its sender joined, so only who surely is no agent is refused.
 *
 * @param {Room} room
 * @param {string} identity
 */
function mayBeAgent(room, identity) {
  return room.remoteParticipants.get(identity)?.isAgent !== false && identity !== room.localParticipant.identity;
}

/** @param {number} ms */
const timeout = (ms) => new Promise((_resolve, reject) => setTimeout(reject, ms, new Error('timed out')));
