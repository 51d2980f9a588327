"""Tests of everything, in a real browser."""
