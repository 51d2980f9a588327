/** The states of the microphone, and what the user reads about them. */

/**
 * - `off`: not opened
 * - `asking`: the browser is asking the user
 * - `on`, `muted`
 * - `blocked`: the user or a policy refused
 * - `missing`: no microphone was found
 * - `busy`: the system did not open it
 * - `unsupported`: browsers offer no microphone on a page without https
 *
 * @typedef {'off' | 'asking' | 'on' | 'muted' | 'blocked' | 'missing' | 'busy' | 'unsupported'} MicState
 */

export const hasMicrophoneApi = () => navigator.mediaDevices?.getUserMedia !== undefined;

/** @returns {Promise<boolean>} true only if the browser opens the microphone without asking the user */
export async function isMicrophoneGranted() {
  try {
    const name = /** @type {PermissionName} */ ('microphone');
    return (await navigator.permissions.query({ name })).state === 'granted';
  } catch {
    return false;
  }
}

/**
 * @param {unknown} error what `getUserMedia` threw
 * @returns {MicState}
 */
export function micStateOf(error) {
  const name = error instanceof Error ? error.name : '';
  if (name === 'NotAllowedError' || name === 'SecurityError') return 'blocked';
  if (name === 'NotFoundError' || name === 'OverconstrainedError') return 'missing';
  return 'busy';
}

/** @type {Readonly<Partial<Record<MicState, string>>>} */
export const MIC_NOTES = {
  blocked: 'The microphone is blocked. Allow it in the site settings next to the address, or type instead.',
  missing: 'No microphone was found. Plug one in, or type instead.',
  busy: 'The microphone did not start; another program may be using it. Try again, or type instead.',
  unsupported: 'The microphone works only on a secure (https) page. You can type instead.',
};
