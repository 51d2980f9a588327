"""Tracing of what the store asks of Redis: see ``Tracer``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from session_store.backends.redis.backend import RedisBackend
from session_store.backends.redis.instruments import Span, Tracer

if TYPE_CHECKING:
    from session_store.store import SessionStore

__all__ = ["Span", "Tracer", "trace_with"]


def trace_with(store: SessionStore, tracer: Tracer | None) -> None:
    """Tell a tracer of each operation from now on; a no-op for a store that is not in Redis."""
    if isinstance(store.backend, RedisBackend):
        store.backend.trace(tracer)
