/**
 * How loud the two voices are, for the eye only. Web Audio measures it, but browsers allow that only after a click or
 * a key on this page load. Before that, the coarse levels that the server reports are used.
 */

const FLOOR_DB = -62;
const CEILING_DB = -14;

/** @typedef {{ user: number, assistant: number }} Levels each 0 (silent) to 1 (loud) */
/** @typedef {{ source: MediaStreamAudioSourceNode, analyser: AnalyserNode, samples: Float32Array<ArrayBuffer> }} Probe */

export class LevelMeter {
  #coarse;
  /** One for both voices; phones allow few. @type {AudioContext | null} */
  #context = null;
  /** @type {Map<keyof Levels, MediaStreamTrack>} */
  #tracks = new Map();
  /** @type {Map<keyof Levels, Probe>} */
  #probes = new Map();

  /** @param {() => Levels} coarse amplitudes, 0 to 1 */
  constructor(coarse) {
    this.#coarse = coarse;
  }

  /**
   * @param {keyof Levels} voice
   * @param {MediaStreamTrack | null} track null: the voice has no track any more
   */
  listen(voice, track) {
    this.#probes.get(voice)?.source.disconnect();
    this.#probes.delete(voice);
    this.#tracks.delete(voice);
    if (track === null) return;
    this.#tracks.set(voice, track);
    if (this.#context !== null || navigator.userActivation?.hasBeenActive) this.wake();
  }

  /** Starts Web Audio. Call it from a click or a key. */
  wake() {
    if (this.#tracks.size === 0) return;
    try {
      this.#context ??= new AudioContext();
      if (this.#context.state === 'suspended') void this.#context.resume().catch(() => {});
      for (const [voice, track] of this.#tracks) {
        if (!this.#probes.has(voice)) this.#probes.set(voice, probe(this.#context, track));
      }
    } catch {
      // No audio hardware, or too many contexts: the coarse levels stay.
    }
  }

  /** @returns {Levels} */
  read() {
    const coarse = this.#coarse();
    return { user: this.#read('user', coarse.user), assistant: this.#read('assistant', coarse.assistant) };
  }

  /**
   * @param {keyof Levels} voice
   * @param {number} coarse
   */
  #read(voice, coarse) {
    if (!this.#tracks.has(voice)) return 0;
    const input = this.#probes.get(voice);
    if (input === undefined || this.#context?.state !== 'running') return loudness(coarse * coarse);
    input.analyser.getFloatTimeDomainData(input.samples);
    let sum = 0;
    for (const sample of input.samples) sum += sample * sample;
    return loudness(sum / input.samples.length);
  }
}

/**
 * @param {AudioContext} context
 * @param {MediaStreamTrack} track
 * @returns {Probe}
 */
function probe(context, track) {
  const source = context.createMediaStreamSource(new MediaStream([track]));
  const analyser = context.createAnalyser();
  analyser.fftSize = 512;
  source.connect(analyser);
  return { source, analyser, samples: new Float32Array(analyser.fftSize) };
}

/** @param {number} power mean square, 0 to 1 */
function loudness(power) {
  const db = 10 * Math.log10(power + 1e-10);
  return Math.min(1, Math.max(0, (db - FLOOR_DB) / (CEILING_DB - FLOOR_DB)));
}
