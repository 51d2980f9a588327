"""Identities that do not identify: nobody hears what a stranger said, and a call goes on."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from dev.rig.programs import until
from tests.chaos.caller import Caller

if TYPE_CHECKING:
    from dev.rig.stand import Stand

pytestmark = pytest.mark.asyncio(loop_scope="session")

WITHHELD = "sip_anonymous"


async def a_call(caller: Caller) -> str:
    """Let a caller call and say a name; return the session."""
    await caller.come()
    hello = await caller.greeted()
    assert ("back" in hello, hello["last_seq"]) == (False, 0)
    await caller.ask("my name is Maria")
    return caller.session_id


async def is_stranger_to(caller: Caller, before: str) -> bool:
    """Let a caller call; return whether they get another conversation, which knows nothing."""
    await caller.come()
    hello = await caller.greeted()
    answer = await caller.ask("what is my name?")
    return hello["last_seq"] == 0 and caller.session_id != before and "Maria" not in answer["text"]


async def has_hung_up(stand: Stand, session_id: str) -> None:
    """Wait until the job of a call that is over has ended."""
    await until(
        lambda: all(worker.job_of(session_id) is None for worker in stand.workers),
        "the job of the call has ended",
    )


async def test_two_callers_with_a_withheld_number_are_strangers(stand: Stand) -> None:
    """The second one begins anew, in a room of its own."""
    async with Caller(stand, WITHHELD) as first:
        before = await a_call(first)
    async with Caller(stand, WITHHELD) as second:
        assert await is_stranger_to(second, before)


async def test_a_number_is_known_again(stand: Stand) -> None:
    """In another room; nothing has changed for those who can be told apart."""
    async with Caller(stand, "sip_+15550123") as first:
        before = await a_call(first)
    await has_hung_up(stand, before)
    async with Caller(stand, "sip_+15550123") as again:
        await again.come()
        await again.greeted()
        assert again.session_id == before


async def test_a_caller_behind_another_in_the_same_room_is_a_stranger(stand: Stand) -> None:
    """A dispatch rule may send all calls into one room, where LiveKit sends no second agent."""
    async with Caller(stand, WITHHELD) as first:
        before = await a_call(first)
        async with Caller(stand, WITHHELD, room=first.room_name) as second:
            assert await is_stranger_to(second, before)


@pytest.mark.parametrize("is_call", [True, False], ids=["phone", "page"])
async def test_a_call_of_a_stranger_goes_on_after_a_kill(stand: Stand, *, is_call: bool) -> None:
    """Its successor knows what was said, by the call or by the room; nobody else does."""
    async with Caller(stand, WITHHELD, is_call=is_call) as caller:
        before = await a_call(caller)
        at = stand.job_of(caller).kill()
        hello = await caller.greeted(after=at)
        assert (hello["back"], caller.session_id) == (True, before)
        assert (await caller.ask("what is my name?"))["text"] == "Your name is Maria."
        if not is_call:
            at = time.monotonic()
            await caller.reload()
            await caller.greeted(after=at)
            assert caller.session_id == before


async def test_a_program_names_its_callers(without_workers: Stand) -> None:
    """The same customer is known in every room and under every identity; nameless ones are not."""
    stand = without_workers
    await stand.add_worker(module=("tests.chaos.named",))
    maria = json.dumps({"customer": "maria-7"})
    async with Caller(stand, WITHHELD, metadata=maria) as first:
        before = await a_call(first)
    assert (await stand.store.load(stand.store.pseudonym("maria-7"), before)) is not None
    await has_hung_up(stand, before)
    async with Caller(stand, "sip_+15550123", metadata=maria) as again:
        await again.come()
        await again.greeted()
        assert again.session_id == before
        at = stand.job_of(again).kill()
        hello = await again.greeted(after=at)
        assert (hello["back"], again.session_id) == (True, before)
    async with Caller(stand, "sip_+15550123") as nameless:
        assert await is_stranger_to(nameless, before)
