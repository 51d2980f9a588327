/** The microphone button and the list of devices. */
import { byId, setData, setText } from './dom.js';

/** @type {Record<import('../microphone.js').MicState, string>} */
const LABELS = {
  off: 'Turn the microphone on',
  asking: 'Waiting for your permission',
  on: 'Mute the microphone',
  muted: 'Unmute the microphone',
  blocked: 'Microphone blocked; ask again',
  missing: 'No microphone; look again',
  busy: 'Microphone not available; try again',
  unsupported: 'Microphone not available on this page',
};

/** @param {import('../app.js').App} app */
export function createMicrophone(app) {
  const [mic, icon, picker, list] = [byId('mic'), byId('mic-icon'), byId('mic-picker'), byId('mics')];
  mic.addEventListener('click', () => void app.toggleMicrophone());

  const fill = async () => {
    const devices = await app.microphones();
    list.replaceChildren(
      ...devices.map(({ id, label, active }, index) => {
        const item = document.createElement('button');
        item.type = 'button';
        item.className = 'menu-item';
        item.setAttribute('aria-pressed', String(active));
        setText(item, label || `Microphone ${index + 1}`);
        item.addEventListener('click', () => {
          list.hidePopover?.();
          void app.useMicrophone(id);
        });
        return item;
      }),
    );
  };
  list.addEventListener('beforetoggle', (event) => {
    if (/** @type {ToggleEvent} */ (event).newState === 'open') void fill();
  });
  navigator.mediaDevices?.addEventListener('devicechange', () => {
    if (list.matches(':popover-open')) void fill();
  });

  /** @param {import('../model.js').Model} model */
  return function render(model) {
    const isOn = model.mic === 'on';
    setData(mic, { state: model.mic });
    mic.setAttribute('aria-label', LABELS[model.mic]);
    mic.setAttribute('aria-pressed', String(isOn));
    mic.title = LABELS[model.mic];
    icon.setAttribute('href', isOn ? '#icon-mic' : '#icon-mic-off');
    picker.hidden = !isOn && model.mic !== 'muted';
  };
}
