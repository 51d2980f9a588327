"""Real plugins against providers that run here, and fail when a test wants it."""
