/** Watches the connection of one room: reports when packets stop, and tells the agent how well they flow. */
import { EVERY_MS, FIRST_AFTER_MS, QualityProbe, TOPIC, encode } from './quality.js';
import { Watchdog, activePair } from './watchdog.js';

const WATCH_EVERY_MS = 500;

/** @typedef {import('livekit-client').Room} Room */
/** @typedef {import('livekit-client').RemoteParticipant} RemoteParticipant */

export class LinkHealth {
  #room;
  #agents;
  #onTrouble;
  #watchdog = new Watchdog();
  #quality = new QualityProbe();
  /** Trouble has two witnesses: LiveKit's events and the watchdog. */
  #trouble = { livekit: false, watchdog: false };
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #watch;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #telling;

  /**
   * @param {Room} room
   * @param {() => RemoteParticipant[]} agents those in the room now
   * @param {(troubled: boolean) => void} onTrouble packets do not flow; false when they do again
   */
  constructor(room, agents, onTrouble) {
    this.#room = room;
    this.#agents = agents;
    this.#onTrouble = onTrouble;
  }

  /** Begins to watch, as of a new connection. */
  start() {
    this.stop();
    this.#watchdog.reset();
    this.#watch = setInterval(() => void this.#look(), WATCH_EVERY_MS);
    this.#quality = new QualityProbe();
    this.#telling = setTimeout(() => void this.#tellQuality(), FIRST_AFTER_MS);
  }

  /** Stops, and reports nothing any more. */
  stop() {
    clearInterval(this.#watch);
    clearTimeout(this.#telling);
    this.#watch = undefined;
    this.#trouble = { livekit: false, watchdog: false };
  }

  /** LiveKit says that it reconnects. */
  reconnecting() {
    this.#set({ livekit: true });
  }

  /** LiveKit says that it has reconnected: the transport is another one. */
  reconnected() {
    this.#watchdog.reset();
    this.#set({ livekit: false, watchdog: false });
  }

  async #look() {
    // Any track shows the state of the path: all of them go over one transport in each direction.
    const [report] = await this.#reports(1);
    if (this.#watch === undefined) return;
    const verdict = this.#watchdog.sample(report ? activePair(report) : null, performance.now());
    if (verdict !== 'unknown') this.#set({ watchdog: verdict === 'stalled' });
  }

  /** Tells the agents the quality, and again after a while. A message that is lost is not sent again. */
  async #tellQuality() {
    this.#telling = setTimeout(() => void this.#tellQuality(), EVERY_MS);
    const quality = this.#quality.sample(await this.#reports());
    const agents = this.#agents().map(({ identity }) => identity);
    if (this.#watch === undefined || quality === null || agents.length === 0) return;
    const options = { reliable: true, topic: TOPIC, destinationIdentities: agents };
    await this.#room.localParticipant.publishData(encode(quality), options).catch(() => {});
  }

  /**
   * @param {number} [count] at most; all without it
   * @returns {Promise<RTCStatsReport[]>} one per track
   */
  async #reports(count) {
    const { localParticipant, remoteParticipants } = this.#room;
    const tracks = [localParticipant, ...remoteParticipants.values()]
      .flatMap((participant) => [...participant.audioTrackPublications.values()])
      .flatMap(({ track }) => track ?? [])
      .slice(0, count);
    const reports = await Promise.all(tracks.map((track) => track.getRTCStatsReport().catch(() => undefined)));
    return reports.filter((report) => report !== undefined);
  }

  /** @param {Partial<{ livekit: boolean, watchdog: boolean }>} change */
  #set(change) {
    const before = this.#isTroubled;
    Object.assign(this.#trouble, change);
    if (this.#watch !== undefined && before !== this.#isTroubled) this.#onTrouble(this.#isTroubled);
  }

  get #isTroubled() {
    return this.#trouble.livekit || this.#trouble.watchdog;
  }
}
