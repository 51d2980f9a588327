/** The conversation as users read it. Elements are kept by key, so a turn that changes does not blink. */
import { ALL_SAVED } from '../save-status.js';
import { byId, find, setData, setText } from './dom.js';

/** So near to the end still counts as the end: a finger may slip. */
const BOTTOM_SLACK_PX = 48;

/**
 * @typedef {object} Bubble what one turn shows on the screen
 * @property {string} key
 * @property {string} id
 * @property {number | null} seq null if it has no number of its own: not recorded yet, or recorded late
 * @property {import('../protocol.js').Role} role
 * @property {string} text
 * @property {number} createdAt
 * @property {boolean} saved
 * @property {boolean} draft
 * @property {string} note
 * @property {'' | 'waiting' | 'saved'} saving
 */

const NAMES = { user: 'You', assistant: 'Assistant' };

export function createTranscript() {
  const [talk, record, upcoming] = [byId('talk'), byId('record'), byId('upcoming')];
  const [latest, divider] = [byId('latest'), byId('new-conversation')];
  /** @type {HTMLTemplateElement} */
  const template = byId('turn-template');
  /** @type {Map<string, HTMLElement>} */
  const elements = new Map();
  /** @type {import('../conversation.js').Conversation | null} */
  let shown = null;
  let marks = ALL_SAVED;
  let wasHidden = true;
  let following = true;
  let lastTop = 0;

  const scrollToEnd = () => {
    talk.scrollTop = talk.scrollHeight;
    lastTop = talk.scrollTop;
  };
  talk.addEventListener('scroll', () => {
    following = followsAfter(following, lastTop, talk);
    lastTop = talk.scrollTop;
    if (following) latest.hidden = true;
  });
  latest.addEventListener('click', () => {
    following = true;
    latest.hidden = true;
    scrollToEnd();
  });
  // The dock below grows and shrinks, and phones are turned.
  new ResizeObserver(() => following && scrollToEnd()).observe(talk);

  /**
   * @param {HTMLElement} parent
   * @param {Bubble[]} bubbles
   * @param {Set<string>} unseen keys that no list has used yet
   */
  const fill = (parent, bubbles, unseen) => {
    let next = parent.firstElementChild;
    for (const bubble of bubbles) {
      unseen.delete(bubble.key);
      let element = elements.get(bubble.key);
      if (element === undefined) {
        element = /** @type {HTMLElement} */ (template.content.firstElementChild?.cloneNode(true));
        elements.set(bubble.key, element);
      }
      paint(element, bubble);
      if (element === next) next = next.nextElementSibling;
      else parent.insertBefore(element, next);
    }
  };

  /** @param {import('../model.js').Model} model */
  return function render({ conversation, saveStatus, state, setAside }) {
    const isHidden = state === 'Idle' && setAside === null;
    if (conversation === shown && saveStatus === marks && isHidden === wasHidden) return;
    const grew = shown !== null && sizeOf(conversation) > sizeOf(shown);
    [shown, marks] = [conversation, saveStatus];

    divider.hidden = !conversation.isNew;
    if (conversation.language !== null && talk.lang !== conversation.language) talk.lang = conversation.language;
    const unseen = new Set(elements.keys());
    const records = conversation.turns.map((turn) => ofTurn(turn, saveStatus));
    const rest = [...conversation.pending.map(ofPending), ...conversation.drafts.map(ofDraft)];
    fill(record, records, unseen);
    fill(upcoming, rest.sort((one, other) => one.createdAt - other.createdAt), unseen);
    for (const key of unseen) {
      elements.get(key)?.remove();
      elements.delete(key);
    }

    if (following || wasHidden) scrollToEnd();
    else if (grew) latest.hidden = false;
    wasHidden = isHidden;
  };
}

/**
 * A scroll event tells neither what scrolled nor when: the dock may have grown since. Only a user scrolls up.
 *
 * @param {boolean} following before the scroll
 * @param {number} lastTop `scrollTop` before the scroll, in pixels
 * @param {Pick<Element, 'scrollTop' | 'scrollHeight' | 'clientHeight'>} talk as it is now
 * @returns {boolean} whether new words are to be scrolled into sight
 */
export function followsAfter(following, lastTop, { scrollTop, scrollHeight, clientHeight }) {
  if (scrollHeight - scrollTop - clientHeight <= BOTTOM_SLACK_PX) return true;
  return following && scrollTop >= lastTop;
}

/** @param {import('../conversation.js').Conversation} conversation */
const sizeOf = ({ turns, drafts, pending }) => turns.length + drafts.length + pending.length;

/**
 * @param {import('../conversation.js').Turn} turn
 * @param {import('../save-status.js').SaveStatus} saveStatus
 * @returns {Bubble}
 */
function ofTurn(turn, saveStatus) {
  const { key, id, seq, late, role, text, createdAt, saved } = turn;
  return { key, id, seq: late ? null : seq, role, text, createdAt, saved, draft: false, ...noteOf(turn, saveStatus) };
}

/**
 * @param {import('../conversation.js').Turn} turn
 * @param {import('../save-status.js').SaveStatus} saveStatus
 * @returns {Pick<Bubble, 'note' | 'saving'>}
 */
export function noteOf({ id, interrupted, saved, fate }, { late, saved: justSaved }) {
  if (fate === 'lost') return { note: 'Not saved', saving: '' };
  if (fate === 'resend') return { note: 'Waiting to be sent', saving: '' };
  if (!saved && late.has(id)) return { note: 'Not saved yet', saving: 'waiting' };
  if (justSaved.has(id)) return { note: 'Saved', saving: 'saved' };
  return { note: interrupted ? 'Interrupted' : '', saving: '' };
}

/**
 * @param {import('../outbox.js').Typed} message
 * @returns {Bubble}
 */
function ofPending({ id, text, createdAt }) {
  return { key: id, id, seq: null, role: 'user', text, createdAt, saved: false, draft: false, note: 'Waiting to be sent', saving: '' };
}

/**
 * @param {import('../conversation.js').Draft} draft
 * @returns {Bubble}
 */
function ofDraft({ key, role, text, createdAt }) {
  return { key, id: '', seq: null, role, text, createdAt, saved: false, draft: true, note: '', saving: '' };
}

/**
 * @param {HTMLElement} element
 * @param {Bubble} bubble
 */
function paint(element, { id, seq, role, text, createdAt, saved, draft, note, saving }) {
  setData(element, {
    role,
    turnId: id,
    seq: seq === null ? '' : String(seq),
    saved: String(saved),
    draft: String(draft),
    saving,
  });
  setText(find(element, '.who'), NAMES[role]);
  setText(find(element, '.turn-text'), text);
  setText(find(element, '.turn-note'), note);
  const time = /** @type {HTMLTimeElement} */ (find(element, 'time'));
  const when = new Date(createdAt * 1000);
  const iso = when.toISOString();
  if (time.dateTime !== iso) {
    time.dateTime = iso;
    setText(time, clock(when, new Date()));
  }
}

const TIME = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const DAY_AND_TIME = new Intl.DateTimeFormat(undefined, { weekday: 'short', hour: '2-digit', minute: '2-digit' });

/**
 * @param {Date} when
 * @param {Date} now
 */
function clock(when, now) {
  return (when.toDateString() === now.toDateString() ? TIME : DAY_AND_TIME).format(when);
}
