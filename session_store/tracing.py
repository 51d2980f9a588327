"""What can be traced: a ``Tracer`` is told of each operation in Redis, and how it ended.

The store depends on no tracing library: ``session_store.livekit`` makes spans under LiveKit's. A
tracer is told names, ids and numbers, never content.
"""

from __future__ import annotations

from typing import Protocol


class Span(Protocol):
    """One operation, from its beginning on."""

    def end(self, outcome: str, *, failed: bool = False) -> None:
        """Note how it ended.

        Args:
            outcome: the script's answer (``OK``, ``DUPLICATE``, ``LEASE_LOST``, ...), or the name
                of an error.
            failed: whether it is an error.
        """
        ...


class Tracer(Protocol):
    """Makes spans. Must neither block nor raise."""

    def begin(self, operation: str, *, session_id: str, size: int) -> Span:
        """Begin a span, as a child of the current one.

        Args:
            operation: the name of the script.
            session_id: the session; empty for a script about none, or about several.
            size: bytes of sealed data that are sent.
        """
        ...

    @property
    def is_on(self) -> bool:
        """Whether spans are recorded now. Asked before each script: it must cost nothing."""
        ...
