/**
 * The line between two voices: the user's on the left, the assistant's on the right. They are tied in the middle while
 * the connection holds, and part when it breaks.
 */

/** @typedef {{ joined: boolean, searching: boolean, thinking: boolean, hearing: boolean }} ThreadState */

const POINTS = 96;
const GAP = 0.06;
/** Time between frames with reduced motion: the levels still show, but nothing travels. */
const STILL_FRAME_MS = 250;

export class Thread {
  #canvas;
  #context;
  #levels;
  /** @type {ThreadState} */
  #state = { joined: false, searching: false, thinking: false, hearing: false };
  #user = 0;
  #assistant = 0;
  #gap = GAP;
  #lastMs = 0;
  #frame = 0;
  #colours = { user: '', assistant: '', faint: '' };
  #stillness = matchMedia('(prefers-reduced-motion: reduce)');

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {() => import('../levels.js').Levels} levels
   */
  constructor(canvas, levels) {
    this.#canvas = canvas;
    this.#context = canvas.getContext('2d');
    this.#levels = levels;
    this.#readColours();
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#readColours());
    // It also runs when the canvas appears or disappears. A hidden canvas has no size, and gets no frames.
    new ResizeObserver(() => this.#fit()).observe(canvas);
  }

  /** @param {ThreadState} state */
  show(state) {
    this.#state = state;
  }

  #readColours() {
    const style = getComputedStyle(this.#canvas);
    this.#colours = {
      user: style.getPropertyValue('--you'),
      assistant: style.getPropertyValue('--assistant'),
      faint: style.getPropertyValue('--line-strong'),
    };
  }

  #fit() {
    const { clientWidth, clientHeight } = this.#canvas;
    const ratio = Math.min(devicePixelRatio, 2);
    this.#canvas.width = clientWidth * ratio;
    this.#canvas.height = clientHeight * ratio;
    cancelAnimationFrame(this.#frame);
    if (clientWidth > 0) this.#frame = requestAnimationFrame((nowMs) => this.#tick(nowMs));
  }

  /** @param {number} nowMs */
  #tick(nowMs) {
    this.#frame = requestAnimationFrame((nextMs) => this.#tick(nextMs));
    const still = this.#stillness.matches;
    const elapsedMs = nowMs - this.#lastMs;
    if (still && elapsedMs < STILL_FRAME_MS) return;
    this.#lastMs = nowMs;

    const levels = this.#levels();
    const { joined, thinking, hearing } = this.#state;
    const ease = 1 - Math.exp(-Math.min(elapsedMs, 100) / 90);
    this.#user += ((hearing ? levels.user : 0) - this.#user) * ease;
    this.#assistant += (Math.max(levels.assistant, thinking ? 0.16 : 0) - this.#assistant) * ease;
    this.#gap += ((joined ? 0 : GAP) - this.#gap) * (still ? 1 : ease);
    this.#draw(still ? 0 : nowMs / 1000);
  }

  /** @param {number} time seconds; 0 keeps the wave in place */
  #draw(time) {
    const context = this.#context;
    if (context === null) return;
    const { width, height } = this.#canvas;
    const unit = height / 44;
    context.clearRect(0, 0, width, height);
    context.lineWidth = 2 * unit;
    context.lineCap = 'round';
    const { joined, searching } = this.#state;
    const pulse = searching && !joined && time > 0 ? 0.5 + 0.5 * Math.sin(time * 3) : 0;
    const gap = this.#gap * (1 + pulse * 0.35);

    this.#half(0, 0.5 - gap, this.#user, time, joined ? this.#colours.user : this.#colours.faint);
    this.#half(1, 0.5 + gap, this.#assistant, -time, joined ? this.#colours.assistant : this.#colours.faint);

    // The knot, or the two loose ends.
    const ends = gap < 0.004 ? [0.5] : [0.5 - gap, 0.5 + gap];
    for (const [index, x] of ends.entries()) {
      context.beginPath();
      context.fillStyle = index === 0 ? this.#colours.user : this.#colours.assistant;
      context.arc(x * width, height / 2, (ends.length === 1 ? 4 : 3) * unit, 0, 2 * Math.PI);
      context.fill();
    }
  }

  /**
   * @param {number} from outer end, as a share of the width
   * @param {number} to inner end
   * @param {number} level 0 to 1
   * @param {number} time
   * @param {string} colour
   */
  #half(from, to, level, time, colour) {
    const context = /** @type {CanvasRenderingContext2D} */ (this.#context);
    const { width, height } = this.#canvas;
    const reach = height * 0.42 * level;
    context.beginPath();
    context.strokeStyle = colour;
    for (let point = 0; point <= POINTS; point += 1) {
      const share = point / POINTS;
      const envelope = Math.sin(Math.PI * share) ** 1.5;
      const wave = Math.sin(share * 19 - time * 7) * 0.62 + Math.sin(share * 31 - time * 11) * 0.38;
      const y = height / 2 + envelope * wave * reach;
      context.lineTo((from + (to - from) * share) * width, y);
    }
    context.stroke();
  }
}
