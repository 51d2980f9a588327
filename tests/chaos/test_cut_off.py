"""Workers that are cut off: from Redis only, from LiveKit only; and a LiveKit that restarts."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from dev.rig.notes import Kind
from tests.chaos.conftest import LONG, only_long
from tests.chaos.verdict import all_is_well

if TYPE_CHECKING:
    from dev.rig.network import Island
    from dev.rig.stand import Stand
    from tests.chaos.conftest import Wires

pytestmark = pytest.mark.asyncio(loop_scope="session")


SILENT = pytest.param(True, id="silent")
REFUSED = pytest.param(False, id="refused")


@pytest.mark.parametrize("silent", [SILENT, pytest.param(False, id="refused", marks=only_long)])
async def test_a_worker_without_redis_goes_on(stand: Stand, wires: Wires, *, silent: bool) -> None:
    """Its agent answers and is not replaced; what is said is unsaved, and saved when it is back."""
    async with stand.person_of(wires.worker) as person:
        await person.ask("my name is Maria")
        agent = await stand.until_alone_with_one_agent(person)
        async with stand.watch(person) as room:
            at = time.monotonic()
            await wires.to_redis.cut(silent=silent)
            asked = person.type("what is my name?")
            await person.notes.first(
                Kind.TURN, after=at, where=lambda note: note.fields["text"] == "Your name is Maria."
            )
            # The lease runs out meanwhile, for all others to see.
            await asyncio.sleep(20 if LONG else 9)
            assert asked not in person.saved
            wires.to_redis.heal()
            await person.answer(asked)
            await all_is_well(stand, person)
            assert (room.most, room.ever()) == (1, {agent})
        assert person.notes.of(Kind.AGENT_CAME, after=at) == []


async def test_a_worker_without_livekit_is_replaced(stand: Stand, far: Island) -> None:
    """Cut off from signals and sound, its agent is replaced by another worker's, and stays out."""
    worker = await stand.add_worker(island=far)
    async with stand.person_of(worker) as person:
        await person.ask("my name is Maria")
        lost = await stand.until_alone_with_one_agent(person)
        async with stand.watch(person) as room:
            at = time.monotonic()
            far.livekit.cut()
            asked = person.type("what is my name?")
            hello = await person.notes.first(Kind.HELLO, after=at)
            assert hello.who != lost
            assert (await person.answer(asked))["text"] == "Your name is Maria."
            healed = time.monotonic()
            far.livekit.heal()
            await asyncio.sleep(10)
            assert lost not in room.ever(after=healed)
            assert room.most == 1
        await all_is_well(stand, person)
        assert stand.job_of(person).worker is not worker


@pytest.mark.parametrize("silent", [pytest.param(True, id="silent", marks=only_long), REFUSED])
async def test_a_worker_without_signals_leaves_nobody_alone(
    stand: Stand, wires: Wires, *, silent: bool
) -> None:
    """Sound still comes through; whether the agent stays or is replaced, there is one."""
    async with stand.person_of(wires.worker) as person:
        await person.ask("my name is Maria")
        async with stand.watch(person) as room:
            await wires.to_livekit.cut(silent=silent)
            for number in range(6 if LONG else 3):
                await asyncio.sleep(8)
                await person.ask(f"what is my name, number {number}?")
            wires.to_livekit.heal()
            await person.ask("what is my name, at last?")
            await all_is_well(stand, person)
            assert room.most == 1


async def test_a_restart_of_livekit_is_no_visit(stand: Stand) -> None:
    """Everyone reconnects alone: no greeting, nothing counted as a visit, one agent in the room."""
    async with stand.person() as person:
        await person.come()
        await person.ask("my name is Maria")
        said = len(person.texts("assistant"))
        async with stand.watch(person) as room:
            at = time.monotonic()
            await stand.restart_livekit()
            await person.notes.first(Kind.HELLO, after=at)
            await asyncio.sleep(5)
            assert len(person.texts("assistant")) == said
            answer = await person.ask("what is my name?")
            assert answer["text"] == "Your name is Maria."
            await all_is_well(stand, person)
            assert room.most == 1
        assert len(person.texts("assistant")) == said + 1
        assert stand.field_of(person, "reconnect_count") == "0"
