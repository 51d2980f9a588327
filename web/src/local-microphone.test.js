import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { LocalMicrophone } from './local-microphone.js';

beforeEach(() => {
  Object.defineProperty(globalThis, 'navigator', {
    value: { mediaDevices: { getUserMedia() {} } },
    configurable: true,
  });
});

/** A microphone that the browser gives when `give` is called. */
function setUp() {
  const events = [];
  let give;
  let ended;
  const given = new Promise((resolve, reject) => {
    give = (error) => (error ? reject(error) : resolve(undefined));
  });
  const track = {
    mediaStreamTrack: 'sound',
    stop: () => events.push('stopped'),
    mute: async () => events.push('muting'),
    unmute: async () => events.push('unmuting'),
    on: (_name, handler) => (ended = handler),
  };
  const load = async () => ({
    createLocalAudioTrack: async () => (await given, track),
    Track: { Source: { Microphone: 'microphone' } },
  });
  const microphone = new LocalMicrophone({
    load,
    onState: (state) => events.push(state),
    onTrack: (shown) => events.push(shown),
    onOpened: async () => void events.push('opened'),
  });
  return { microphone, events, give, track, unplug: () => ended() };
}

test('It is asked for once, however often it is opened meanwhile.', async () => {
  const { microphone, events, give } = setUp();
  const opening = [microphone.open(null), microphone.open(null)];
  give();
  await Promise.all(opening);
  assert.deepEqual(events, ['asking', 'sound', 'on', 'opened']);
});

test('One that the browser gives after it was closed is stopped at once.', async () => {
  const { microphone, events, give } = setUp();
  const opening = microphone.open(null);
  microphone.close();
  give();
  await opening;
  assert.deepEqual(events, ['asking', 'stopped']);
});

test('A refusal is reported, but not after it was closed.', async () => {
  const blocked = Object.assign(new Error('no'), { name: 'NotAllowedError' });
  const one = setUp();
  const opening = one.microphone.open(null);
  one.give(blocked);
  await opening;
  assert.deepEqual(one.events, ['asking', 'blocked']);
  const other = setUp();
  const late = other.microphone.open(null);
  other.microphone.close();
  other.give(blocked);
  await late;
  assert.deepEqual(other.events, ['asking']);
});

test('Opened again, it is unmuted; unplugged, it is closed.', async () => {
  const { microphone, events, give, unplug } = setUp();
  give();
  await microphone.open(null);
  await microphone.mute();
  await microphone.open(null);
  unplug();
  assert.deepEqual(events.slice(4), ['muting', 'muted', 'unmuting', 'on', 'stopped', null, 'off']);
});

test('It is published once in a room.', async () => {
  const { microphone, give, track } = setUp();
  const publications = new Map();
  const room = {
    localParticipant: {
      audioTrackPublications: publications,
      publishTrack: async (published) => publications.set(`p${publications.size}`, { track: published }),
    },
  };
  await microphone.publish(room);
  assert.equal(publications.size, 0);
  give();
  await microphone.open(null);
  await microphone.publish(room);
  await microphone.publish(room);
  assert.deepEqual([...publications.values()], [{ track }]);
});

test('Without an interface for microphones, it says so.', async () => {
  Object.defineProperty(globalThis, 'navigator', { value: {}, configurable: true });
  const { microphone, events } = setUp();
  await microphone.open(null);
  assert.deepEqual([events, await microphone.devices()], [['unsupported'], []]);
});
