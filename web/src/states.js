/** The states of the page, in the words that people read, and which events lead from one to another. */

/** @typedef {'Idle' | 'Restoring' | 'Connecting' | 'Connected' | 'Reconnecting' | 'Failed' | 'Ended'} State */

/**
 * - `nothing-saved`: no conversation to restore
 * - `was-ended`: the saved conversation was ended by its user
 * - `connect`: somebody (or the return of somebody) asked for the conversation
 * - `joined`: media and data flow
 * - `lost`: they do not; it is being mended without anybody's help
 * - `gave-up`: mending has not worked so far
 * - `end`: the user ended it
 * - `set-aside`: not here any more (moved to another tab, paused by the browser, or erased)
 *
 * @typedef {'nothing-saved' | 'was-ended' | 'connect' | 'joined' | 'lost' | 'gave-up' | 'end' | 'set-aside'} StateEvent
 */

/** @type {Readonly<Record<State, Partial<Record<StateEvent, State>>>>} */
const TRANSITIONS = {
  Restoring: { 'nothing-saved': 'Idle', 'was-ended': 'Ended', connect: 'Connecting' },
  Idle: { connect: 'Connecting' },
  Connecting: { joined: 'Connected', 'gave-up': 'Failed', end: 'Ended', 'set-aside': 'Idle' },
  Connected: { lost: 'Reconnecting', 'gave-up': 'Failed', end: 'Ended', 'set-aside': 'Idle' },
  Reconnecting: { joined: 'Connected', 'gave-up': 'Failed', end: 'Ended', 'set-aside': 'Idle' },
  // Slow attempts go on behind a failure that may pass, so it can be left without a click.
  Failed: { connect: 'Connecting', joined: 'Connected', end: 'Ended', 'set-aside': 'Idle' },
  Ended: { connect: 'Connecting', 'set-aside': 'Idle' },
};

/** @type {State} */
export const INITIAL_STATE = 'Restoring';

/**
 * @param {State} state
 * @param {StateEvent} event
 * @returns {State} the same state where the event means nothing in it
 */
export const nextState = (state, event) => TRANSITIONS[state][event] ?? state;

/**
 * @param {State} state
 * @returns {boolean} whether a conversation is wanted now, working or not
 */
export const isLive = (state) => state !== 'Idle' && state !== 'Restoring' && state !== 'Ended';
