"""The HTTP door: turns an identity into a LiveKit token, and makes sure that an agent is there."""
