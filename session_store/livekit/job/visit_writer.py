"""Writes arrivals and departures to the store, behind the conversation's back.

The newest one wins: a departure that could not be written before the participant came back is
none. While the store is away, or refuses, it is tried again.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from session_store.errors import LeaseLost, SessionGone, SessionStoreError
from session_store.tasks import Outage, stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from session_store.store import Arrival, Lease, SessionStore

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Came:
    load_id: str
    idempotency_key: str = field(default_factory=lambda: secrets.token_hex(8))
    """Names the arrival: however often it is written, it is counted once."""


@dataclass(frozen=True, slots=True)
class _Left:
    pass


class Visits:
    """Keeps the store's idea of whether the participant is here."""

    def __init__(
        self, store: SessionStore, lease: Lease, *, on_arrived: Callable[[Arrival], None]
    ) -> None:
        self._store = store
        self._lease = lease
        self._on_arrived = on_arrived
        self._newest: _Came | _Left | None = None
        self._task: asyncio.Task[None] | None = None

    def came(self, load_id: str) -> None:
        """Note an arrival. Never blocks; ``on_arrived`` is called when it is written."""
        self._note(_Came(load_id))

    def left(self) -> None:
        """Note a departure. Never blocks."""
        self._note(_Left())

    async def aclose(self) -> None:
        """Stop writing."""
        await stop(self._task)

    def _note(self, newest: _Came | _Left) -> None:
        self._newest = newest
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write(), name="visits")

    async def _write(self) -> None:
        outage = Outage(logger, "visits", self._lease.session_id)
        while (visit := self._newest) is not None:
            try:
                if isinstance(visit, _Left):
                    until = await self._store.leave(self._lease)
                    self._log("the participant left", resume_until=until.isoformat())
                else:
                    arrival = await self._store.arrive(
                        self._lease, load_id=visit.load_id, idempotency_key=visit.idempotency_key
                    )
                    self._log("the participant came", counted=arrival.counted)
                    self._on_arrived(arrival)
            except (LeaseLost, SessionGone):
                return  # The keeper of the lease says so to those who must know.
            except SessionStoreError as error:
                await outage.pause(error)
                continue
            outage.over()
            if self._newest is visit:
                self._newest = None

    def _log(self, what: str, **fields: object) -> None:
        logger.info(what, extra={"session_id": self._lease.session_id, **fields})
