"""The same agents without Rejoin."""
