/** The door: one request that turns the identity into a LiveKit token. */
import { isObject, isText, parseAdmission } from './protocol.js';

const TIMEOUT_MS = 8000;

/** What went wrong at the door. `message` is a sentence for the person in front of the page. */
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
    /** Whether the same request may succeed later without anybody changing anything. */
    this.retryable = retryable;
  }
}

/** No answer: no network, nobody listening, or too slow. */
export class GatewayUnreachable extends GatewayError {
  constructor() {
    super('The server cannot be reached. Check your connection.', { code: 'unreachable', retryable: true });
  }
}

/** It answered that it cannot do it now (5xx, 408, 429). */
export class GatewayUnavailable extends GatewayError {}

/** It answered that it will not do it (other 4xx). */
export class GatewayRefused extends GatewayError {}

/** It answered that the conversation does not open, though a new one would. */
export class ConversationUnreadable extends GatewayRefused {}

/** It answered that the agents of this conversation died again and again, so that none comes for a while. */
export class AgentKeepsFailing extends GatewayRefused {
  constructor(
    message = 'The assistant stopped several times in this conversation. What was said is kept. Try again in a minute, or start a new conversation.',
    details = { code: 'agent_keeps_failing', retryable: false },
  ) {
    super(message, details);
  }
}

/** It answered, being asked, that the same participant is in the room by another page load. */
export class GoesOnElsewhere extends GatewayRefused {}

/** @type {Readonly<Record<string, typeof GatewayRefused>>} */
const REFUSALS = {
  conversation_unreadable: ConversationUnreadable,
  agent_keeps_failing: AgentKeepsFailing,
  goes_on_elsewhere: GoesOnElsewhere,
};

/** It answered with something else than the contract says: another version, or a proxy in between. */
export class GatewayGarbled extends GatewayError {
  constructor(/** @type {number} */ status) {
    super('The server gave an answer that this page does not understand. Reload the page.', {
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
 * @param {boolean} [request.newSession] begin another session, whatever the page shows
 * @param {boolean} [request.withoutStore] the page was let into that session while the store was away, and has not
 *   heard since that the store has it
 * @param {boolean} [request.unlessElsewhere] not if the same participant is there by another page load
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
  const message = isText(error.message) ? error.message : 'The server refused this request. Reload the page.';
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
