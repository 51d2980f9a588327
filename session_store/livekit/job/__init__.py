"""Runs in a job: one process of one conversation."""
