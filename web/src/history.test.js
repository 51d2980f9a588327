import assert from 'node:assert/strict';
import { test } from 'node:test';
import { History } from './history.js';

/** Keeps what IndexedDB would, and lets a test spoil it. */
function fakeDrawer(content = new Map()) {
  return {
    content,
    getMany: async (keys) => keys.map((key) => content.get(key)),
    setMany: async (entries) => {
      for (const [key, value] of entries) content.set(key, value);
    },
    clear: async () => content.clear(),
  };
}
const saved = (text) => ({ conversation: { text }, settings: { live: true } });
const nothing = { conversation: null, settings: null };

test('What was saved comes back in another load, and is not readable in the drawer.', async () => {
  const drawer = fakeDrawer();
  const history = new History(() => drawer);
  assert.deepEqual(await history.load(), nothing);
  history.save(saved('my cat is called Tom'));
  await history.settled();
  const { data } = drawer.content.get('conversation');
  assert.equal(Buffer.from(data).includes('Tom'), false);
  assert.equal(drawer.content.get('key').extractable, false);
  assert.deepEqual(await new History(() => drawer).load(), saved('my cat is called Tom'));
});

test('Of many changes at once the newest is kept.', async () => {
  const drawer = fakeDrawer();
  const history = new History(() => drawer);
  for (const text of ['a', 'b', 'c']) history.save(saved(text));
  await history.settled();
  assert.deepEqual(await new History(() => drawer).load(), saved('c'));
});

test('A record that does not open is as good as none, and the settings stay.', async () => {
  const drawer = fakeDrawer();
  const history = new History(() => drawer);
  history.save(saved('a'));
  await history.settled();
  new Uint8Array(drawer.content.get('conversation').data)[0] ^= 1;
  const reopened = new History(() => drawer);
  assert.deepEqual(await reopened.load(), { conversation: null, settings: { live: true } });
  reopened.save(saved('b'));
  await reopened.settled();
  assert.deepEqual(await new History(() => drawer).load(), saved('b'));
});

/** A drawer that answers when it is told to, long after the page stopped waiting. */
async function loadedTooEarly(t, isWanted, then = async (history) => history.save(saved('b'))) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const drawer = fakeDrawer();
  const before = new History(() => drawer);
  before.save(saved('a'));
  await before.settled();
  let answer;
  const slow = { ...drawer, getMany: (keys) => new Promise((resolve) => (answer = () => resolve(drawer.getMany(keys)))) };
  const history = new History(() => slow);
  const told = new Promise((resolve) => {
    const loading = history.load((late) => {
      resolve(late);
      return isWanted;
    });
    t.mock.timers.tick(5000);
    void loading.then((first) => assert.deepEqual(first, nothing)).then(() => answer());
  });
  assert.deepEqual(await told, saved('a'));
  await then(history);
  await history.settled();
  return new History(() => drawer).load();
}

test('A slow database does not delay the page, and is used once it has answered.', async (t) => {
  assert.deepEqual(await loadedTooEarly(t, true), saved('b'));
});

test('What a slow database holds is not written over by a page that went on without it.', async (t) => {
  assert.deepEqual(await loadedTooEarly(t, false), saved('a'));
});

test('A page that went on without its slow database empties it nevertheless when its user is erased.', async (t) => {
  assert.deepEqual(await loadedTooEarly(t, false, (history) => history.wipe()), nothing);
});

test('After a wipe nothing is left, not even of a save under way.', async () => {
  const drawer = fakeDrawer();
  const history = new History(() => drawer);
  history.save(saved('a'));
  await history.wipe();
  await history.settled();
  assert.equal(drawer.content.size, 0);
});

test('Where there is no drawer the page works from memory.', async () => {
  const history = new History(() => {
    throw new DOMException('denied', 'SecurityError');
  });
  assert.deepEqual(await history.load(), nothing);
  history.save(saved('a'));
  await history.settled();
  await history.wipe();
});

test('A write that fails leaves no key behind that nothing was sealed with.', async () => {
  const drawer = fakeDrawer();
  let isFull = true;
  const setMany = drawer.setMany;
  drawer.setMany = async (entries) => {
    if (isFull) throw new DOMException('full', 'QuotaExceededError');
    await setMany(entries);
  };
  const history = new History(() => drawer);
  history.save(saved('a'));
  await history.settled();
  isFull = false;
  history.save(saved('b'));
  await history.settled();
  assert.deepEqual(await new History(() => drawer).load(), saved('b'));
});
