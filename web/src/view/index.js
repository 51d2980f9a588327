/** All views, as one function of the model. */
import { createComposer } from './composer.js';
import { createMicrophone } from './microphone.js';
import { createNotice } from './notice.js';
import { createPresence } from './presence.js';
import { createScreen } from './screen.js';
import { createTranscript } from './transcript.js';

/**
 * @param {import('../app.js').App} app
 * @returns {(model: import('../model.js').Model) => void}
 */
export function createView(app) {
  const views = [createScreen(app), createTranscript(), createNotice(app), createMicrophone(app), createPresence(app)];
  createComposer(app);
  return (model) => {
    for (const render of views) render(model);
  };
}
