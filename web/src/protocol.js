/**
 * What arrives from gateway and agent, checked before any other module sees it. docs/architecture.md has the
 * contract. What does not follow it becomes `null` here, and is ignored.
 */

/** @typedef {'user' | 'assistant'} Role */

/**
 * @typedef {object} RecordedTurn
 * @property {string} id
 * @property {number} seq
 * @property {boolean} [late] it was saved after a takeover: `seq` is that of the turn that it follows
 * @property {Role} role
 * @property {string} text
 * @property {number} createdAt Unix seconds
 * @property {boolean} interrupted
 * @property {boolean} saved
 */

/**
 * @typedef {object} Admission the gateway's answer
 * @property {string} serverUrl
 * @property {string} token
 * @property {string} sessionId
 * @property {boolean} resumed
 * @property {number} lastSeq
 * @property {string | null} language
 * @property {RecordedTurn[]} turns
 * @property {boolean} saved false: the store is away; the page is admitted all the same, and asks again
 */

/**
 * @typedef {object} Hello
 * @property {'hello'} type
 * @property {string} sessionId
 * @property {string | null} language
 * @property {number} lastSeq
 * @property {boolean} back the agent goes on after a takeover
 * @property {boolean} saved false: the agent knows nothing of the store, so the numbers of its turns mean nothing yet
 */

/**
 * @typedef {Hello
 *   | { type: 'turn', turn: RecordedTurn }
 *   | { type: 'saved', turns: { id: string, seq: number }[] }
 *   | { type: 'refused', id: string, message: string }
 *   | { type: 'notice', text: string, language: string | null }
 *   | { type: 'erased' }} AgentRecord
 */

/**
 * @param {any} value
 * @param {boolean} saved the default where the value has no such field
 * @returns {RecordedTurn | null}
 */
export function parseTurn(value, saved) {
  if (!isObject(value)) return null;
  const { id, seq, role, text, created_at: createdAt } = value;
  if (!isText(id) || !isCount(seq) || typeof text !== 'string') return null;
  if (role !== 'user' && role !== 'assistant') return null;
  return {
    id,
    seq,
    ...(value.late === true ? { late: true } : {}),
    role,
    text,
    createdAt: typeof createdAt === 'number' && Number.isFinite(createdAt) ? createdAt : Date.now() / 1000,
    interrupted: value.interrupted === true,
    saved: typeof value.saved === 'boolean' ? value.saved : saved,
  };
}

/**
 * @param {any} value
 * @returns {Admission | null}
 */
export function parseAdmission(value) {
  if (!isObject(value)) return null;
  const { server_url: serverUrl, participant_token: token, session_id: sessionId, last_seq: lastSeq } = value;
  if (!isText(serverUrl) || !isText(token) || !isText(sessionId)) return null;
  if (!isCount(lastSeq) || typeof value.resumed !== 'boolean' || !Array.isArray(value.turns)) return null;
  return {
    serverUrl,
    token,
    sessionId,
    resumed: value.resumed,
    lastSeq,
    language: isText(value.language) ? value.language : null,
    turns: value.turns.map((/** @type {any} */ turn) => parseTurn(turn, true)).filter(isPresent),
    saved: value.saved !== false,
  };
}

/**
 * @param {string} text one text stream of topic `rj.record`
 * @returns {AgentRecord | null} null if it is malformed, or of an unknown version or type
 */
export function parseRecord(text) {
  /** @type {any} */
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isObject(value) || value.v !== 1) return null;
  switch (value.type) {
    case 'hello':
      if (!isText(value.session_id) || !isCount(value.last_seq)) return null;
      return {
        type: 'hello',
        sessionId: value.session_id,
        language: isText(value.language) ? value.language : null,
        lastSeq: value.last_seq,
        back: value.back === true,
        saved: value.saved !== false,
      };
    case 'turn': {
      const turn = parseTurn(value, false);
      return turn === null ? null : { type: 'turn', turn };
    }
    case 'saved':
      if (!Array.isArray(value.turns)) return null;
      return {
        type: 'saved',
        turns: value.turns.filter((/** @type {any} */ turn) => isText(turn?.id) && isCount(turn.seq)),
      };
    case 'refused':
      if (!isText(value.id) || !isText(value.message)) return null;
      return { type: 'refused', id: value.id, message: value.message };
    case 'notice':
      if (typeof value.text !== 'string') return null;
      return { type: 'notice', text: value.text, language: isText(value.language) ? value.language : null };
    case 'erased':
      return { type: 'erased' };
    default:
      return null;
  }
}

/** @param {any} value */
export const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/** @param {any} value */
export const isText = (value) => typeof value === 'string' && value !== '';

/** @param {any} value */
const isCount = (value) => Number.isSafeInteger(value) && value >= 0;

/**
 * @template T
 * @param {T | null} value
 * @returns {value is T}
 */
export const isPresent = (value) => value !== null;
