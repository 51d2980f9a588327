/** One line about the most important thing that is going on, with a button where one helps. */
import { MIC_NOTES } from '../microphone.js';
import { byId, setData, setText } from './dom.js';

/**
 * @typedef {object} Notice
 * @property {string} text
 * @property {'problem' | 'quiet'} tone
 * @property {string} [language] of the text, where it is not the page's own
 * @property {('retry' | 'start-new')[]} [buttons]
 */

/** @type {Record<'retry' | 'new' | 'either', NonNullable<Notice['buttons']>>} */
const BUTTONS = { retry: ['retry'], new: ['start-new'], either: ['retry', 'start-new'] };

/** @param {import('../app.js').App} app */
export function createNotice(app) {
  const [notice, text, startAudio] = [byId('notice'), byId('notice-text'), byId('start-audio')];
  const [retry, startNew] = [byId('retry'), byId('start-new')];
  retry.addEventListener('click', () => app.retry());
  startNew.addEventListener('click', () => {
    // The button goes. The focus moves to where the new conversation will be.
    byId('talk').focus({ preventScroll: true });
    app.startNew();
  });
  startAudio.addEventListener('click', () => void app.startAudio());

  /** @param {import('../model.js').Model} model */
  return function render(model) {
    const current = noticeOf(model);
    notice.hidden = current === null;
    text.lang = current?.language ?? document.documentElement.lang;
    setText(text, current?.text ?? '');
    setData(notice, { tone: current?.tone ?? 'quiet' });
    retry.hidden = !current?.buttons?.includes('retry');
    startNew.hidden = !current?.buttons?.includes('start-new');
    startAudio.hidden = !model.audioBlocked || model.state !== 'Connected';
  };
}

/**
 * @param {import('../model.js').Model} model
 * @returns {Notice | null}
 */
export function noticeOf(model) {
  if (model.state === 'Failed' && model.failure) {
    const { message, retrying, remedy } = model.failure;
    return { text: `${message}${addition(model, retrying, remedy)}`, tone: 'problem', buttons: BUTTONS[remedy] };
  }
  if (model.state === 'Reconnecting') {
    return { text: 'The connection is lost. What you type is sent when it is back.', tone: 'quiet' };
  }
  if (model.refusal) return { text: model.refusal, tone: 'problem' };
  if (model.agentNotice) {
    const { text, language } = model.agentNotice;
    return { text, tone: 'problem', ...(language ? { language } : {}) };
  }
  if (model.waiting === 'late') return { text: 'This is taking longer than usual.', tone: 'problem', buttons: ['retry'] };
  if (model.waiting === 'coming') return { text: 'Your assistant is on its way…', tone: 'quiet' };
  if (model.back && model.state === 'Connected') return { text: 'Your assistant is back.', tone: 'quiet' };
  if (model.saveStatus.store === 'away') {
    return { text: 'Not saved yet. You can go on: it is saved later.', tone: 'quiet' };
  }
  if (model.saveStatus.store === 'back') return { text: 'Everything is saved.', tone: 'quiet' };
  const micNote = MIC_NOTES[model.mic];
  if (micNote && model.state === 'Connected') return { text: micNote, tone: 'problem' };
  if (model.state === 'Connected' && model.mic === 'off' && model.micWanted) {
    return { text: 'Press the microphone to talk again, or type.', tone: 'quiet' };
  }
  if (!model.remembered && model.conversation.turns.length === 0) {
    return { text: 'This browser keeps nothing for this page. A reload starts a new conversation.', tone: 'quiet' };
  }
  return null;
}

/**
 * @param {import('../model.js').Model} model
 * @param {boolean} retrying
 * @param {'retry' | 'new' | 'either'} remedy
 */
function addition(model, retrying, remedy) {
  if (remedy === 'new' && model.conversation.turns.length > 0) return ' What you see here stays until then.';
  return retrying ? ' This page keeps trying.' : '';
}
