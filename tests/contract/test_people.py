"""Participants, the keys that wrap theirs, deadlines by shard, and the sweepers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from session_store.backends.values import Consent, OpenMode, SettleOutcome
from session_store.keys import SHARDS, shard_of
from session_store.sealing.data_key import WrappedKey
from tests.contract.people import (
    JOE,
    MARIA,
    candidate,
    is_due,
    join,
    nothing_changes,
    open_session,
    pseudonym,
)

if TYPE_CHECKING:
    from session_store.backends.contract import Backend
    from tests.contract.worlds import World

HOUR_S = 3600


async def test_a_participant_begins_with_the_first_session(backend: Backend) -> None:
    """The record holds the wrapped data key and its time; an unknown participant has none."""
    assert await backend.participant(MARIA) is None
    offered = candidate()
    found, _ = await open_session(backend, offered=offered)
    participant = await backend.participant(MARIA)
    assert participant is not None
    assert participant.wrapped == offered.wrapped
    assert participant.created == found.session.last_seen
    assert (participant.consent, participant.retention_ms) == (None, None)


async def test_consent_has_a_time_and_a_version(backend: Backend, world: World) -> None:
    """The newest answer counts, a refusal too."""
    await open_session(backend)
    given = await backend.set_consent(MARIA, given=True, version="2026-01")
    participant = await backend.participant(MARIA)
    assert participant is not None
    assert participant.consent == given
    assert given == Consent(given=True, version="2026-01", at=given.at if given else 0)
    await world.pass_time(10)
    taken_back = await backend.set_consent(MARIA, given=False, version="2026-02 é")
    participant = await backend.participant(MARIA)
    assert participant is not None
    assert participant.consent == taken_back
    assert taken_back == (False, "2026-02 é", taken_back.at if taken_back else 0)


async def test_nobody_unknown_consents(backend: Backend, world: World) -> None:
    """Neither consent nor retention creates a participant."""
    async with nothing_changes(world):
        assert await backend.set_consent(MARIA, given=True, version="1") is None
        assert not await backend.set_retention(MARIA, 1000)
        assert not await backend.set_retention(MARIA, None)


async def test_a_shorter_retention_counts_at_once(backend: Backend, world: World) -> None:
    """For sessions that are there and later ones; they are looked at at once."""
    job = await join(backend)
    await backend.close(MARIA, job.id)
    await world.pass_time(2 * HOUR_S)
    assert (await backend.settle(MARIA, job.id)).outcome is SettleOutcome.LATER
    assert not await is_due(backend, MARIA, job.id)

    assert await backend.set_retention(MARIA, HOUR_S * 1000)

    assert await is_due(backend, MARIA, job.id)
    later, _ = await open_session(backend)
    assert (await backend.settle(MARIA, job.id)).outcome is SettleOutcome.ERASED
    participant = await backend.participant(MARIA)
    assert participant is not None
    assert participant.retention_ms == HOUR_S * 1000
    await backend.close(MARIA, later.session.id)
    await world.pass_time(HOUR_S - 10)
    assert (await backend.settle(MARIA, later.session.id)).outcome is SettleOutcome.LATER
    await world.pass_time(20)
    assert (await backend.settle(MARIA, later.session.id)).outcome is SettleOutcome.ERASED


async def test_a_longer_retention_keeps_what_is_there(backend: Backend, world: World) -> None:
    """Keys must not run out before their retention does."""
    job = await join(backend)
    await backend.close(MARIA, job.id)
    await backend.set_retention(MARIA, 6 * 24 * HOUR_S * 1000)
    await world.pass_time(5 * 24 * HOUR_S)
    assert (await backend.settle(MARIA, job.id)).outcome is SettleOutcome.LATER
    assert await backend.load(MARIA, job.id, last=None) is not None
    await world.pass_time(24 * HOUR_S)
    assert (await backend.settle(MARIA, job.id)).outcome is SettleOutcome.ERASED


async def test_back_to_the_default_retention(backend: Backend, world: World) -> None:
    """Without one of its own, a participant's sessions are kept as all others are."""
    job = await join(backend)
    await backend.set_retention(MARIA, HOUR_S * 1000)
    await backend.set_retention(MARIA, None)
    participant = await backend.participant(MARIA)
    assert participant is not None
    assert participant.retention_ms is None
    await backend.close(MARIA, job.id)
    await world.pass_time(23 * HOUR_S)
    assert (await backend.settle(MARIA, job.id)).outcome is SettleOutcome.LATER


async def test_what_is_due_is_found_by_its_shard(backend: Backend, world: World) -> None:
    """Each participant's deadlines lie in one of the shards, and only there."""
    job = await join(backend)
    theirs, _ = await open_session(backend, JOE)
    assert await backend.due(range(SHARDS), 10) == []
    await world.pass_time(301)
    assert {tuple(each) for each in await backend.due(range(SHARDS), 10)} == {
        (MARIA, job.id),
        (JOE, theirs.session.id),
    }
    assert [tuple(each) for each in await backend.due([shard_of(JOE)], 10)] == [
        (JOE, theirs.session.id)
    ]
    others = [each for each in range(SHARDS) if each not in (shard_of(MARIA), shard_of(JOE))]
    assert await backend.due(others, 10) == []
    assert await backend.due([], 10) == []


async def test_what_has_been_due_longest_comes_first(backend: Backend, world: World) -> None:
    """A sweeper that reads a few at a time reads those first."""
    ids = []
    for _ in range(4):
        found, _ = await open_session(backend, mode=OpenMode.NEW)
        ids.append(found.session.id)
        await world.pass_time(10)
    await world.pass_time(301)
    due = await backend.due([shard_of(MARIA)], 3)
    assert [each.session_id for each in due] == ids[:3]


async def test_sweepers_know_of_each_other(world: World) -> None:
    """A sweeper that was heard of a moment ago is named; one that fell silent is not."""
    backends = [world.another() for _ in range(3)]
    for number, backend in enumerate(backends):
        named = (await backend.sweepers(f"sweeper-{number}", 10_000)).names
        assert sorted(named) == [f"sweeper-{n}" for n in range(number + 1)]
    await world.pass_time(6)
    await backends[1].sweepers("sweeper-1", 10_000)
    await world.pass_time(6)
    assert sorted((await backends[2].sweepers("sweeper-2", 10_000)).names) == [
        "sweeper-1",
        "sweeper-2",
    ]


async def test_a_key_knows_whose_data_keys_it_wraps(backend: Backend) -> None:
    """By shard, so that a rotation finds them all."""
    await open_session(backend)
    await open_session(backend, JOE, offered=candidate("k-2"))
    assert await backend.wrapped_by("k-1", range(SHARDS)) == [MARIA]
    assert await backend.wrapped_by("k-2", range(SHARDS)) == [JOE]
    assert await backend.wrapped_by("k-3", range(SHARDS)) == []
    assert await backend.wrapped_by("k-1", [shard_of(MARIA)]) == [MARIA]
    assert await backend.wrapped_by("k-1", [(shard_of(MARIA) + 1) % SHARDS]) == []
    assert await backend.wrapped_by("k-1", []) == []


async def test_a_data_key_is_wrapped_anew_by_compare_and_set(
    backend: Backend, world: World
) -> None:
    """Of two rotations at once one wins, and the entries follow the wrapped key."""
    job = await join(backend)
    before = job.session.wrapped
    after = [before._replace(kek_id="k-2", wrapped=f"anew {n}".encode()) for n in range(8)]
    backends = [world.another() for _ in after]
    won = await asyncio.gather(
        *(each.rewrap(MARIA, before, new) for each, new in zip(backends, after, strict=True))
    )
    assert sum(won) == 1
    assert (await job.load()).wrapped == after[won.index(True)]
    assert await backend.wrapped_by("k-1", range(SHARDS)) == []
    assert await backend.wrapped_by("k-2", range(SHARDS)) == [MARIA]
    await backend.renew(job.lease)


async def test_a_data_key_may_be_wrapped_anew_by_the_same_key(backend: Backend) -> None:
    """Then it stays in that key's list."""
    job = await join(backend)
    before = job.session.wrapped
    assert await backend.rewrap(MARIA, before, before._replace(wrapped=b"anew"))
    assert await backend.wrapped_by("k-1", range(SHARDS)) == [MARIA]


async def test_only_what_was_seen_is_wrapped_anew(backend: Backend, world: World) -> None:
    """Another data key, key-encryption key or wrapping than the caller saw stays as it is."""
    before = (await join(backend)).session.wrapped
    for seen in (
        WrappedKey("0" * 32, before.kek_id, before.wrapped),
        WrappedKey(before.data_key_id, "k-2", before.wrapped),
        WrappedKey(before.data_key_id, before.kek_id, b"another"),
    ):
        after = seen._replace(kek_id="k-9", wrapped=b"anew")
        async with nothing_changes(world):
            assert not await backend.rewrap(MARIA, seen, after)
            assert not await backend.rewrap(JOE, seen, after)


async def test_an_entry_that_is_not_stale_stays(backend: Backend, world: World) -> None:
    """A key's list never loses a participant whose data key it wraps."""
    await open_session(backend)
    async with nothing_changes(world):
        assert not await backend.forget_wrapped(MARIA, "k-1")
    assert await backend.wrapped_by("k-1", range(SHARDS)) == [MARIA]


async def test_the_entry_goes_with_the_participant(backend: Backend, world: World) -> None:
    """By erasure, and by the end of the retention."""
    for participant in (MARIA, JOE):
        job = await join(backend, participant)
        await backend.close(participant, job.id)
    await backend.erase(MARIA, "k-1", [])
    assert await backend.wrapped_by("k-1", range(SHARDS)) == [JOE]
    await world.pass_time(24 * HOUR_S + 60)
    assert (await backend.settle(JOE, job.id)).outcome is SettleOutcome.ERASED
    assert await backend.wrapped_by("k-1", range(SHARDS)) == []


async def test_key_checks_are_left_once(world: World) -> None:
    """The first process leaves them; later ones add only what is missing."""
    one, two = world.another(), world.another()
    first = {"a": b"1", "b": b"\x00\xff"}
    assert await one.check_values(first) == first
    assert await two.check_values({"b": b"other", "c": b"3"}) == {**first, "c": b"3"}
    assert await one.check_values({}) == {**first, "c": b"3"}


async def test_a_ping_is_answered(backend: Backend) -> None:
    """A caller that asks whether it is there hears so."""
    await backend.ping()


async def test_sessions_are_listed_newest_first(backend: Backend, world: World) -> None:
    """In pages, without turns, with how many there are; another's are not among them."""
    ids = []
    for _ in range(5):
        found, _ = await open_session(backend, mode=OpenMode.NEW)
        ids.append(found.session.id)
        await world.pass_time(10)
    await open_session(backend, JOE)
    job = await join(backend, wanted=ids[1], exact=True)
    await job.append(b"a turn" * 10)
    await backend.update(job.lease, 0, b"content", witness_seq=1)
    newest_first = [ids[1], ids[4], ids[3], ids[2], ids[0]]
    for offset, limit in ((0, 5), (0, 2), (2, 2), (4, 2), (5, 2), (0, 100), (0, 0), (3, 0)):
        page = await backend.sessions(MARIA, offset=offset, limit=limit)
        assert page.total == 5
        assert [each.id for each in page.sessions] == newest_first[offset : offset + limit]
        assert all(list(each.turns) == [] for each in page.sessions)
    first = (await backend.sessions(MARIA, offset=0, limit=1)).sessions[0]
    assert (first.state, first.seq, first.version, first.content) == ("live", 1, 1, b"content")


async def test_known_sessions_make_no_difference(backend: Backend) -> None:
    """They save a round trip where they are right; where they are not, the list is the same."""
    ids = [(await open_session(backend, mode=OpenMode.NEW))[0].session.id for _ in range(3)]
    page = await backend.sessions(MARIA, offset=0, limit=2)
    for known in ([], ids, ids[::-1], ids[2:0:-1], [candidate().session_id]):
        same = await backend.sessions(MARIA, offset=0, limit=2, known=known)
        assert [each.id for each in same.sessions] == [each.id for each in page.sessions]
    nobody = await backend.sessions(pseudonym("nobody"), offset=0, limit=2, known=ids)
    assert (nobody.total, list(nobody.sessions)) == (0, [])
