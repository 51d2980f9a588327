"""Measurements and traces of conversations and workers."""
