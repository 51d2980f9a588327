"""What an agent was saying when its job died: the successor says it anew, to its end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from livekit.agents import llm

from session_store.livekit.job.chat_items import turn_of
from tests.integration.entering import GREETING, Practice, Waiting
from tests.integration.scripted import ScriptedLLM

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.following_jobs import Job

TALE: str = "Once upon a time there was a king."


async def ask_unanswered(job: Job, text: str) -> None:
    """Have the participant say something that the agent does not answer."""
    item = llm.ChatMessage(role="user", content=[text])
    job.stage.conversation._on_item_added(SimpleNamespace(item=item))  # type: ignore[arg-type]


async def die_saying(job: Job, words: str, raw: Any) -> None:
    """Die while the agent says something."""
    store, writers = job.stage.store, job.stage.conversation._writers
    said = llm.ChatMessage(role="assistant", content=[words])
    assert await writers.recorder.flush(5)
    await store.keep_draft(writers.lease, store.seal_draft(writers.lease, turn_of(said)))
    await job.die(raw)


async def test_an_answer_that_was_cut_off_is_given_by_the_successor(
    job: Callable[..., Any], raw: Any
) -> None:
    """The model is asked as if it had not begun: its last words are no question."""
    model = ScriptedLLM(lambda _: TALE)
    first: Job = await (await job(model)).start(Waiting())
    await ask_unanswered(first, "tell me a tale")
    await die_saying(first, "Once upon a", raw)

    second: Job = await (await job(model)).start(Waiting())
    await second.until_said(TALE)
    assert second.said() == ["Once upon a", TALE]
    [given] = model.given
    assert [item.text_content for item in given.messages() if item.role != "system"] == [
        "tell me a tale"
    ]

    await second.die(raw)
    third: Job = await (await job(model)).start(Waiting())
    await third.ask("and then?")
    assert third.said() == ["Once upon a", TALE, TALE]


async def test_an_answer_that_was_cut_off_twice_is_given_by_the_third(
    job: Callable[..., Any], raw: Any
) -> None:
    """Its model is given neither of the two beginnings."""
    model = ScriptedLLM(lambda _: TALE)
    model.may_speak.clear()
    for beginning in ("Once upon a", "Once upon"):
        dying: Job = await (await job(model)).start(Waiting())
        if beginning == "Once upon a":
            await ask_unanswered(dying, "tell me a tale")
        await die_saying(dying, beginning, raw)
    model.may_speak.set()
    last: Job = await (await job(model)).start(Waiting())
    await last.until_said(TALE)
    texts = [item.text_content for item in model.given[-1].messages() if item.role != "system"]
    assert texts == ["tell me a tale"]


async def test_a_greeting_that_was_cut_off_is_given_anew(job: Callable[..., Any], raw: Any) -> None:
    """The agent's ``on_enter`` is heard, as for a participant whom nobody has greeted."""
    model = ScriptedLLM(lambda _: TALE)
    first: Job = await (await job(model)).start(Waiting())
    await die_saying(first, GREETING[:5], raw)
    second: Job = await (await job(model)).start(Practice())
    await second.until_said(GREETING)
    assert second.said() == [GREETING[:5], GREETING]
    assert model.given == []
