"""A conversation is not a room: other people's agents, and callers with plain tokens."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import signal
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from dev.paths import ROOT
from dev.rig.caller import Caller
from dev.rig.net import NET_S
from dev.rig.programs import signal_process, until
from dev.rig.stand import Stand, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from session_store import Session

STARTER = ROOT / "examples" / "starter.py"
AGENT = "assistant"
GREETING = "Hello! I am your assistant. What is your name?"
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stand]:
    """Run LiveKit, Redis, and a worker of LiveKit's starter for all tests."""
    folder = tmp_path_factory.mktemp("rooms")
    async with running(folder, workers=0, LIVEKIT_AGENT_NAME=AGENT) as stand:
        command = ("livekit.agents", "start", "--dev", str(STARTER))
        worker = await stand.add_worker(module=command, ready=False)
        await until(
            lambda: "registered worker" in worker.last_words(100_000), "the worker is known"
        )
        yield stand


def caller(stand: Stand, identity: str, room: str = "", **dispatch: Any) -> Caller:
    """Return somebody who is about to call, in a new random room by default."""
    name = room or f"room-{secrets.token_hex(4)}"
    return Caller(stand.livekit, name, identity, agent_name=AGENT, **dispatch)


def somebody() -> str:
    """Return an identity that nobody had before."""
    return f"caller-{secrets.token_hex(4)}"


async def newest_session(stand: Stand, identity: str) -> Session:
    """Return the newest session of a caller."""
    page = await stand.store.sessions(stand.store.pseudonym(identity), limit=1)
    return page.sessions[0]


async def kill_job(stand: Stand, identity: str) -> None:
    """Kill the job that serves a caller, as a crash would."""
    session = await newest_session(stand, identity)
    logged = stand.workers[0].log.read_text()
    joined = re.findall(rf' joined .*"{session.id}".*?"pid": (\d+)', logged)
    signal_process(int(joined[-1]), signal.SIGKILL)


def welcome(visit: int) -> str:
    """Return what the starter says to somebody who comes back."""
    return f"Welcome back! This is visit number {visit}."


async def test_who_calls_from_a_new_room_each_time_is_known(stand: Stand) -> None:
    """A stable identity and a random room per call: what LiveKit's starters produce."""
    me = somebody()
    async with caller(stand, me) as call:
        await call.hears(GREETING)
        await call.ask("my cat is called Tom", "I heard: my cat is called Tom.")
    for visit in (2, 3):
        await asyncio.sleep(1)
        async with caller(stand, me) as call:
            await call.hears(welcome(visit))
            known = ["my cat is called Tom", *["what have I said?"] * (visit - 2)]
            await call.ask("what have I said?", f"You said: {'; '.join(known)}.")
    session = await newest_session(stand, me)
    assert (session.visit, len(session.content.places)) == (3, 3)


async def test_who_takes_another_device_goes_on_there_and_back(stand: Stand) -> None:
    """The agent of the first room falls silent; it is back when the second room was left."""
    me = somebody()
    async with caller(stand, me) as phone:
        await phone.hears(GREETING)
        await phone.ask("my cat is called Tom", "I heard: my cat is called Tom.")
        async with caller(stand, me) as desk:
            await desk.hears(welcome(2))
            await desk.ask("my dog is called Rex", "I heard: my dog is called Rex.")
            await phone.until_alone()
            session = await newest_session(stand, me)
            assert session.content.places[0].room == desk.name
        await phone.hears(welcome(3))
        await phone.ask(
            "what have I said?", "You said: my cat is called Tom; my dog is called Rex."
        )
    assert (await newest_session(stand, me)).id == session.id


async def test_a_successor_serves_whom_the_dead_job_served(stand: Stand) -> None:
    """A guest in the room is neither greeted nor answered; the dispatch has all that it had."""
    me, room = somebody(), f"room-{secrets.token_hex(4)}"
    gold = json.dumps({"plan": "gold"})
    async with caller(stand, me, room, metadata=gold, shop="Rome") as maria:
        await maria.hears(GREETING)
        await maria.ask("my cat is called Tom", "I heard: my cat is called Tom.")
        async with Caller(stand.livekit, room, f"a-{somebody()}") as guest:
            [dead] = maria.agents
            await kill_job(stand, me)
            async with asyncio.timeout(NET_S):
                while dead in maria.agents or not maria.agents:
                    await asyncio.sleep(0.02)
            await guest.say("who are you?")
            await maria.ask("what have I said?", "You said: my cat is called Tom.")
            listed = await stand.api.agent_dispatch.list_dispatch(room)
            newest = max(listed, key=lambda each: each.state.created_at)
            assert newest.metadata == gold
            assert newest.attributes["shop"] == "Rome"
            assert newest.attributes["rj.identity"] == me
            page = await stand.store.sessions(stand.store.pseudonym(guest.identity))
            assert page.total == 0
