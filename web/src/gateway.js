/** The token request: it turns the identity into an admission with a LiveKit token. */
import { isObject, isText, parseAdmission } from './protocol.js';

const TIMEOUT_MS = 8000;

/** Why the page was not admitted. `message` is a sentence for the user. */
export class GatewayError extends Error {
  /**
   * @param {string} message
   * @param {{ code: string, status?: number, retryable: boolean }} details
   */
  constructor(message, { code, status, retryable }) {
    super(message);
    this.name = new.target.name;
    this.code = code;
    this.status = status;
    /** Whether the same request may succeed later. */
    this.retryable = retryable;
  }
}

/** No answer: no network, no server, or too slow. */
export class GatewayUnreachable extends GatewayError {
  constructor() {
    super('The server cannot be reached. Check your network.', { code: 'unreachable', retryable: true });
  }
}

/** The gateway cannot admit the page now (5xx, 408, 429). */
export class GatewayUnavailable extends GatewayError {}

/** The gateway refuses (other 4xx). */
export class GatewayRefused extends GatewayError {}

/** The stored conversation does not open. A new one would. */
export class ConversationUnreadable extends GatewayRefused {}

/** The agents of this conversation died again and again, so none is sent for a while. */
export class AgentKeepsFailing extends GatewayRefused {
  constructor(
    message = 'The assistant stopped several times in this conversation. What was said is kept. Try again in a minute, or start a new conversation.',
    details = { code: 'agent_keeps_failing', retryable: false },
  ) {
    super(message, details);
  }
}

/** The participant is in the room by another page load. The gateway says so only if it is asked. */
export class GoesOnElsewhere extends GatewayRefused {}

/** @type {Readonly<Record<string, typeof GatewayRefused>>} */
const REFUSALS = {
  conversation_unreadable: ConversationUnreadable,
  agent_keeps_failing: AgentKeepsFailing,
  goes_on_elsewhere: GoesOnElsewhere,
};

/** The answer does not follow the contract: another version, or a proxy in between. */
export class GatewayGarbled extends GatewayError {
  constructor(/** @type {number} */ status) {
    super('Something went wrong. Please reload the page.', {
      code: 'garbled',
      status,
      retryable: false,
    });
  }
}

/**
 * @param {object} request
 * @param {import('./identity.js').Proof} request.proof
 * @param {string | null} request.sessionId the session that the page shows
 * @param {number} request.afterSeq the newest `seq` of it that the page has for sure
 * @param {boolean} [request.newSession] start another session, whatever the page shows
 * @param {boolean} [request.withoutStore] the page was admitted while the store was away, and does not know yet that
 *   the store has the session
 * @param {boolean} [request.unlessElsewhere] refuse if the participant is in the room by another page load
 * @param {AbortSignal} [request.signal]
 * @param {typeof fetch} [fetcher]
 * @returns {Promise<import('./protocol.js').Admission>}
 * @throws {GatewayError} or the signal's reason when aborted
 */
export async function requestToken({ proof, signal, ...wanted }, fetcher = fetch) {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  /** @type {Response} */
  let response;
  /** @type {any} */
  let body;
  try {
    response = await fetcher('api/token', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...proof, ...fieldsOf(wanted) }),
      cache: 'no-store',
      credentials: 'omit',
      referrerPolicy: 'no-referrer',
      signal: signal ? anySignal([signal, timeout]) : timeout,
    });
    body = await response.json().catch((error) => {
      if (error instanceof SyntaxError) return null;
      throw error;
    });
  } catch {
    signal?.throwIfAborted();
    throw new GatewayUnreachable();
  }

  if (!response.ok) throw refusal(response.status, body);
  const admission = parseAdmission(body);
  if (admission === null) throw new GatewayGarbled(response.status);
  return admission;
}

/**
 * @param {{ sessionId: string | null, afterSeq: number, newSession?: boolean, withoutStore?: boolean, unlessElsewhere?: boolean }} wanted
 */
function fieldsOf({ sessionId, afterSeq, newSession, withoutStore, unlessElsewhere }) {
  if (newSession) return { new_session: true };
  if (sessionId === null) return {};
  return {
    session_id: sessionId,
    after_seq: afterSeq,
    ...(withoutStore ? { without_store: true } : {}),
    ...(unlessElsewhere ? { unless_elsewhere: true } : {}),
  };
}

/**
 * @param {number} status
 * @param {any} body
 * @returns {GatewayError}
 */
function refusal(status, body) {
  const error = isObject(body?.error) ? body.error : {};
  const code = isText(error.code) ? error.code : `http_${status}`;
  if (status >= 500 || status === 408 || status === 429) {
    const message = isText(error.message) ? error.message : 'The server is not ready yet.';
    return new GatewayUnavailable(message, { code, status, retryable: true });
  }
  const message = isText(error.message) ? error.message : 'Something went wrong. Please reload the page.';
  const Refusal = REFUSALS[code] ?? GatewayRefused;
  return new Refusal(message, { code, status, retryable: false });
}

/**
 * `AbortSignal.any`, which browsers have only since 2024.
 *
 * @param {AbortSignal[]} signals
 * @returns {AbortSignal}
 */
function anySignal(signals) {
  if ('any' in AbortSignal) return AbortSignal.any(signals);
  const controller = new AbortController();
  for (const signal of signals) {
    if (signal.aborted) controller.abort(signal.reason);
    signal.addEventListener('abort', () => controller.abort(signal.reason), { once: true });
  }
  return controller.signal;
}
