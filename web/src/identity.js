/**
 * The identity under which the gateway knows the participant of this browser. No other module reads or writes it.
 * Today it is a random name that works like a password. When a proof of possession replaces it, only this file
 * changes.
 */
import { randomId } from './ids.js';

const STORAGE_KEY = 'rejoin.identity';
const VALID_ID = /^[A-Za-z0-9_-]{22,64}$/;

/**
 * The fields of the token request that name the participant and the page load.
 *
 * @typedef {object} Proof
 * @property {string} participant_identity
 * @property {{ 'rj.load': string }} participant_attributes
 */

/**
 * @typedef {object} Identity
 * @property {boolean} isNew true if no earlier visit left a usable identity here
 * @property {boolean} remembered false if the browser refuses to keep it: a reload is then a new participant
 * @property {() => Promise<Proof>} proof one per token request; do not keep it
 * @property {() => void} forget takes a new identity, with nothing that links it to the old one
 */

/**
 * @param {() => Storage} [storage] a function, since even reading `localStorage` throws where it is blocked
 * @returns {Identity}
 */
export function openIdentity(storage = () => localStorage) {
  const known = read(storage);
  let id = known ?? randomId();
  let loadId = randomId();

  /** @type {Identity} */
  const identity = {
    isNew: known === null,
    remembered: known !== null || write(storage, id),
    async proof() {
      return { participant_identity: id, participant_attributes: { 'rj.load': loadId } };
    },
    forget() {
      id = randomId();
      loadId = randomId();
      identity.isNew = true;
      identity.remembered = write(storage, id);
    },
  };
  return identity;
}

/**
 * @param {() => Storage} storage
 * @returns {string | null} null if it is absent or malformed, or if storage is blocked
 */
function read(storage) {
  try {
    const id = storage().getItem(STORAGE_KEY);
    return id !== null && VALID_ID.test(id) ? id : null;
  } catch {
    return null;
  }
}

/**
 * @param {() => Storage} storage
 * @param {string} id
 * @returns {boolean} whether it was kept
 */
function write(storage, id) {
  try {
    storage().setItem(STORAGE_KEY, id);
    return storage().getItem(STORAGE_KEY) === id;
  } catch {
    return false;
  }
}
