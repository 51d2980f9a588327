"""Real LiveKit, Redis and workers, which are killed, stalled and cut off."""
