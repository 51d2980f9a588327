"""Runs in a job: what happens when a model provider fails."""
