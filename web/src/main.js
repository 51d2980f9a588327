/** The order of a page load: first paint what was saved, then connect. */
import { App } from './app.js';
import { History } from './history.js';
import { openIdentity } from './identity.js';
import { createView } from './view/index.js';

/** @type {((model: import('./model.js').Model) => void) | null} */
let view = null;
let isScheduled = false;

/** Renders once for all changes of one moment. */
function schedule() {
  if (isScheduled || view === null) return;
  isScheduled = true;
  queueMicrotask(() => {
    isScheduled = false;
    view?.(app.model);
  });
}

const app = new App({ identity: openIdentity(), history: new History(), onChange: schedule });
const goesOn = await app.restore();
view = createView(app);
view(app.model);
await nextPaint();
performance.mark('rejoin:screen');

if (goesOn) void app.rejoin();
else whenIdle(() => app.warmUp());

for (const type of ['pointerup', 'keydown']) addEventListener(type, () => app.levels.wake(), { passive: true });
addEventListener('online', () => app.wake());
document.addEventListener('resume', () => app.wake());
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible') app.wake();
});

/** Resolves when the next frame has been painted. A hidden tab paints none, so it does not wait. */
function nextPaint() {
  return /** @type {Promise<void>} */ (
    new Promise((resolve) => {
      if (document.visibilityState === 'hidden') return resolve();
      requestAnimationFrame(() => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => {
          port1.close();
          resolve();
        };
        port2.postMessage(null);
      });
    })
  );
}

/** @param {() => void} task */
function whenIdle(task) {
  if ('requestIdleCallback' in globalThis) requestIdleCallback(task, { timeout: 2000 });
  else setTimeout(task, 500);
}
