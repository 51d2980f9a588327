import assert from 'node:assert/strict';
import { test } from 'node:test';
import { followsAfter } from './transcript.js';

const talk = (scrollTop, clientHeight = 500) => ({ scrollTop, scrollHeight: 2000, clientHeight });

test('A person who scrolls up is not followed; at the end, they are again.', () => {
  assert.equal(followsAfter(true, 1500, talk(1200)), false);
  assert.equal(followsAfter(false, 1200, talk(1300)), false);
  assert.equal(followsAfter(false, 1300, talk(1490)), true);
});

test('A finger that slips a little is no reason to stop.', () => {
  assert.equal(followsAfter(true, 1500, talk(1460)), true);
});

test('The own scroll of the page does not end it, though the dock has grown since.', () => {
  assert.equal(followsAfter(true, 1500, talk(1500, 420)), true);
  assert.equal(followsAfter(true, 1300, talk(1500, 420)), true);
});
