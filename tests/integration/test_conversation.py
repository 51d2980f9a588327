"""A conversation through reloads, outages and ends, on a real store."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from livekit.agents import llm

from dev.rig.net import NET_S
from dev.rig.servers.process import QUICK, Server, running
from session_store import AgentPresence, LeaseHeld, SessionState, StoreUnavailable
from session_store.livekit.job.owed_answer import owed
from session_store.writing.spool import Spool, SpoolReport
from tests.integration.stage import Stage
from tests.integration.test_recorder import away, back
from tests.integration.test_store import age

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from session_store import Loaded, SessionStore, StoreSettings


async def stored(stage: Stage) -> Loaded:
    """Return what the store has of the conversation."""
    loaded = await stage.store.load(stage.participant, stage.conversation.session_id)
    assert loaded is not None
    return loaded


async def spoken_to(stage: Stage, text: str) -> None:
    """Have something said to the agent and answered."""
    await stage.agent_session.generate_reply(user_input=text)


async def test_what_the_token_says_of_a_participant_is_kept(stage: Callable[[], Stage]) -> None:
    """Identity and metadata are in the sealed content from the first moment on."""
    first = await stage().join()
    await first.conversation._writers.content.flush(5)
    content = (await stored(first)).session.content
    assert (content.identity, content.metadata) == (first.participant, {"plan": "gold"})


async def test_somebody_new_is_greeted_once(stage: Callable[[], Stage]) -> None:
    """The page gets hello and the greeting, and a restored connection brings no other one."""
    first = await (await stage().join()).start()
    await first.until(lambda: len(first.said()) == 1)
    first.job.room.go(first.participant)
    first.job.room.come(first.participant, "load-1")
    await asyncio.sleep(0.3)
    assert first.said() == ["Hello! I am your assistant. What is your name?"]
    assert first.job.room.types()[:2] == ["hello", "turn"]


async def test_a_reload_is_welcomed_and_counted(stage: Callable[[], Stage]) -> None:
    """A new load id is a return, even without a departure before."""
    first = await (await stage().join()).start()
    await first.until(lambda: len(first.said()) == 1)
    first.job.room.come(first.participant, "load-2")
    await first.until(lambda: len(first.said()) == 2)
    assert first.said()[1] == "Welcome back! This is visit number 2."
    assert (await stored(first)).session.reconnect_count == 1


async def test_a_reload_while_the_agent_starts_is_no_return_to_somebody_new(
    stage: Callable[[], Stage],
) -> None:
    """The first words that anybody hears are never "welcome back"."""
    first = await stage().join()
    first.job.room.come(first.participant, "load-2")
    await first.start()
    await first.until(lambda: len(first.said()) == 1)
    assert first.said()[0].startswith("Hello!")


async def test_a_job_that_died_before_its_greeting_is_made_up_for(
    stage: Callable[[], Stage], raw: Any
) -> None:
    """The successor greets a participant who was not greeted yet, although it is a takeover."""
    first = await stage().join()
    await first.die()
    await age(raw, first.store, "maria", first.conversation.session_id, 4)
    second = await (await stage().join()).start()
    await second.until(lambda: len(second.said()) == 1)
    assert second.said()[0].startswith("Hello!")


@pytest.mark.parametrize("load_id", ["load-1", "load-2"])
async def test_a_question_that_nobody_answered_is_answered(
    stage: Callable[[], Stage], raw: Any, load_id: str
) -> None:
    """The successor of a dead job answers the last words, whether the page was reloaded or not."""
    first = await (await stage().join()).start()
    await first.until(lambda: len(first.said()) == 1)
    question = llm.ChatMessage(role="user", content=["What is my name?"])
    first.conversation._writers.transcript.record(question)
    await first.conversation._writers.recorder.flush(5)
    await first.die()
    await age(raw, first.store, "maria", first.conversation.session_id, 4)
    second = await stage().join()
    if load_id != "load-1":
        second.job.room.come(second.participant, load_id)
    await second.start()
    await second.until(lambda: "Your name is Maria." in second.said())


async def test_a_lease_lost_before_the_start_leaves_nobody_talking(
    stage: Callable[[], Stage],
) -> None:
    """A job whose session is gone says nothing, and ends."""
    first = await stage().join()
    await first.store.erase(first.participant)
    await first.until(lambda: first.job.shutdowns != [])
    await first.start()
    await asyncio.sleep(0.2)
    assert (first.said(), first.job.room.types()) == ([], [])


async def test_a_session_that_closes_by_error_ends_its_job(stage: Callable[[], Stage]) -> None:
    """A job without its agent session would be a mute ghost: it gives the lease back and ends."""
    first = await (await stage().join()).start()
    await first.agent_session.aclose()
    await first.until(lambda: first.job.shutdowns != [])
    await first.end()
    joined = await first.store.join(first.participant)
    await first.store.release(joined.lease)


async def test_the_end_waits_for_what_is_not_written_yet(
    stage: Callable[[], Stage], raw: Any
) -> None:
    """The last words are saved when Redis comes back a second after the job was told to end."""
    first = await (await stage().join()).start()
    await first.until(lambda: len(first.said()) == 1)
    await away(raw)
    last = llm.ChatMessage(role="user", content=["my last words"])
    first.conversation._writers.transcript.record(last)
    ending = asyncio.create_task(first.end())
    await asyncio.sleep(1)
    await back(raw)
    await ending
    assert (await stored(first)).turns[-1].turn.text == "my last words"
    await first.store.release((await first.store.join(first.participant)).lease)


async def test_who_stays_in_the_room_has_not_left(stage: Callable[[], Stage]) -> None:
    """The end of a job is no departure of its participant, and costs no visit."""
    first = await stage().join()
    await first.end()
    assert (await stored(first)).session.state is SessionState.LIVE
    second = await (await stage().join()).start()
    assert second.conversation.visit == 1


async def test_who_comes_back_while_redis_is_away_is_heard(
    stage: Callable[[], Stage], raw: Any
) -> None:
    """The page gets its hello at once; the visit is counted when Redis is back, and once."""
    first = await (await stage().join()).start()
    await first.until(lambda: len(first.said()) == 1)
    await away(raw)
    first.job.room.go(first.participant)
    await asyncio.sleep(0.7)
    seen = len(first.job.room.sent)
    first.job.room.come(first.participant, "load-2")
    await first.until(lambda: "hello" in first.job.room.types()[seen:])
    await back(raw)
    await first.until(lambda: len(first.said()) == 2)
    session = (await stored(first)).session
    assert (session.state, session.reconnect_count) == (SessionState.LIVE, 1)


async def test_an_erasure_ends_the_conversation(stage: Callable[[], Stage]) -> None:
    """The page is told, also if it comes back later; nothing is kept, and the job ends soon."""
    first = await (await stage().join()).start()
    await first.until(lambda: len(first.said()) == 1)
    await first.conversation.erase()
    await first.until(lambda: "erased" in first.job.room.types())
    await spoken_to(first, "my name is Maria")
    first.job.room.come(first.participant, "load-2")
    await first.until(lambda: first.job.room.types().count("erased") == 2)
    assert await first.store.load(first.participant, first.conversation.session_id) is None


async def test_an_erasure_whose_answer_was_lost_is_one(stage: Callable[[], Stage]) -> None:
    """It is tried again, finds nothing, and the page is told; no failure is shown."""
    first = await (await stage().join()).start()
    erase = first.store._backend.erase
    answers = iter([StoreUnavailable("no answer")])

    async def lossy(*args: Any) -> Any:
        done = await erase(*args)
        for error in answers:
            raise error
        return done

    first.store._backend.erase = lossy  # type: ignore[method-assign,assignment]
    await first.conversation.erase()
    await first.until(lambda: "erased" in first.job.room.types())


async def test_words_said_while_an_erasure_fails_are_kept(stage: Callable[[], Stage]) -> None:
    """An erasure that could not be done leaves the conversation as it was."""
    first = await (await stage().join()).start()

    async def fails(*_: Any) -> int:
        raise StoreUnavailable("no answer")

    first.store._backend.erase = fails  # type: ignore[method-assign,assignment]
    erasing = asyncio.create_task(first.conversation.erase())
    await asyncio.sleep(0.1)
    words = llm.ChatMessage(role="user", content=["said meanwhile"])
    first.conversation._on_item_added(SimpleNamespace(item=words))  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable):
        await erasing
    await first.conversation._writers.recorder.flush(5)
    assert "said meanwhile" in [each.turn.text for each in (await stored(first)).turns]


async def test_what_cannot_be_kept_does_not_stop_what_can(stage: Callable[[], Stage]) -> None:
    """A broken character from a model loses its own turn, and nothing else."""
    first = await (await stage().join()).start()
    broken = llm.ChatMessage(role="assistant", content=["\ud83d"])
    first.conversation._on_item_added(SimpleNamespace(item=broken))  # type: ignore[arg-type]
    first.conversation.change(lambda before: before.model_copy(update={"title": "\ud83d"}))
    await first.conversation._writers.content.flush(5)
    first.conversation.change(lambda before: before.model_copy(update={"language": "de"}))
    await first.conversation._writers.content.flush(5)
    content = (await stored(first)).session.content
    assert (content.language, content.title) == ("de", None)


async def test_a_second_job_waits_for_the_first(stage: Callable[[], Stage]) -> None:
    """Two jobs never have a conversation at once."""
    first = await (await stage().join()).start()
    with pytest.raises(LeaseHeld):
        await stage().join()
    assert first.job.shutdowns == []


def say(stage: Stage, text: str, message_id: str = "") -> llm.ChatMessage:
    """Have the user say something that is recorded, but not answered."""
    message = llm.ChatMessage(role="user", content=[text])
    if message_id:
        message.id = message_id
    stage.conversation._on_item_added(SimpleNamespace(item=message))  # type: ignore[arg-type]
    return message


async def texts(stage: Stage) -> list[str]:
    """Return what the store has of what was said, in order."""
    return [each.turn.text for each in (await stored(stage)).turns]


async def test_a_job_that_ends_in_an_outage_loses_nothing(
    stage: Callable[..., Stage], raw: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last words and what it was asked to remember are spooled, and come in afterwards."""
    monkeypatch.setattr("session_store.livekit.job.lease_writers.FLUSH_S", 0.2)
    first = await (await stage(spool_dir=tmp_path / "spool").join()).start()
    await first.until(lambda: len(first.said()) == 1)
    await first.conversation._writers.recorder.flush(5)
    await away(raw)
    say(first, "my last words")
    first.conversation.change(lambda old: old.model_copy(update={"language": "fr"}))
    await first.end()
    await back(raw)
    assert await texts(first) == first.said()
    assert await Spool(tmp_path / "spool").replay(first.store) == SpoolReport(
        appended=1, contents=1
    )
    assert await texts(first) == [*first.said(), "my last words"]
    content = (await stored(first)).session.content
    assert (content.language, content.context.last_query) == ("fr", "my last words")


async def test_without_a_spool_a_loss_is_said(
    stage: Callable[..., Stage],
    raw: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log says how many turns are lost, and which setting keeps them; not what they were."""
    monkeypatch.setattr("session_store.livekit.job.lease_writers.FLUSH_S", 0.2)
    first = await stage().join()
    await away(raw)
    say(first, "my last words")
    await first.end()
    await back(raw)
    (lost,) = [each for each in caplog.records if "lost" in each.getMessage()]
    assert lost.getMessage() == "turns are lost; see REJOIN_SPOOL_DIR"
    assert vars(lost)["turns"] == 1
    assert "last words" not in str([vars(each) for each in caplog.records])


def stall(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Let this job's turns be on their way to the store until the event is set."""
    append, arrived = stage.store.append, asyncio.Event()

    async def stalled(lease: Any, turns: Any) -> int:
        if lease is stage.conversation._writers.lease:
            await arrived.wait()
        return await append(lease, turns)

    monkeypatch.setattr(stage.store, "append", stalled)
    return arrived


@pytest.mark.parametrize("spool", ["spool", None])
async def test_what_a_stalled_job_could_not_write_comes_in_late(
    stage: Callable[..., Stage],
    raw: Any,
    tmp_path: Path,
    spool: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Taken over meanwhile, its words are kept beside the successor's, in the order of time."""
    spool_dir = tmp_path / spool if spool else None
    first = await stage(spool_dir=spool_dir).join()
    say(first, "before")
    await first.conversation._writers.recorder.flush(5)
    arrived = stall(first, monkeypatch)
    say(first, "while it stalls")
    await first.conversation._writers._keeper.aclose()
    await age(raw, first.store, "maria", first.conversation.session_id, 5)
    second = await stage().join()
    say(second, "after")
    arrived.set()
    await first.until(lambda: first.job.shutdowns != [])
    await first.end()
    if spool_dir is not None:
        assert (await Spool(spool_dir).replay(first.store)).late == 1
    await second.conversation._writers.recorder.flush(5)
    turns = (await stored(second)).turns
    assert [(each.turn.text, each.late) for each in turns] == [
        ("before", False),
        ("while it stalls", True),
        ("after", False),
    ]


@pytest.mark.parametrize("by", ["itself", "somebody else"])
async def test_an_erased_conversation_is_not_spooled(
    stage: Callable[..., Stage], tmp_path: Path, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever process erased it, words that were still on their way are not left on disk."""
    first = await stage(spool_dir=tmp_path / "spool").join()
    stall(first, monkeypatch)
    say(first, "forget this")
    if by == "itself":
        await first.conversation.erase()
    else:
        await first.store.erase(first.participant)
        await first.until(lambda: first.job.shutdowns != [])
    assert first.conversation._writers.recorder.waiting == 1
    await first.end()
    assert not (tmp_path / "spool").exists()


async def test_late_turns_are_told_to_the_model_in_their_place(
    stage: Callable[..., Stage], raw: Any, tmp_path: Path
) -> None:
    """The next job has them in order, once each; they neither number nor replace any other."""
    first = await stage().join()
    say(first, "my name is Maria")
    await first.conversation._writers.recorder.flush(5)
    await away(raw)
    late = [say(first, "late one"), say(first, "late two", "typed-2")]
    await first.die()
    await back(raw)
    writers = first.conversation._writers
    ref, left = writers.lease.ref, writers.recorder.unsaved()
    await age(raw, first.store, "maria", first.conversation.session_id, 5)
    second = await stage().join()
    # The page had sent the second one again.
    say(second, "late two", "typed-2")
    answer = llm.ChatMessage(role="assistant", content=["an answer"])
    second.conversation._on_item_added(SimpleNamespace(item=answer))  # type: ignore[arg-type]
    await second.end()
    Spool(tmp_path).write(ref, left)
    assert await Spool(tmp_path).replay(second.store) == SpoolReport(late=2)

    third = await stage().join()

    told = [item.text_content for item in third.conversation.chat_ctx.messages()]
    assert told == ["my name is Maria", "late one", "late two", "an answer"]
    assert not owed(third.conversation._turns)
    third.job.room.sent.clear()
    third.conversation._writers.transcript.show_newest(20)
    say(third, "and now")
    await third.conversation._writers.recorder.flush(5)
    await third.until(lambda: "saved" in third.job.room.types())
    shown = [each for each in third.job.room.sent if each["type"] == "turn"]
    assert [(each["text"], each["seq"]) for each in shown] == [
        ("my name is Maria", 1),
        ("late two", 2),
        ("an answer", 3),
        ("and now", 4),
    ]
    assert third.conversation._writers.transcript.knows(late[0].id)


async def test_a_late_question_behind_everything_is_answered(
    stage: Callable[..., Stage], raw: Any, tmp_path: Path
) -> None:
    """The last words of a dead job count as the last ones, if nothing was said since."""
    first = await (await stage().join()).start()
    await first.until(lambda: len(first.said()) == 1)
    await first.conversation._writers.recorder.flush(5)
    await away(raw)
    say(first, "What is my name?")
    await first.die()
    await back(raw)
    await age(raw, first.store, "maria", first.conversation.session_id, 5)
    await first.store.release((await first.store.join(first.participant)).lease)
    unsaved = first.conversation._writers.recorder.unsaved()
    Spool(tmp_path).write(first.conversation._writers.lease.ref, unsaved)
    assert await Spool(tmp_path).replay(first.store) == SpoolReport(late=1)
    second = await (await stage().join()).start()
    await second.until(lambda: "Your name is Maria." in second.said())


async def test_a_full_memory_silences_nobody(
    stage: Callable[..., Stage], raw: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """With no room for more, words are answered, not kept, and told once; then kept again."""
    first = await (await stage(recorder_max_bytes=1024).join()).start()
    await first.until(lambda: len(first.said()) == 1)
    await first.conversation._writers.recorder.flush(5)
    await away(raw)
    for number in range(9):
        say(first, f"filler {number} " + "x" * 100)
    assert len(first.conversation._writers.recorder.unsaved()) < 9
    typed = first.conversation._typed

    async def type_in(text: str, message_id: str) -> None:
        info = SimpleNamespace(attributes={"rj.msg": message_id})
        event: Any = SimpleNamespace(text=text, info=info)
        await typed.receive(first.agent_session, event)

    await type_in("What is my name?", "typed-1")
    await first.until(lambda: "Your name is Maria." in first.said())
    said = len(first.said())
    await type_in("What is my name?", "typed-1")
    await type_in("help", "typed-2")
    await first.until(lambda: "Your name is Maria." not in first.said()[-1])
    assert len(first.said()) == said + 1
    shown = [each["id"] for each in first.job.room.sent if each["type"] == "turn"]
    assert "typed-1" not in shown
    full = [each for each in caplog.records if each.getMessage() == "turns are not kept any more"]
    assert len(full) == 1
    assert "filler" not in str([vars(each) for each in caplog.records])
    await back(raw)
    assert await first.conversation._writers.recorder.flush(5)
    say(first, "kept again")
    assert await first.conversation._writers.recorder.flush(5)
    kept = await texts(first)
    assert kept[-1] == "kept again"
    assert "What is my name?" not in kept


async def test_a_conversation_goes_on_while_redis_hangs(
    make_store: Callable[..., SessionStore], settings: StoreSettings, tmp_path: Path
) -> None:
    """Words are answered and shown as not saved yet; when Redis wakes, each is marked as saved."""
    server = Server(tmp_path / "redis", *QUICK)
    with running(server):
        url = f"redis://{server.name}/0"
        store = make_store(redis_url=url, redis_timeout_s=0.3, redis_retry_s=0.1)
        stage = await (await Stage(store, settings).join()).start()
        await stage.until(lambda: len(stage.said()) == 1)
        await stage.conversation._writers.recorder.flush(5)
        server.pause()
        await asyncio.sleep(0.5)
        await spoken_to(stage, "my name is Maria")
        await stage.until(lambda: len(stage.said()) == 2)
        shown = [each for each in stage.job.room.sent if each["type"] == "turn"][-2:]
        assert [(each["role"], each["saved"]) for each in shown] == [
            ("user", False),
            ("assistant", False),
        ]
        server.resume()
        assert await stage.conversation._writers.recorder.flush(10)

        def marked() -> set[str]:
            marks = [each for each in stage.job.room.sent if each["type"] == "saved"]
            return {turn["id"] for each in marks for turn in each["turns"]}

        await stage.until(lambda: {each["id"] for each in shown} <= marked())
        assert await texts(stage) == [stage.said()[0], "my name is Maria", stage.said()[1]]
        await stage.end()


async def test_an_erasure_is_noted_outside_of_redis_and_audited(
    stage: Callable[..., Stage], tmp_path: Path
) -> None:
    """An erased participant stays erased after a restored backup, and it is on record."""
    journal = tmp_path / "erasures"
    first = await (await stage(erasure_journal=journal).join()).start()
    await first.conversation.erase()
    assert first.participant in journal.read_text()
    entries = await first.store.side.audited("0", 10)
    assert [each.fields["action"] for each in entries] == ["erase", "erased"]
    assert {each.fields["participant"] for each in entries} == {first.participant}


async def test_whoever_waits_for_the_end_hears_of_it(stage: Callable[[], Stage]) -> None:
    """A job may close what it opened once everything that can be written is written."""
    first = await (await stage().join()).start()
    ended = asyncio.create_task(first.conversation.ended())
    await asyncio.sleep(0)
    assert not ended.done()
    await first.end()
    await asyncio.wait_for(ended, NET_S)
    assert first.conversation._writers.recorder.waiting == 0


async def test_what_a_dead_job_could_not_show_is_shown_by_its_successor(
    stage: Callable[[], Stage], raw: Any
) -> None:
    """A recorded turn whose message was lost comes behind the next hello."""
    first = await (await stage().join()).start()
    await first.until(lambda: len(first.said()) == 1)
    await spoken_to(first, "my name is Maria")
    await first.until(lambda: len(first.said()) == 2)
    await first.conversation._writers.recorder.flush(5)
    await first.die()
    await age(raw, first.store, "maria", first.conversation.session_id, 4)
    second = await (await stage().join()).start()
    await second.until(lambda: second.job.room.types().count("turn") == 3)
    sent = second.job.room.sent
    assert sent[0]["type"] == "hello"
    assert sent[0]["back"] is True
    assert [each["text"] for each in sent[1:4]] == [
        first.said()[0],
        "my name is Maria",
        first.said()[1],
    ]
    assert all(each["saved"] for each in sent[1:4])


async def test_a_conversation_that_is_finished_has_no_successor(
    stage: Callable[[], Stage],
) -> None:
    """The session has ended, no agent is to be sent, and the next visit begins another one."""
    first = await (await stage().join()).start()
    await first.until(lambda: len(first.said()) == 1)
    await first.conversation.finish()
    assert first.job.shutdowns == ["the conversation is finished"]
    await first.end()
    session_id = first.conversation.session_id
    presence = await first.store.claim_orphan(first.participant, session_id)
    assert presence is AgentPresence.ENDED
    assert len((await stored(first)).turns) == 1
    opened = await first.store.open(first.participant)
    assert opened.session.id != session_id
