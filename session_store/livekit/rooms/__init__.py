"""LiveKit's server API, for the workers and the gateway. Does not load livekit-agents."""
