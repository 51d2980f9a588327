"""What a token takes of the gateway, which opens a session and makes its room."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import aiohttp

from benchmarks.capacity.processes import spent
from benchmarks.store.stage import at_most

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dev.rig.stand import Stand

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class GatewayCost:
    """Processor time of the gateway, in milliseconds for each token."""

    new_ms: float
    """For somebody new: a session, a room, an agent that is dispatched."""
    again_ms: float
    """For a page that is loaded again while its agent is there or on its way."""


async def measure(stand: Stand, tokens: int) -> GatewayCost:
    """Ask for tokens, so many of each kind. No worker may run: nobody is to come.

    Raises:
        AssertionError: the gateway refuses one.
    """
    participants: set[str] = set()
    async with aiohttp.ClientSession() as http:

        async def ask(secret_id: str) -> None:
            wanted = {
                "participant_identity": secret_id,
                "participant_attributes": {"rj.load": secrets.token_urlsafe(16)},
            }
            async with http.post(f"{stand.address}/api/token", json=wanted) as answered:
                assert answered.status == HTTPStatus.CREATED, await answered.text()
                participants.add((await answered.json())["participant_identity"])

        async def ask_all(people: Sequence[str]) -> None:
            await at_most(_AT_ONCE, [ask(secret_id) for secret_id in people])

        # The first few also pay for connections, and for code that runs for the first time.
        await ask_all(_somebodies(_AT_ONCE))
        somebodies = _somebodies(tokens)
        groups = {"gateway": stand.gateway.pids()}
        new = await spent(groups, ask_all(somebodies))
        again = await spent(groups, ask_all(somebodies))
    # Else the next worker would look for those who are expected.
    await at_most(_AT_ONCE, [stand.store.erase(participant) for participant in participants])
    await stand.mend(workers=0)
    return GatewayCost(
        new_ms=1000 * new.cpu_s["gateway"] / tokens,
        again_ms=1000 * again.cpu_s["gateway"] / tokens,
    )


def _somebodies(count: int) -> list[str]:
    return [secrets.token_urlsafe(24) for _ in range(count)]
