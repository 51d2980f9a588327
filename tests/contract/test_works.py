"""What a program works on is kept with its turn: after a kill, both fit together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from session_store import (
    MAX_STATE_BYTES,
    InvalidValue,
    LeaseLost,
    Recorder,
    SealBroken,
    SealedWork,
    Turn,
    Work,
)
from session_store.backends.values import MAX_WORKS_BEFORE, OpenMode
from session_store.sealing.data_key import NO_TAG
from session_store.values import Replayed
from tests.contract.people import MARIA, join, nothing_changes, open_session, sealed, sealed_turns

if TYPE_CHECKING:
    from session_store import Joined, Keyring, SessionStore
    from session_store.backends.contract import Backend
    from tests.contract.people import Job
    from tests.contract.worlds import RedisWorld, World


def work(seq: int, what: str = "", **more: int) -> SealedWork:
    """Make a work's bytes."""
    return SealedWork(seq, sealed(what or f"work {seq}"), **more)


def turn(number: int) -> Turn:
    """Make a turn of the user."""
    return Turn(id=f"t{number}", role="user", text=f"sentence {number}", created_at=number)


async def kept(job: Job) -> SealedWork | None:
    """Return what is kept."""
    return (await job.load()).work


async def loaded(store: SessionStore, joined: Joined) -> tuple[Work | None, tuple[Work, ...]]:
    """Return what a reader sees: the work, and those that were put aside."""
    found = await store.load(joined.lease.participant, joined.session.id)
    assert found is not None
    return found.work, found.works_before


async def append(store: SessionStore, joined: Joined, number: int, data: bytes | None) -> None:
    """Append a turn with what the program works on."""
    sealed_turn = store.seal(joined.lease, turn(number), work=data)
    await store.append(joined.lease, [sealed_turn])


async def test_a_work_comes_back_with_a_join_and_not_with_an_open(backend: Backend) -> None:
    """The gateway opens and lists sessions, and needs none."""
    job = await join(backend)
    assert await kept(job) is None
    await backend.append(job.lease, 1, NO_TAG, sealed_turns(2), work=work(2))
    await backend.release(job.lease)
    found, _ = await open_session(backend, wanted=job.id, mode=OpenMode.RESUME)
    assert (found.session.work, found.session.seq) == (None, 2)
    [listed] = (await backend.sessions(MARIA, offset=0, limit=9)).sessions
    assert listed.work is None
    without = await backend.load(MARIA, job.id, last=None, work=False)
    assert without is not None
    assert without.work is None
    again = await join(backend, wanted=job.id)
    assert again.session.work == await kept(job) == work(2)


async def test_an_older_work_never_replaces_a_newer_one(backend: Backend) -> None:
    """Turns that are sent again bring the work that they had; the store may have a later one."""
    job = await join(backend)
    turns = sealed_turns(4)
    await backend.append(job.lease, 1, NO_TAG, turns, work=work(4))
    for older in (work(4, "another"), work(3), work(1)):
        await backend.append(job.lease, 1, NO_TAG, turns[: older.seq], work=older)
        assert await kept(job) == work(4)
    await backend.append(job.lease, 4, turns[2][-16:], [turns[3], sealed("turn 5")], work=work(5))
    assert await kept(job) == work(5)


async def test_turns_that_are_there_bring_a_work_that_is_not(backend: Backend) -> None:
    """A repeated append writes the work as well, whatever became of the first one."""
    job = await join(backend)
    await backend.append(job.lease, 1, NO_TAG, sealed_turns(2))
    await backend.append(job.lease, 1, NO_TAG, sealed_turns(2), work=work(2))
    assert await kept(job) == work(2)


async def test_a_work_that_was_not_loaded_is_put_aside_once(backend: Backend) -> None:
    """Only the one that is named, in the write that replaces it; at most four, the oldest."""
    job = await join(backend)
    for seq in range(1, 9):
        await job.append(sealed(f"turn {seq}"))
        tag = sealed(f"turn {seq - 1}")[-16:] if seq > 1 else NO_TAG
        for _ in range(2):
            await backend.append(
                job.lease, seq, tag, [sealed(f"turn {seq}")], work=work(seq, keeps=seq - 1)
            )
    stored = await job.load()
    assert stored.work == work(8)
    assert list(stored.works_before) == [work(seq) for seq in range(1, MAX_WORKS_BEFORE + 1)]
    await backend.append(job.lease, 9, job.tag, [sealed("turn 9")], work=work(9, keeps=3))
    assert len((await job.load()).works_before) == MAX_WORKS_BEFORE


async def test_a_job_that_lost_its_lease_writes_no_work(backend: Backend, world: World) -> None:
    """Neither with an append, which is refused, nor with late turns."""
    first = await join(backend)
    await first.append(*sealed_turns(1))
    await world.pass_time(100)
    await join(backend, wanted=first.id)
    async with nothing_changes(world):
        with pytest.raises(LeaseLost):
            await backend.append(first.lease, 2, first.tag, sealed_turns(1, 2), work=work(2))


async def test_a_store_returns_what_it_was_given(store: SessionStore) -> None:
    """Of a batch the newest; and an empty one is not none."""
    joined = await store.join(store.pseudonym("maria"))
    assert joined.work is None
    some = [store.seal(joined.lease, turn(n), work=f"{n}".encode()) for n in (1, 2, 3)]
    last = store.seal(joined.lease, turn(4))
    await store.append(joined.lease, [*some, last])
    assert await loaded(store, joined) == (Work(3, b"3"), ())
    await append(store, joined, 5, b"")
    await store.release(joined.lease)
    again = await store.join(joined.lease.participant, session_id=joined.session.id)
    assert again.work == again.lease.work == Work(5, b"")
    assert (await store.open(joined.lease.participant)).work is None


async def test_a_work_has_64_kib_and_not_more(store: SessionStore) -> None:
    """A larger one is refused before its turn gets a number."""
    joined = await store.join(store.pseudonym("maria"))
    largest = bytes(MAX_STATE_BYTES)
    with pytest.raises(InvalidValue, match="65537 bytes; at most 65536"):
        store.seal(joined.lease, turn(1), work=largest + b"0")
    await append(store, joined, 1, largest)
    assert await loaded(store, joined) == (Work(1, largest), ())


async def test_late_turns_bring_no_work(store: SessionStore, world: World) -> None:
    """The successor has gone on from an earlier one; a replay under the free lease brings it."""
    first = await store.join(store.pseudonym("maria"))
    await append(store, first, 1, b"one")
    left = [store.seal(first.lease, turn(n), work=f"left {n}".encode()) for n in (2, 3)]
    assert await store.replay(first.lease.ref, left[:1]) is Replayed.APPENDED
    assert await loaded(store, first) == (Work(2, b"left 2"), ())
    await world.pass_time(100)
    second = await store.join(first.lease.participant, session_id=first.session.id)
    assert await store.replay(first.lease.ref, left) is Replayed.LATE
    assert await loaded(store, second) == (Work(2, b"left 2"), ())


async def test_a_work_that_a_program_could_not_load_is_kept(store: SessionStore) -> None:
    """It is put aside when another one replaces it, and no sooner."""
    first = await store.join(store.pseudonym("maria"))
    await append(store, first, 1, b"of an older class")
    await store.release(first.lease)
    second = await store.join(first.lease.participant, session_id=first.session.id)
    recorder = Recorder(store, second.lease)
    recorder.work_unread()
    assert await recorder.saved(recorder.record(turn(2)).seq)
    assert await loaded(store, second) == (Work(1, b"of an older class"), ())
    for number in (3, 4):
        seq = recorder.record(turn(number), work=f"new {number}".encode()).seq
        assert await recorder.saved(seq)
    aside = (Work(1, b"of an older class"),)
    assert await loaded(store, second) == (Work(4, b"new 4"), aside)
    await recorder.aclose()
    await store.close(first.lease.participant, first.session.id)
    assert (await loaded(store, second))[1] == aside


async def test_a_work_goes_with_its_session(store: SessionStore, world: World) -> None:
    """An erasure leaves nothing of it, and one that comes later is refused."""
    joined = await store.join(store.pseudonym("maria"))
    await append(store, joined, 1, b"secret")
    await store.delete(joined.lease.participant, joined.session.id)
    await store.erase(joined.lease.participant)
    assert joined.lease.participant not in str(await world.lifetimes())


async def _moved(raw: Any, key: str) -> None:
    await raw.hset(key, "work_seq", 1)


async def _changed(raw: Any, key: str) -> None:
    kept = await raw.hget(key, "work")
    await raw.hset(key, "work", kept[:-1] + bytes((kept[-1] ^ 1,)))


async def _removed(raw: Any, key: str) -> None:
    await raw.hdel(key, "work")


async def _cut(raw: Any, key: str) -> None:
    """The record was cut before the turn with which the work was recorded."""
    await raw.rpop(key.replace(":s:", ":t:"))
    await raw.hincrby(key, "seq", -1)


@pytest.mark.parametrize("tamper", [_moved, _changed, _removed, _cut])
async def test_a_work_that_was_tampered_with_does_not_open(
    redis_world: RedisWorld, keyring: Keyring, tamper: Any
) -> None:
    """And neither does a record that is shorter than its work says."""
    store = redis_world.store(keyring)
    joined = await store.join(store.pseudonym("maria"))
    for number in (1, 2):
        await append(store, joined, number, f"{number}".encode())
    [key] = await redis_world.raw.keys(f"*:s:*:{joined.session.id}")
    await tamper(redis_world.raw, key.decode())
    with pytest.raises(SealBroken):
        await store.load(joined.lease.participant, joined.session.id)
    assert (await store.open(joined.lease.participant)).session.id == joined.session.id
