"""Stand-ins of model providers."""
