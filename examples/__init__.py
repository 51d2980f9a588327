"""Agents as anybody would write them, before and after Rejoin; ``docs/binding.md`` explains."""
