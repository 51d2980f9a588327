/** Which parts of the page are shown: the welcome, the conversation, the dock and what is in it. */
import { isLive } from '../states.js';
import { byId, setData, setText } from './dom.js';

/** @type {Partial<Record<import('../states.js').State, string>>} states whose names mean nothing to users */
const LABELS = { Idle: 'Ready' };

/** @param {import('../app.js').App} app */
export function createScreen(app) {
  const [welcome, talk, dock, stage] = [byId('welcome'), byId('talk'), byId('dock'), byId('stage')];
  const [composer, resume, menuButton] = [byId('composer'), byId('resume'), byId('menu-button')];
  const [title, lead, startLabel, examples] = [
    byId('welcome-title'),
    byId('welcome-lead'),
    byId('start-label'),
    byId('examples'),
  ];
  const status = byId('status');

  byId('start').addEventListener('click', () => app.startTalking());
  byId('continue').addEventListener('click', () => app.resume());
  byId('end').addEventListener('click', () => void app.end());
  byId('forget').addEventListener('click', () => {
    byId('menu').hidePopover?.();
    app.type('Forget me');
  });
  for (const chip of examples.querySelectorAll('button')) {
    chip.addEventListener('click', () => app.type(chip.textContent ?? ''));
  }

  /** @param {import('../model.js').Model} model */
  return function render(model) {
    setText(status, LABELS[model.state] ?? model.state);
    setData(status, { state: model.state });

    const isWelcome = model.state === 'Idle' && model.setAside === null;
    const isAside = model.state === 'Ended' || model.setAside !== null;
    setData(document.body, { screen: isWelcome ? 'welcome' : 'talk' });
    welcome.hidden = !isWelcome;
    talk.hidden = isWelcome;
    examples.hidden = model.erased;
    menuButton.hidden = isWelcome;
    dock.hidden = false;
    stage.hidden = !isLive(model.state);
    composer.hidden = isAside;
    resume.hidden = !isAside;
    if (isAside) setText(byId('resume-text'), ASIDE_TEXTS[model.setAside ?? 'ended']);
    if (model.erased) {
      setText(title, 'Everything about you was erased.');
      setText(lead, 'Nothing is left in this browser either. If you start again, your assistant will not know you.');
      setText(startLabel, 'Start again');
    }
  };
}

const ASIDE_TEXTS = {
  ended: 'You ended this conversation. You can go on with it.',
  tab: 'This conversation is open in another tab or window.',
  device: 'This conversation is open in another window or on another device.',
  agent: 'The assistant ended this conversation.',
  paused: 'Your browser paused this conversation.',
};
