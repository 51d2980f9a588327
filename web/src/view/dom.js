/** DOM helpers that the views share. They write text, never markup: the page runs under Trusted Types. */

/**
 * @template {Element} [T=HTMLElement]
 * @param {string} id of an element of index.html
 * @returns {T}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`index.html has no #${id}`);
  return /** @type {T} */ (/** @type {unknown} */ (element));
}

/**
 * @param {Element} root
 * @param {string} selector
 * @returns {HTMLElement}
 */
export function find(root, selector) {
  const element = root.querySelector(selector);
  if (element === null) throw new Error(`no ${selector}`);
  return /** @type {HTMLElement} */ (element);
}

/**
 * Writes only changes, so that live regions speak once and selections survive.
 *
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * @param {HTMLElement} element
 * @param {Record<string, string>} data
 */
export function setData(element, data) {
  for (const [name, value] of Object.entries(data)) {
    if (element.dataset[name] !== value) element.dataset[name] = value;
  }
}
