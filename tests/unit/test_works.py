"""What a program works on goes with its turn, through a recorder: after a kill, both fit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from session_store import (
    MAX_STATE_BYTES,
    InvalidValue,
    Recorder,
    SealedTurn,
    SealedWork,
    SessionStore,
    Work,
)
from session_store.errors import RecorderFull
from session_store.values import MAX_CALL_TURNS, batches_of, newest_work
from session_store.writing.offline_start import SpooledStart, begin, bring_in, join_begun
from session_store.writing.spool import Spool, SpoolReport
from session_store.writing.spool_format import SpooledJob, packed_job, unpacked
from tests.unit.test_recorder import FAULTS, Faulty, begun, quick, stored, turn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from session_store import Joined, Lease, Loaded

__all__ = ["quick"]

FEW = 4
"""Turns of one call, so that many batches are cut."""
LARGE = 64 * 1024
STATES = st.sampled_from([b"", b"a", b"b", b"c", None])


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make batches small."""
    monkeypatch.setattr("session_store.values.MAX_CALL_TURNS", FEW)
    monkeypatch.setattr("session_store.writing.work_queue.MAX_CALL_TURNS", FEW)


class Talk:
    """A job that records turns, and knows what it worked on at each of them."""

    def __init__(self, store: SessionStore, recorder: Recorder, lease: Lease) -> None:
        self.store, self.recorder, self.lease = store, recorder, lease
        self.at = {0: None if lease.work is None else lease.work.data}
        self.last = lease.last_seq

    def record(self, work: bytes | None) -> int:
        """Record a turn; ``None`` leaves the work as it was."""
        self.last += 1
        before = self.at[max(self.at)]
        assert self.recorder.record(turn(self.last), work=work).seq == self.last
        self.at[self.last] = before if work is None else work
        return self.last

    async def fits(self) -> bool:
        """Return whether what the store has is what was worked on at its newest turn."""
        loaded = await self.store.load(self.lease.participant, self.lease.session_id)
        assert loaded is not None
        found = None if loaded.work is None else loaded.work.data
        return found == self.at[loaded.session.seq]


async def talk_in(store: Faulty) -> Talk:
    """Begin a talk."""
    return Talk(store, *await begun(store))


def sent_by(store: Faulty, monkeypatch: pytest.MonkeyPatch) -> list[SealedWork | None]:
    """Return a list of the works that will be sent, one for each append."""
    sent: list[SealedWork | None] = []
    append = store.memory.append

    async def noted(*args: Any, work: SealedWork | None = None) -> int:
        sent.append(work)
        return await append(*args, work=work)

    monkeypatch.setattr(store.memory, "append", noted)
    return sent


@settings(deadline=None, max_examples=200, derandomize=True, database=None)
@given(
    faults=st.lists(FAULTS, max_size=40),
    bursts=st.lists(st.lists(STATES, min_size=1, max_size=11), min_size=1, max_size=8),
    pauses=st.lists(st.integers(0, 4), min_size=8, max_size=8),
)
def test_whenever_the_job_is_killed_the_work_fits_its_newest_turn(
    faults: list[str], bursts: list[list[bytes | None]], pauses: list[int]
) -> None:
    """Through refusals, lost replies, and failovers: after each append, and in the end."""

    async def talk() -> None:
        store = Faulty(faults)
        said = await talk_in(store)
        for burst, pause in zip(bursts, pauses, strict=False):
            for work in burst:
                said.record(work)
            for _ in range(pause):
                await asyncio.sleep(0)
        assert await said.recorder.flush(10)
        # A failover in the middle of the last flush may have taken something back unheard.
        store.faults = iter(())
        assert await said.recorder.saved(said.record(b"the last one"), 10)
        assert await said.fits()
        for moment in range(len(store.earlier)):
            store.go_back(moment)
            assert await said.fits()
        await said.recorder.aclose()

    asyncio.run(talk())


@settings(deadline=None, max_examples=100, derandomize=True, database=None)
@given(
    states=st.lists(STATES, min_size=1, max_size=30),
    taken=st.integers(0, 12),
)
def test_what_a_killed_job_left_fits_after_each_append_of_its_replay(
    states: list[bytes | None], taken: int
) -> None:
    """Whatever the store had taken of it, and whatever batches the file is brought in by."""

    async def talk() -> None:
        store = Faulty([*["none"] * taken, *["refused"] * 10_000])
        said = await talk_in(store)
        for work in states:
            said.record(work)
            await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        await said.recorder.aclose()
        left = said.recorder.unsaved()
        job = SpooledJob(said.lease.ref, left, None, {})
        file = unpacked(packed_job(job))
        assert isinstance(file, SpooledJob)
        assert [each.work for each in file.turns] == [each.work for each in left]
        for batch in batches_of(file.turns):
            assert len(batch) <= FEW
            await store.replay(file.lease, batch)
            assert await said.fits()
        loaded = await store.load(said.lease.participant, said.lease.session_id)
        assert loaded is not None
        assert loaded.session.seq == len(states)

    asyncio.run(talk())


async def test_a_work_that_has_not_changed_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither within a job, nor by the next one, which got it with its join."""
    store = Faulty()
    sent = sent_by(store, monkeypatch)
    said = await talk_in(store)
    for work in (b"tea", b"tea", None, b"tea", b"coffee", None):
        assert await said.recorder.saved(said.record(work), 10)
    assert [each and each.seq for each in sent] == [1, None, None, None, 5, None]
    await said.recorder.aclose()
    await store.release(said.lease)
    joined = await store.join(said.lease.participant)
    assert joined.work == Work(5, b"coffee")
    second = Talk(store, Recorder(store, joined.lease), joined.lease)
    for work in (b"coffee", b"tea"):
        assert await second.recorder.saved(second.record(work), 10)
    assert [each and each.seq for each in sent[6:]] == [None, 8]
    await second.recorder.aclose()


async def test_of_turns_in_one_append_only_the_last_work_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A burst of four turns is one append with one work."""
    store = Faulty()
    sent = sent_by(store, monkeypatch)
    said = await talk_in(store)
    for number in range(FEW):
        last = said.record(b"%d" % number)
    assert await said.recorder.saved(last, 10)
    assert [each and each.seq for each in sent] == [FEW]
    assert await said.fits()
    await said.recorder.aclose()


async def test_works_that_wait_take_little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """One for each batch, and none of those that the store has and that are not sent again."""
    monkeypatch.setattr("session_store.values.MAX_CALL_TURNS", MAX_CALL_TURNS)
    monkeypatch.setattr("session_store.writing.work_queue.MAX_CALL_TURNS", MAX_CALL_TURNS)
    store = Faulty(["refused"] * 10)
    said = await talk_in(store)
    for number in range(1000):
        said.record(number.to_bytes(2) + bytes(LARGE - 2))
    works = said.recorder._works
    assert works.size(1) <= 11 * LARGE
    assert await said.recorder.flush(10)
    for number in range(1000):
        assert await said.recorder.saved(said.record(number.to_bytes(2) + bytes(LARGE - 2)), 10)
    assert works.size(1) <= 4 * LARGE
    assert await said.fits()
    await said.recorder.aclose()


async def test_works_count_for_what_may_wait() -> None:
    """The turn after those that fill the recorder is refused, and leaves no gap."""
    store = Faulty(["refused"] * 10_000)
    recorder, _ = await begun(store, max_bytes=LARGE)
    recorder.record(turn(1), work=bytes(LARGE))
    with pytest.raises(RecorderFull):
        recorder.record(turn(2), work=b"")
    await recorder.aclose()


async def test_a_work_that_is_too_large_leaves_no_gap() -> None:
    """Its turn gets no number; the same turn is taken without it."""
    said = await talk_in(Faulty())
    with pytest.raises(InvalidValue):
        said.recorder.record(turn(1), work=bytes(MAX_STATE_BYTES + 1))
    assert await said.recorder.saved(said.record(bytes(MAX_STATE_BYTES)), 10)
    assert await said.fits()
    await said.recorder.aclose()


async def an_earlier_talk(store: Faulty, *works: bytes) -> Joined:
    """Let a job have worked on something; return the join of the next one."""
    said = await talk_in(store)
    for work in works:
        said.record(work)
    assert await said.recorder.flush(10)
    await said.recorder.aclose()
    await store.release(said.lease)
    joined = await store.join(said.lease.participant)
    await store.release(joined.lease)
    return joined


async def late_join(
    store: Faulty,
    session_id: str | None,
    works: Sequence[bytes | None],
    known: Sequence[str] = (),
) -> Loaded:
    """Talk before the store can be reached, join then, and write everything; return it."""
    start, offline = begin(store, store.pseudonym("maria"), session_id, "0" * 32)
    lease = offline.lease
    recorder = Recorder(store, lease)
    for number, work in enumerate(works, 101):
        recorder.record(turn(number), work=work)
    joined = await join_begun(store, start, load_id="", owner="0" * 32)
    withdrawn = recorder.withdraw()
    lease.adopt(joined.lease)
    recorder.renumber(withdrawn, known)
    assert await recorder.flush(10)
    await recorder.aclose()
    loaded = await store.load(lease.participant, joined.session.id)
    assert loaded is not None
    return loaded


async def test_a_start_without_the_store_brings_its_work() -> None:
    """Under the numbers that its turns have then, also where the session had none before."""
    store = Faulty()
    loaded = await late_join(store, None, [b"a", b"b", None, b"c", None, None])
    assert (loaded.work, loaded.works_before) == (Work(4, b"c"), ())


async def test_the_work_of_a_late_join_wins_and_the_one_before_is_kept() -> None:
    """What was worked on before the outage is put aside."""
    store = Faulty()
    before = await an_earlier_talk(store, b"before")
    loaded = await late_join(store, before.session.id, [None, b"after", None])
    assert loaded.work == Work(3, b"after")
    assert loaded.works_before == (Work(1, b"before"),)


@pytest.mark.parametrize("work", [None, b"before"])
async def test_a_late_join_without_another_work_puts_nothing_aside(work: bytes | None) -> None:
    """The work before stays as it is, or is the same."""
    store = Faulty()
    before = await an_earlier_talk(store, b"before")
    loaded = await late_join(store, before.session.id, [work, None])
    assert loaded.work is not None
    assert (loaded.work.data, loaded.works_before) == (b"before", ())


@settings(deadline=None, max_examples=150, derandomize=True, database=None)
@given(
    works=st.lists(STATES, min_size=1, max_size=14),
    known=st.sets(st.integers(101, 114)),
    before=st.booleans(),
)
def test_works_keep_their_places_when_turns_get_new_numbers(
    works: list[bytes | None], known: set[int], *, before: bool
) -> None:
    """Where a turn is there already, the next one brings its work, or else the last one."""

    async def talk() -> None:
        store = Faulty()
        held = await an_earlier_talk(store, b"before") if before else None
        session_id = held.session.id if held else None
        loaded = await late_join(store, session_id, works, [f"t{n}" for n in known])
        newest = [work for work in works if work is not None][-1:]
        are_new = any(101 + place not in known for place in range(len(works)))
        expected = newest[0] if newest and are_new else (b"before" if before else None)
        assert (loaded.work.data if loaded.work else None) == expected
        states: dict[int, bytes | None] = {0: None}
        if before:
            states[1] = b"before"
        now: bytes | None = states[max(states)]
        for place, work in enumerate(works, 101):
            now = now if work is None else work
            if place not in known:
                states[max(states) + 1] = now
        for moment in range(len(store.earlier)):
            store.go_back(moment)
            there = await store.load(store.pseudonym("maria"), loaded.session.id)
            if there is not None and there.session.seq < max(states):
                found = there.work.data if there.work else None
                assert found == states[there.session.seq]

    asyncio.run(talk())


async def test_a_store_that_lost_everything_gets_the_work_again() -> None:
    """With the last of the turns that are known."""
    store = Faulty()
    said = await talk_in(store)
    for work in (b"a", b"b", None):
        said.record(work)
    assert await said.recorder.flush(10)
    recorder, lease = said.recorder, said.lease
    store.memory.memory = type(store.memory.memory)()
    start, offline = begin(store, lease.participant, lease.session_id, "0" * 32)
    lease.adopt(offline.lease)
    recorder.begin_again([turn(1), turn(2), turn(3)])
    joined = await join_begun(store, start, load_id="", owner="0" * 32)
    withdrawn = recorder.withdraw()
    lease.adopt(joined.lease)
    recorder.renumber(withdrawn, ())
    assert await recorder.flush(10)
    assert await said.fits()
    assert await stored(store, lease) == ["t1", "t2", "t3"]
    # It is known as the newest one, and a change is sent.
    for work in (b"b", b"c"):
        assert await recorder.saved(said.record(work), 10)
        assert await said.fits()
    await recorder.aclose()


async def test_a_spool_brings_the_work_and_keeps_what_was_not_loaded(tmp_path: Path) -> None:
    """A file of an earlier version, without works, is read as before."""
    store = Faulty()
    before = await an_earlier_talk(store, b"of an older class")
    joined = await store.join(before.session.participant)
    store.faults = iter(["refused"] * 10_000)
    said = Talk(store, Recorder(store, joined.lease), joined.lease)
    said.recorder.work_unread()
    for work in (b"new", b"newer"):
        said.record(work)
    await said.recorder.aclose()
    Spool(tmp_path).write(joined.lease.ref, said.recorder.unsaved())
    assert await Spool(tmp_path).replay(store) == SpoolReport(appended=2)
    loaded = await store.load(before.session.participant, before.session.id)
    assert loaded is not None
    assert loaded.work == Work(3, b"newer")
    assert loaded.works_before == (Work(1, b"of an older class"),)


async def test_a_conversation_that_never_joined_brings_its_work_to_a_new_session(
    tmp_path: Path,
) -> None:
    """It was all that there was; the first work of a job replaces it, or keeps it aside."""
    store = Faulty()
    left = await never_joined(store, None, b"a", b"offline")
    for _ in range(2):
        Spool(tmp_path).write_start(left)
        assert (await Spool(tmp_path).replay(store)).late == 2
    joined = await store.join(store.pseudonym("maria"))
    assert (joined.work, joined.session.seq) == (Work(0, b"offline"), 0)
    recorder = Recorder(store, joined.lease)
    recorder.work_unread()
    assert await recorder.saved(recorder.record(turn(1), work=b"anew").seq, 10)
    await recorder.aclose()
    loaded = await store.load(store.pseudonym("maria"), joined.session.id)
    assert loaded is not None
    assert (loaded.work, loaded.works_before) == (Work(1, b"anew"), (Work(0, b"offline"),))


async def never_joined(store: Faulty, session_id: str | None, *works: bytes) -> SpooledStart:
    """Talk without the store; return what the job leaves in the spool."""
    start, offline = begin(store, store.pseudonym("maria"), session_id, "0" * 32)
    recorder = Recorder(store, offline.lease)
    for number, work in enumerate(works, 101):
        recorder.record(turn(number), work=work)
    turns = recorder.unsaved()
    await recorder.aclose()
    sealed = tuple(each.sealed for each in turns)
    return SpooledStart(start, sealed, None, work=newest_work(turns))


async def test_a_conversation_that_never_joined_leaves_the_work_of_a_session() -> None:
    """A job has gone on in the session from another one."""
    store = Faulty()
    before = await an_earlier_talk(store, b"before")
    left = await never_joined(store, before.session.id, b"offline")
    await bring_in(store, left)
    loaded = await store.load(before.session.participant, before.session.id)
    assert loaded is not None
    assert [each.late for each in loaded.turns] == [False, True]
    assert (loaded.work, loaded.works_before) == (Work(1, b"before"), ())


def test_no_batch_ends_where_a_work_was_left_out() -> None:
    """A batch is cut before such turns, unless it begins with them."""
    works = {2: SealedWork(2, b""), 6: SealedWork(6, b"", since=3), 9: SealedWork(9, b"", since=7)}
    turns = [SealedTurn(seq, bytes(16), bytes(50), work=works.get(seq)) for seq in range(1, 12)]
    found = [[each.seq for each in batch] for batch in batches_of(turns)]
    assert found == [[1, 2], [3, 4, 5, 6], [7, 8, 9, 10], [11]]
