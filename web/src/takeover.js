/**
 * What becomes of what an agent left that is gone, when another one goes on. Pure, like conversation.js.
 *
 * The record is what the store has. What the page shows besides it came from the agent that died: half sentences,
 * and turns that were never saved. The gateway is asked for the record; what is in it takes their place.
 */

/** @typedef {import('./conversation.js').Conversation} Conversation */
/** @typedef {import('./conversation.js').Turn} Turn */
/** @typedef {import('./outbox.js').Typed} Typed */

/**
 * Another agent goes on. What was typed and never saved is sent again, under the same id.
 *
 * @param {Conversation} state
 * @returns {Conversation}
 */
export function takenOver(state) {
  return {
    ...state,
    turns: state.turns.map(
      /** @returns {Turn} */ (turn) => (turn.saved || turn.fate ? turn : { ...turn, fate: turn.typed ? 'resend' : 'asked' }),
    ),
    // No more of their text is taken, should the one that died be heard once more.
    drafts: state.drafts.map((draft) => ({ ...draft, open: false, left: true })),
    settled: [...state.settled, ...state.drafts.map((draft) => draft.segment)],
  };
}

/**
 * The record is known: what is not in it, nobody kept.
 *
 * @param {Conversation} state
 * @returns {Conversation}
 */
export function settleFates(state) {
  if (!isAsking(state)) return state;
  return {
    ...state,
    turns: state.turns.map(/** @returns {Turn} */ (turn) => (turn.fate === 'asked' ? { ...turn, fate: 'lost' } : turn)),
    drafts: state.drafts.filter((draft) => !draft.left),
  };
}

/**
 * @param {Conversation} state
 * @returns {boolean} whether something is shown of which only the gateway can tell what became of it
 */
export const isAsking = ({ turns, drafts }) =>
  drafts.some((draft) => draft.left) || turns.some((turn) => turn.fate === 'asked' || turn.fate === 'resend');

/**
 * @param {Conversation} state
 * @returns {Typed[]} what was typed and has to be sent (again), oldest first
 */
export const unsent = ({ turns, pending }) => [
  ...turns.filter((turn) => turn.fate === 'resend').map(({ id, text, createdAt }) => ({ id, text, createdAt })),
  ...pending,
];
