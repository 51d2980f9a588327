"""What the parts of the Redis backend share: the transport, the numbers, and how replies refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from session_store.errors import (
    LeaseLost,
    SequenceGap,
    SessionGone,
    StoreRefused,
    WriteConflict,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from session_store.backends.transport.call import Argument
    from session_store.backends.transport.transport import Transport
    from session_store.backends.values import LeaseRef
    from session_store.settings import StoreSettings

MAX_LOOKS: Final = 25
"""How often a call is repeated because what it found was not what it had declared."""
CALM_LOOKS: Final = 3
"""After so many of these, others are at the same participant: a short, random pause helps."""


class RedisCalls:
    """Base of the parts: each adds the operations of one kind."""

    def __init__(self, transport: Transport, settings: StoreSettings) -> None:
        self._transport = transport
        self._run = transport.run
        self._lease_ms = ms(settings.lease_s)
        self._expect_ms = ms(settings.agent_expected_s)
        self._retention_ms = ms(settings.retention_s)
        self._max_turns = settings.max_turns
        self._max_sessions = settings.max_sessions
        self._publish_turns = settings.publish_turns
        self._usual_kek = ""
        """The key-encryption key that a look at a session met last: the next one's too, mostly."""
        self._windows = (
            ms(settings.resume_window_first_s),
            ms(settings.resume_window_early_s),
            ms(settings.resume_window_regular_s),
        )

    async def _write(
        self,
        name: str,
        lease: LeaseRef,
        keys: Sequence[str],
        args: Sequence[Argument],
        *,
        durable: bool = False,
    ) -> list[Any]:
        """Run a script that the lease guards, and turn its refusals into errors."""
        reply = await self._run(name, keys, args, durable=durable)
        answer = reply[0]
        if answer in (b"OK", b"DUPLICATE"):
            return reply
        raise refusal(answer, reply, lease.session_id, lease.fence)


def refusal(
    answer: bytes, reply: Sequence[bytes], session_id: str, fence: str
) -> SequenceGap | WriteConflict | LeaseLost | SessionGone:
    """Return the error that a script's refusal means."""
    match answer:
        case b"GAP":
            return SequenceGap(session_id, int(reply[1]))
        case b"CONFLICT":
            return WriteConflict(session_id, int(reply[1]))
        case b"LEASE_LOST":
            return LeaseLost(session_id, int(fence))
        case _:
            return SessionGone(session_id)


def ms(seconds: float) -> int:
    """Convert seconds to whole milliseconds."""
    return round(seconds * 1000)


def proof(lease: LeaseRef) -> tuple[str, str, str]:
    """Return what a guarded script compares.

    Raises:
        LeaseLost: it names no owner; a session that was given back has none either.
    """
    if not lease.owner:
        raise LeaseLost(lease.session_id, int(lease.fence))
    return lease.owner, lease.fence, lease.data_key_id


def restless(participant: str) -> StoreRefused:
    """Return the error for somebody whose sessions change at every look."""
    return StoreRefused(
        f"the sessions of participant {participant} change faster than they can be read; try again"
    )
