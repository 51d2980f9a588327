"""What a program works on is there after a kill, as it was at the last item of the record."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from dev.rig.net import NET_S
from session_store.livekit.job.state_shape import StateShape
from tests.integration.following_jobs import Job
from tests.integration.ordering import Order, Till, Waiter, order_of, waiting_model

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from session_store import SessionStore, StoreSettings

    Begin = Callable[..., Any]

LEFT_OUT = {"kitchen"}


@pytest.fixture
async def job(store: SessionStore, settings: StoreSettings) -> AsyncIterator[Begin]:
    """Begin jobs of one conversation, one after another, each with its agent."""
    made: list[Job] = []

    async def begin(agent: Any = None, kind: Any = Order, **more: Any) -> Job:
        job = Job(store, settings, waiting_model(), **more)
        made.append(job)
        if kind is not None:
            job.stage.state_shape = StateShape.of(kind, LEFT_OUT if kind is Order else ())
        await job.join()
        return await job.start(agent or Waiter())

    yield begin
    for each in made:
        await each.stage.end()


async def go_to_the_till(job: Job) -> None:
    """Let the waiter hand over."""
    await job.ask("pay")
    await job.stage.until(lambda: isinstance(job.stage.agent, Till))
    async with asyncio.timeout(NET_S):
        # LiveKit takes no speech while it changes from one agent to the next.
        while True:
            with suppress(RuntimeError):
                return await job.ask("thank you")
            await asyncio.sleep(0.01)


async def test_an_order_is_there_after_a_kill(job: Begin, raw: Any) -> None:
    """In the object that the program made, before its agent starts (A11)."""
    first = await job(userdata=Order())
    await first.ask("add tea")
    await first.ask("add cake")
    await first.die(raw)
    kitchen = object()
    mine = Order(kitchen=kitchen)
    second = await job(userdata=mine)
    assert second.stage.conversation.state is mine
    assert (mine.items, mine.kitchen) == (["tea", "cake"], kitchen)
    await second.ask("add milk")
    await second.die(raw)
    assert order_of((await job()).stage.agent_session) == ["tea", "cake", "milk"]


async def test_what_changed_after_the_last_item_is_not_there(job: Begin, raw: Any) -> None:
    """The state is as old as the record."""
    first = await job()
    await first.ask("add tea")
    order_of(first.stage.agent_session).append("cake")
    await first.die(raw)
    assert order_of((await job()).stage.agent_session) == ["tea"]


async def test_a_tool_that_runs_may_have_changed_it(job: Begin, raw: Any) -> None:
    """The successor is told that its outcome is unknown."""
    waiter = Waiter()
    first = await job(waiter)
    first.stage.agent_session.generate_reply(user_input="cook soup")
    await first.stage.until(lambda: order_of(first.stage.agent_session) == ["soup"])
    # Something that is recorded meanwhile.
    await first.type("is it ready?")
    await first.die(raw)
    second = await job()
    assert order_of(second.stage.agent_session) == ["soup"]
    assert "unknown" in second.outputs("cook")[0]
    waiter.is_ready.set()


async def test_the_agent_that_was_active_has_its_fields(job: Begin, raw: Any) -> None:
    """Those that its class wants to keep."""
    first = await job()
    await first.ask("add tea")
    await first.ask("add cake")
    await first.die(raw)
    waiter = Waiter()
    await job(waiter)
    assert waiter.asked == 2


async def test_a_transfer_loses_nothing(job: Begin, raw: Any) -> None:
    """Name and order are there, and the agent's id is known (A12)."""
    first = await job()
    await first.ask("add tea")
    await go_to_the_till(first)
    await first.die(raw)
    second = await job(Till())
    assert second.stage.agent_session.userdata == Order(["tea"], "Maria")
    assert second.stage.conversation.active_agent == "till"


@dataclass
class Renamed:
    """The order in a program of a later version."""

    dishes: list[str] = field(default_factory=list)
    name: int = 0


async def test_a_state_that_does_not_load_is_kept_and_said(
    job: Begin, raw: Any, store: SessionStore, caplog: pytest.LogCaptureFixture
) -> None:
    """The program goes on with a new one; an operator finds the old one."""
    first = await job()
    await first.ask("add tea")
    await go_to_the_till(first)
    await first.die(raw)
    caplog.set_level(logging.ERROR)
    second = await job(Till(), Renamed)
    assert second.stage.agent_session.userdata == Renamed()
    assert "Renamed.name does not load" in str(second.stage.conversation.state_error)
    assert "the state is not loaded, and is kept aside" in caplog.text
    second.stage.agent_session.userdata.dishes.append("cake")
    await second.ask("hello")
    await second.die(raw)
    loaded = await store.load(second.stage.participant, second.stage.conversation.session_id)
    assert loaded is not None
    assert loaded.work is not None
    (before,) = loaded.works_before
    assert json.loads(loaded.work.data)["state"]["dishes"] == ["cake"]
    assert json.loads(before.data)["state"]["items"] == ["tea"]


async def test_a_program_that_keeps_no_state_loses_none(job: Begin, raw: Any) -> None:
    """A job of an earlier version, in the middle of a deploy."""
    first = await job()
    await first.ask("add tea")
    await first.die(raw)
    other = await job(Till(), None, userdata=Order())
    await other.ask("hello")
    await other.die(raw)
    assert order_of((await job()).stage.agent_session) == ["tea"]


async def test_a_job_that_began_without_the_store_gets_it_late(
    job: Begin, store: SessionStore, settings: StoreSettings, raw: Any
) -> None:
    """As long as it has done nothing of its own, in the object that it has."""
    first = await job()
    await first.ask("add tea")
    await first.die(raw)
    late = Job(store, settings, waiting_model())
    late.stage.state_shape = StateShape.of(Order, LEFT_OUT)
    late.stage.words = None
    late.stage.begin(session_id=first.stage.conversation.session_id)
    await late.stage.start_with(Waiter())
    mine = late.stage.agent_session.userdata
    await late.stage.until(lambda: mine.items == ["tea"])
    await late.ask("add cake")
    await late.die(raw)
    assert order_of((await job()).stage.agent_session) == ["tea", "cake"]
    await late.stage.end()


async def test_a_state_that_is_too_large_is_said(
    job: Begin, raw: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, with the part that is the largest; what was kept before stays."""
    first = await job()
    await first.ask("add tea")
    first.stage.agent_session.userdata.name = "x" * 65_536
    await first.ask("hello")
    await first.ask("hello")
    (said,) = (record.__dict__["reason"] for record in caplog.records if "reason" in vars(record))
    assert "The largest part is state.name, of 65538" in said
    await first.die(raw)
    assert order_of((await job()).stage.agent_session) == ["tea"]


async def test_with_redis_away_the_state_waits_with_its_turns(job: Begin, raw: Any) -> None:
    """It is written with the turn that it belongs to."""
    first = await job()
    await first.ask("add tea")
    await raw.client_pause(1500, all=True)
    await first.ask("add cake")
    await asyncio.sleep(0)
    await first.die(raw)
    assert order_of((await job()).stage.agent_session) == ["tea", "cake"]
