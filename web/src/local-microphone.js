/** The user's microphone: opened, muted and closed at the user's word, and published in whichever room there is. */
import { hasMicrophoneApi, micStateOf } from './microphone.js';

/** @typedef {import('livekit-client').LocalAudioTrack} LocalAudioTrack */
/** @typedef {import('livekit-client').Room} Room */

/**
 * @typedef {object} MicrophoneHooks
 * @property {() => Promise<typeof import('./livekit.js')>} load LiveKit's code
 * @property {(state: import('./microphone.js').MicState) => void} onState
 * @property {(track: MediaStreamTrack | null) => void} onTrack another track; null when there is none any more
 * @property {() => Promise<void>} onOpened it can be published
 */

export class LocalMicrophone {
  #hooks;
  /** @type {LocalAudioTrack | null} */
  #track = null;
  /** @type {Promise<void> | null} */
  #opening = null;
  /** Another number after each close, so that a microphone that opens too late is closed again. */
  #epoch = 0;

  /** @param {MicrophoneHooks} hooks */
  constructor(hooks) {
    this.#hooks = hooks;
  }

  /**
   * Opens or unmutes it. Asks the user where the browser wants that.
   *
   * @param {string | null} deviceId null: the browser's default
   */
  async open(deviceId) {
    if (!hasMicrophoneApi()) return this.#hooks.onState('unsupported');
    if (this.#track !== null) {
      await this.#track.unmute();
      return this.#hooks.onState('on');
    }
    this.#opening ??= this.#acquire(deviceId).finally(() => {
      this.#opening = null;
    });
    await this.#opening;
  }

  async mute() {
    if (this.#track === null) return;
    await this.#track.mute();
    this.#hooks.onState('muted');
  }

  close() {
    this.#epoch += 1;
    const track = this.#track;
    this.#track = null;
    if (track === null) return;
    track.stop();
    this.#hooks.onTrack(null);
    this.#hooks.onState('off');
  }

  /** @returns {Promise<{ id: string, label: string, active: boolean }[]>} */
  async devices() {
    if (!hasMicrophoneApi()) return [];
    const { Room } = await this.#hooks.load();
    const devices = await Room.getLocalDevices('audioinput', false);
    const active = (await this.#track?.getDeviceId()) ?? 'default';
    return devices.map(({ deviceId, label }) => ({ id: deviceId, label, active: deviceId === active }));
  }

  /** @param {string} deviceId */
  async use(deviceId) {
    if (this.#track === null) return;
    await this.#track.setDeviceId({ exact: deviceId });
    this.#hooks.onTrack(this.#track.mediaStreamTrack);
  }

  /**
   * Does nothing while it is closed, or in a room that has it already.
   *
   * @param {Room} room
   */
  async publish({ localParticipant }) {
    const track = this.#track;
    if (track === null) return;
    const published = [...localParticipant.audioTrackPublications.values()];
    if (published.some((publication) => publication.track === track)) return;
    const { Track } = await this.#hooks.load();
    await localParticipant.publishTrack(track, { source: Track.Source.Microphone });
  }

  /** @param {string | null} deviceId */
  async #acquire(deviceId) {
    this.#hooks.onState('asking');
    const epoch = this.#epoch;
    try {
      const { createLocalAudioTrack } = await this.#hooks.load();
      const track = await createLocalAudioTrack({
        echoCancellation: true,
        noiseSuppression: true,
        autoGainControl: true,
        ...(deviceId === null ? {} : { deviceId: { ideal: deviceId } }),
      });
      if (epoch !== this.#epoch) return track.stop();
      this.#track = track;
      track.on('ended', () => {
        if (this.#track === track) this.close(); // Unplugged, or permission taken back.
      });
      this.#hooks.onTrack(track.mediaStreamTrack);
      this.#hooks.onState('on');
      await this.#hooks.onOpened();
    } catch (error) {
      if (epoch === this.#epoch) this.#hooks.onState(micStateOf(error));
    }
  }
}
