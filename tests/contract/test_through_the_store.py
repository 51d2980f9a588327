"""What the store adds to a backend: seals, merged changes, late turns; the same on each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from session_store import (
    InvalidValue,
    LeaseLost,
    SealBroken,
    SessionContent,
    SessionStore,
    StoreSettings,
    Turn,
)
from session_store.backends.values import AgentPresence, JoinOutcome
from session_store.events import Event, EventType
from session_store.values import Replayed
from tests.contract.people import listening

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from session_store.sealing.keyring import Keyring
    from session_store.values import Joined, SealedTurn
    from tests.contract.worlds import World


def turn(number: int, at: float | None = None) -> Turn:
    """Make the user's turn number ``number``."""
    said_at = float(number) if at is None else at
    return Turn(id=f"turn-{number}", role="user", text=f"sentence {number}", created_at=said_at)


def seal(store: SessionStore, joined: Joined, *turns: Turn) -> list[SealedTurn]:
    """Seal turns under a join's lease."""
    return [store.seal(joined.lease, each) for each in turns]


def in_german(content: SessionContent) -> SessionContent:
    """Change the language, as a holder."""
    return content.model_copy(update={"language": "de"})


async def read(store: SessionStore, joined: Joined) -> tuple[SessionContent, list[str]]:
    """Read a session's content, and the ids of its turns."""
    loaded = await store.load(joined.lease.participant, joined.session.id)
    assert loaded is not None
    return loaded.session.content, [each.turn.id for each in loaded.turns]


async def test_what_was_said_is_there_after_a_new_join(store: SessionStore) -> None:
    """A job that joins finds the session of the job before, word by word."""
    who = store.pseudonym("maria")
    first = await store.join(who)
    await store.append(first.lease, seal(store, first, turn(1), turn(2)))
    await store.update(first.lease, in_german)
    await store.leave(first.lease)
    await store.release(first.lease)
    second = await store.join(who)
    assert second.outcome is JoinOutcome.REJOINED
    assert [each.turn for each in second.turns] == [turn(1), turn(2)]
    assert second.session.content.language == "de"


async def test_a_title_and_a_change_of_the_holder_are_both_kept(
    make_store: Callable[..., SessionStore],
) -> None:
    """The page names the session while its job writes: the second of them merges."""
    job, page = make_store(), make_store()
    who = job.pseudonym("maria")
    joined = await job.join(who)
    await page.set_title(who, joined.session.id, "My trip")
    await job.update(joined.lease, in_german)
    content, _ = await read(page, joined)
    assert (content.title, content.language) == ("My trip", "de")


async def test_many_changes_at_once_lose_none(make_store: Callable[..., SessionStore]) -> None:
    """Four processes with the same lease, and one without: each change is in the content."""
    stores = [make_store() for _ in range(4)]
    who = stores[0].pseudonym("maria")
    joined = [await each.join(who, owner="the same") for each in stores]

    def note(name: str) -> Callable[[SessionContent], SessionContent]:
        def change(content: SessionContent) -> SessionContent:
            return content.model_copy(update={"metadata": {**content.metadata, name: True}})

        return change

    changes = [
        store.update(each.lease, note(f"process {number}"))
        for number, (store, each) in enumerate(zip(stores, joined, strict=True))
    ]
    await asyncio.gather(*changes)
    content, _ = await read(stores[0], joined[0])
    assert content.metadata.keys() == {f"process {number}" for number in range(4)}


async def test_what_a_dead_job_left_continues_its_record(store: SessionStore, world: World) -> None:
    """Without a holder of its lease; replayed twice, it is there once."""
    joined = await store.join(store.pseudonym("maria"))
    sealed = seal(store, joined, turn(1), turn(2), turn(3))
    await store.append(joined.lease, sealed[:1])
    await world.pass_time(60)
    for _ in range(2):
        assert await store.replay(joined.lease.ref, sealed[1:]) is Replayed.APPENDED
    _, ids = await read(store, joined)
    assert ids == ["turn-1", "turn-2", "turn-3"]


async def test_what_a_dead_job_left_comes_in_late_after_a_takeover(
    store: SessionStore, world: World
) -> None:
    """It is read in by its time, once, and the record of the successor goes on."""
    dead = await store.join(store.pseudonym("maria"))
    sealed = seal(store, dead, turn(1), turn(2, at=2.5), turn(3, at=5.5))
    await store.append(dead.lease, sealed[:1])
    await world.pass_time(60)
    successor = await store.join(dead.lease.participant)
    await store.append(successor.lease, seal(store, successor, turn(4), turn(5)))
    for _ in range(2):
        assert await store.replay(dead.lease.ref, sealed) is Replayed.LATE
    await store.append(successor.lease, seal(store, successor, turn(6)))
    loaded = await store.load(dead.lease.participant, dead.session.id)
    assert loaded is not None
    assert [(each.turn.id, each.late) for each in loaded.turns] == [
        ("turn-1", False),
        ("turn-2", True),
        ("turn-4", False),
        ("turn-5", False),
        ("turn-3", True),
        ("turn-6", False),
    ]


async def test_what_a_dead_job_left_is_dropped_after_an_erasure(
    store: SessionStore, world: World
) -> None:
    """Nothing comes back, also where the person has begun anew."""
    dead = await store.join(store.pseudonym("maria"))
    sealed = seal(store, dead, turn(1))
    await store.erase(dead.lease.participant)
    assert await store.replay(dead.lease.ref, sealed) is Replayed.ERASED
    assert await world.lifetimes() == {}
    again = await store.join(dead.lease.participant)
    assert await store.replay(dead.lease.ref, sealed) is Replayed.ERASED
    assert await read(store, again) == (SessionContent(), [])


async def test_only_the_end_of_a_long_record_is_read(
    make_store: Callable[..., SessionStore],
) -> None:
    """The chain opens from any turn on, also of a record that was trimmed."""
    store = make_store(max_turns=5)
    joined = await store.join(store.pseudonym("maria"))
    for number in range(1, 9):
        await store.append(joined.lease, seal(store, joined, turn(number)))
    for last in (0, 1, 4, 5, 6):
        loaded = await store.load(joined.lease.participant, joined.session.id, last=last)
        assert loaded is not None
        assert [each.seq for each in loaded.turns] == list(range(9 - min(last, 5), 9))


async def test_sessions_are_listed_switched_and_named(store: SessionStore) -> None:
    """As a page shows them: newest first, by their titles."""
    who = store.pseudonym("maria")
    first = await store.open(who)
    second = await store.open_new(who)
    await store.set_title(who, first.session.id, "The first")
    page = await store.sessions(who)
    assert [each.id for each in page.sessions] == [second.session.id, first.session.id]
    assert [each.content.title for each in page.sessions] == [None, "The first"]
    assert await store.close(who, first.session.id)
    assert not await store.close(who, first.session.id)
    back = await store.switch(who, first.session.id, expect_agent=True)
    assert (back.resumed, back.agent) == (True, AgentPresence.WANTED)
    assert back.session.content.title == "The first"
    page = await store.sessions(who)
    assert [each.id for each in page.sessions] == [first.session.id, second.session.id]
    assert await store.delete(who, first.session.id)
    assert [each.id for each in (await store.sessions(who)).sessions] == [second.session.id]


async def test_a_session_may_be_begun_under_an_id_that_was_made_before(
    make_store: Callable[..., SessionStore],
) -> None:
    """While the store was away, say: the first caller begins it, the others find it."""
    page, job = make_store(), make_store()
    who = page.pseudonym("maria")
    other = await page.open(who)
    chosen = page.keyring.new_session_id(who)
    opened = await asyncio.gather(*(each.open_new(who, session_id=chosen) for each in (page, job)))
    assert {each.session.id for each in opened} == {chosen}
    joined = await job.join(who, session_id=chosen, exact=True)
    await job.append(joined.lease, seal(job, joined, turn(1)))
    again = await page.open_new(who, session_id=chosen)
    assert [each.turn for each in again.turns] == [turn(1)]
    assert {each.id for each in (await page.sessions(who)).sessions} == {other.session.id, chosen}
    for stranger in (page.keyring.new_session_id(page.pseudonym("joe")), "a" * 26):
        with pytest.raises(InvalidValue):
            await page.open_new(who, session_id=stranger)
    assert (await page.sessions(who)).total == 2


async def test_a_dead_job_is_named_by_its_worker(
    make_store: Callable[..., SessionStore],
) -> None:
    """The worker's main process breaks its lease at once, and tells its own hooks, once."""
    heard: list[str] = []

    class Hook:
        def on_event(self, event: Event) -> None:
            heard.append(event.type)

    job, worker = make_store(), make_store()
    who = job.pseudonym("maria")
    joined = await job.join(who, owner=job.owner_of("worker-1", "job-1"))
    worker.add_hook(Hook())
    session_id = joined.session.id
    owner = worker.owner_of("worker-1", "job-1")
    wrong = worker.owner_of("worker-2", "job-1")
    assert await worker.claim_orphan(who, session_id, owner=wrong) is AgentPresence.PRESENT
    assert await worker.claim_orphan(who, session_id, owner=owner) is AgentPresence.WANTED
    await worker.give_back_claim(who, session_id, absent=True)
    assert heard == ["lease_lost", "participant_left"]
    with pytest.raises(LeaseLost):
        await job.append(joined.lease, seal(job, joined, turn(1)))


async def test_content_that_does_not_open_is_no_empty_session(store: SessionStore) -> None:
    """It is listed as unreadable, is not loaded, joined or named, and stays as it is."""
    who = store.pseudonym("maria")
    joined = await store.join(who)
    session_id = joined.session.id
    key_id = joined.lease.ref.data_key_id
    await store._backend.edit(who, session_id, key_id, 0, b"\x01no seal" * 9, witness_seq=0)
    await store.release(joined.lease)
    listed = (await store.sessions(who)).sessions[0]
    assert (listed.id, listed.readable, listed.content) == (session_id, False, SessionContent())
    with pytest.raises(SealBroken):
        await store.load(who, session_id)
    with pytest.raises(SealBroken):
        await store.join(who)
    with pytest.raises(SealBroken):
        await store.set_title(who, session_id, "Title")
    stored = await store._backend.load(who, session_id, last=None)
    assert stored is not None
    assert (stored.version, stored.content, stored.owner) == (1, b"\x01no seal" * 9, "")
    assert (await store.open_new(who)).session.id != session_id


async def test_hooks_hear_what_this_process_does(world: World, keyring: Keyring) -> None:
    """Once each, whatever is published; a turn's acknowledgement too."""
    heard: list[Event] = []

    class Hook:
        def on_event(self, event: Event) -> None:
            heard.append(event)

    store = world.store(keyring)
    store.add_hook(Hook())
    async with listening(world.another()) as published:
        joined = await store.join(store.pseudonym("maria"))
        await store.append(joined.lease, seal(store, joined, turn(1)))
        await store.leave(joined.lease)
        await store.close(joined.lease.participant, joined.session.id)
        await store.erase(joined.lease.participant)
    own = [event for event in heard if event.type is not EventType.TURN_APPENDED]
    assert own == published
    assert len(heard) == len(own) + 1


async def test_a_store_may_live_in_memory(tmp_path: Path) -> None:
    """For a demo without Redis: the same store by another address, gone with the process."""
    key_file = tmp_path / "keys.json"
    key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
    key_file.write_text(f'{{"keys": {{"k": "{key}"}}, "primary": "k", "pseudonym_key": "{key}"}}')
    settings = StoreSettings.model_validate({"redis_url": "memory://", "key_file": key_file})
    store = SessionStore.from_settings(settings)
    await store.check()
    joined = await store.join(store.pseudonym("maria"))
    await store.append(joined.lease, seal(store, joined, turn(1)))
    _, ids = await read(store, joined)
    assert ids == ["turn-1"]
    await store.aclose()
