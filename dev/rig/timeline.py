"""Where the time of a takeover goes, from the kill to the first words of the successor."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from dev.rig.notes import Kind, Note
from session_store import Event, EventType
from session_store.tasks import stop

if TYPE_CHECKING:
    from dev.rig.person import Person
    from dev.rig.stand import Stand
    from session_store import SessionStore

STEPS: Final = {
    "lease": "until the dead job's lease has run out",
    "noticed": "until a watcher has looked, pinged, and claimed",
    "removed": "until the dead agent is out of the room",
    "dispatched": "until a worker is asked to take the job",
    "started": "until the new agent is in the room",
    "joined": "until it has the lease and the conversation",
    "hello": "until the page is told that it is there",
    "answer": "until its first words",
}
"""The steps in order, each measured from the one before."""

Steps = dict[str, float]
"""Seconds by step; one that did not show is left out, and its time counts for the next."""


class Timeline:
    """Listens to the store's events, as long as it is entered as a context."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store
        self._events: list[Event] = []
        self._listens = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._listen(), name="timeline")
        await self._listens.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        await stop(self._task)

    def of(self, wanted: EventType, after: float = 0.0) -> list[Event]:
        """Return the events of a type that are later than a moment (monotonic)."""
        return [
            event
            for event in self._events
            if event.type is wanted and _monotonic(event.at / 1000) > after
        ]

    def steps(self, stand: Stand, person: Person, killed: Killed, answered_at: float) -> Steps:
        """Return how long each step took.

        Args:
            stand: for the workers' logs.
            person: the one that waited.
            killed: what was killed, and when.
            answered_at: the first words.
        """
        notes = person.notes

        def is_dead(note: Note) -> bool:
            return note.who == killed.agent

        left = notes.of(Kind.AGENT_LEFT, after=killed.at, where=is_dead)
        came = notes.of(Kind.AGENT_CAME, after=killed.at)
        hello = notes.of(Kind.HELLO, after=killed.at)
        moments = {
            "lease": killed.lease_until if killed.whole_worker else None,
            "noticed": self._event(EventType.LEASE_LOST, person, killed.at),
            "removed": left[0].at if left else None,
            "dispatched": _asked(stand, person.session_id, killed.at),
            "started": came[0].at if came else None,
            "joined": self._event(EventType.TAKEOVER, person, killed.at),
            "hello": hello[0].at if hello else None,
            "answer": answered_at,
        }
        steps, before = {}, killed.at
        for step, at in moments.items():
            if at is not None:
                steps[step] = max(0.0, at - before)
                before = max(before, at)
        return steps

    def _event(self, wanted: EventType, person: Person, after: float) -> float | None:
        moments = (
            _monotonic(event.at / 1000)
            for event in self.of(wanted, after)
            if event.session_id == person.session_id
        )
        return next(moments, None)

    async def _listen(self) -> None:
        async with aclosing(self._store.events()) as events:
            async for event in events:
                self._listens.set()
                if isinstance(event, Event):
                    self._events.append(event)


class Killed(NamedTuple):
    """What was killed, and what was true at that moment (monotonic)."""

    at: float
    agent: str
    """Its identity in the room."""
    lease_until: float
    """When its lease runs out."""
    whole_worker: bool


def lease_until(stand: Stand, person: Person) -> float:
    """Return when the lease of a person's session runs out, as Redis holds it (monotonic)."""
    return _monotonic(float(stand.field_of(person, "lease_until")) / 1000)


def _asked(stand: Stand, session_id: str, after: float) -> float | None:
    """Return when the first worker was asked to take a job for this session."""
    moments = [
        _monotonic(datetime.fromisoformat(record["timestamp"]).timestamp())
        for worker in stand.workers
        for record in worker.records()
        if record.get("message") == "received job request" and record.get("room") == session_id
    ]
    return min((at for at in moments if at > after), default=None)


def _monotonic(unix_s: float) -> float:
    """Convert a time of this machine's clock; Redis and the workers run on it too."""
    return unix_s - time.time() + time.monotonic()
