"""Turns and content: numbered, chained, fenced, and each written once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from session_store import LeaseLost, SequenceGap, SessionGone, WriteConflict
from session_store.backends.values import LateTurn
from session_store.sealing.data_key import NO_TAG, tag_of
from tests.contract.people import JOE, MARIA, Job, join, nothing_changes, sealed, sealed_turns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from session_store.backends.contract import Backend
    from tests.contract.worlds import World


async def test_turns_are_kept_in_order(backend: Backend) -> None:
    """Appended one by one or many at once, they come back as they were."""
    job = await join(backend)
    turns = sealed_turns(6)
    assert await job.append(*turns[:1]) == 1
    assert await job.append(*turns[1:5]) == 5
    assert await job.append(turns[5]) == 6
    stored = await job.load()
    assert list(stored.turns) == turns
    assert (stored.seq, stored.head) == (6, b"")


async def test_turns_sent_again_are_stored_once(backend: Backend) -> None:
    """An append whose answer was lost is repeated, alone or with new turns behind it."""
    job = await join(backend)
    turns = sealed_turns(4)
    assert await backend.append(job.lease, 1, NO_TAG, turns[:2]) == 2
    assert await backend.append(job.lease, 1, NO_TAG, turns[:2]) == 2
    assert await backend.append(job.lease, 1, NO_TAG, turns[:1]) == 2
    assert await backend.append(job.lease, 2, tag_of(turns[0]), turns[1:3]) == 3
    assert await backend.append(job.lease, 1, NO_TAG, turns) == 4
    assert list((await job.load()).turns) == turns


async def test_a_repeated_append_changes_nothing(backend: Backend) -> None:
    """Turns that are there already are written no second time."""
    job = await join(backend)
    turns = sealed_turns(3)
    await job.append(*turns)
    before = await job.load()
    for count in (1, 2, 3):
        assert await backend.append(job.lease, 1, NO_TAG, turns[:count]) == 3
    assert replace(await job.load(), now=before.now) == before


@pytest.mark.parametrize("first", [3, 4, 1000])
async def test_a_missing_turn_is_noticed(backend: Backend, world: World, first: int) -> None:
    """An append that would leave a gap is refused, and says where to begin."""
    job = await join(backend)
    await job.append(sealed("turn 1"))
    async with nothing_changes(world):
        with pytest.raises(SequenceGap) as gap:
            await backend.append(job.lease, first, NO_TAG, sealed_turns(2, first))
    assert (gap.value.session_id, gap.value.current) == (job.id, 1)


async def test_turns_before_this_lease_are_not_rewritten(backend: Backend, world: World) -> None:
    """A job may repeat its own turns, not those that it found."""
    first = await join(backend)
    turns = sealed_turns(2)
    await first.append(*turns)
    await first.away()
    second = await join(backend)
    async with nothing_changes(world):
        with pytest.raises(WriteConflict) as conflict:
            await backend.append(second.lease, 2, tag_of(turns[0]), turns[1:])
    assert conflict.value.current == 2
    assert await second.append(sealed("turn 3")) == 3


async def test_another_chain_is_refused(backend: Backend, world: World) -> None:
    """A turn that was sealed behind another one than the newest is not appended."""
    job = await join(backend)
    await job.append(*sealed_turns(2))
    for tag in (NO_TAG, tag_of(sealed("turn 1")), b"", b"x" * 16):
        async with nothing_changes(world):
            with pytest.raises(WriteConflict) as conflict:
                await backend.append(job.lease, 3, tag, [sealed("turn 3")])
        assert (conflict.value.session_id, conflict.value.current) == (job.id, 2)


@pytest.mark.parametrize(("first", "count"), [(1, 1), (1, 2), (2, 1), (2, 2), (1, 3), (2, 3)])
async def test_other_turns_under_the_same_numbers_are_refused(
    backend: Backend, world: World, first: int, count: int
) -> None:
    """What is acknowledged as there already is what is there."""
    job = await join(backend)
    await job.append(*sealed_turns(2))
    others = sealed_turns(count, first, "another")
    async with nothing_changes(world):
        with pytest.raises(WriteConflict):
            await backend.append(job.lease, first, NO_TAG, others)


async def test_only_the_newest_turns_are_kept(world: World) -> None:
    """Older ones are trimmed, and the tag of the last one that went is kept as the head."""
    backend = world.another(max_turns=5)
    job = await join(backend)
    turns = sealed_turns(17)
    for first in (0, 4, 5, 6, 11):
        until = {0: 4, 4: 5, 5: 6, 6: 11, 11: 17}[first]
        await job.append(*turns[first:until])
        stored = await job.load()
        kept = turns[max(0, until - 5) : until]
        assert list(stored.turns) == kept
        assert stored.seq == until
        assert stored.head == (tag_of(turns[until - 6]) if until > 5 else b"")


async def test_more_turns_at_once_than_are_kept(world: World) -> None:
    """Of a long append only the end stays, and the next one goes on from it."""
    backend = world.another(max_turns=3)
    job = await join(backend)
    turns = sealed_turns(8)
    await job.append(*turns)
    assert await job.append(sealed("turn 9")) == 9
    stored = await job.load()
    assert list(stored.turns) == [*turns[6:], sealed("turn 9")]
    assert stored.head == tag_of(turns[5])


async def test_a_trimmed_turn_sent_again_is_no_error(world: World) -> None:
    """A late repetition of what was trimmed meanwhile is answered with the newest number."""
    backend = world.another(max_turns=2)
    job = await join(backend)
    turns = sealed_turns(6)
    await job.append(*turns)
    assert await backend.append(job.lease, 1, NO_TAG, turns[:2]) == 6
    assert await backend.append(job.lease, 3, tag_of(turns[1]), turns[2:]) == 6
    assert list((await job.load()).turns) == turns[4:]


async def test_the_newest_turns_can_be_read_alone(backend: Backend) -> None:
    """A page of the end comes with the tag before it, so that its seals open."""
    job = await join(backend)
    turns = sealed_turns(5)
    await job.append(*turns)
    for last, kept in ((0, []), (1, turns[4:]), (4, turns[1:]), (5, turns), (9, turns)):
        stored = await backend.load(MARIA, job.id, last=last)
        assert stored is not None
        assert list(stored.turns) == kept
        assert stored.head == (tag_of(turns[4 - len(kept)]) if len(kept) < 5 else b"")
        assert stored.seq == 5


async def test_the_head_of_a_trimmed_record_is_read_with_it(world: World) -> None:
    """Asked for as many as are kept, or more, the head is that of the record."""
    backend = world.another(max_turns=3)
    job = await join(backend)
    turns = sealed_turns(5)
    await job.append(*turns)
    for last in (None, 3, 4):
        stored = await backend.load(MARIA, job.id, last=last)
        assert stored is not None
        assert (list(stored.turns), stored.head) == (turns[2:], tag_of(turns[1]))
    stored = await backend.load(MARIA, job.id, last=2)
    assert stored is not None
    assert (list(stored.turns), stored.head) == (turns[3:], tag_of(turns[2]))


async def test_turns_of_a_lost_lease_are_kept_beside_the_record(
    backend: Backend, world: World
) -> None:
    """What a dead job could not write comes in late, under its own lease and numbers, once."""
    old = await join(backend)
    await old.append(sealed("turn 1"))
    late = old.late(sealed("late 2"), sealed("late 3"))
    await world.pass_time(10)
    new = await join(backend)
    await new.append(sealed("turn 2"))

    assert await backend.append_late(old.lease, late[:1]) == 1
    assert await backend.append_late(old.lease, late) == 1
    assert await backend.append_late(old.lease, late) == 0

    stored = await new.load()
    assert list(stored.turns) == [sealed("turn 1"), sealed("turn 2")]
    assert list(stored.late) == late
    assert stored.seq == 2
    assert await new.append(sealed("turn 3")) == 3


async def test_a_turn_that_was_written_after_all_is_not_late(backend: Backend) -> None:
    """Where only the answer was lost, the turn is in the record, and there alone."""
    old = await join(backend)
    written = [sealed("turn 1"), sealed("turn 2")]
    late = old.late(*written, sealed("turn 3"))
    await old.append(*written)
    await backend.release(old.lease)
    new = await join(backend)
    assert await backend.append_late(old.lease, late) == 1
    assert list((await new.load()).late) == late[2:]


async def test_turns_said_under_no_lease_are_none_of_the_record(world: World) -> None:
    """Their numbers begin anew, so none is taken for one that was trimmed, or is there."""
    backend = world.another(max_turns=5)
    job = await join(backend)
    await job.append(*sealed_turns(20))
    said = [sealed("said 1"), sealed("turn 17"), sealed("said 3")]
    apart = [
        LateTurn(1_700_000_000_000, number, bytes(16), words)
        for number, words in zip((1, 17, 18), said, strict=True)
    ]
    assert await backend.append_late(job.lease, apart, apart=True) == 3
    assert await backend.append_late(job.lease, apart, apart=True) == 0
    assert [each.sealed for each in (await job.load()).late] == said


async def test_only_as_many_late_turns_as_turns_are_kept(world: World) -> None:
    """The oldest ones beyond the limit are dropped; later leases count as newer."""
    backend = world.another(max_turns=3)
    old = await join(backend)
    late = old.late(*sealed_turns(2, what="old"))
    await backend.release(old.lease)
    newer = await join(backend)
    newer_late = newer.late(*sealed_turns(2, what="newer"))
    await backend.release(newer.lease)
    await backend.append_late(newer.lease, newer_late)
    await backend.append_late(old.lease, late)
    assert list((await newer.load()).late) == [late[1], *newer_late]


async def test_late_turns_need_the_same_data_key(backend: Backend, world: World) -> None:
    """After an erasure nothing comes in late, not even under the same session id."""
    old = await join(backend)
    other = replace(old.lease, data_key_id="0" * 32)
    theirs = replace(old.lease, participant=JOE)
    for lease in (other, theirs):
        async with nothing_changes(world):
            with pytest.raises(SessionGone):
                await backend.append_late(lease, old.late(sealed("late")))
    await backend.erase(MARIA, "k-1", [])
    async with nothing_changes(world):
        with pytest.raises(SessionGone):
            await backend.append_late(old.lease, old.late(sealed("late")))


async def _update(job: Job, version: int, content: bytes, witness_seq: int) -> int:
    return await job.backend.update(job.lease, version, content, witness_seq=witness_seq)


async def _edit(job: Job, version: int, content: bytes, witness_seq: int) -> int:
    lease = job.lease
    return await job.backend.edit(
        lease.participant,
        lease.session_id,
        lease.data_key_id,
        version,
        content,
        witness_seq=witness_seq,
    )


@pytest.fixture(params=[_update, _edit], ids=["update", "edit"])
def write(request: pytest.FixtureRequest) -> Callable[[Job, int, bytes, int], Awaitable[int]]:
    """Write content with the lease, or without."""
    chosen: Callable[[Job, int, bytes, int], Awaitable[int]] = request.param
    return chosen


async def test_content_is_replaced_by_compare_and_set(
    backend: Backend, world: World, write: Callable[[Job, int, bytes, int], Awaitable[int]]
) -> None:
    """Only a writer that saw the newest version writes the next one."""
    job = await join(backend)
    assert await write(job, 0, b"one", 0) == 1
    assert await write(job, 1, b"two", 0) == 2
    for seen in (0, 1, 3, -1):
        async with nothing_changes(world):
            with pytest.raises(WriteConflict) as conflict:
                await write(job, seen, b"three", 0)
        assert (conflict.value.session_id, conflict.value.current) == (job.id, 2)
    stored = await job.load()
    assert (stored.version, stored.content) == (2, b"two")


async def test_the_same_content_again_is_no_conflict(
    backend: Backend, write: Callable[[Job, int, bytes, int], Awaitable[int]]
) -> None:
    """A write whose answer was lost is repeated."""
    job = await join(backend)
    assert await write(job, 0, b"one", 0) == 1
    assert await write(job, 0, b"one", 0) == 1
    assert (await job.load()).version == 1


async def test_content_is_no_witness_of_turns_that_are_missing(
    backend: Backend, world: World, write: Callable[[Job, int, bytes, int], Awaitable[int]]
) -> None:
    """After a failover took turns back, they are resent before the content that names them."""
    job = await join(backend)
    await job.append(*sealed_turns(2))
    assert await write(job, 0, b"one", 2) == 1
    async with nothing_changes(world):
        with pytest.raises(SequenceGap) as gap:
            await write(job, 1, b"two", 3)
    assert (gap.value.session_id, gap.value.current) == (job.id, 2)


async def test_a_stale_version_comes_before_a_missing_turn(
    backend: Backend, write: Callable[[Job, int, bytes, int], Awaitable[int]]
) -> None:
    """Where both are wrong, the version is what is told."""
    job = await join(backend)
    with pytest.raises(WriteConflict):
        await write(job, 4, b"four", 9)


async def test_without_a_lease_the_data_key_is_compared(backend: Backend, world: World) -> None:
    """A title may be set while a job holds the lease, or none does, but not after an erasure."""
    job = await join(backend)
    other = Job(backend, MARIA, job.found, job.outcome)
    other.lease = replace(job.lease, owner="", fence="0")
    assert await _edit(other, 0, b"one", 0) == 1
    await backend.close(MARIA, job.id)
    assert await _edit(other, 1, b"two", 0) == 2
    for wrong in (
        replace(job.lease, data_key_id="0" * 32),
        replace(job.lease, participant=JOE),
        replace(job.lease, session_id="another000000000000000000a"),
    ):
        other.lease = wrong
        async with nothing_changes(world):
            with pytest.raises(SessionGone) as gone:
                await _edit(other, 2, b"three", 0)
        assert gone.value.session_id == wrong.session_id


async def test_with_a_lease_the_fence_is_compared(backend: Backend, world: World) -> None:
    """An update under an old lease is refused, whatever its version."""
    old = await join(backend)
    await backend.release(old.lease)
    await join(backend)
    for seen in (0, 1):
        async with nothing_changes(world):
            with pytest.raises(LeaseLost):
                await _update(old, seen, b"one", 0)


async def test_bytes_of_any_kind_are_kept(backend: Backend) -> None:
    """What is sealed may hold zeros, line ends and anything else, up to a megabyte."""
    job = await join(backend)
    turns = [bytes(range(256)), b"\r\n" * 20, b"", b"\0" * 1_000_000, b"$-1\r\n*0\r\n" + b"t" * 16]
    await job.append(*turns)
    await backend.update(job.lease, 0, bytes(range(256)) * 4, witness_seq=5)
    stored = await job.load()
    assert list(stored.turns) == turns
    assert stored.content == bytes(range(256)) * 4
