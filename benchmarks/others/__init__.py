"""What becomes of agents that other people wrote."""
