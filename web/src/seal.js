/**
 * AES-GCM with a key that the browser holds and never exports. It protects the saved conversation from casual reading
 * of the disk, and no more: a copied browser profile can still use the key.
 */

/** @typedef {{ iv: Uint8Array<ArrayBuffer>, data: ArrayBuffer }} Sealed */

/** @returns {boolean} false in an insecure context, where browsers offer no `crypto.subtle` */
export const canSeal = () => globalThis.crypto?.subtle !== undefined;

/** @returns {Promise<CryptoKey>} non-extractable; IndexedDB can store it as it is */
export const makeKey = () =>
  crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt']);

/**
 * @param {CryptoKey} key
 * @param {unknown} value anything that JSON can carry
 * @param {string} place where it belongs; it does not open in another place
 * @returns {Promise<Sealed>}
 */
export async function seal(key, value, place) {
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const plain = new TextEncoder().encode(JSON.stringify(value));
  return { iv, data: await crypto.subtle.encrypt(algorithm(iv, place), key, plain) };
}

/**
 * @param {CryptoKey} key
 * @param {Sealed} sealed
 * @param {string} place
 * @returns {Promise<unknown>}
 * @throws if the seal is broken, or was made with another key or for another place
 */
export async function unseal(key, sealed, place) {
  const plain = await crypto.subtle.decrypt(algorithm(sealed.iv, place), key, sealed.data);
  return JSON.parse(new TextDecoder().decode(plain));
}

/**
 * @param {Uint8Array<ArrayBuffer>} iv
 * @param {string} place
 * @returns {AesGcmParams}
 */
function algorithm(iv, place) {
  return { name: 'AES-GCM', iv, additionalData: new TextEncoder().encode(place) };
}
