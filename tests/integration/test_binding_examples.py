"""The examples, run as they are printed: as workers, with a real LiveKit, Redis and a death.

The command is that of docs/binding.md, under "Examples".
"""

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
import pytest_asyncio
from livekit import api

from dev.paths import ROOT
from dev.rig.net import NET_S
from dev.rig.notes import Kind
from dev.rig.programs import signal_process, until
from dev.rig.stand import Stand, running
from session_store import SessionState, StoreSettings
from session_store.livekit.rooms.rooms import AGENT, ENDED
from session_store.upkeep.analytics import Analytics, last_days
from tests.snippets import blocks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from dev.rig.person import Person

EXAMPLES = ROOT / "examples"
COMMAND = ("livekit.agents", "start", "--dev")
NAMES = ["starter", "tools", "handoff", "hangup", "realtime"]
TRANSFERRING = ROOT / "tests" / "integration" / "transferring.py"
IN_ONE_LOOP = pytest.mark.asyncio(loop_scope="module")
"""Servers and what talks to them live in one event loop."""


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


def test_the_command_of_the_page_is_the_one_that_runs_here() -> None:
    """With the agent's name, and a file that exists."""
    (command,) = blocks("docs/binding.md", "Examples", "sh")
    words = command.split()
    assert words[:2] == ["LIVEKIT_AGENT_NAME=assistant", ".venv/bin/python"]
    assert words[2:] == ["-m", *COMMAND, "examples/starter.py"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stand]:
    """Run everything but a worker."""
    folder = tmp_path_factory.mktemp("examples")
    async with running(folder, workers=0, LIVEKIT_AGENT_NAME="assistant") as stand:
        yield stand


@asynccontextmanager
async def at_work(name: str, stand: Stand) -> AsyncIterator[Person]:
    """Run an example as a worker, and let a person come to it."""
    async with running_agent(EXAMPLES / f"{name}.py", stand) as person:
        yield person


@asynccontextmanager
async def running_agent(program: Path, stand: Stand) -> AsyncIterator[Person]:
    """Run a program as a worker, and let a person come to it."""
    command = (*COMMAND, str(program))
    worker = await stand.add_worker(module=command, ready=False)
    known = "registered worker"
    try:
        await until(lambda: known in worker.last_words(100_000), "the worker is known")
        async with stand.person() as person:
            await person.come()
            # A person who spoke first would interrupt the greeting.
            # On a busy machine the first job waits long for its process.
            await person.notes.first(Kind.SAVED, within_s=2 * NET_S)
            yield person
    finally:
        await stand.mend(workers=0)


async def die(stand: Stand, person: Person) -> None:
    """Kill the job that holds the conversation, and wait for its successor."""
    logged = stand.workers[0].log.read_text()
    joined = re.findall(rf' joined .*"{person.session_id}".*?"pid": (\d+)', logged)
    killed = signal_process(int(joined[-1]), signal.SIGKILL)
    await person.notes.first(Kind.HELLO, after=killed)


@IN_ONE_LOOP
async def test_the_starter_remembers(stand: Stand) -> None:
    """After a kill the successor knows what was said, and does not greet."""
    async with at_work("starter", stand) as person:
        await person.ask("my cat is called Tom")
        await die(stand, person)
        answer = await person.ask("what have I said?")
        assert answer["text"] == "You said: my cat is called Tom."
        assert person.texts("assistant") == [
            "Hello! What can I do for you?",
            "I heard: my cat is called Tom.",
            "You said: my cat is called Tom.",
        ]


@IN_ONE_LOOP
async def test_what_a_tool_has_done_is_known(stand: Stand) -> None:
    """The successor's context has the call and its output; its ``on_enter`` runs, and is silent."""
    async with at_work("tools", stand) as person:
        await person.ask("please book a table for 4")
        await die(stand, person)
        await person.ask("thank you")
        assert person.texts("assistant") == [
            "Welcome! For how many people?",
            "It says: table 7 for 4.",
            "I heard: thank you.",
        ]
        details = [each.turn.details for each in await stand.recorded(person)]
        assert [each["output"] for each in details if "output" in each] == ["table 7 for 4"]


@IN_ONE_LOOP
async def test_the_agent_that_was_handed_to_goes_on(stand: Stand) -> None:
    """The successor begins with the agent that was active, with its tools, and in silence."""
    async with at_work("handoff", stand) as person:
        handed = person.type("call billing, please")
        await person.answer(handed)
        await die(stand, person)
        answer = await person.ask("please check bill 12")
        assert answer["text"] == "It says: bill 12 is paid."
        assert person.texts("assistant") == [
            "Reception, good morning!",
            "Billing here. Which number has your bill?",
            "It says: bill 12 is paid.",
        ]


@IN_ONE_LOOP
async def test_who_calls_again_after_the_agent_hung_up_begins_anew(stand: Stand) -> None:
    """The room is gone, the conversation is over, and the next call is greeted as a new one."""
    async with at_work("hangup", stand) as person:
        session_id = person.session_id
        person.type("please end the call")
        await until_ended(stand, person)
        called_at = time.monotonic()
        await person.reload()
        assert person.session_id != session_id
        greeting = "Hello! What can I do for you?"
        await person.notes.first(
            Kind.TURN, after=called_at, where=lambda note: note.fields["text"] == greeting
        )


@IN_ONE_LOOP
async def test_a_deploy_ends_nothing(stand: Stand) -> None:
    """The worker is told to stop; the next one's agent goes on, and does not greet."""
    async with at_work("hangup", stand) as person:
        session_id = person.session_id
        await person.ask("my cat is called Tom")
        deployed_at = time.monotonic()
        await stand.workers[0].aclose(grace_s=NET_S)
        assert (await stand.loaded(person)).session.state is SessionState.LIVE
        command = (*COMMAND, str(EXAMPLES / "hangup.py"))
        await stand.add_worker(module=command, ready=False)
        await person.notes.first(Kind.HELLO, after=deployed_at, within_s=2 * NET_S)
        answer = await person.ask("what have I said?")
        assert answer["text"] == "You said: my cat is called Tom."
        assert person.session_id == session_id


@IN_ONE_LOOP
async def test_nobody_comes_where_the_agent_has_left_a_call_to_a_human(stand: Stand) -> None:
    """Its session is closed, its participant is there, and no successor talks into the call."""
    async with running_agent(TRANSFERRING, stand) as person:
        person.type("please transfer the call")
        await until_ended(stand, person)
        await person.notes.first(Kind.TOLD, where=lambda note: note.fields.get(AGENT) == ENDED)
        async with asyncio.timeout(NET_S):
            # LiveKit shows an agent for some seconds more, if its process was slow to leave.
            while await stand.agents_with(person):
                await asyncio.sleep(0.1)
        async with stand.watch(person) as room:
            await asyncio.sleep(2 * StoreSettings().lease_s + 1)
        assert room.most == 0
        assert person.room.isconnected()


async def until_ended(stand: Stand, person: Person) -> None:
    """Wait until a person's session has ended."""
    async with asyncio.timeout(NET_S):
        while (await stand.loaded(person)).session.state is not SessionState.ENDED:
            await asyncio.sleep(0.05)


@IN_ONE_LOOP
async def test_the_library_counts_turns_and_saves_those_of_an_outage(stand: Stand) -> None:
    """A job that ends while Redis is away leaves its turns; the same worker saves them later."""
    before = await turns_counted(stand)
    async with at_work("starter", stand) as person:
        await person.ask("my cat is called Tom")
        async with asyncio.timeout(NET_S):
            while await turns_counted(stand) < before + 3:
                await asyncio.sleep(0.1)
        stand.redis.kill()
        said_at = time.monotonic()
        person.type("my dog is called Rex")
        heard = "I heard: my dog is called Rex."
        await person.notes.first(
            Kind.TURN, after=said_at, where=lambda note: note.fields["text"] == heard
        )
        await stand.api.room.delete_room(api.DeleteRoomRequest(room=person.session_id))
        await until(lambda: spooled(stand) != [], "the job has left its turns")
        await asyncio.to_thread(stand.redis.revive)
        await until(lambda: spooled(stand) == [], "the worker has saved them")
        texts = [recorded.turn.text for recorded in await stand.recorded(person)]
        assert texts == [
            "Hello! What can I do for you?",
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
