/** The door: one request that turns the identity into a LiveKit token. */
import { isObject, isText, parseAdmission } from './wire.js';

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
 * @param {AbortSignal} [request.signal]
 * @param {typeof fetch} [fetcher]
 * @returns {Promise<import('./wire.js').Admission>}
 * @throws {GatewayError} or the signal's reason when aborted
 */
export async function requestToken({ proof, sessionId, afterSeq, newSession = false, signal }, fetcher = fetch) {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  /** @type {Response} */
  let response;
  /** @type {any} */
  let body;
  try {
    response = await fetcher('api/token', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        ...proof,
        ...(newSession ? { new_session: true } : sessionId === null ? {} : { session_id: sessionId, after_seq: afterSeq }),
      }),
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
  const Refusal = code === 'conversation_unreadable' ? ConversationUnreadable : GatewayRefused;
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
