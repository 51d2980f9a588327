/**
 * One LiveKit room, for the life of the page: joining, leaving, text in both directions. LiveKit reconnects by
 * itself where it can; `onDropped` reports that it gave up, and what to do next.
 */
import { LocalMicrophone } from './local-microphone.js';
import { parseRecord } from './protocol.js';

/** @typedef {import('livekit-client').Room} Room */
/** @typedef {import('livekit-client').RemoteParticipant} RemoteParticipant */
/** @typedef {import('./link-health.js').LinkHealth} LinkHealth */
/** @typedef {typeof import('./livekit.js')} LiveKit */

/** Shorter than LiveKit's own (44 s): after that, a new token and a new room help more than another try. */
const LIVEKIT_RETRY_DELAYS_MS = [0, 300, 1200, 2700, 4800];
/** A record that never ends must not delay those behind it. */
const RECORD_TIMEOUT_MS = 4000;
/** Neither may a message that the data channel neither takes nor refuses. */
const SEND_TIMEOUT_MS = 5000;

/** @typedef {'retry' | 'duplicate' | 'closed' | 'paused'} Drop */

/** @typedef {'initializing' | 'idle' | 'listening' | 'thinking' | 'speaking'} AgentState */
/** Attribute of our own participant: the workers report there that they gave up on the agents of this room. */
const AGENT = 'rj.agent';
const GAVE_UP = 'gave_up';
const ENDED = 'ended';
const AGENT_STATES = ['initializing', 'idle', 'listening', 'thinking', 'speaking'];

/** @typedef {{ segment: string, stream: number, role: import('./protocol.js').Role, text: string, open: boolean }} HeardDraft */

/**
 * @typedef {object} ConnectionHooks
 * @property {(drop: Drop) => void} onDropped
 * @property {(troubled: boolean) => void} onTrouble packets do not flow; false when they do again
 * @property {() => void} onMended LiveKit reconnected; agent and page may have missed something
 * @property {(record: import('./protocol.js').AgentRecord, from: string, sentAt: number) => void} onRecord in order of
 *   arrival; `sentAt`: Unix seconds, by the clock of the agent
 * @property {(draft: HeardDraft) => void} onDraft
 * @property {(agents: import('./agent-presence.js').Agent[]) => void} onAgents
 * @property {() => void} onAgentGaveUp the workers will send no further agent for a while
 * @property {(alone: boolean) => void} onAgentEnded the agent has left on purpose; whether nobody else is in the room
 * @property {(blocked: boolean) => void} onAudioBlocked
 * @property {(mic: import('./microphone.js').MicState) => void} onMic
 * @property {(role: 'user' | 'assistant', track: MediaStreamTrack | null) => void} onTrack
 */

export class Connection {
  /** @type {LocalMicrophone} */
  microphone;
  #hooks;
  /** @type {Promise<LiveKit> | null} */
  #livekit = null;
  /** @type {Room | null} */
  #room = null;
  /** @type {LinkHealth | null} of the room */
  #health = null;
  #joined = false;
  #streams = 0;
  /** @type {Promise<void>} */
  #records = Promise.resolve();

  /** @param {ConnectionHooks} hooks */
  constructor(hooks) {
    this.#hooks = hooks;
    this.microphone = new LocalMicrophone({
      load: () => this.warmUp(),
      onState: hooks.onMic,
      onTrack: (track) => hooks.onTrack('user', track),
      onOpened: () => this.#publishMicrophone(),
    });
  }

  /** Fetches and compiles LiveKit's code. It is large, so call this after the first paint. */
  warmUp() {
    this.#livekit ??= import('./livekit.js').catch((error) => {
      this.#livekit = null; // A failed import may be tried again.
      throw Object.assign(new Error('A part of this page did not load. Check your network.'), { cause: error });
    });
    return this.#livekit;
  }

  /**
   * @param {Promise<import('./protocol.js').Admission>} admission fetched while the code loads
   * @param {AbortSignal} signal aborted: the page leaves again
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
      throw Object.assign(new Error('The voice connection failed. Check your network.'), {
        cause: error,
      });
    } finally {
      signal.removeEventListener('abort', abort);
    }
    this.#joined = true;
    this.#health?.start();
    this.#reportAgents();
    this.#readOwnAttributes();
    void this.#publishMicrophone();
  }

  /** Leaves for good, so that the server knows at once, and closes the microphone. */
  async leave() {
    this.#joined = false;
    this.#health?.stop();
    this.microphone.close();
    await this.#room?.disconnect();
  }

  /** Leaves the room and keeps the microphone, to join another room. */
  async leaveRoom() {
    this.#joined = false;
    this.#health?.stop();
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

  /** Starts the sound that the browser held back. Call it from a click. */
  async startAudio() {
    await this.#room?.startAudio();
  }

  async #publishMicrophone() {
    if (this.#room === null || !this.#joined) return;
    try {
      await this.microphone.publish(this.#room);
    } catch (error) {
      // The room went away meanwhile: the next join publishes it.
      if (this.#joined) console.warn('microphone not published', error);
    }
  }

  /** @param {LiveKit} livekit */
  #createRoom({ LinkHealth, Room, RoomEvent, Track }) {
    const room = new Room({
      // Then a reload is not a leave: the agent stays, and knows the return by the load id in the token.
      disconnectOnPageLeave: false,
      // The same microphone goes on in the next room: the browser does not ask, and its light does not blink.
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

    const health = new LinkHealth(room, () => this.#agents(), this.#hooks.onTrouble);
    this.#health = health;
    const reportAgents = () => this.#reportAgents();
    room
      .on(RoomEvent.Disconnected, (reason) => this.#dropped(reason))
      .on(RoomEvent.Reconnecting, () => health.reconnecting())
      .on(RoomEvent.SignalReconnecting, () => health.reconnecting())
      .on(RoomEvent.Reconnected, () => {
        health.reconnected();
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
        track.attach(); // It also plays. If the browser refuses, AudioPlaybackStatusChanged follows.
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
    this.#health?.stop();
    if (!this.#joined) return; // The page left, or an attempt failed, which `join` reports.
    this.#joined = false;
    this.#hooks.onAgents([]);
    this.#hooks.onDropped(dropOf(reason));
  }

  #readOwnAttributes() {
    const room = this.#room;
    if (!this.#joined || room === null) return;
    const agent = room.localParticipant.attributes[AGENT];
    if (agent === GAVE_UP) this.#hooks.onAgentGaveUp();
    if (agent === ENDED) this.#hooks.onAgentEnded([...room.remoteParticipants.values()].every(({ isAgent }) => isAgent));
  }

  #reportAgents() {
    this.#hooks.onAgents(this.#agents().map((agent) => ({ identity: agent.identity, state: agentStateOf(agent) })));
  }

  /**
   * @param {Room} room
   * @param {import('livekit-client').TextStreamReader} reader
   * @param {string} identity of the participant that spoke
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
      // The sender is gone: the text so far stays.
    }
    // The assistant's segment is one stream, as it is spoken. The user's is one stream per interim result, each
    // with the whole text; only the last one is marked as final.
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

  #agents() {
    return [...(this.#room?.remoteParticipants.values() ?? [])].filter(({ isAgent }) => isAgent);
  }
}

/**
 * Return what to do after a `Disconnected`, by its reason. Often there is no reason (retries ran out, or the token
 * expired during a reconnect); then a new token helps.
 *
 * @param {number | undefined} reason `DisconnectReason` of the LiveKit protocol
 * @returns {Drop}
 */
export function dropOf(reason) {
  switch (reason) {
    case 1: // CLIENT_INITIATED, but not by the page: the browser froze or discarded it
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
 * Data may arrive before its sender is announced, so only a sender that is known not to be an agent is refused.
 *
 * @param {Room} room
 * @param {string} identity
 */
function mayBeAgent(room, identity) {
  return room.remoteParticipants.get(identity)?.isAgent !== false && identity !== room.localParticipant.identity;
}

/** @param {number} ms */
const timeout = (ms) => new Promise((_resolve, reject) => setTimeout(reject, ms, new Error('timed out')));
