"""A conversation that kills each of its agents is given up, and told so; a new one goes on."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from dev.rig.notes import Kind, Note
from dev.rig.person import NoToken
from tests.chaos.poison import POISON
from tests.chaos.verdict import all_is_well

if TYPE_CHECKING:
    from dev.rig.stand import Stand

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_crash_loop_ends_and_says_so(without_workers: Stand) -> None:
    """After three successors within a minute no other one is sent; the page hears it, twice."""
    stand = without_workers
    module = ("tests.chaos.poisoned",)
    poisoned = [await stand.add_worker(module=module, ready=False) for _ in range(2)]
    for worker in poisoned:
        await worker.ready()
    async with stand.person() as person:
        await person.come()
        await person.ask("my name is Maria")
        at = time.monotonic()
        person.type(f"what is {POISON}?")

        def gave_up(note: Note) -> bool:
            return note.fields.get("rj.agent") == "gave_up"

        await person.notes.first(Kind.TOLD, after=at, where=gave_up)
        joined = [
            record
            for worker in poisoned
            for record in worker.records()
            if record.get("message") == "joined" and record.get("session_id") == person.session_id
        ]
        outcomes = sorted(record["outcome"] for record in joined)
        assert outcomes == ["created", *["taken_over"] * 3]
        # Not even a dead one is left to wait for.
        await asyncio.sleep(2)
        assert (await stand.agents_with(person), person.agents) == ([], [])
        with pytest.raises(NoToken) as refused:
            await person.come()
        assert (refused.value.status, refused.value.code) == (409, "agent_keeps_failing")
        given_up = person.session_id

        await person.come(new_session=True)
        assert person.session_id != given_up
        await person.ask("my name is Anna")
        await all_is_well(stand, person)
