"""A command on its way to Redis, and the future that waits for its reply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import hiredis

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

Argument = str | bytes | int

# Typed too narrowly in hiredis: as a tuple of one.
_pack: Callable[[tuple[Argument, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]


class Script(NamedTuple):
    """A Lua script, and the digest by which Redis knows it."""

    name: str
    text: str
    sha: str


@dataclass(slots=True, eq=False)
class Call:
    """One command, and a future for its reply."""

    command: tuple[Argument, ...]
    """Of a script: what follows its digest or text."""
    reply: asyncio.Future[Any]
    script: Script | None = None
    durable: bool = False
    """Whether it succeeds only once enough replicas have it: the ``WAIT`` behind it decides."""
    repeatable: bool = True
    """Whether it may be sent again if the connection was lost before its reply came."""
    resent: bool = False
    with_text: bool = False
    """Whether the script's text is sent, because Redis did not know the digest."""
    data: bytes = b""
    """The bytes to send. They are packed when the call is made: only its caller gets an error."""
    deadline: float = 0.0
    """When its reply is overdue, by the loop's clock."""
    wait: Call | None = None
    """Of a durable call: the ``WAIT`` behind it."""
    covers: Sequence[Call] = ()
    """Of a ``WAIT``: the durable calls in front of it on its connection."""
    held: Any = None
    """Of a durable call: its reply, until the ``WAIT`` has its own."""

    def packed(self) -> bytes:
        """Return the bytes to send.

        Raises:
            UnicodeEncodeError: a part of the command is not valid Unicode.
        """
        if self.script is None:
            return _pack(self.command)
        if self.with_text:
            return _pack(("EVAL", self.script.text, *self.command))
        return _pack(("EVALSHA", self.script.sha, *self.command))

    def succeed(self, value: Any) -> None:
        """Hand the reply over, unless the caller has stopped waiting."""
        if not self.reply.done():
            self.reply.set_result(value)

    def fail(self, error: BaseException) -> None:
        """Hand an error over, unless the caller has stopped waiting."""
        if not self.reply.done():
            self.reply.set_exception(error)
