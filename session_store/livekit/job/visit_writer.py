"""Writes arrivals and departures to the store, in the background.

The newest one wins: a departure that could not be written before the participant came back is
dropped. While the store is unreachable or refuses, the writer retries.
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


@dataclass(frozen=True, slots=True)
class _Arriving:
    coming: Coming
    idempotency_key: str = field(default_factory=lambda: secrets.token_hex(8))
    """Names this arrival: it is counted once, however often it is written."""


@dataclass(frozen=True, slots=True)
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
        self._newest: _Arriving | _Leaving | None = None
        self._loop = Loop(self._write, name="visits")

    def came(self, coming: Coming) -> None:
        """Note an arrival; ``on_arrived`` is called once it is written."""
        self._note(_Arriving(coming))

    def left(self) -> None:
        """Note a departure."""
        self._note(_Leaving())

    async def aclose(self) -> None:
        """Stop writing."""
        await self._loop.aclose()

    def _note(self, newest: _Arriving | _Leaving) -> None:
        self._newest = newest
        self._loop.start()

    async def _write(self) -> None:
        outage = Outage(logger, "visits", self._lease.session_id)
        while (visit := self._newest) is not None:
            try:
                await self._write_one(visit)
            except (LeaseLost, SessionGone):
                return  # The keeper of the lease reports it.
            except SessionStoreError as error:
                await outage.pause(error)
                continue
            outage.over()
            if self._newest is visit:
                self._newest = None

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
