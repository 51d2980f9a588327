/**
 * The saved conversation: one sealed record in IndexedDB, written at every change, since unload handlers are not
 * reliable. It is a cache, so that the page paints at once; the server has the record. If the cache is blocked,
 * corrupt or evicted, the page starts empty and the server fills it.
 */
import { clear, createStore, getMany, setMany } from 'idb-keyval';
import { canSeal, makeKey, seal, unseal } from './seal.js';

const KEY = 'key';
const CONVERSATION = 'conversation';
const SETTINGS = 'settings';
/** Part of the seal. A new shape of the record gets a new place, and old records do not open. */
const PLACE = 'rejoin/conversation/1';
/** A database that does not answer (seen in Safari after a crash) must not delay the page. */
const LOAD_TIMEOUT_MS = 1500;

/**
 * Where records go; the browser's is IndexedDB.
 *
 * @typedef {object} Drawer
 * @property {(keys: string[]) => Promise<unknown[]>} getMany
 * @property {(entries: [string, unknown][]) => Promise<void>} setMany in one transaction
 * @property {() => Promise<void>} clear
 */

/** @returns {Drawer} */
export function indexedDbDrawer() {
  const store = createStore('rejoin', 'history');
  // Async, since where storage is blocked these throw before they return a promise.
  return {
    getMany: async (keys) => getMany(keys, store),
    setMany: async (entries) => setMany(entries, store),
    clear: async () => clear(store),
  };
}

/**
 * What one write saves. Only `conversation` holds what was said. It is sealed, and not kept where the browser cannot
 * seal. `settings` are not sealed, so that a reload goes on by itself even then.
 *
 * @typedef {{ conversation: unknown, settings: unknown }} Saved
 */

export class History {
  /** @type {Drawer | null} null: nothing is kept */
  #drawer = null;
  /** @type {Drawer | null} one that had not answered when it was needed: to be emptied, if the user is erased */
  #slowDrawer = null;
  /** @type {CryptoKey | null} */
  #key = null;
  /** @type {Saved | null} the newest state not yet written; older ones are skipped */
  #waiting = null;
  /** @type {Promise<void> | null} */
  #writing = null;

  /** @param {() => Drawer} openDrawer */
  constructor(openDrawer = indexedDbDrawer) {
    try {
      this.#drawer = openDrawer();
    } catch {
      this.#drawer = null;
    }
  }

  /**
   * @param {(saved: Saved) => boolean} [onLate] gets what a slow database answers after `load` has given up on it, and
   *   returns whether it is used. Nothing is written before: it would take the place of what was not read.
   * @returns {Promise<Saved>} what was saved last, unchecked; null for a part that is absent or does not open
   */
  async load(onLate = () => false) {
    const drawer = this.#drawer;
    if (drawer === null) return this.#open([]);
    const reading = Promise.resolve(drawer.getMany([KEY, CONVERSATION, SETTINGS]));
    try {
      return await this.#open(await withTimeout(reading, LOAD_TIMEOUT_MS));
    } catch (error) {
      if (error instanceof DrawerTimeout || isStorageError(error)) this.#drawer = null;
      if (error instanceof DrawerTimeout) {
        this.#slowDrawer = drawer;
        reading.then((values) => this.#openLate(drawer, values, onLate), () => {});
      }
      return this.#open([]);
    }
  }

  /**
   * @param {Drawer} drawer
   * @param {unknown[]} values
   * @param {(saved: Saved) => boolean} onLate
   */
  async #openLate(drawer, values, onLate) {
    const saved = await this.#open(values);
    if (onLate(saved)) this.#drawer = drawer;
    else this.#key = null;
  }

  /**
   * @param {unknown[]} values of key, conversation and settings
   * @returns {Promise<Saved>}
   */
  async #open([key, sealed, settings]) {
    /** @type {Saved} */
    const saved = { conversation: null, settings: settings ?? null };
    if (!canSeal() || !(key instanceof CryptoKey)) return saved;
    this.#key = key;
    saved.conversation = await unseal(key, /** @type {import('./seal.js').Sealed} */ (sealed), PLACE).catch(() => null);
    return saved;
  }

  /**
   * Writes now, or right after the write that is under way. Never throws.
   *
   * @param {Saved} saved
   */
  save(saved) {
    if (this.#drawer === null) return;
    this.#waiting = saved;
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = null;
    });
  }

  /** Resolves when everything that was saved so far is written. */
  async settled() {
    await this.#writing;
  }

  /** Erases everything, the key too, and drops writes that wait. */
  async wipe() {
    this.#waiting = null;
    await this.#writing;
    this.#key = null;
    // Not waited for: it may take its time again, or never answer.
    this.#slowDrawer?.clear().catch(() => {});
    await this.#drawer?.clear().catch(() => {});
  }

  async #writeAll() {
    while (this.#waiting !== null && this.#drawer !== null) {
      const { conversation, settings } = this.#waiting;
      this.#waiting = null;
      /** @type {[string, unknown][]} */
      const entries = [[SETTINGS, settings]];
      try {
        if (canSeal()) {
          if (this.#key === null) {
            this.#key = await makeKey();
            entries.push([KEY, this.#key]);
          }
          entries.push([CONVERSATION, await seal(this.#key, conversation, PLACE)]);
        }
        await this.#drawer.setMany(entries);
      } catch {
        // Full or gone. The next change tries again, with a key that is stored together with what it sealed.
        if (entries.some(([name]) => name === KEY)) this.#key = null;
      }
    }
  }
}

class DrawerTimeout extends Error {}

/**
 * @param {unknown} error
 * @returns {boolean} true for what IndexedDB itself refuses; a seal that does not open is an OperationError
 */
function isStorageError(error) {
  return error instanceof DOMException && error.name !== 'OperationError';
}

/**
 * @template T
 * @param {Promise<T>} promise
 * @param {number} timeoutMs
 * @returns {Promise<T>}
 */
function withTimeout(promise, timeoutMs) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new DrawerTimeout()), timeoutMs);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
