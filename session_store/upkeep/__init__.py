"""Maintenance of stored sessions: sweeping, key rotation, erasure, audit, daily counts."""
