"""How long turns take to be saved, how many wait, and what becomes of those that a job leaves.

On a store in memory that can be away; in virtual time, but for the spool, whose files are real.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

import pytest

from dev.rig.programs import until
from session_store import Keyring, Recorder, SessionStore, Spool, StoreSettings, Turn
from session_store.backends.memory.backend import MemoryBackend
from session_store.errors import RecorderFull, StoreUnavailable
from session_store.tasks import stop
from session_store.writing.spool import keep_replaying
from tests.counted import Counted
from tests.unit.virtual_time import in_virtual_time, now_s

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from session_store import Lease, SealedTurn
    from session_store.backends.values import LeaseRef


class Backend(MemoryBackend):
    """Answers after a while, or not at all."""

    is_away = False
    takes_s = 0.25

    async def append(self, lease: LeaseRef, *args: object, **more: object) -> int:
        """See ``Backend.append``."""
        await asyncio.sleep(self.takes_s)
        if self.is_away:
            raise StoreUnavailable("away")
        return await super().append(lease, *args, **more)  # type: ignore[arg-type]


class Bench:
    """A store, one lease, its recorder, and what is counted of them."""

    def __init__(self) -> None:
        keyring = Keyring(
            {"k": secrets.token_bytes(32)}, primary="k", pseudonym_key=secrets.token_bytes(32)
        )
        self.backend = Backend(StoreSettings(), clock=lambda: round(now_s() * 1000))
        self.store = SessionStore(self.backend, keyring)
        self.counted = Counted()
        self.store.measure(self.counted.sink)
        self.lease: Lease
        self.recorder: Recorder

    async def begin(self, *, max_bytes: int = 10_000) -> Bench:
        """Join."""
        self.lease = (await self.store.join(self.store.pseudonym("maria"))).lease
        self.recorder = Recorder(self.store, self.lease, max_bytes=max_bytes)
        return self

    def record(self, *numbers: int) -> Sequence[SealedTurn]:
        """Record turns."""
        return [
            self.recorder.record(Turn(id=f"t{number}", role="user", text="hi", created_at=number))
            for number in numbers
        ]

    def waiting(self) -> tuple[float | None, float | None]:
        """Return the turns and bytes that are shown to wait."""
        return (
            self.counted.value("rejoin_unsaved_turns"),
            self.counted.value("rejoin_unsaved_bytes"),
        )

    def saved(self) -> tuple[float | None, float | None]:
        """Return how many turns were saved, and how long that took them together."""
        return (
            self.counted.value("rejoin_turn_saved_seconds_count"),
            self.counted.value("rejoin_turn_saved_seconds_sum"),
        )


def test_a_turn_waits_until_it_is_acknowledged() -> None:
    """It is shown to wait, with its size; then how long it took."""

    async def scene() -> None:
        bench = await Bench().begin()
        (first,) = bench.record(1)
        assert bench.waiting() == (1, len(first.sealed))
        await asyncio.sleep(0.1)
        bench.record(2)
        assert await bench.recorder.flush(10)
        assert bench.waiting() == (0, 0)
        # The second waited for the append of the first.
        count, seconds = bench.saved()
        assert count == 2
        assert seconds == pytest.approx(0.25 + 0.4)
        assert bench.counted.value("rejoin_append_seconds_sum") == pytest.approx(0.5)
        assert bench.counted.value("rejoin_turns_saved_total") == 2
        await bench.recorder.aclose()

    in_virtual_time(scene())


def test_a_turn_that_waits_out_an_outage_has_waited_all_of_it() -> None:
    """Appends that fail are no observation; the turn's whole time is one."""

    async def scene() -> None:
        bench = await Bench().begin()
        bench.backend.is_away = True
        bench.record(1)
        await asyncio.sleep(20)
        assert bench.saved() == (0, 0)
        assert bench.counted.value("rejoin_append_seconds_count") == 0
        bench.backend.is_away = False
        assert await bench.recorder.flush(10)
        count, seconds = bench.saved()
        assert count == 1
        assert seconds is not None
        assert 20 < seconds < 23
        await bench.recorder.aclose()

    in_virtual_time(scene())


def test_a_turn_that_finds_no_room_is_lost() -> None:
    """It is counted where it happens; those that wait are not lost."""

    async def scene() -> None:
        bench = await Bench().begin(max_bytes=1)
        bench.backend.is_away = True
        bench.record(1)
        with pytest.raises(RecorderFull):
            bench.record(2)
        assert bench.counted.value("rejoin_turns_lost_total") == 1
        assert bench.waiting()[0] == 1
        await bench.recorder.aclose()
        assert bench.waiting() == (0, 0)

    in_virtual_time(scene())


def test_turns_that_a_failover_took_back_wait_again() -> None:
    """How long they took is told once: when they were saved first."""

    async def scene() -> None:
        bench = await Bench().begin()
        bench.record(1, 2)
        assert await bench.recorder.flush(10)
        assert bench.recorder.resend_after(1)
        assert bench.waiting()[0] == 1
        await asyncio.sleep(1)
        assert bench.waiting() == (0, 0)
        assert bench.saved()[0] == 2
        await bench.recorder.aclose()

    in_virtual_time(scene())


def test_turns_that_are_numbered_anew_have_waited_since_they_were_said() -> None:
    """Where a lease is granted late, nothing waits twice, and the outage counts."""

    async def scene() -> None:
        bench = await Bench().begin()
        bench.backend.is_away = True
        bench.record(1, 2)
        await asyncio.sleep(5)
        withdrawn = bench.recorder.withdraw()
        bench.lease.last_seq, bench.lease.last_tag = bench.lease.saved_seq, bench.lease.saved_tag
        bench.backend.is_away = False
        bench.recorder.renumber(withdrawn, known={"t1"})
        assert bench.waiting()[0] == 1
        assert await bench.recorder.flush(10)
        count, seconds = bench.saved()
        assert count == 1
        assert seconds is not None
        assert seconds > 5
        assert bench.waiting() == (0, 0)
        await bench.recorder.aclose()

    in_virtual_time(scene())


@pytest.mark.parametrize("became", ["appended", "late", "erased"])
async def test_what_became_of_turns_in_the_spool_is_counted(tmp_path: Path, became: str) -> None:
    """They go on with the record, lie beside a successor's, or are dropped with the session."""
    bench = await Bench().begin()
    bench.backend.takes_s = 0
    bench.backend.is_away = True
    bench.record(1, 2)
    Spool(tmp_path).write(bench.lease.ref, bench.recorder.unsaved())
    await bench.recorder.aclose()
    replaying = asyncio.create_task(keep_replaying(bench.store, tmp_path, every_s=0.01))
    await until(lambda: bench.counted.value("rejoin_spool_files") == 1, "a file waits")
    if became == "late":
        await bench.store.release(bench.lease)
        await bench.store.join(bench.lease.participant)
    elif became == "erased":
        await bench.store.erase(bench.lease.participant)
    bench.backend.is_away = False
    await until(lambda: bench.counted.value("rejoin_spool_files") == 0, "the spool is empty")
    await stop(replaying)
    counts = {
        outcome: bench.counted.value("rejoin_turns_replayed_total", outcome=outcome)
        for outcome in ("appended", "late", "erased")
    }
    assert {outcome: count for outcome, count in counts.items() if count} == {became: 2}
