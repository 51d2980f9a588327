/**
 * The conversation as the page knows it, and how each event changes it. Pure: no clock, no storage, no DOM.
 * takeover.js handles what is left of an agent that died.
 *
 * The page shows three kinds of things, and nothing twice. `turns` are the record, in the server's order.
 * `pending` are typed messages without a record; each carries the id that its record will have.
 * `drafts` are words that are being said. A draft goes when the record of its speech comes.
 */
import { settleFates, takenOver, unsent } from './takeover.js';

export const MAX_TURNS = 100;
const MAX_SETTLED = 50;
/** A record overtakes its draft by some milliseconds. One that waits longer would take the draft of another speech. */
export const WAIT_FOR_DRAFT_MS = 2000;

/** @typedef {import('./protocol.js').RecordedTurn} RecordedTurn */
/** @typedef {import('./protocol.js').Role} Role */
/** @typedef {import('./outbox.js').Typed} Typed */

/**
 * What becomes of an unsaved turn whose agent is gone:
 *
 * - `asked`: the page asks the gateway whether the store has it
 * - `resend`: it was typed, so it is sent to the next agent
 * - `lost`: it was heard, but not kept
 *
 * @typedef {'asked' | 'resend' | 'lost'} Fate
 */

/**
 * A turn on the screen. Its `key` may be that of the draft or typed message that it came from.
 *
 * @typedef {RecordedTurn & { key: string, typed?: boolean, fate?: Fate }} Turn
 */

/**
 * @typedef {object} Draft
 * @property {string} key
 * @property {string} segment
 * @property {number} stream number of the text stream that the text is from, in order of arrival
 * @property {Role} role
 * @property {string} text
 * @property {boolean} open false when no more text will follow
 * @property {boolean} [left] its agent is gone: the draft goes when the record is known
 * @property {string | undefined} after id of the newest record of its role when it began
 * @property {number} createdAt Unix seconds
 * @property {number} helloAt `helloAt` of the conversation when the draft began
 */

/**
 * @typedef {object} Conversation
 * @property {string | null} sessionId
 * @property {string | null} language
 * @property {readonly Turn[]} turns by `seq`, late ones behind the turn that they follow
 * @property {readonly Draft[]} drafts oldest first
 * @property {readonly Typed[]} pending oldest first
 * @property {number} syncedSeq everything up to this number is known, gaps included; the gateway is asked for the rest
 * @property {boolean} inSync whether live turns may advance `syncedSeq`: not from a disturbance until the agent
 *   confirms that nothing was missed
 * @property {string | null} agent identity of the agent that said hello last
 * @property {boolean} withoutStore the gateway admitted the page while the store was away, and has not confirmed
 *   since that the store has the session
 * @property {boolean} unplaced the agent has not reached the store: the numbers of its turns are not final
 * @property {boolean} ended its user ended it
 * @property {boolean} isNew the server started a new session in place of the one that was shown
 * @property {readonly string[]} settled segments whose record has come; their late text is ignored
 * @property {readonly string[]} savedEarly ids whose saved mark came before their record
 * @property {number} helloAt when the agent sent its newest hello to this page load: Unix seconds by its clock, by
 *   which its turns are dated too
 * @property {readonly { id: string, untilMs: number }[]} ahead records that came before any draft of their speech, and
 *   how long each waits for it
 */

/** @type {Conversation} */
export const EMPTY = Object.freeze({
  sessionId: null,
  language: null,
  turns: [],
  drafts: [],
  pending: [],
  syncedSeq: 0,
  inSync: false,
  agent: null,
  withoutStore: false,
  unplaced: false,
  ended: false,
  isNew: false,
  settled: [],
  savedEarly: [],
  helloAt: 0,
  ahead: [],
});

/**
 * @typedef {{ type: 'admitted', admission: import('./protocol.js').Admission }
 *   | { type: 'hello', from: string, language: string | null, lastSeq: number, saved: boolean, sentAt: number }
 *   | { type: 'synced' }
 *   | { type: 'disturbed' }
 *   | { type: 'turn', turn: RecordedTurn, nowMs: number }
 *   | { type: 'saved', turns: { id: string, seq: number }[] }
 *   | { type: 'draft', segment: string, stream: number, role: Role, text: string, open: boolean, createdAt: number, nowMs: number }
 *   | { type: 'typed', message: Typed }
 *   | { type: 'refused', id: string }
 *   | { type: 'ended' }
 *   | { type: 'erased' }} ConversationEvent
 */

/**
 * @param {Conversation} state
 * @param {ConversationEvent} event `nowMs`: a clock of the page that is never set, in milliseconds
 * @returns {Conversation} the same object when nothing changed
 */
export function reduce(state, event) {
  switch (event.type) {
    case 'admitted':
      return admit(state, event.admission);
    case 'hello': {
      const next = state.agent === null || state.agent === event.from ? sameAgent(state) : takenOver(state);
      return {
        ...next,
        agent: event.from,
        helloAt: event.sentAt,
        ahead: [],
        unplaced: !event.saved,
        inSync: event.saved && event.lastSeq <= state.syncedSeq,
        language: event.language ?? state.language,
      };
    }
    case 'synced':
      return { ...settleFates(state), inSync: !state.unplaced };
    case 'disturbed':
      return state.inSync ? { ...state, inSync: false } : state;
    case 'turn':
      if (state.unplaced) return withUnplaced(state, event.turn, event.nowMs);
      return advanced(withTurn(state, event.turn, event.nowMs), event.turn.saved ? [event.turn] : []);
    case 'saved':
      return advanced(markSaved(state, event.turns.map(({ id }) => id)), event.turns);
    case 'draft':
      return withDraft(state, event);
    case 'typed':
      return { ...state, pending: [...state.pending, event.message], ahead: [] };
    case 'refused':
      return {
        ...state,
        pending: state.pending.filter(({ id }) => id !== event.id),
        turns: state.turns.map((turn) => (turn.id === event.id && turn.fate ? { ...turn, fate: 'lost' } : turn)),
      };
    case 'ended':
      return { ...state, ended: true, drafts: [] };
    case 'erased':
      return EMPTY;
  }
}

/**
 * Return whether turns were missed that only the gateway has.
 *
 * @param {Conversation} state
 * @param {number} lastSeq as the agent knows it
 */
export const isBehind = (state, lastSeq) => lastSeq > state.syncedSeq;

/**
 * @param {Conversation} state
 * @param {import('./protocol.js').Admission} admission
 * @returns {Conversation}
 */
function admit(state, admission) {
  const same = state.sessionId === admission.sessionId;
  const hadTurns = state.turns.length > 0 || state.drafts.length > 0;
  /** @type {Conversation} */
  let next = same
    ? { ...state, ended: false, inSync: false, ahead: [] }
    : { ...EMPTY, pending: unsent(takenOver(state)), isNew: state.sessionId !== null && hadTurns };
  // The store has no such session any more: saved turns are gone, and unsaved ones are still to be saved.
  if (same && admission.saved && !admission.resumed) {
    next = { ...next, turns: next.turns.filter((turn) => !turn.saved), syncedSeq: 0 };
  }
  next = {
    ...next,
    sessionId: admission.sessionId,
    language: admission.language ?? next.language,
    syncedSeq: Math.max(next.syncedSeq, admission.lastSeq),
    withoutStore: !admission.saved,
  };
  for (const turn of admission.turns) next = withTurn(next, turn, null);
  return next;
}

/**
 * The agent is the same as before: what it still says goes on as a draft, and the rest is in the record.
 *
 * @param {Conversation} state
 * @returns {Conversation}
 */
const sameAgent = (state) => ({
  ...state,
  drafts: state.drafts.filter((draft) => draft.left || (draft.open && draft.role === 'assistant')),
});

/**
 * A turn without a final number is shown at the end, and stays there when the agent sends it again.
 *
 * @param {Conversation} state
 * @param {RecordedTurn} turn
 * @param {number} nowMs
 * @returns {Conversation}
 */
function withUnplaced(state, turn, nowMs) {
  const known = state.turns.find(({ id }) => id === turn.id);
  if (known === undefined) return withTurn(state, { ...turn, late: true, seq: state.turns.at(-1)?.seq ?? 0 }, nowMs);
  const { fate: _, ...told } = { ...known, saved: known.saved || turn.saved };
  return { ...state, turns: state.turns.map((other) => (other === known ? told : other)) };
}

/**
 * Only saved turns count as known: the number of an unsaved turn may still be given to another turn.
 *
 * @param {Conversation} state
 * @param {{ seq: number }[]} saved
 * @returns {Conversation}
 */
function advanced(state, saved) {
  if (!state.inSync || saved.length === 0) return state;
  return { ...state, syncedSeq: Math.max(state.syncedSeq, ...saved.map(({ seq }) => seq)) };
}

/**
 * @param {Conversation} state
 * @param {RecordedTurn} turn
 * @param {number | null} nowMs when the agent sent it, so that finished drafts of its role are of this speech or of
 *   an earlier one; null: the gateway sent it
 * @returns {Conversation}
 */
function withTurn(state, turn, nowMs) {
  const live = nowMs !== null;
  const typed = state.pending.some((message) => message.id === turn.id);
  const known = state.turns.find((other) => other.id === turn.id);
  const replaced = typed || known ? [] : state.drafts.filter((draft) => isDraftOf(draft, turn, live));
  // Drafts of a speech from before the hello went to an earlier page load.
  const isAhead = live && !typed && !known && replaced.length === 0 && turn.createdAt >= state.helloAt;
  const early = state.savedEarly.includes(turn.id);
  /** @type {Turn} */
  const added = {
    ...turn,
    key: known?.key ?? replaced[0]?.key ?? turn.id,
    saved: turn.saved || early || known?.saved === true,
    ...(typed || known?.typed ? { typed: true } : {}),
  };
  const late = turn.late === true;
  const turns = state.turns.filter(
    (other) =>
      other.id !== turn.id && (late || other.late === true || other.seq !== turn.seq || other.fate === 'resend'),
  );
  // A late turn has no number of its own: it follows the turn that it names, and earlier late turns behind that.
  const at = turns.findLastIndex((other) => other.seq < turn.seq || (late && other.seq === turn.seq)) + 1;
  turns.splice(at, 0, added);
  return {
    ...state,
    turns: turns.slice(-MAX_TURNS),
    drafts: replaced.length > 0 ? state.drafts.filter((draft) => !replaced.includes(draft)) : state.drafts,
    settled: [...state.settled, ...replaced.map((draft) => draft.segment)].slice(-MAX_SETTLED),
    pending: typed ? state.pending.filter((message) => message.id !== turn.id) : state.pending,
    savedEarly: early ? state.savedEarly.filter((id) => id !== turn.id) : state.savedEarly,
    ahead: isAhead ? [...waitingAt(state, nowMs), { id: turn.id, untilMs: nowMs + WAIT_FOR_DRAFT_MS }] : state.ahead,
  };
}

/**
 * Drafts and records share no id. A finished draft belongs to this record or to an older one. An open draft may be
 * the next speech, unless it says the same. A speech that a reload cut off is recorded late: the next one may have
 * begun.
 *
 * @param {Draft} draft
 * @param {RecordedTurn} turn
 * @param {boolean} live
 */
function isDraftOf(draft, turn, live) {
  if (draft.role !== turn.role || (turn.interrupted && turn.createdAt < draft.helloAt)) return false;
  return (live && !draft.open && !draft.left) || saysTheSame(draft.text, turn.text);
}

/**
 * @param {string} draft
 * @param {string} record
 * @returns {boolean} whether one begins with the other, the record ends with the draft, or most words of a longer
 *   draft are in the record (a recogniser changes its mind)
 */
function saysTheSame(draft, record) {
  const spoken = words(draft);
  const recorded = words(record);
  if (spoken.length === 0) return true;
  const [one, other] = [spoken.join(' '), recorded.join(' ')];
  // No word boundary at the end: the last word of a draft may be cut anywhere.
  if (other.startsWith(one) || one.startsWith(other) || other.endsWith(` ${one}`)) return true;
  const known = new Set(recorded);
  return spoken.length > 2 && spoken.filter((word) => known.has(word)).length * 2 > spoken.length;
}

/**
 * @param {Conversation} state
 * @param {number} nowMs
 */
const waitingAt = ({ ahead }, nowMs) => ahead.filter(({ untilMs }) => nowMs <= untilMs);

/**
 * @param {Conversation} state
 * @param {Role} role
 */
const newestOf = (state, role) => state.turns.findLast((turn) => turn.role === role);

/** @param {string} text */
const words = (text) => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];

/**
 * @param {Conversation} state
 * @param {string[]} ids
 * @returns {Conversation}
 */
function markSaved(state, ids) {
  const unknown = ids.filter((id) => !state.turns.some((turn) => turn.id === id));
  return {
    ...state,
    turns: state.turns.map((turn) => (ids.includes(turn.id) && !turn.saved ? asSaved(turn) : turn)),
    savedEarly: [...state.savedEarly, ...unknown].slice(-MAX_SETTLED),
  };
}

/**
 * @param {Turn} turn
 * @returns {Turn}
 */
function asSaved({ fate: _, ...turn }) {
  return { ...turn, saved: true };
}

/**
 * @param {Conversation} state
 * @param {Extract<ConversationEvent, { type: 'draft' }>} event
 * @returns {Conversation}
 */
function withDraft(state, { segment, stream, role, text, open, createdAt, nowMs }) {
  if (state.settled.includes(segment)) return state;
  const known = state.drafts.find((draft) => draft.segment === segment);
  // Each interim result is a stream of its own: late text of an older stream is out of date.
  if (known && stream < known.stream) return state;
  if (text.trim() === '' && !known) return state;
  // A record that overtook its draft takes the first draft that says the same.
  const waiting = known ? [] : waitingAt(state, nowMs);
  const ahead = state.turns.find((turn) => turn.role === role && waiting.some(({ id }) => id === turn.id));
  if (ahead && saysTheSame(text, ahead.text)) {
    const settled = [...state.settled, segment].slice(-MAX_SETTLED);
    return { ...state, settled, ahead: waiting.filter(({ id }) => id !== ahead.id) };
  }
  /** @type {Draft} */
  const draft = {
    key: known?.key ?? `draft-${segment}`,
    segment,
    stream,
    role,
    text: text === '' ? (known?.text ?? '') : text,
    open: open && (known?.open ?? true),
    after: known ? known.after : newestOf(state, role)?.id,
    createdAt: known?.createdAt ?? createdAt,
    helloAt: known?.helloAt ?? state.helloAt,
  };
  // Its record may have come before its end.
  const newest = newestOf(state, role);
  if (!draft.open && newest && newest.id !== draft.after && saysTheSame(draft.text, newest.text)) {
    const settled = [...state.settled, segment].slice(-MAX_SETTLED);
    return { ...state, settled, drafts: state.drafts.filter((other) => other !== known) };
  }
  const drafts = known
    ? state.drafts.map((other) => (other === known ? draft : other))
    : [...state.drafts, draft];
  return { ...state, drafts };
}
