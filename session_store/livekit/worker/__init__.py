"""Runs in the worker's main process: watches jobs and leases, and sends successors."""
