import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRecord } from './protocol.js';

const record = (value) => parseRecord(JSON.stringify({ v: 1, ...value }));

test('The six records of the contract are understood.', () => {
  assert.deepEqual(record({ type: 'hello', session_id: 's', language: 'es', last_seq: 9 }), {
    type: 'hello',
    sessionId: 's',
    language: 'es',
    lastSeq: 9,
    back: false,
    saved: true,
  });
  const successor = record({ type: 'hello', session_id: 's', last_seq: 9, back: true, saved: false });
  assert.deepEqual([successor.back, successor.saved], [true, false]);
  const turn = { id: 't', seq: 4, role: 'assistant', text: '', created_at: 5, interrupted: true, saved: false };
  assert.deepEqual(record({ type: 'turn', ...turn })?.turn.interrupted, true);
  assert.deepEqual(record({ type: 'saved', turns: [{ id: 't', seq: 4 }, null, {}] }), {
    type: 'saved',
    turns: [{ id: 't', seq: 4 }],
  });
  assert.deepEqual(record({ type: 'refused', id: 'm', message: 'Too long.' }), {
    type: 'refused',
    id: 'm',
    message: 'Too long.',
  });
  assert.deepEqual(record({ type: 'notice', text: 'I hear nothing right now.', language: 'en' }), {
    type: 'notice',
    text: 'I hear nothing right now.',
    language: 'en',
  });
  assert.deepEqual(record({ type: 'notice', text: '' }), { type: 'notice', text: '', language: null });
  assert.deepEqual(record({ type: 'erased' }), { type: 'erased' });
});

test('What is malformed, of another version or of a later type is ignored.', () => {
  for (const text of ['', 'null', '[]', '{"type":"erased"}', '{"v":2,"type":"erased"}', '{"v":1,"type":"poem"}']) {
    assert.equal(parseRecord(text), null);
  }
  assert.equal(record({ type: 'turn', id: 't', seq: -1, role: 'user', text: 'x' }), null);
  assert.equal(record({ type: 'turn', id: 't', seq: 1, role: 'system', text: 'x' }), null);
});
