"""Writes arrivals and departures to the store, in the background.

While the store is unreachable or refuses, the writer retries. The newest one wins, but an arrival
never wins over the departure before it: only after that does the store count it as a return.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from session_store.errors import LeaseLost, SessionGone, SessionStoreError
from session_store.tasks import Loop, Outage

if TYPE_CHECKING:
    from collections.abc import Callable

    from session_store.livekit.job.participant import Coming
    from session_store.store import SessionStore
    from session_store.values import Arrival, Lease

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Arriving:
    coming: Coming
    idempotency_key: str = field(default_factory=lambda: secrets.token_hex(8))
    """Names this arrival: it is counted once, however often it is written."""


@dataclass(frozen=True, slots=True, eq=False)
class _Leaving:
    pass


class VisitWriter:
    """Tells the store whether the participant is here. No method blocks."""

    def __init__(
        self, store: SessionStore, lease: Lease, *, on_arrived: Callable[[Arrival], None]
    ) -> None:
        self._store = store
        self._lease = lease
        self._on_arrived = on_arrived
        self._waiting: tuple[_Arriving | _Leaving, ...] = ()
        """A departure, an arrival, or both, in this order."""
        self._loop = Loop(self._write, name="visits")

    def came(self, coming: Coming) -> None:
        """Note an arrival; ``on_arrived`` is called once it is written."""
        departures = (each for each in self._waiting if isinstance(each, _Leaving))
        self._note(*departures, _Arriving(coming))

    def left(self) -> None:
        """Note a departure."""
        self._note(_Leaving())

    async def aclose(self) -> None:
        """Stop writing."""
        await self._loop.aclose()

    def _note(self, *waiting: _Arriving | _Leaving) -> None:
        self._waiting = waiting
        self._loop.start()

    async def _write(self) -> None:
        outage = Outage(logger, "visits", self._lease.session_id)
        while self._waiting:
            visit = self._waiting[0]
            try:
                await self._write_one(visit)
            except (LeaseLost, SessionGone):
                return  # The keeper of the lease reports it.
            except SessionStoreError as error:
                await outage.pause(error)
                continue
            outage.over()
            self._waiting = tuple(each for each in self._waiting if each is not visit)

    async def _write_one(self, visit: _Arriving | _Leaving) -> None:
        if isinstance(visit, _Leaving):
            until = await self._store.leave(self._lease)
            self._log("the participant left", resume_until=until.isoformat())
            return
        arrival = await self._store.arrive(
            self._lease,
            load_id=visit.coming.load_id,
            idempotency_key=visit.idempotency_key,
            came_ms=visit.coming.came_ms,
        )
        self._log("the participant came", counted=arrival.counted)
        self._on_arrived(arrival)

    def _log(self, what: str, **fields: object) -> None:
        logger.info(what, extra={"session_id": self._lease.session_id, **fields})
