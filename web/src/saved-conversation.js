/** What is kept of a conversation across a reload, and how it is restored. Pure, like conversation.js. */
import { EMPTY } from './conversation.js';
import { isObject, isPresent, isText, parseTurn } from './protocol.js';

const FATES = ['asked', 'resend', 'lost'];

/** @typedef {import('./conversation.js').Conversation} Conversation */
/** @typedef {import('./conversation.js').Turn} Turn */

/**
 * @param {Conversation} state
 */
export const toSaved = ({ sessionId, language, turns, pending, syncedSeq, agent, withoutStore, ended }) => ({
  sessionId,
  language,
  turns: turns.map(({ id, seq, late, role, text, createdAt, interrupted, saved, typed, fate }) => ({
    id,
    seq,
    late,
    role,
    text,
    created_at: createdAt,
    interrupted,
    saved,
    typed,
    fate,
  })),
  pending,
  syncedSeq,
  agent,
  withoutStore,
  ended,
});

/**
 * @param {any} value from {@link toSaved}, perhaps of an older version of the page
 * @returns {Conversation | null} null when it holds no conversation
 */
export function fromSaved(value) {
  if (!isObject(value) || !Array.isArray(value.turns) || !Array.isArray(value.pending)) return null;
  const sessionId = isText(value.sessionId) ? value.sessionId : null;
  const pending = value.pending.filter((/** @type {any} */ message) => isText(message?.id) && isText(message.text));
  if (sessionId === null && pending.length === 0) return null;
  /** @type {Turn[]} */
  const turns = value.turns.map(savedTurn).filter(isPresent);
  return {
    ...EMPTY,
    sessionId,
    language: isText(value.language) ? value.language : null,
    turns,
    pending,
    syncedSeq: Number.isSafeInteger(value.syncedSeq) ? value.syncedSeq : 0,
    agent: isText(value.agent) ? value.agent : null,
    withoutStore: value.withoutStore === true,
    ended: value.ended === true,
  };
}

/**
 * @param {any} value
 * @returns {Turn | null}
 */
function savedTurn(value) {
  const turn = parseTurn(value, false);
  if (turn === null) return null;
  const { typed, fate } = value;
  return {
    ...turn,
    key: turn.id,
    ...(typed === true ? { typed } : {}),
    ...(FATES.includes(fate) ? { fate } : {}),
  };
}
