/** The one model of the page: everything that the views show. */
import { EMPTY } from './conversation.js';
import { ALL_SAVED } from './save-status.js';
import { INITIAL_STATE } from './states.js';

/** @typedef {'retry' | 'new' | 'either'} Remedy what may help: another try, a new conversation */
/** @typedef {'tab' | 'device' | 'paused' | 'agent'} SetAside why the conversation is not here, though the user has not ended it */

/** @typedef {{ text: string, language: string | null }} AgentNotice what the agent cannot do now: think, hear or speak */

/**
 * @typedef {object} Model everything that the views show
 * @property {import('./states.js').State} state
 * @property {import('./conversation.js').Conversation} conversation
 * @property {boolean} agentReady
 * @property {import('./connection.js').AgentState | null} agentState
 * @property {import('./agent-wait-timer.js').AgentWait} waiting for the agent
 * @property {import('./microphone.js').MicState} mic
 * @property {boolean} micWanted the user had it on
 * @property {boolean} audioBlocked
 * @property {{ message: string, retrying: boolean, remedy: Remedy } | null} failure
 * @property {string | null} refusal why the agent did not take a message
 * @property {AgentNotice | null} agentNotice
 * @property {SetAside | null} setAside
 * @property {import('./save-status.js').SaveStatus} saveStatus
 * @property {boolean} back an agent has just gone on where another one had stopped
 * @property {boolean} erased
 * @property {boolean} remembered
 */

/**
 * @typedef {object} Page what the parts of the app may do with the model
 * @property {() => Model} model as it is now
 * @property {(change: Partial<Model>) => void} set
 * @property {(event: import('./states.js').StateEvent) => void} become
 * @property {(event: import('./conversation.js').ConversationEvent) => void} dispatch
 */

/**
 * @param {boolean} remembered whether this browser keeps anything for the page
 * @returns {Model}
 */
export const freshModel = (remembered) => ({
  state: INITIAL_STATE,
  conversation: EMPTY,
  agentReady: false,
  agentState: null,
  waiting: 'no',
  mic: 'off',
  micWanted: false,
  audioBlocked: false,
  failure: null,
  refusal: null,
  agentNotice: null,
  setAside: null,
  saveStatus: ALL_SAVED,
  back: false,
  erased: false,
  remembered,
});
