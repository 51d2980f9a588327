/** What the browser says about the microphone, in the page's words. */

/**
 * - `off`: not asked for
 * - `asking`: the browser is asking the user
 * - `on`, `muted`
 * - `blocked`: the user (or a policy) said no
 * - `missing`: there is none
 * - `busy`: the system did not give it
 * - `unsupported`: the browser offers none on this page, which is so without https
 *
 * @typedef {'off' | 'asking' | 'on' | 'muted' | 'blocked' | 'missing' | 'busy' | 'unsupported'} MicState
 */

export const hasMicrophoneApi = () => navigator.mediaDevices?.getUserMedia !== undefined;

/** @returns {Promise<boolean>} true only when opening the microphone surely asks nothing */
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
  blocked: 'The microphone is blocked. Allow it in the site settings beside the address, or type instead.',
  missing: 'No microphone was found. Plug one in, or type instead.',
  busy: 'The microphone did not start; another program may be using it. Try again, or type instead.',
  unsupported: 'The microphone works only on a secure (https) page. You can type instead.',
};
