/** All code that is needed in a room only. The page imports it after its first paint, as one file. */
export { Room, RoomEvent, Track, createLocalAudioTrack } from 'livekit-client';
export { LinkHealth } from './link-health.js';
