import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openIdentity } from './identity.js';

const fakeStorage = (content = {}) => ({
  content,
  getItem: (key) => content[key] ?? null,
  setItem: (key, value) => {
    content[key] = value;
  },
});
const blocked = () => {
  throw new DOMException('denied', 'SecurityError');
};

test('A first visit makes an identity of 128 bits and keeps it.', async () => {
  const storage = fakeStorage();
  const identity = openIdentity(() => storage);
  const { participant_identity: id, participant_attributes: attributes } = await identity.proof();
  assert.match(id, /^[A-Za-z0-9_-]{22}$/);
  assert.match(attributes['rj.load'], /^[A-Za-z0-9_-]{22}$/);
  assert.deepEqual([identity.isNew, identity.remembered], [true, true]);
  assert.equal(storage.content['rejoin.identity'], id);
});

test('A reload is the same identity with another load id.', async () => {
  const storage = fakeStorage();
  const first = await openIdentity(() => storage).proof();
  const identity = openIdentity(() => storage);
  const second = await identity.proof();
  assert.equal(identity.isNew, false);
  assert.equal(second.participant_identity, first.participant_identity);
  assert.notEqual(second.participant_attributes['rj.load'], first.participant_attributes['rj.load']);
  assert.deepEqual(await identity.proof(), second, 'within one load nothing changes');
});

test('A malformed identity is replaced.', async () => {
  for (const bad of ['', 'short', `${'x'.repeat(22)} y`, 'x'.repeat(65)]) {
    const storage = fakeStorage({ 'rejoin.identity': bad });
    const identity = openIdentity(() => storage);
    assert.equal(identity.isNew, true);
    assert.notEqual((await identity.proof()).participant_identity, bad);
  }
});

test('Where storage is blocked it works for this load, and says that it is not remembered.', async () => {
  const identity = openIdentity(blocked);
  assert.deepEqual([identity.isNew, identity.remembered], [true, false]);
  assert.match((await identity.proof()).participant_identity, /^[\w-]{22}$/);
});

test('Storage that swallows writes counts as not remembered.', () => {
  assert.equal(openIdentity(() => ({ getItem: () => null, setItem: () => {} })).remembered, false);
});

test('Forgetting makes another identity, on disk too.', async () => {
  const storage = fakeStorage();
  const identity = openIdentity(() => storage);
  const before = await identity.proof();
  identity.forget();
  const after = await identity.proof();
  assert.notEqual(after.participant_identity, before.participant_identity);
  assert.notEqual(after.participant_attributes['rj.load'], before.participant_attributes['rj.load']);
  assert.equal(storage.content['rejoin.identity'], after.participant_identity);
  assert.equal(identity.isNew, true);
});
