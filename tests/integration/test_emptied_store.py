"""A session that is gone in mid-conversation: deleted, erased, or lost with everything else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from dev.rig.net import NET_S
from session_store.upkeep import privacy
from session_store.upkeep.journal import ErasureJournal
from session_store.writing.spool import Spool
from tests.integration.keeping import pass_time
from tests.integration.test_detached import joined, talked, texts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.stage import Stage


async def a_talk(stage: Stage) -> list[str]:
    """Talk, until all is written; return what was said."""
    await (await stage.join()).start()
    await stage.until(lambda: len(stage.said()) == 1)
    await talked(stage, "my name is Maria")
    await joined(stage)
    stage.conversation.change(lambda content: content.model_copy(update={"title": "Names"}))
    await joined(stage)
    return await texts(stage)


async def until_saved_anew(stage: Stage) -> None:
    """Wait until the store has the conversation again."""
    async with asyncio.timeout(NET_S):
        while not await texts(stage) or not stage.conversation._writers.lease.granted:
            await asyncio.sleep(0.02)
    await joined(stage)


async def test_a_conversation_goes_on_although_redis_lost_everything(
    stage: Callable[..., Stage], raw: Any
) -> None:
    """All turns and the content are there again, once, under the same id; and so is a successor."""
    first = stage()
    said = await a_talk(first)
    session_id = first.conversation.session_id

    await raw.flushall()
    await talked(first, "what is my name?")
    await until_saved_anew(first)

    again = [*said, "what is my name?", "Your name is Maria."]
    assert first.conversation.session_id == session_id
    assert (await texts(first))[: len(said)] == said
    assert [text for text in await texts(first) if text] == [text for text in again if text]
    assert first.job.shutdowns == []
    loaded = await first.store.load(first.participant, session_id)
    assert loaded is not None
    assert loaded.session.content.title == "Names"
    assert loaded.session.content.places[0].room == first.job.room.name
    assert [each.seq for each in loaded.turns] == list(range(1, len(loaded.turns) + 1))

    await first.die()
    await pass_time(raw, 4)
    second = await (await stage().join()).start()
    assert second.conversation.session_id == session_id
    await talked(second, "what is my name?")
    assert second.said() == ["Your name is Maria."]


async def test_it_goes_on_after_each_loss(stage: Callable[..., Stage], raw: Any) -> None:
    """Also if Redis loses everything a second time."""
    first = stage()
    said = await a_talk(first)
    for _ in range(2):
        await raw.flushall()
        await until_saved_anew(first)
        assert await texts(first) == said
    assert first.job.shutdowns == []


@pytest.mark.parametrize("how", ["session", "participant"])
async def test_who_was_deleted_stays_deleted(stage: Callable[..., Stage], how: str) -> None:
    """The mark of the shard is there, so the job ends in silence, and writes nothing."""
    first = stage()
    await a_talk(first)
    if how == "session":
        await first.store.delete(first.participant, first.conversation.session_id)
    else:
        await privacy.erase(first.store, first.participant)
    await first.until(lambda: first.job.shutdowns != [])
    await first.end()
    assert (await first.store.sessions(first.participant)).total == 0


async def test_who_is_in_the_journal_of_erasures_stays_erased(
    stage: Callable[..., Stage], raw: Any, tmp_path: Path
) -> None:
    """Even if Redis lost everything a moment later, and so the time of the erasure."""
    path = tmp_path / "erasures"
    first = stage(erasure_journal=path)
    await a_talk(first)
    await ErasureJournal(path).note(first.store.keyring, first.participant)
    await raw.flushall()
    await first.until(lambda: first.job.shutdowns != [])
    await first.end()
    assert await raw.keys("*:p:*") == []


async def test_another_erasure_in_the_journal_is_none_of_its_business(
    stage: Callable[..., Stage], raw: Any, tmp_path: Path
) -> None:
    """It is of somebody else."""
    path = tmp_path / "erasures"
    first = stage(erasure_journal=path)
    said = await a_talk(first)
    await ErasureJournal(path).note(first.store.keyring, first.store.pseudonym("juan"))
    await raw.flushall()
    await until_saved_anew(first)
    assert await texts(first) == said


async def test_who_is_erased_after_the_loss_stays_erased(
    stage: Callable[..., Stage], raw: Any
) -> None:
    """An erasure in the empty store holds, before the conversation is saved anew."""
    first = stage()
    await a_talk(first)
    await raw.flushall()
    await first.store.erase(first.participant)
    await first.until(lambda: first.job.shutdowns != [])
    await first.end()
    assert (await first.store.sessions(first.participant)).total == 0


async def test_what_was_not_saved_anew_in_time_is_in_the_spool(
    stage: Callable[..., Stage], raw: Any, tmp_path: Path
) -> None:
    """A job that must end before that leaves all of it."""
    first = stage(spool_dir=tmp_path)
    said = await a_talk(first)
    await raw.flushall()
    first.conversation._writers._keeper._on_lost = lambda _: None
    await first.conversation._late_join.aclose()
    first.conversation._writers.begin_again()
    await first.end()
    reports = await Spool(tmp_path).replay(first.store)
    assert reports.late == len(said)
