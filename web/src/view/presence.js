/** What the assistant does now, in a word and as a line. */
import { Thread } from './thread.js';
import { byId, setData, setText } from './dom.js';

/** @type {Record<import('../connection.js').AgentState, string>} */
const WORDS = {
  initializing: 'Getting ready',
  idle: 'Quiet',
  listening: 'Listening',
  thinking: 'Thinking',
  speaking: 'Speaking',
};

/** @param {import('../app.js').App} app */
export function createPresence(app) {
  const word = byId('agent-state');
  const thread = new Thread(byId('thread'), () => app.levels.read());

  /** @param {import('../model.js').Model} model */
  return function render(model) {
    const isThere = model.state === 'Connected' && (model.agentReady || model.agentState === 'initializing');
    const agentState = isThere ? (model.agentState ?? 'idle') : null;
    setText(word, agentState === null ? '' : WORDS[agentState]);
    setData(word, { state: agentState ?? '' });
    thread.show({
      joined: model.state === 'Connected' && model.agentReady,
      searching: model.state === 'Connecting' || model.state === 'Reconnecting' || model.waiting !== 'no',
      thinking: agentState === 'thinking',
      hearing: model.mic === 'on',
    });
  };
}
