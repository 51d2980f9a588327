import assert from 'node:assert/strict';
import { test } from 'node:test';
import { followsAfter } from './transcript.js';

const talk = (scrollTop, clientHeight = 500) => ({ scrollTop, scrollHeight: 2000, clientHeight });

test('After a scroll up, new words are not followed; back at the end, they are.', () => {
  assert.equal(followsAfter(true, 1500, talk(1200)), false);
  assert.equal(followsAfter(false, 1200, talk(1300)), false);
  assert.equal(followsAfter(false, 1300, talk(1490)), true);
});

test('A small slip of a finger does not end the following.', () => {
  assert.equal(followsAfter(true, 1500, talk(1460)), true);
});

test('A scroll by the page itself does not end it, even if the dock has grown since.', () => {
  assert.equal(followsAfter(true, 1500, talk(1500, 420)), true);
  assert.equal(followsAfter(true, 1300, talk(1500, 420)), true);
});
