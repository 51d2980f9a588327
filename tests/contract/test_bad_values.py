"""What cannot be stored is refused by name, before anything is written."""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from session_store import (
    InvalidValue,
    LeaseHeld,
    SessionContent,
    SessionGone,
    Turn,
)
from session_store.backends.values import OpenMode, SealedDraft
from tests.contract.people import MARIA, join, nothing_changes, open_session, pseudonym, sealed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from session_store import SessionStore
    from session_store.backends.contract import Backend
    from session_store.values import Joined
    from tests.contract.worlds import World

SURROGATE = "\ud800"
BAD_IDS = ["", "x", "a" * 27, "../../etc", "a" * 25 + "*", "é" * 26, "a" * 25 + SURROGATE]
BAD_PARTICIPANTS = ["", "maria", "a" * 27, "é" * 26, "1" * 26, MARIA + ":x", SURROGATE]


def turn(number: int = 1, text: str = "", **details: object) -> Turn:
    """Make a turn."""
    return Turn.model_validate(
        {
            "id": f"turn-{number}",
            "role": "user",
            "text": text,
            "created_at": 1.0,
            "details": details,
        }
    )


def instead(content: SessionContent) -> Callable[[SessionContent], SessionContent]:
    """Make the change that puts this content in place of what was there."""
    return lambda _: content


async def append(store: SessionStore, joined: Joined, *turns: Turn) -> int:
    """Seal and append turns under a join's lease."""
    return await store.append(joined.lease, [store.seal(joined.lease, each) for each in turns])


@pytest.mark.parametrize("identity", ["", "x" * 513, SURROGATE])
def test_a_bad_identity_is_refused(store: SessionStore, identity: str) -> None:
    """Empty, over-long and malformed identities have no pseudonym."""
    with pytest.raises(InvalidValue):
        store.pseudonym(identity)


@pytest.mark.parametrize("participant", BAD_PARTICIPANTS)
async def test_only_a_pseudonym_names_a_participant(
    backend: Backend, world: World, participant: str
) -> None:
    """Whatever else is given becomes no key, in no operation."""
    job = await join(backend)
    lease = job.lease
    bad = type(lease)(participant, job.id, lease.owner, lease.fence, lease.data_key_id)
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: open_session(backend, participant),
        lambda: join(backend, participant),
        lambda: backend.append(bad, 1, b"", [sealed("turn")]),
        lambda: backend.append_late(bad, job.late(sealed("late"))),
        lambda: backend.update(bad, 0, b"", witness_seq=0),
        lambda: backend.renew(bad),
        lambda: backend.release(bad),
        lambda: backend.arrive(bad, "a", ""),
        lambda: backend.leave(bad),
        lambda: backend.load(participant, job.id, last=None),
        lambda: backend.sessions(participant, offset=0, limit=1),
        lambda: backend.close(participant, job.id),
        lambda: backend.delete(participant, job.id),
        lambda: backend.erase(participant, "k-1", []),
        lambda: backend.participant(participant),
        lambda: backend.erased_at(participant),
        lambda: backend.set_consent(participant, given=True, version="1"),
        lambda: backend.set_retention(participant, None),
        lambda: backend.settle(participant, job.id),
        lambda: backend.expect_agent(participant, job.id, claim=True),
        lambda: backend.give_back_claim(participant, job.id),
        lambda: backend.claim_orphan(participant, job.id, owner="", idempotency_key="1"),
        lambda: backend.draft(bad, SealedDraft("user", 1, sealed("draft"))),
    ]
    async with nothing_changes(world):
        for call in calls:
            with pytest.raises(InvalidValue):
                await call()


@pytest.mark.parametrize("session_id", BAD_IDS)
async def test_a_bad_session_id_is_refused(
    store: SessionStore, world: World, session_id: str
) -> None:
    """A session id is never put into a key unchecked."""
    who = store.pseudonym("maria")
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: store.open(who, session_id=session_id),
        lambda: store.switch(who, session_id),
        lambda: store.join(who, session_id=session_id),
        lambda: store.load(who, session_id),
        lambda: store.set_title(who, session_id, "Title"),
        lambda: store.close(who, session_id),
        lambda: store.delete(who, session_id),
        lambda: store.expect_agent(who, session_id),
        lambda: store.give_back_claim(who, session_id),
        lambda: store.claim_orphan(who, session_id),
        lambda: store.open_new(who, session_id=session_id),
        lambda: store.erase(who, known=[session_id]),
    ]
    async with nothing_changes(world):
        for call in calls:
            with pytest.raises(InvalidValue):
                await call()


@pytest.mark.parametrize(("offset", "limit"), [(-1, 1), (0, -1), (0, 10_000)])
async def test_a_bad_page_is_refused(store: SessionStore, offset: int, limit: int) -> None:
    """Pages begin at 0 or later, and have an end."""
    with pytest.raises(InvalidValue):
        await store.sessions(store.pseudonym("maria"), offset=offset, limit=limit)


async def test_a_bad_number_of_turns_is_refused(store: SessionStore) -> None:
    """A negative limit of turns is refused."""
    joined = await store.join(store.pseudonym("maria"))
    with pytest.raises(InvalidValue):
        await store.load(joined.lease.participant, joined.session.id, last=-1)


@pytest.mark.parametrize("bad", ["x" * 201, SURROGATE])
async def test_a_bad_title_is_refused(store: SessionStore, world: World, bad: str) -> None:
    """Over-long titles, and such that are no text, change nothing."""
    joined = await store.join(store.pseudonym("maria"))
    async with nothing_changes(world):
        with pytest.raises(InvalidValue):
            await store.set_title(joined.lease.participant, joined.session.id, bad)


async def test_an_empty_title_and_an_empty_turn_are_fine(store: SessionStore) -> None:
    """Nothing was said, but that is what was said."""
    who = store.pseudonym("maria")
    joined = await store.join(who)
    await append(store, joined, turn(1, ""))
    await store.set_title(who, joined.session.id, "")
    loaded = await store.load(who, joined.session.id)
    assert loaded is not None
    assert (loaded.turns[0].turn.text, loaded.session.content.title) == ("", "")
    await store.set_title(who, joined.session.id, None)
    loaded = await store.load(who, joined.session.id)
    assert loaded is not None
    assert loaded.session.content.title is None


async def test_an_overlong_turn_is_refused_and_the_chain_goes_on(
    store: SessionStore, world: World
) -> None:
    """A turn of 1 MB is refused by name; the next one is stored, also one of nearly 256 KiB."""
    who = store.pseudonym("maria")
    joined = await store.join(who)
    async with nothing_changes(world):
        with pytest.raises(InvalidValue, match=r"turn-1 has \d+ bytes; at most 262144"):
            await append(store, joined, turn(1, "x" * 1_000_000))
    assert await append(store, joined, turn(2), turn(3, "ü" * 130_000)) == 2
    loaded = await store.load(who, joined.session.id)
    assert loaded is not None
    assert [each.turn for each in loaded.turns] == [turn(2), turn(3, "ü" * 130_000)]


@pytest.mark.parametrize(
    "fields",
    [
        {"created_at": math.nan},
        {"created_at": math.inf},
        {"created_at": -math.inf},
        {"created_at": "yesterday"},
        {"id": ""},
        {"id": "x" * 129},
        {"id": SURROGATE},
        {"role": "nobody"},
        {"kind": "a new kind"},
        {"details": {"x": math.nan}},
        {"details": {"x": [{"y": math.inf}]}},
        {"details": {"x": object()}},
        {"unknown": 1},
        {"text": None},
    ],
)
def test_what_is_no_turn_is_refused(fields: dict[str, object]) -> None:
    """By the model, before there is anything to seal; unknown fields too."""
    with pytest.raises(ValidationError):
        Turn.model_validate({"id": "a", "created_at": 1.0, **fields})


@pytest.mark.parametrize(
    "change",
    [
        {"text": SURROGATE},
        {"created_at": math.nan},
        {"created_at": math.inf},
        {"details": {"x": SURROGATE}},
    ],
    ids=repr,
)
async def test_a_turn_that_could_not_be_read_again_is_not_written(
    store: SessionStore, world: World, change: dict[str, object]
) -> None:
    """One such turn would make its whole session unreadable. The chain goes on without it."""
    joined = await store.join(store.pseudonym("maria"))
    bad = turn(1).model_copy(update=change)
    async with nothing_changes(world):
        with pytest.raises(InvalidValue):
            await append(store, joined, bad)
    assert await append(store, joined, turn(2)) == 1


@pytest.mark.parametrize("details", [{SURROGATE: 1}, {"x": math.nan}], ids=repr)
async def test_details_that_got_past_the_model_harm_nothing(
    store: SessionStore, details: dict[str, object]
) -> None:
    """They are refused, or become what can be read; the session opens in any case."""
    who = store.pseudonym("maria")
    joined = await store.join(who)
    with contextlib.suppress(InvalidValue):
        await append(store, joined, turn(1, "hello").model_copy(update={"details": details}))
    await append(store, joined, turn(2, "hello again"))
    loaded = await store.load(who, joined.session.id)
    assert loaded is not None
    assert loaded.turns[-1].turn.text == "hello again"


@pytest.mark.parametrize(
    "details",
    [{"x": 10**400}, {"x": -(2**70)}, {"x": 1e-320}, {"": None}, {"x": "\0\x1f\u2028"}],
    ids=["huge", "large", "tiny", "nameless", "controls"],
)
async def test_odd_but_valid_details_come_back(
    store: SessionStore, details: dict[str, object]
) -> None:
    """Whatever the model takes is read again, or was refused."""
    who = store.pseudonym("maria")
    joined = await store.join(who)
    try:
        await append(store, joined, turn(1, "hello", **details))
    except InvalidValue:
        await append(store, joined, turn(1, "hello"))
        details = {}
    loaded = await store.load(who, joined.session.id)
    assert loaded is not None
    assert loaded.turns[0].turn.details == details


async def test_content_that_is_no_text_is_refused(store: SessionStore, world: World) -> None:
    """And the content that was there stays."""
    joined = await store.join(store.pseudonym("maria"))
    for metadata in ({"x": SURROGATE}, {"x": [{"y": SURROGATE}]}):
        bad = SessionContent(metadata=metadata)
        async with nothing_changes(world):
            with pytest.raises(InvalidValue):
                await store.update(joined.lease, instead(bad))
    await store.update(joined.lease, lambda content: content.model_copy(update={"language": "de"}))
    loaded = await store.load(joined.lease.participant, joined.session.id)
    assert loaded is not None
    assert loaded.session.content.language == "de"


@pytest.mark.parametrize("load_id", ["x" * 100_000, "\0\r\n", "é", SURROGATE])
async def test_any_text_names_a_load(store: SessionStore, load_id: str) -> None:
    """It is only compared; what is no text is refused."""
    who = store.pseudonym("maria")
    try:
        joined = await store.join(who, load_id=load_id)
    except InvalidValue:
        assert load_id == SURROGATE
        return
    assert not (await store.arrive(joined.lease, load_id=load_id)).counted
    assert (await store.arrive(joined.lease, load_id=load_id + "b")).counted


@pytest.mark.parametrize("attempt", ["x" * 1000, SURROGATE, "a b\r\n"])
async def test_an_odd_attempt_harms_nobody(store: SessionStore, attempt: str) -> None:
    """It works, or is refused by name; never a crash of the connection that others share."""
    who = store.pseudonym("maria")
    try:
        joined = await store.join(who, owner=attempt)
    except InvalidValue:
        joined = await store.join(who)
    else:
        assert (await store.join(who, owner=attempt)).lease.ref == joined.lease.ref
    with_attempt = store.arrive(joined.lease, idempotency_key=attempt)
    answers = await asyncio.gather(
        with_attempt, *(store.renew(joined.lease.ref) for _ in range(5)), return_exceptions=True
    )
    assert isinstance(answers[0], InvalidValue) or not isinstance(answers[0], BaseException)
    assert answers[1:] == [None] * 5


async def test_a_bad_call_harms_no_other_of_its_moment(backend: Backend) -> None:
    """Calls of one tick share a connection, but not their errors."""
    job = await join(backend)
    bad = [
        backend.load(MARIA, SURROGATE, last=None),
        backend.set_consent(MARIA, given=True, version=SURROGATE),
        backend.side.audit({"who": SURROGATE}),
    ]
    good = [backend.renew(job.lease), backend.load(MARIA, job.id, last=None)]
    answers = await asyncio.gather(*bad, *good, return_exceptions=True)
    assert not any(isinstance(answer, BaseException) for answer in answers[3:])
    assert all(
        isinstance(answer, ValueError) or not isinstance(answer, BaseException)
        for answer in answers[:3]
    )


async def test_the_clock_jumps_forwards(backend: Backend, world: World) -> None:
    """Leases and windows run out early; fences still grow, and the record goes on."""
    job = await join(backend)
    await job.append(sealed("turn 1"))
    await world.pass_time(250)
    await backend.renew(job.lease)
    await world.pass_time(250)
    second = await join(backend)
    assert (second.id, int(second.lease.fence) > int(job.lease.fence)) == (job.id, True)
    assert await second.append(sealed("turn 2")) == 2


@pytest.mark.parametrize("back_s", [10, 3600, 400 * 24 * 3600])
async def test_the_clock_jumps_backwards(backend: Backend, world: World, back_s: int) -> None:
    """A lease of that time is over unless it is renewed; fences still grow; nothing is lost."""
    job = await join(backend)
    await job.append(sealed("turn 1"))
    await world.pass_time(-back_s)
    assert await job.append(sealed("turn 2")) == 2
    await backend.renew(job.lease)
    with pytest.raises(LeaseHeld):
        await join(backend)
    left = await backend.leave(job.lease)
    assert left.events[0].visit_ms >= 0
    await backend.release(job.lease)
    second = await join(backend)
    assert (second.id, int(second.lease.fence) > int(job.lease.fence)) == (job.id, True)
    assert await second.append(sealed("turn 3")) == 3
    newer, _ = await open_session(backend, mode=OpenMode.NEW)
    assert newer.created
    stored = await job.load()
    assert stored.talk_ms >= 0


async def test_the_newest_session_stays_so_when_the_clock_goes_back(
    backend: Backend, world: World
) -> None:
    """A session that goes on is found again, whatever time its neighbours were seen."""
    await open_session(backend)
    newest, _ = await open_session(backend, mode=OpenMode.NEW)
    # Back behind the time at which both were seen.
    await world.pass_time(-3600)
    job = await join(backend)
    await backend.arrive(job.lease, "a", "")
    await backend.leave(job.lease)
    await backend.release(job.lease)
    again, _ = await open_session(backend)
    assert newest.session.id == job.id == again.session.id


async def test_a_stranger_is_nobody(store: SessionStore) -> None:
    """Reading, closing, deleting and erasing an unknown participant answers without an error."""
    who = pseudonym("a stranger")
    session_id = "a" * 26
    assert await store.load(who, session_id) is None
    assert (await store.sessions(who)).total == 0
    assert not await store.close(who, session_id)
    assert not await store.delete(who, session_id)
    assert (await store.erase(who)).sessions == 0
    with pytest.raises(SessionGone):
        await store.set_title(who, session_id, "Title")
