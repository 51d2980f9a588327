/**
 * What becomes of the words of an agent that died, when another one goes on. Pure, like conversation.js.
 *
 * The store has the record. What the page shows besides it came from the dead agent: half sentences, and turns that
 * were never saved. The page asks the gateway for the record, and the record takes their place.
 */

/** @typedef {import('./conversation.js').Conversation} Conversation */
/** @typedef {import('./conversation.js').Turn} Turn */
/** @typedef {import('./outbox.js').Typed} Typed */

/**
 * Another agent goes on. A typed message that was never saved is sent again, under the same id.
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
    // Late text of the dead agent is ignored.
    drafts: state.drafts.map((draft) => ({ ...draft, open: false, left: true })),
    settled: [...state.settled, ...state.drafts.map((draft) => draft.segment)],
  };
}

/**
 * The record is known: what is not in it was not kept.
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
 * @returns {boolean} whether only the gateway can tell what became of something that is shown
 */
export const isAsking = ({ turns, drafts }) =>
  drafts.some((draft) => draft.left) || turns.some((turn) => turn.fate === 'asked' || turn.fate === 'resend');

/**
 * @param {Conversation} state
 * @returns {Typed[]} typed messages to be sent, for the first time or again, oldest first
 */
export const unsent = ({ turns, pending }) => [
  ...turns.filter((turn) => turn.fate === 'resend').map(({ id, text, createdAt }) => ({ id, text, createdAt })),
  ...pending,
];
