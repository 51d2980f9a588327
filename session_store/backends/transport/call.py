"""A command on its way to Redis, and who waits for its reply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import hiredis

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from session_store.backends.redis.scripts import Script

Argument = str | bytes | int

# Typed too narrowly in hiredis: as a tuple of one.
_pack: Callable[[tuple[Argument, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]


@dataclass(slots=True, eq=False)
class Call:
    """One command, and a future for its reply."""

    command: tuple[Argument, ...]
    """For a script, what follows its digest or text."""
    reply: asyncio.Future[Any]
    script: Script | None = None
    durable: bool = False
    """Whether it counts only once the replicas have it: a ``WAIT`` behind it decides."""
    repeatable: bool = True
    """Whether it may be sent again when its fate is unknown."""
    resent: bool = False
    with_text: bool = False
    """Whether Redis is sent the script's text: it did not know the digest."""
    data: bytes = b""
    """What ``packed`` returned, when this call was made: its mistakes are its caller's alone."""
    deadline: float = 0.0
    """By when its reply must be there, by the loop's clock."""
    wait: Call | None = None
    """Of a durable call: the ``WAIT`` behind it."""
    covers: Sequence[Call] = ()
    """Of a ``WAIT``: the durable calls in front of it on its connection."""
    held: Any = None
    """Of a durable call: its reply, until that of the ``WAIT`` is there."""

    def packed(self) -> bytes:
        """Return the bytes to send.

        Raises:
            UnicodeEncodeError: a part of the command is no valid Unicode.
        """
        if self.script is None:
            return _pack(self.command)
        if self.with_text:
            return _pack(("EVAL", self.script.text, *self.command))
        return _pack(("EVALSHA", self.script.sha, *self.command))

    def succeed(self, value: Any) -> None:
        """Hand over the reply, if somebody still waits for it."""
        if not self.reply.done():
            self.reply.set_result(value)

    def fail(self, error: BaseException) -> None:
        """Hand over an error, if somebody still waits."""
        if not self.reply.done():
            self.reply.set_exception(error)
