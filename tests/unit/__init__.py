"""Tests of one part alone: no process, no network."""
