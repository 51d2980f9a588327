/**
 * When to show that something is not saved yet, and that it is saved after all. The page does not mention what is
 * saved at once.
 */

/** Turns are saved within milliseconds. After this time something is wrong. */
export const LATE_AFTER_MS = 1500;
/** How long the page shows that a late turn is saved. */
export const SAID_FOR_MS = 3000;

/**
 * @typedef {object} SaveStatus
 * @property {ReadonlySet<string>} late ids of turns that have waited too long to be saved
 * @property {ReadonlySet<string>} saved ids of turns that were late, and have just been saved
 * @property {'there' | 'away' | 'back'} store as far as the page can tell; `back` only for a moment
 */

/** @type {SaveStatus} */
export const ALL_SAVED = Object.freeze({ late: new Set(), saved: new Set(), store: 'there' });

export class SaveStatusWatch {
  #onChange;
  /** Unsaved turns that may still be saved in time. @type {Map<string, ReturnType<typeof setTimeout>>} */
  #young = new Map();
  /** @type {Set<string>} */
  #late = new Set();
  /** @type {Set<string>} */
  #saved = new Set();
  #isAway = false;
  /** @type {SaveStatus['store']} */
  #store = 'there';
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #said;
  #told = ALL_SAVED;

  /** @param {(status: SaveStatus) => void} onChange */
  constructor(onChange) {
    this.#onChange = onChange;
  }

  /** @param {import('./conversation.js').Conversation} conversation as it is now */
  update({ turns, withoutStore }) {
    this.#isAway = withoutStore;
    const waiting = new Set(turns.filter(({ saved, fate }) => !saved && fate !== 'lost').map(({ id }) => id));
    for (const id of waiting) {
      if (this.#young.has(id) || this.#late.has(id)) continue;
      this.#young.set(id, setTimeout(() => this.#grewLate(id), LATE_AFTER_MS));
    }
    for (const [id, timer] of this.#young) {
      if (waiting.has(id)) continue;
      clearTimeout(timer);
      this.#young.delete(id);
    }
    const done = turns.filter(({ id, saved }) => saved && this.#late.has(id)).map(({ id }) => id);
    this.#late = new Set([...this.#late].filter((id) => waiting.has(id)));
    this.#tell(done);
  }

  /** @param {string} id */
  #grewLate(id) {
    this.#young.delete(id);
    this.#late = new Set([...this.#late, id]);
    this.#tell([]);
  }

  /** @param {string[]} saved after having been late */
  #tell(saved) {
    const isAway = this.#isAway || this.#late.size > 0;
    const store = isAway ? 'away' : this.#store === 'there' ? 'there' : 'back';
    const isSame = store === this.#store && saved.length === 0;
    if (isSame && sameMembers(this.#late, this.#told.late)) return;
    this.#store = store;
    this.#saved = new Set([...this.#saved, ...saved]);
    if (this.#saved.size > 0 || store === 'back') {
      clearTimeout(this.#said);
      this.#said = setTimeout(() => this.#saidIt(), SAID_FOR_MS);
    }
    this.#report();
  }

  #saidIt() {
    this.#saved = new Set();
    if (this.#store === 'back') this.#store = 'there';
    this.#report();
  }

  #report() {
    this.#told = { late: this.#late, saved: this.#saved, store: this.#store };
    this.#onChange(this.#told);
  }
}

/**
 * @param {ReadonlySet<string>} one
 * @param {ReadonlySet<string>} other
 */
const sameMembers = (one, other) => one.size === other.size && [...one].every((member) => other.has(member));
