"""Typical LiveKit agents with Rejoin. ``before`` holds them without it; see ``docs/binding.md``."""
