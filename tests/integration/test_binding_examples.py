"""The examples, run as they are printed: as workers, with a real LiveKit, Redis and a death."""

from __future__ import annotations

import ast
import asyncio
import difflib
import re
import signal
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from livekit import api

from dev.paths import ROOT
from dev.rig.notes import Kind
from dev.rig.programs import signal_process, until
from dev.rig.stand import Stand, running
from session_store.upkeep.analytics import Analytics, last_days

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from dev.rig.person import Person

EXAMPLES = ROOT / "examples"
NAMES = ["starter", "tools", "handoff", "realtime"]


def source(name: str, *, before: bool = False) -> str:
    """Return the text of an example."""
    folder = EXAMPLES / "before" if before else EXAMPLES
    return (folder / f"{name}.py").read_text()


def agents_in(text: str) -> dict[str, str]:
    """Return the classes of a program, by name."""
    classes = [each for each in ast.parse(text).body if isinstance(each, ast.ClassDef)]
    return {each.name: ast.unparse(each) for each in classes}


@pytest.mark.parametrize("name", NAMES)
def test_at_most_six_lines_are_added(name: str) -> None:
    """A line that changes counts as one that is added, and no Agent class changes."""
    before, after = source(name, before=True), source(name)
    changes = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    added = [line for line in list(changes)[2:] if line.startswith("+") and line != "+"]
    assert 0 < len(added) <= 6, added
    assert agents_in(before) == agents_in(after) != {}


@asynccontextmanager
async def at_work(name: str, folder: Path) -> AsyncIterator[tuple[Stand, Person]]:
    """Run an example as a worker, and let somebody come to it."""
    async with running(folder, workers=0, LIVEKIT_AGENT_NAME="assistant") as stand:
        command = ("livekit.agents", "start", "--dev", str(EXAMPLES / f"{name}.py"))
        worker = await stand.add_worker(module=command, ready=False)
        await until(
            lambda: "registered worker" in worker.last_words(100_000),
            "the worker is known",
            within_s=120,
        )
        async with stand.person() as person:
            await person.come()
            # Whoever spoke first would interrupt the greeting.
            # On a busy machine the first job waits long for its process.
            await person.notes.first(Kind.SAVED, within_s=180)
            yield stand, person


async def die(stand: Stand, person: Person) -> None:
    """Kill the job that holds the conversation, and wait for its successor."""
    logged = stand.workers[0].log.read_text()
    joined = re.findall(rf' joined .*"{person.session_id}".*?"pid": (\d+)', logged)
    killed = signal_process(int(joined[-1]), signal.SIGKILL)
    await person.notes.first(Kind.HELLO, after=killed, within_s=60)


async def test_the_starter_remembers(tmp_path: Path) -> None:
    """After a kill the successor knows what was said, and greets nobody."""
    async with at_work("starter", tmp_path) as (stand, person):
        await person.ask("my cat is called Tom", within_s=60)
        await die(stand, person)
        answer = await person.ask("what have I said?", within_s=60)
        assert answer["text"] == "You said: my cat is called Tom."
        assert person.texts("assistant") == [
            "Hello! I am your assistant. What is your name?",
            "I heard: my cat is called Tom.",
            "You said: my cat is called Tom.",
        ]


async def test_what_a_tool_has_done_is_known(tmp_path: Path) -> None:
    """The successor's context has the call and its output; its ``on_enter`` runs, and is silent."""
    async with at_work("tools", tmp_path) as (stand, person):
        await person.ask("please book a table for 4", within_s=60)
        await die(stand, person)
        await person.ask("thank you", within_s=60)
        assert person.texts("assistant") == [
            "Welcome! For how many people?",
            "It says: table 7 for 4.",
            "I heard: thank you.",
        ]
        details = [each.turn.details for each in await stand.recorded(person)]
        assert [each["output"] for each in details if "output" in each] == ["table 7 for 4"]


async def test_the_agent_that_was_handed_to_goes_on(tmp_path: Path) -> None:
    """The successor begins with the agent that was active, with its tools, and in silence."""
    async with at_work("handoff", tmp_path) as (stand, person):
        handed = person.type("call billing, please")
        await person.answer(handed, within_s=60)
        await die(stand, person)
        answer = await person.ask("please check bill 12", within_s=60)
        assert answer["text"] == "It says: bill 12 is paid."
        assert person.texts("assistant") == [
            "Reception, good morning!",
            "Billing here. Which number has your bill?",
            "It says: bill 12 is paid.",
        ]


async def test_the_library_counts_turns_and_saves_those_of_an_outage(tmp_path: Path) -> None:
    """A job that ends while Redis is away leaves its turns; the same worker saves them later."""
    async with at_work("starter", tmp_path) as (stand, person):
        await person.ask("my cat is called Tom", within_s=60)
        async with asyncio.timeout(60):
            while await turns_counted(stand) != 3:
                await asyncio.sleep(0.1)
        stand.redis.kill()
        said_at = time.monotonic()
        person.type("my dog is called Rex")
        heard = "I heard: my dog is called Rex."
        await person.notes.first(
            Kind.TURN, after=said_at, where=lambda note: note.fields["text"] == heard, within_s=60
        )
        await stand.api.room.delete_room(api.DeleteRoomRequest(room=person.session_id))
        await until(lambda: spooled(stand) != [], "the job has left its turns", within_s=60)
        await asyncio.to_thread(stand.redis.revive)
        await until(lambda: spooled(stand) == [], "the worker has saved them", within_s=60)
        texts = [recorded.turn.text for recorded in await stand.recorded(person)]
        assert texts == [
            "Hello! I am your assistant. What is your name?",
            "my cat is called Tom",
            "I heard: my cat is called Tom.",
            "my dog is called Rex",
            heard,
        ]


async def turns_counted(stand: Stand) -> int:
    """Return how many turns are counted for today."""
    return (await Analytics(stand.store.side).day(last_days(1)[0])).turns


def spooled(stand: Stand) -> list[Path]:
    """Return the files that wait in the spool."""
    return list(stand.spool.glob("*.spool"))
