"""Every operation of the store, once, against whatever the settings lead to."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from dev.rig.net import NET_S
from session_store import (
    AgentPresence,
    InvalidValue,
    JoinOutcome,
    LeaseHeld,
    LeaseLost,
    Recorder,
    SealedTurn,
    SessionGone,
    SessionState,
    SessionStore,
    Turn,
    Work,
)
from session_store.doctor import quick
from session_store.events import Event, EventsMissed, EventType
from session_store.keys import shard_of
from session_store.upkeep.analytics import Analytics
from session_store.upkeep.audit import AuditLog
from session_store.upkeep.privacy import consent, export, set_consent, set_retention
from session_store.upkeep.rotation import rotate_keys
from session_store.upkeep.sweeper import Sweeper
from session_store.values import Replayed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from session_store import Joined, StoreSettings

LANGUAGE = "fr"


def turns(first: int, last: int) -> list[Turn]:
    """Make the user's turns with these numbers."""
    return [
        Turn(id=f"t{n}", role="user", text=f"sentence {n}", created_at=n)
        for n in range(first, last + 1)
    ]


async def use_everything(settings: StoreSettings, *people: str) -> None:
    """Run every operation for each of these people, and look at what comes of it."""
    store = SessionStore.from_settings(settings)
    analytics = Analytics(store.side)
    store.add_hook(analytics)
    try:
        await store.check()
        await store.ping()
        # What it finds is the doctor's matter; that a process may look is this one's.
        await quick(store._backend, store.keyring)
        async with aclosing(store.events()) as stream:
            assert isinstance(await anext(stream), EventsMissed)
            for person in people:
                await _visit(store, person)
                await _manage(store, person)
                await _let_end(settings, person)
                await _erase(store, person)
            await _hear(stream, [store.pseudonym(person) for person in people])
        await _count(store, analytics, len(people))
        await analytics.aclose()
    finally:
        await store.aclose()


async def _visit(store: SessionStore, person: str) -> None:
    """Open, join, talk, leave, come back; a successor; a late turn."""
    who = store.pseudonym(person)
    opened = await store.open(who, expect_agent=True)
    assert (opened.resumed, opened.agent) == (False, AgentPresence.WANTED)
    session_id = opened.session.id
    assert await store.expect_agent(who, session_id) is AgentPresence.EXPECTED
    await store.give_back_claim(who, session_id)
    assert await store.expect_agent(who, session_id) is AgentPresence.WANTED

    joined = await store.join(who, session_id=session_id, load_id="first")
    assert joined.outcome is JoinOutcome.CREATED
    assert not await store.was_emptied(who, joined.mark)
    with pytest.raises(LeaseHeld):
        await store.join(who, session_id=session_id)
    await _talk(store, joined, 1, 3)
    [saying] = turns(7, 7)
    await store.keep_draft(joined.lease, store.seal_draft(joined.lease, saying))
    await store.update(
        joined.lease, lambda before: before.model_copy(update={"language": LANGUAGE})
    )
    await store.renew(joined.lease.ref)
    await store.leave(joined.lease)
    assert (await store.arrive(joined.lease, load_id="second")).reconnect_count == 1

    unsent = [store.seal(joined.lease, turn) for turn in turns(4, 5)]
    await store.release(joined.lease)
    successor = await store.join(who, session_id=session_id, exact=True, load_id="second")
    assert successor.outcome is JoinOutcome.HANDED_OVER
    assert [each.turn for each in successor.turns] == turns(1, 3)
    with pytest.raises(LeaseLost):
        await store.append(joined.lease, unsent)
    assert await store.replay(joined.lease.ref, unsent) is Replayed.LATE
    loaded = await store.load(who, session_id)
    assert loaded is not None
    assert [each.turn for each in loaded.turns] == turns(1, 5)
    assert loaded.session.content.language == LANGUAGE
    assert [each.turn for each in loaded.drafts] == [saying]
    assert loaded.work == successor.work == Work(3, b"work 3")
    await _work_anew(store, successor)
    await store.leave(successor.lease)
    await store.release(successor.lease)
    await _crash(store, who, session_id)


async def _talk(store: SessionStore, joined: Joined, first: int, last: int) -> None:
    """Say each sentence twice: while it is said, and as a turn that settles it."""
    sealed: list[SealedTurn] = []
    for turn in turns(first, last):
        draft = store.seal_draft(joined.lease, turn)
        await store.keep_draft(joined.lease, draft)
        sealed.append(
            store.seal(joined.lease, turn, draft.number, work=f"work {len(sealed) + 1}".encode())
        )
    assert await store.append(joined.lease, sealed) == last
    assert await store.append(joined.lease, sealed) == last, "a repeated append is no error"


async def _work_anew(store: SessionStore, joined: Joined) -> None:
    """Put what the job before worked on aside: it could not be loaded."""
    recorder = Recorder(store, joined.lease)
    recorder.work_unread()
    [last] = turns(9, 9)
    assert await recorder.saved(recorder.record(last, work=b"anew").seq, NET_S)
    await recorder.aclose()
    loaded = await store.load(joined.lease.participant, joined.session.id)
    assert loaded is not None
    assert loaded.work == Work(4, b"anew")
    assert loaded.works_before == (Work(3, b"work 3"),)


async def _crash(store: SessionStore, who: str, session_id: str) -> None:
    """A job dies and is replaced; its successor dies after the participant has left."""
    owner = store.owner_of("worker", "job")
    await store.join(who, session_id=session_id, owner=owner)
    assert await store.claim_orphan(who, session_id) is AgentPresence.PRESENT
    assert await store.claim_orphan(who, session_id, owner=owner) is AgentPresence.WANTED
    await store.give_back_claim(who, session_id, absent=True)
    successor = await store.join(who, session_id=session_id, owner=owner)
    assert successor.outcome is JoinOutcome.REJOINED
    gone = await store.claim_orphan(who, session_id, owner=owner, absent=True)
    assert gone is AgentPresence.ABSENT
    loaded = await store.load(who, session_id)
    assert loaded is not None
    assert loaded.session.state is SessionState.AWAY


async def _manage(store: SessionStore, person: str) -> None:
    """Several sessions, a title, consent, retention, export, keys."""
    who = store.pseudonym(person)
    [first] = (await store.sessions(who)).sessions
    chosen = store.keyring.new_session_id(who)
    second = (await store.open_new(who, session_id=chosen)).session
    assert second.id == chosen
    assert (await store.set_title(who, first.id, "Cooking")).title == "Cooking"
    listed = (await store.sessions(who)).sessions
    assert [(each.id, each.content.title) for each in listed] == [
        (second.id, None),
        (first.id, "Cooking"),
    ]
    assert await store.close(who, second.id)
    assert (await store.switch(who, second.id)).session.id == second.id
    assert await store.delete(who, second.id)
    assert await store.load(who, second.id) is None

    assert await set_retention(store, who, timedelta(hours=1))
    assert await set_retention(store, who, None)
    assert await set_consent(store, who, given=True, version="2")
    agreed = await consent(store, who)
    assert agreed is not None
    assert (agreed.given, agreed.version) == (True, "2")
    audit = AuditLog(store.side, store.keyring, actor="tests")
    exported = await export(store, who, audit=audit)
    assert exported is not None
    assert [len(each["turns"]) for each in exported["sessions"]] == [6]
    assert (await audit.verify()).intact
    await rotate_keys(store._backend, store.keyring)
    stored = await store._backend.participant(who)
    assert stored is not None
    anew = store.keyring.rewrap(who, stored.wrapped)
    assert await store._backend.rewrap(who, stored.wrapped, anew)


async def _let_end(settings: StoreSettings, person: str) -> None:
    """A sweeper finds what is due: the resume window of a departed participant has passed."""
    hasty = settings.model_copy(update={"resume_window_first_s": 0.01, "max_turns": 2})
    store = SessionStore.from_settings(hasty)
    try:
        who = store.pseudonym(f"{person}, later")
        joined = await store.join(who)
        await store.append(joined.lease, [store.seal(joined.lease, turn) for turn in turns(1, 9)])
        loaded = await store.load(who, joined.session.id)
        assert loaded is not None
        assert [each.turn for each in loaded.turns] == turns(8, 9)
        await store.leave(joined.lease)
        await store.release(joined.lease)
        sweeper = Sweeper(store)
        async with asyncio.timeout(NET_S):
            while not (await sweeper.sweep()).ended:
                await asyncio.sleep(0.01)
        assert (await store._backend.sweepers("tests", 1000)).names
        await store.make_all_due([shard_of(who)])
        await store.erase(who)
    finally:
        await store.aclose()


async def _erase(store: SessionStore, person: str) -> None:
    """Nothing is left of a participant, and nothing comes back."""
    who = store.pseudonym(person)
    joined = await store.join(who, exact=False, load_id="third", owner="0" * 32)
    await store._backend.put_back(joined.lease.ref)
    erased = await store.erase(who)
    assert (erased.left_over, erased.sessions) == (0, 1)
    assert await store.erased_at(who) is not None
    assert (await store.erase(who)).sessions == 0
    with pytest.raises(SessionGone):
        await store.append(joined.lease, [store.seal(joined.lease, turns(9, 9)[0])])
    assert (await store.sessions(who)).total == 0
    with pytest.raises(InvalidValue):
        await store.load(who, "too short")


async def _hear(stream: AsyncGenerator[Event | EventsMissed, None], people: Sequence[str]) -> None:
    """All that was done was published, in its order."""
    awaited = [(EventType.SESSION_CREATED, who) for who in people]
    awaited += [(EventType.ERASED, people[-1])]
    heard: list[tuple[EventType, str]] = []
    async with asyncio.timeout(NET_S):
        while not set(awaited) <= set(heard):
            event = await anext(stream)
            assert isinstance(event, Event)
            if event.type is not EventType.ERASED or not event.session_id:
                heard.append((event.type, event.participant))
    for kind in (EventType.SESSION_RESUMED, EventType.PARTICIPANT_LEFT, EventType.HANDOFF):
        assert {(kind, who) for who in people} <= set(heard)


async def _count(store: SessionStore, analytics: Analytics, people: int) -> None:
    """The day knows how many were there."""
    assert await analytics.flush()
    today = datetime.now(UTC).date()
    assert (await analytics.day(today)).people >= people
    assert await analytics.active([today, today - timedelta(days=1)]) >= people
    assert await store.side.counted(today)
