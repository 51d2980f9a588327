/** What the user chose on this page, and whether its agent has ended. Kept with the conversation, over reloads. */
import { isObject, isText } from './protocol.js';

/**
 * @typedef {object} Settings
 * @property {boolean} live whether a reload goes on by itself
 * @property {boolean} agentEnded whether the agent has ended the conversation
 * @property {'on' | 'muted' | 'off'} mic what the user wants of it
 * @property {string | null} deviceId null: the browser's default microphone
 */

/** @type {Readonly<Settings>} */
export const DEFAULT_SETTINGS = Object.freeze({ live: false, agentEnded: false, mic: 'off', deviceId: null });

/**
 * @param {any} value what was saved, perhaps by an older version of the page
 * @returns {Settings}
 */
export function settingsFrom(value) {
  if (!isObject(value)) return { ...DEFAULT_SETTINGS };
  return {
    live: value.live === true,
    agentEnded: value.agentEnded === true,
    mic: value.mic === 'on' || value.mic === 'muted' ? value.mic : 'off',
    deviceId: isText(value.deviceId) ? value.deviceId : null,
  };
}
