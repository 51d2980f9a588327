"""Conversations that begin while the store is away, on a real Redis that comes back."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from livekit.agents import llm

from session_store import StoreUnavailable, Turn, TurnKind
from session_store.errors import NotGranted, SessionGone
from session_store.livekit.job.versions import context_of
from session_store.models import SessionContent, SessionContext
from session_store.sealing.schema import write_content
from session_store.writing import offline_start
from session_store.writing.offline_start import SpooledStart, begin, join_begun, merged
from session_store.writing.spool import Spool, SpoolReport
from tests.integration.stage import Stage
from tests.integration.test_recorder import away, back
from tests.integration.test_store import age

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from session_store import SessionStore

UNKNOWN = "Hello! I can't look up our earlier conversations right now, but we can talk."


async def texts(stage: Stage, session_id: str | None = None) -> list[str]:
    """Return what the store has of the conversation, in order."""
    wanted = session_id or stage.conversation.session_id
    loaded = await stage.store.load(stage.participant, wanted)
    return [] if loaded is None else [each.turn.text for each in loaded.turns]


async def talked(stage: Stage, *words: str) -> None:
    """Say something, and wait for each answer."""
    for text in words:
        said = len(stage.said())
        await stage.agent_session.generate_reply(user_input=text)
        await stage.until(lambda said=said: len(stage.said()) > said)  # type: ignore[misc]


async def earlier_conversation(stage: Callable[..., Stage], raw: Any) -> str:
    """Let a participant have talked before; the job died since, and its lease has run out."""
    first = await (await stage().join()).start()
    await first.until(lambda: len(first.said()) == 1)
    await talked(first, "my name is Maria")
    await first.conversation._writers.recorder.flush(5)
    session_id = first.conversation.session_id
    await first.die()
    await age(raw, first.store, "maria", session_id, 4)
    return session_id


async def joined(stage: Stage) -> None:
    """Wait until the lease is granted and all is written."""
    await stage.until(lambda: stage.conversation._writers.lease.granted)
    assert await stage.conversation._writers.recorder.flush(5)
    assert await stage.conversation._writers.content.flush(5)


async def test_somebody_new_is_talked_to_while_redis_is_away(
    stage: Callable[..., Stage], raw: Any
) -> None:
    """Nothing is known, which is said; all of it is saved once when Redis is back."""
    await away(raw)
    first = await stage().begin().start()
    await first.until(lambda: first.said() == [UNKNOWN])
    await talked(first, "my name is Maria")
    shown = [each for each in first.job.room.sent if each["type"] in {"hello", "turn"}]
    assert shown[0]["saved"] is False
    assert not any(each["saved"] for each in shown)
    await back(raw)
    await joined(first)
    assert await texts(first) == [UNKNOWN, "my name is Maria", first.said()[1]]
    hellos = [each for each in first.job.room.sent if each["type"] == "hello"]
    assert ["saved" in each for each in hellos] == [True, False]


async def test_history_is_merged_when_redis_is_back(stage: Callable[..., Stage], raw: Any) -> None:
    """What was said before stands in front, for the record, the page and the model."""
    session_id = await earlier_conversation(stage, raw)
    before = await texts(stage(), session_id)
    await away(raw)
    second = await stage().begin(session_id=session_id).start()
    await second.until(lambda: second.said() == [UNKNOWN])
    await talked(second, "I like tea")
    await back(raw)
    await joined(second)
    assert second.conversation.session_id == session_id
    assert await texts(second) == [*before, UNKNOWN, "I like tea", second.said()[1]]
    context = [each.text_content for each in context_of(second.agent_session).messages()]
    assert [text for text in context if text in {"my name is Maria", "I like tea"}] == [
        "my name is Maria",
        "I like tea",
    ]
    numbers = {each["id"]: each["seq"] for each in second.job.room.sent if each["type"] == "turn"}
    assert sorted(numbers.values()) == list(range(1, len(before) + 4))


async def test_what_was_learnt_meanwhile_is_kept(stage: Callable[..., Stage], raw: Any) -> None:
    """Changes of the content are made again on what the store has."""
    session_id = await earlier_conversation(stage, raw)
    await stage().store.set_title(stage().participant, session_id, "Tea")
    await away(raw)
    second = await stage().begin(session_id=session_id).start()
    second.conversation.change(lambda old: old.model_copy(update={"language": "de"}))
    await back(raw)
    await joined(second)
    loaded = await second.store.load(second.participant, session_id)
    assert loaded is not None
    assert (loaded.session.content.title, loaded.session.content.language) == ("Tea", "de")


async def test_a_return_is_counted_when_redis_is_back(
    stage: Callable[..., Stage], raw: Any
) -> None:
    """The join that comes late counts the arrival that it is for, once."""
    session_id = await earlier_conversation(stage, raw)
    await away(raw)
    second = await stage().begin("load-2", session_id).start()
    await back(raw)
    await joined(second)
    loaded = await second.store.load(second.participant, session_id)
    assert loaded is not None
    assert loaded.session.reconnect_count == 1
    assert second.conversation.visit == 2


async def test_nothing_is_written_before_the_lease_is_granted(
    store: SessionStore, raw: Any
) -> None:
    """An invented lease is not shown to anyone."""
    who = store.pseudonym("maria")
    _, joined_ = begin(store, who, None, "1" * 32)
    for call in (
        store.renew(joined_.lease),
        store.release(joined_.lease),
        store.leave(joined_.lease),
        store.arrive(joined_.lease),
        store.update(joined_.lease, lambda content: content),
        store.append(joined_.lease, [store.seal(joined_.lease, turn(1))]),
    ):
        with pytest.raises(NotGranted):
            await call
    assert await raw.keys() == []


async def test_somebody_elses_session_cannot_be_begun(store: SessionStore) -> None:
    """An id that was made for another participant is refused without asking the store."""
    other = store.keyring.new_session_id(store.pseudonym("joe"))
    with pytest.raises(SessionGone):
        begin(store, store.pseudonym("maria"), other, "1" * 32)


async def test_a_job_that_ends_before_redis_is_back_leaves_its_conversation(
    stage: Callable[..., Stage], raw: Any, tmp_path: Path
) -> None:
    """The spool brings it in, once, between what was said before and after."""
    session_id = await earlier_conversation(stage, raw)
    before = await texts(stage(), session_id)
    await away(raw)
    second = await stage(spool_dir=tmp_path).begin(session_id=session_id).start()
    await second.until(lambda: second.said() == [UNKNOWN])
    await talked(second, "I like tea")
    await second.end()
    assert b"like tea" not in all_bytes(tmp_path)
    await back(raw)
    spool = Spool(tmp_path)
    report = await spool.replay(second.store)
    assert report == SpoolReport(late=3, contents=1)
    assert await texts(second, session_id) == [*before, UNKNOWN, "I like tea", second.said()[1]]
    assert await spool.replay(second.store) == SpoolReport()


async def test_somebody_new_who_left_before_redis_was_back_is_remembered(
    stage: Callable[..., Stage], raw: Any, tmp_path: Path
) -> None:
    """Their session is made, under the id that the page was given."""
    await away(raw)
    first = stage(spool_dir=tmp_path)
    session_id = first.store.keyring.new_session_id(first.participant)
    await first.begin(session_id=session_id).start()
    await first.until(lambda: first.said() == [UNKNOWN])
    await talked(first, "my name is Maria")
    await first.end()
    await back(raw)
    await Spool(tmp_path).replay(first.store)
    assert await texts(first, session_id) == [UNKNOWN, "my name is Maria", first.said()[1]]


async def test_a_replay_that_was_interrupted_keeps_nothing_twice(
    store: SessionStore, tmp_path: Path, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its turns were written, and then Redis was away: the next try finds the same session."""
    left = begun(store)
    spool = Spool(tmp_path)
    spool.write_start(left)
    edit = store.edit
    monkeypatch.setattr(store, "edit", unavailable)
    assert await spool.replay(store) == SpoolReport(kept=1)
    (only,) = (await store.sessions(store.pseudonym("maria"))).sessions
    # By now that session is out of its resume window.
    await age(raw, store, "maria", only.id, 301)
    monkeypatch.setattr(store, "edit", edit)
    assert await spool.replay(store) == SpoolReport(late=2, contents=1)
    page = await store.sessions(store.pseudonym("maria"))
    assert [each.id for each in page.sessions] == [only.id]
    loaded = await store.load(store.pseudonym("maria"), only.id)
    assert loaded is not None
    assert [each.turn.id for each in loaded.turns] == ["t1", "t2"]


@pytest.mark.parametrize("exact", [True, False])
async def test_nothing_comes_back_of_somebody_who_was_erased_meanwhile(
    store: SessionStore, raw: Any, tmp_path: Path, *, exact: bool
) -> None:
    """An erasure between the outage and the replay holds for what was said in the outage."""
    who = store.pseudonym("maria")
    left = begun(store, session_id=store.keyring.new_session_id(who) if exact else None)
    await asyncio.sleep(0.01)
    await store.erase(who)
    spool = Spool(tmp_path)
    spool.write_start(left)
    assert await spool.replay(store) == SpoolReport(erased=2)
    with pytest.raises(SessionGone):
        await join_begun(store, left.start, load_id="", owner="1" * 32)
    assert (await store.sessions(who)).total == 0
    assert await store._backend.participant(who) is None
    assert [key for key in await raw.keys() if who.encode() in key] == [
        key for key in await raw.keys() if key.endswith(b":erased")
    ]


async def test_an_erasure_in_the_middle_of_a_late_join_is_not_undone(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session that the join has made anew goes again."""
    who = store.pseudonym("maria")
    left = begun(store, session_id=store.keyring.new_session_id(who))
    join = store.join

    async def join_after_an_erasure(*args: Any, **fields: Any) -> Any:
        await store.erase(who)
        return await join(*args, **fields)

    monkeypatch.setattr(store, "join", join_after_an_erasure)
    with pytest.raises(SessionGone):
        await join_begun(store, left.start, load_id="", owner="1" * 32)
    assert (await store.sessions(who)).total == 0


async def test_an_erasure_before_the_outage_is_no_reason_to_forget(
    store: SessionStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A participant who was erased, and came again, is a new one."""
    monkeypatch.setattr(offline_start, "CLOCKS_DIFFER_MS", 0)
    await store.erase(store.pseudonym("maria"))
    await asyncio.sleep(0.01)
    Spool(tmp_path).write_start(begun(store))
    assert await Spool(tmp_path).replay(store) == SpoolReport(late=2, contents=1)


async def test_what_is_older_than_any_record_is_dropped(
    store: SessionStore, tmp_path: Path
) -> None:
    """A file of a machine that was off for weeks does not bring words back after their time."""
    left = begun(store)
    old = replace(left.start, begun_ms=left.start.begun_ms - 25 * 3600 * 1000)
    Spool(tmp_path).write_start(replace(left, start=old))
    assert await Spool(tmp_path).replay(store) == SpoolReport(erased=2)
    assert await Spool(tmp_path).replay(store) == SpoolReport()
    assert (await store.sessions(store.pseudonym("maria"))).total == 0


async def test_a_long_conversation_comes_in_where_the_record_was_trimmed(
    store: SessionStore, make_store: Callable[..., SessionStore], tmp_path: Path
) -> None:
    """Its own numbers, which begin with 1, are not those of the record."""
    small = make_store(max_turns=3)
    who = store.pseudonym("maria")
    joined_ = await small.join(who)
    sealed = [small.seal(joined_.lease, turn(n)) for n in range(11, 21)]
    await small.append(joined_.lease, sealed)
    await small.release(joined_.lease)
    Spool(tmp_path).write_start(begun(small, session_id=joined_.session.id))
    assert await Spool(tmp_path).replay(small) == SpoolReport(late=2, contents=1)
    loaded = await small.load(who, joined_.session.id)
    assert loaded is not None
    assert {"t1", "t2"} <= {each.turn.id for each in loaded.turns}


async def test_a_conversation_of_many_bytes_comes_in_piece_by_piece(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it was, each call to Redis is small, and all turns are there once."""
    monkeypatch.setattr("session_store.values.MAX_CALL_BYTES", 300)
    who = store.pseudonym("maria")
    session_id = (await store.open(who)).session.id
    for _ in range(2):
        await store.bring_in(who, session_id, 7, [turn(n) for n in range(1, 12)])
    loaded = await store.load(who, session_id)
    assert loaded is not None
    assert [each.turn.id for each in loaded.turns] == [f"t{n}" for n in range(1, 12)]


async def test_the_half_sentences_of_a_dead_job_stand_before_what_was_said_since(
    stage: Callable[..., Stage], raw: Any
) -> None:
    """A job that began without Redis records them when it joins, and the model is told."""
    first = await (await stage().join()).start()
    await first.until(lambda: len(first.said()) == 1)
    await first.conversation._writers.recorder.flush(5)
    lease = first.conversation._writers.lease
    await first.die()
    half = Turn(id="half", role="user", text="my cat is called", created_at=time.time())
    await first.store.keep_draft(lease, first.store.seal_draft(lease, half))
    session_id = first.conversation.session_id
    await age(raw, first.store, "maria", session_id, 4)
    await away(raw)
    second = await stage().begin(session_id=session_id).start()
    await second.until(lambda: second.said() == [UNKNOWN])
    await talked(second, "I like tea")
    await back(raw)
    await joined(second)
    assert (await texts(second))[1:4] == ["my cat is called", UNKNOWN, "I like tea"]
    context = context_of(second.agent_session)
    assert "my cat is called" in [each.text_content for each in context.messages()]


async def test_a_tool_that_runs_while_redis_comes_back_has_its_own_outcome(
    stage: Callable[..., Stage], raw: Any
) -> None:
    """Only calls of the job before are said to have an unknown one."""
    await away(raw)
    first = await stage().begin().start()
    call = llm.FunctionCall(call_id="c1", name="book", arguments="{}")
    first.conversation._writers.transcript.record(call)
    await back(raw)
    await joined(first)
    loaded = await first.store.load(first.participant, first.conversation.session_id)
    assert loaded is not None
    assert [each.turn.kind for each in loaded.turns].count(TurnKind.TOOL_OUTPUT) == 0


async def test_a_session_that_somebody_else_holds_is_left_to_them(
    stage: Callable[..., Stage], make_store: Callable[..., SessionStore]
) -> None:
    """A job that began without the store leaves in silence if another one is alive."""
    first = await (await stage().join()).start()
    await first.until(lambda: len(first.said()) == 1)
    session_id = first.conversation.session_id
    second = Stage(make_store(lease_s=0.4, lease_renew_s=0.1), first.settings)
    second.settings = first.settings.model_copy(update={"lease_s": 0.4, "lease_renew_s": 0.1})
    await second.begin(session_id=session_id).start()
    await second.until(lambda: second.job.shutdowns != [])
    said = len(second.said())
    await second.end()
    assert len(second.said()) == said
    assert (await texts(first))[0].startswith("Hello! I am")


def test_what_was_learnt_later_wins() -> None:
    """Preferences are merged by name, lists get what they lack, and nothing known is emptied."""

    def content(language: str = "en", **preferences: Any) -> SessionContent:
        context = SessionContext(preferences=preferences, last_query="q")
        return SessionContent(language=language, context=context, title="t")

    stored = content("fr", name="Mary", facts=["a", "b"], plan=1)
    said = content(name="Maria", facts=["b", "c"]).model_copy(update={"title": None})
    assert merged(stored, said) == content("fr", name="Maria", facts=["a", "b", "c"], plan=1)


def begun(store: SessionStore, session_id: str | None = None) -> SpooledStart:
    """Make what a job leaves that said two sentences, and learnt a language, without the store."""
    beginning, joined_ = begin(store, store.pseudonym("maria"), session_id, "1" * 32)
    lease = joined_.lease
    sealed = tuple(store.seal(lease, turn(n)).sealed for n in (1, 2))
    content = write_content(SessionContent(language="de"))
    return SpooledStart(
        beginning, sealed, lease.data_key.seal_content(lease.session_id, 1, content)
    )


async def unavailable(*_: Any) -> Any:
    """Fail as a call does while Redis is away."""
    raise StoreUnavailable("away")


def turn(number: int) -> Turn:
    """Make a turn."""
    return Turn(id=f"t{number}", role="user", text=f"sentence {number}", created_at=float(number))


def all_bytes(folder: Path) -> bytes:
    """Return what lies in a folder's files, of which there is at least one."""
    files = [path.read_bytes() for path in folder.iterdir()]
    assert files
    return b"".join(files)
