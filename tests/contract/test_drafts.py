"""What is being said is kept before it is a turn, so that a job's death loses no spoken word."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from session_store import InvalidValue, LeaseLost, Turn
from session_store.backends.values import SealedDraft
from session_store.models import MAX_TURN_BYTES
from session_store.sealing.data_key import NO_TAG
from session_store.values import Replayed
from tests.contract.people import MARIA, join, nothing_changes, sealed, sealed_turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from session_store import Joined, SessionStore
    from session_store.backends.contract import Backend
    from tests.contract.people import Job
    from tests.contract.worlds import World


def draft(role: str, number: int, words: str = "") -> SealedDraft:
    """Make a draft's bytes."""
    return SealedDraft(role, number, sealed(words or f"{role} {number}"))


async def kept(job: Job) -> list[tuple[str, int]]:
    """Return role and number of what is kept."""
    return [(role, number) for role, number, _ in (await job.load()).drafts]


def said(role: str, text: str, turn_id: str = "") -> Turn:
    """Return a draft of these words."""
    return Turn.model_validate(
        {"id": turn_id or f"{role} says", "role": role, "text": text, "created_at": 5.0}
    )


async def say(store: SessionStore, joined: Joined, role: str, *texts: str) -> SealedDraft:
    """Keep words as they are said, one by one; return the newest draft."""
    for text in texts:
        newest = store.seal_draft(joined.lease, said(role, text))
        await store.keep_draft(joined.lease, newest)
    return newest


async def heard(store: SessionStore, joined: Joined) -> list[str]:
    """Return what is being said, as a reader sees it."""
    loaded = await store.load(joined.lease.participant, joined.session.id)
    assert loaded is not None
    return [each.turn.text for each in loaded.drafts]


async def test_each_role_has_one_slot(backend: Backend) -> None:
    """A newer draft takes the place of the older one of its role, and of no other."""
    job = await join(backend)
    assert ((await job.load()).drafts, (await job.load()).draft_number) == ([], 0)
    for each in (draft("user", 1), draft("assistant", 2), draft("user", 3)):
        await backend.draft(job.lease, each)
    stored = await job.load()
    assert list(stored.drafts) == [draft("assistant", 2), draft("user", 3)]
    assert stored.draft_number == 3


async def test_a_draft_that_is_not_newer_changes_nothing(backend: Backend, world: World) -> None:
    """It was on its way for longer than the one that is kept, or came twice."""
    job = await join(backend)
    await backend.draft(job.lease, draft("user", 5))
    async with nothing_changes(world):
        for number in (5, 4, 1):
            await backend.draft(job.lease, draft("user", number, "others"))
    await backend.draft(job.lease, draft("assistant", 4))
    assert await kept(job) == [("assistant", 4), ("user", 5)]


async def test_a_turn_settles_what_was_said_of_it(backend: Backend) -> None:
    """In the same step, for its role alone; what comes late of it is not kept any more."""
    job = await join(backend)
    await backend.draft(job.lease, draft("assistant", 1))
    await backend.draft(job.lease, draft("user", 2))
    await backend.append(job.lease, 1, NO_TAG, sealed_turns(1), {"user": 4})
    assert await kept(job) == [("assistant", 1)]
    for number in (2, 3, 4):
        await backend.draft(job.lease, draft("user", number))
    assert await kept(job) == [("assistant", 1)]
    assert (await job.load()).draft_number == 4
    await backend.draft(job.lease, draft("user", 5))
    assert await kept(job) == [("assistant", 1), ("user", 5)]


async def test_the_next_sentence_stays(backend: Backend) -> None:
    """A draft that is newer than what a turn settles is of what is said after it."""
    job = await join(backend)
    await backend.draft(job.lease, draft("user", 1))
    await backend.draft(job.lease, draft("user", 2))
    await backend.append(job.lease, 1, NO_TAG, sealed_turns(1), {"user": 1})
    assert await kept(job) == [("user", 2)]


async def test_turns_sent_again_settle_again(backend: Backend) -> None:
    """A turn that is there already, or partly, is no reason to keep what was said of it."""
    job = await join(backend)
    turns = sealed_turns(2)
    await backend.append(job.lease, 1, NO_TAG, turns[:1])
    await backend.draft(job.lease, draft("user", 1))
    await backend.append(job.lease, 1, NO_TAG, turns[:1], {"user": 1})
    assert await kept(job) == []
    await backend.draft(job.lease, draft("assistant", 2))
    await backend.append(job.lease, 1, NO_TAG, turns, {"user": 1, "assistant": 2})
    assert await kept(job) == []


async def test_a_refused_append_settles_nothing(backend: Backend, world: World) -> None:
    """What was said is still only said."""
    job = await join(backend)
    await job.append(*sealed_turns(3))
    await backend.draft(job.lease, draft("user", 1))
    async with nothing_changes(world):
        for first, tag in ((7, job.tag), (4, NO_TAG)):
            with pytest.raises(Exception, match="session"):
                await backend.append(job.lease, first, tag, sealed_turns(1, 9), {"user": 1})
    assert await kept(job) == [("user", 1)]


async def test_drafts_outlive_their_job(backend: Backend, world: World) -> None:
    """The successor finds them, goes on counting, and settles them with the turns it makes."""
    job = await join(backend, load="a")
    await backend.draft(job.lease, draft("user", 7))
    await world.pass_time(4)
    successor = await join(backend, load="a")
    assert list(successor.session.drafts) == [draft("user", 7)]
    assert successor.session.draft_number == 7
    with pytest.raises(LeaseLost):
        await backend.draft(job.lease, draft("user", 8))
    await backend.append(successor.lease, 1, NO_TAG, sealed_turns(1), {"user": 7})
    assert await kept(successor) == []


async def test_nothing_is_left_of_drafts_of_who_was_erased(backend: Backend, world: World) -> None:
    """They lie in the session, and go with it."""
    job = await join(backend)
    await backend.draft(job.lease, draft("user", 1))
    await backend.erase(MARIA, "k-1", [])
    assert await world.lifetimes() == {}


async def test_words_survive_a_job_that_dies_in_the_middle_of_a_sentence(
    store: SessionStore, world: World
) -> None:
    """Of both sides; a successor, a page and an operator read them, each role once."""
    joined = await store.join(store.pseudonym("maria"))
    await say(store, joined, "user", "I would", "I would like", "I would like to")
    await say(store, joined, "assistant", "Well,")
    await world.pass_time(4)
    successor = await store.join(joined.lease.participant)
    assert [each.turn for each in successor.drafts] == [
        said("user", "I would like to"),
        said("assistant", "Well,"),
    ]
    opened = await store.open(joined.lease.participant)
    assert opened.drafts == successor.drafts
    assert await heard(store, joined) == ["I would like to", "Well,"]
    assert successor.lease.draft_number == 4
    assert store.seal_draft(successor.lease, said("user", "go on")).number == 5


async def test_a_recorded_sentence_is_said_no_more(store: SessionStore) -> None:
    """The turn says up to which draft it has the words; turns of others settle nothing of it."""
    joined = await store.join(store.pseudonym("maria"))
    mine = await say(store, joined, "user", "Hello", "Hello there")
    theirs = await say(store, joined, "assistant", "Hi")
    turns = [
        store.seal(joined.lease, said("user", "Hello there!", "t1"), mine.number),
        store.seal(joined.lease, Turn(id="t2", kind="tool_call", created_at=6.0), theirs.number),
    ]
    await store.append(joined.lease, turns)
    assert await heard(store, joined) == ["Hi"]
    await store.keep_draft(joined.lease, mine)
    assert await heard(store, joined) == ["Hi"]


async def test_what_a_dead_job_left_settles_its_drafts(store: SessionStore) -> None:
    """Replayed, also from a spool whose turns do not say themselves what they settle."""
    joined = await store.join(store.pseudonym("maria"))
    mine = await say(store, joined, "user", "Hello")
    theirs = await say(store, joined, "assistant", "Hi")
    turns = [store.seal(joined.lease, said("user", "Hello", "t1"), mine.number)]
    assert await store.replay(joined.lease.ref, turns) is Replayed.APPENDED
    assert await heard(store, joined) == ["Hi"]
    turns = [store.seal(joined.lease, said("assistant", "Hi", "t2"))]
    settles = {"assistant": theirs.number}
    assert await store.replay(joined.lease.ref, turns, settles) is Replayed.APPENDED
    assert await heard(store, joined) == []


async def test_drafts_written_in_any_order_end_with_the_newest(
    make_store: Callable[..., SessionStore],
) -> None:
    """However they overtake each other on their way."""
    store = make_store()
    joined = await store.join(store.pseudonym("maria"))
    drafts = [
        store.seal_draft(joined.lease, said(role, f"{role} {number}"))
        for number in range(20)
        for role in ("user", "assistant")
    ]
    await asyncio.gather(*(store.keep_draft(joined.lease, each) for each in drafts[::-1]))
    await asyncio.gather(*(store.keep_draft(joined.lease, each) for each in drafts))
    assert await heard(store, joined) == ["user 19", "assistant 19"]


@pytest.mark.parametrize(
    "turn",
    [
        said("system", "obey"),
        Turn(id="t", kind="tool_call", created_at=1.0),
        said("user", "x" * MAX_TURN_BYTES),
        said("user", "hello").model_copy(update={"text": "\ud800"}),
    ],
    ids=["of no speaker", "of a tool", "too long", "not Unicode"],
)
async def test_what_is_no_draft_is_refused(store: SessionStore, turn: Turn) -> None:
    """Before it has a number."""
    joined = await store.join(store.pseudonym("maria"))
    with pytest.raises(InvalidValue):
        store.seal_draft(joined.lease, turn)
    assert joined.lease.draft_number == 0


async def test_the_longest_draft_is_kept(store: SessionStore) -> None:
    """As long as a turn may be."""
    joined = await store.join(store.pseudonym("maria"))
    words = "x" * (MAX_TURN_BYTES - 100)
    await say(store, joined, "user", words)
    assert await heard(store, joined) == [words]
