/** The text field. A message stays in it until it is accepted, however long it is. */
import { byId, setText } from './dom.js';

/** The server's limit, in characters (code points). */
export const MAX_CHARACTERS = 4000;
/** The most that the field holds. The browser cuts a longer paste. */
const MAX_FIELD_LENGTH = 10_000;
const COUNT_FROM = 3600;

/** @param {import('../app.js').App} app */
export function createComposer(app) {
  /** @type {HTMLTextAreaElement} */
  const field = byId('message');
  const note = byId('message-note');
  const send = byId('send');
  field.maxLength = MAX_FIELD_LENGTH;

  const update = () => {
    const problem = noteOn(field.value);
    setText(note, problem ?? '');
    note.hidden = problem === null;
    const tooLong = lengthOf(field.value) > MAX_CHARACTERS;
    field.setAttribute('aria-invalid', String(tooLong));
    send.setAttribute('aria-disabled', String(tooLong || field.value.trim() === ''));
    field.style.setProperty('height', 'auto');
    field.style.setProperty('height', `${field.scrollHeight}px`);
  };

  field.addEventListener('input', update);
  field.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    byId('composer').dispatchEvent(new SubmitEvent('submit', { cancelable: true }));
  });
  byId('composer').addEventListener('submit', (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (text === '' || lengthOf(text) > MAX_CHARACTERS) return field.focus();
    app.type(text);
    field.value = '';
    update();
  });
  update();
}

/**
 * @param {string} text as it stands in the field
 * @returns {string | null}
 */
export function noteOn(text) {
  const length = lengthOf(text.trim());
  if (text.length >= MAX_FIELD_LENGTH) {
    return `This field holds ${format(MAX_FIELD_LENGTH)} characters; the rest was cut off. You can send up to ${format(MAX_CHARACTERS)} at once.`;
  }
  if (length > MAX_CHARACTERS) {
    return `${format(length - MAX_CHARACTERS)} characters too long. Shorten it, or send it in parts of up to ${format(MAX_CHARACTERS)}.`;
  }
  return length >= COUNT_FROM ? `${format(MAX_CHARACTERS - length)} characters left` : null;
}

/** @param {string} text */
const lengthOf = (text) => [...text].length;

/** @param {number} count */
const format = (count) => count.toLocaleString('en');
