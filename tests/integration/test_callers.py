"""A conversation is not a room: other people's agents, and callers with plain tokens."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from dev.paths import ROOT
from dev.rig.caller import Caller
from dev.rig.net import NET_S
from dev.rig.programs import signal_process, until
from dev.rig.servers.users import LOOKS_AT_ALL
from dev.rig.stand import Stand, running
from session_store import SessionState
from session_store.keys import KeySpace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from session_store import Session

STARTER = ROOT / "examples" / "starter.py"
AGENT = "assistant"
GREETING = "Hello! What can I do for you?"
"""What the starter says to somebody who comes, and to somebody who comes back."""
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


def past_the_store(stand: Stand) -> Redis:
    """Look into Redis as an operator would."""
    return Redis(port=stand.redis.port, username=LOOKS_AT_ALL.user, password=LOOKS_AT_ALL.password)


async def test_who_calls_from_a_new_room_each_time_is_known(stand: Stand) -> None:
    """A stable identity and a random room per call: what LiveKit's starters produce."""
    me = somebody()
    async with caller(stand, me) as call:
        await call.hears(GREETING)
        await call.ask("my cat is called Tom", "I heard: my cat is called Tom.")
    for visit in (2, 3):
        await asyncio.sleep(1)
        async with caller(stand, me) as call:
            await call.hears(GREETING)
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
            await desk.hears(GREETING)
            await desk.ask("my dog is called Rex", "I heard: my dog is called Rex.")
            await phone.until_alone()
            session = await newest_session(stand, me)
            assert session.content.places[0].room == desk.name
        left_at = time.monotonic()
        await phone.hears(GREETING, after=left_at)
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
            await until_replaced(maria, dead)
            await guest.say("who are you?")
            await maria.ask("what have I said?", "You said: my cat is called Tom.")
            listed = await stand.api.agent_dispatch.list_dispatch(room)
            newest = max(listed, key=lambda each: each.state.created_at)
            assert newest.metadata == gold
            assert newest.attributes["shop"] == "Rome"
            assert newest.attributes["rj.identity"] == me
            page = await stand.store.sessions(stand.store.pseudonym(guest.identity))
            assert page.total == 0


async def test_who_has_a_session_that_does_not_open_gets_another_one(stand: Stand) -> None:
    """At the first call; the broken one stays for an operator, and no agent is sent there."""
    me = somebody()
    async with caller(stand, me) as call:
        await call.hears(GREETING)
        await call.ask("my cat is called Tom", "I heard: my cat is called Tom.")
    async with asyncio.timeout(NET_S):
        while (broken := await newest_session(stand, me)).state is not SessionState.AWAY:
            await asyncio.sleep(0.05)
    turns = KeySpace().participant(broken.participant).turns(broken.id)
    async with past_the_store(stand) as raw:
        assert await raw.delete(turns) == 1

    async with caller(stand, me) as call:
        await call.hears(GREETING)
        await call.ask("what have I said?", "You said: .")

    page = await stand.store.sessions(broken.participant)
    assert [session.id for session in page.sessions][1:] == [broken.id]
    assert page.sessions[1].resume_until == broken.resume_until


async def test_a_call_outlives_a_redis_that_lost_everything(stand: Stand) -> None:
    """It is saved anew, and so its agent may die."""
    me = somebody()
    async with caller(stand, me) as call:
        await call.hears(GREETING)
        await call.ask("my cat is called Tom", "I heard: my cat is called Tom.")
        async with past_the_store(stand) as raw:
            await raw.flushall()
        async with asyncio.timeout(NET_S):
            while not (await stand.store.sessions(stand.store.pseudonym(me))).total:
                await asyncio.sleep(0.05)
        [dead] = call.agents
        await kill_job(stand, me)
        await until_replaced(call, dead)
        await call.ask("what have I said?", "You said: my cat is called Tom.")


async def until_replaced(call: Caller, dead: str) -> None:
    """Wait until another agent than the dead one is there."""
    async with asyncio.timeout(NET_S):
        while dead in call.agents or not call.agents:
            await asyncio.sleep(0.02)
