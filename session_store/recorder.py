"""Ordered write-behind of turns: the conversation never waits for the store.

A turn gets its number and its seal when it is recorded, and is written as those very bytes,
however often it takes. While the store is away, turns wait here; the order is kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Final

from session_store.errors import (
    LeaseLost,
    SequenceGap,
    SessionGone,
    SessionStoreError,
    WriteConflict,
)
from session_store.tasks import happens_within, stop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from session_store.models import Turn
    from session_store.store import Lease, SealedTurn, SessionStore

logger = logging.getLogger(__name__)

FIRST_RETRY_S: Final = 0.1
LONGEST_RETRY_S: Final = 2.0
KEPT_SENT: Final = 100
"""Turns kept after they were acknowledged, to resend after a failover took them back."""
MAX_BATCH: Final = 100


class Recorder:
    """Writes the turns of one lease, in order, each once."""

    def __init__(
        self,
        store: SessionStore,
        lease: Lease,
        *,
        on_saved: Callable[[Sequence[SealedTurn]], None],
        on_lost: Callable[[SessionStoreError], None],
    ) -> None:
        self._store = store
        self._lease = lease
        self._on_saved = on_saved
        self._on_lost = on_lost
        self._waiting: deque[SealedTurn] = deque()
        self._sent: deque[SealedTurn] = deque(maxlen=KEPT_SENT)
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None
        self._lost = False

    @property
    def waiting(self) -> int:
        """How many turns the store has not acknowledged yet."""
        return len(self._waiting)

    def record(self, turn: Turn) -> SealedTurn:
        """Number and seal a turn, and queue it. Never blocks.

        Raises:
            InvalidValue: the turn cannot be kept; nothing was queued.
        """
        sealed = self._store.seal(self._lease, turn)
        if self._lost:
            return sealed
        self._waiting.append(sealed)
        self._idle.clear()
        self._wake.set()
        if self._task is None:
            self._task = asyncio.create_task(self._write(), name="recorder")
        return sealed

    async def flush(self, timeout_s: float) -> bool:
        """Wait until all is written; answer whether it was, within ``timeout_s``."""
        return await happens_within(self._idle, timeout_s) and not self._lost

    async def aclose(self) -> None:
        """Stop writing. What still waits is gone: ``flush`` first."""
        await stop(self._task)

    async def _write(self) -> None:
        retry_s = FIRST_RETRY_S
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                batch = [self._waiting[i] for i in range(min(MAX_BATCH, len(self._waiting)))]
                try:
                    await self._store.append(self._lease, batch)
                except SequenceGap as gap:
                    if not self._resend_after(gap.current):
                        return self._give_up(gap)
                    continue
                except (LeaseLost, SessionGone, WriteConflict) as error:
                    return self._give_up(error)
                except SessionStoreError as error:
                    logger.warning(
                        "turns are waiting for the store",
                        extra={"waiting": len(self._waiting), "error": str(error)},
                    )
                    await asyncio.sleep(retry_s)
                    retry_s = min(retry_s * 2, LONGEST_RETRY_S)
                    continue
                retry_s = FIRST_RETRY_S
                for _ in batch:
                    self._sent.append(self._waiting.popleft())
                self._on_saved(batch)
            self._idle.set()

    def _resend_after(self, current: int) -> bool:
        """Put back what a failover lost; False if it is not kept any more."""
        back = [turn for turn in self._sent if turn.seq > current]
        if not back or back[0].seq != current + 1:
            return False
        logger.warning("the store lost turns; resending", extra={"turns": len(back)})
        self._waiting.extendleft(reversed(back))
        for _ in back:
            self._sent.pop()
        return True

    def _give_up(self, error: SessionStoreError) -> None:
        self._lost = True
        self._waiting.clear()
        self._idle.set()
        self._on_lost(error)
