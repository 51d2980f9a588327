"""What the parts of the Redis backend share: the transport, the numbers, and running scripts."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, Final

from session_store.backends.contract import Backend
from session_store.backends.redis.instruments import timed, traced
from session_store.backends.redis.replies import words
from session_store.backends.redis.scripts import script
from session_store.errors import (
    LeaseLost,
    SequenceGap,
    SessionGone,
    StoreRefused,
    WriteConflict,
)
from session_store.events import EVENT_VERSION, EventType
from session_store.keys import KeySpace
from session_store.meter import NO_METER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from session_store.backends.transport.call import Argument
    from session_store.backends.transport.transport import Transport
    from session_store.backends.values import LeaseRef
    from session_store.keys import ParticipantKeys
    from session_store.settings import StoreSettings
    from session_store.tracing import Tracer

    Declaration = tuple[Sequence[str], Sequence[Argument]]
    """Keys and arguments of a script."""

MAX_LOOKS: Final = 25
"""How often a script is run because the keys that it needed were not those that it was given."""
CALM_LOOKS: Final = 3
"""After so many, other processes are at the same participant: a short, random pause helps."""


class RedisCalls(Backend):
    """Base of the parts: each of them adds the operations of one kind."""

    def __init__(self, transport: Transport, settings: StoreSettings) -> None:
        self._transport = transport
        self._space = KeySpace(settings.namespace)
        self._events = self._space.events
        self._meter = NO_METER
        self._tracer: Tracer | None = None
        self._lease_ms = ms(settings.lease_s)
        self._expect_ms = ms(settings.agent_expected_s)
        self._retention_ms = ms(settings.retention_s)
        self._max_turns = settings.max_turns
        self._max_sessions = settings.max_sessions
        self._publish_turns = settings.publish_turns
        self._usual_kek = ""
        """The key-encryption key that ``settle`` met last, and will most likely meet again."""
        self._windows = (
            ms(settings.resume_window_first_s),
            ms(settings.resume_window_early_s),
            ms(settings.resume_window_regular_s),
        )

    def _run(
        self, name: str, keys: Sequence[str], args: Sequence[Argument], *, durable: bool = False
    ) -> Awaitable[list[Any]]:
        """Run a script, measured and traced."""
        answer = self._transport.run(script(name, self._events), keys, args, durable=durable)
        if self._tracer is not None and self._tracer.is_on:
            answer = traced(self._tracer, name, keys, args, answer)
        return answer if self._meter is NO_METER else timed(self._meter, name, answer)

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

    async def _look(
        self,
        name: str,
        participant: str,
        guess: Sequence[str],
        declare: Callable[[Sequence[str]], Awaitable[Declaration]],
        *,
        durable: bool = False,
    ) -> tuple[Sequence[str], list[Any]]:
        """Run a script until the keys that it is given are those that it needs.

        Redis wants every key to be declared before a script runs, but which sessions a participant
        has is known inside only. A script that needs other keys answers ``LOOK`` and the ids to
        declare, and has changed nothing.

        Args:
            name: the script.
            participant: the pseudonym, for the error.
            guess: ids to declare at first. A right guess saves a round trip.
            declare: makes keys and arguments from ids.
            durable: as in ``Transport.run``.

        Returns:
            The ids that were right, and the reply.

        Raises:
            StoreRefused: other processes changed the sessions at every look.
        """
        ids = guess
        for look in range(MAX_LOOKS):
            if look > CALM_LOOKS:
                await asyncio.sleep(random.random() * look / 500)  # noqa: S311 (no secret)
            reply = await self._run(name, *await declare(ids), durable=durable)
            if reply[0] != b"LOOK":
                return ids, reply
            ids = words(reply[1:])
        raise StoreRefused(
            f"the sessions of participant {participant} change faster than they can be read; "
            "try again"
        )


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
        LeaseLost: the lease names no owner. A session without a holder has none either, so the
            script would accept it.
    """
    if not lease.owner:
        raise LeaseLost(lease.session_id, int(lease.fence))
    return lease.owner, lease.fence, lease.data_key_id


def begin_of_event(lease: LeaseRef) -> str:
    """Begin a ``turn_appended`` event; the script adds number, count and time."""
    return (
        f'{{"v":{EVENT_VERSION},"type":"{EventType.TURN_APPENDED}",'
        f'"participant":"{lease.participant}","session_id":"{lease.session_id}","seq":'
    )


def record_of(keys: ParticipantKeys, session_id: str) -> tuple[str, ...]:
    """Return the keys that live as long as a session, in the order of its writing scripts."""
    return (keys.session(session_id), keys.turns(session_id), keys.data_key, keys.sessions)


def all_of(keys: ParticipantKeys, session_id: str) -> tuple[str, ...]:
    """Return the same keys and the deadlines, in the order of ``arrive`` and ``leave``."""
    return (
        keys.session(session_id),
        keys.sessions,
        keys.due,
        keys.data_key,
        keys.turns(session_id),
    )
