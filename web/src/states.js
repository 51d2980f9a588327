/** The states of the page, in words that users read, and the events that lead from one to another. */

/** @typedef {'Idle' | 'Restoring' | 'Connecting' | 'Connected' | 'Reconnecting' | 'Failed' | 'Ended'} State */

/**
 * - `nothing-saved`: no conversation to restore
 * - `was-ended`: the saved conversation was ended by its user
 * - `connect`: the user asked for the conversation, or returned to it
 * - `joined`: media and data flow
 * - `lost`: they do not flow; the page reconnects by itself
 * - `gave-up`: reconnecting has not worked so far
 * - `end`: the user ended it
 * - `set-aside`: the conversation is not here any more: in another tab, paused by the browser, or erased
 *
 * @typedef {'nothing-saved' | 'was-ended' | 'connect' | 'joined' | 'lost' | 'gave-up' | 'end' | 'set-aside'} StateEvent
 */

/** @type {Readonly<Record<State, Partial<Record<StateEvent, State>>>>} */
const TRANSITIONS = {
  Restoring: { 'nothing-saved': 'Idle', 'was-ended': 'Ended', connect: 'Connecting' },
  // What was saved may come late, from a slow database.
  Idle: { connect: 'Connecting', 'was-ended': 'Ended' },
  Connecting: { joined: 'Connected', 'gave-up': 'Failed', end: 'Ended', 'set-aside': 'Idle' },
  Connected: { lost: 'Reconnecting', 'gave-up': 'Failed', end: 'Ended', 'set-aside': 'Idle' },
  Reconnecting: { joined: 'Connected', 'gave-up': 'Failed', end: 'Ended', 'set-aside': 'Idle' },
  // Slow attempts go on after a failure that may pass, so the page can leave this state without a click.
  Failed: { connect: 'Connecting', joined: 'Connected', end: 'Ended', 'set-aside': 'Idle' },
  Ended: { connect: 'Connecting', 'set-aside': 'Idle' },
};

/** @type {State} */
export const INITIAL_STATE = 'Restoring';

/**
 * @param {State} state
 * @param {StateEvent} event
 * @returns {State} the same state if the event has no meaning in it
 */
export const nextState = (state, event) => TRANSITIONS[state][event] ?? state;

/**
 * @param {State} state
 * @returns {boolean} whether the user wants a conversation now, connected or not
 */
export const isLive = (state) => state !== 'Idle' && state !== 'Restoring' && state !== 'Ended';
