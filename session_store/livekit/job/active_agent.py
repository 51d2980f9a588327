"""Which of a program's agents goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from livekit.agents import Agent

from session_store.errors import InvalidValue
from session_store.livekit.job.chat_items import agents_named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from session_store.models import RecordedTurn

    AgentOrMaker = Agent | Callable[[], Agent]
    """An agent, or what makes one: its class, for example."""


def goes_on(agents: Sequence[AgentOrMaker], turns: Iterable[RecordedTurn]) -> Agent:
    """Return the agent that was active at the end of a record.

    That is the newest of these agents that the record names. If it names no agent of these, the
    first one goes on. A task in the record counts for nothing: the agent that awaited it goes on,
    and the task begins again when that agent awaits it anew.

    Args:
        agents: all that may be active, the one that begins first. Each is known by its ``id``.
        turns: the record, oldest first.

    Raises:
        InvalidValue: there are none, or two have the same id.
    """
    if not agents:
        raise InvalidValue("resume() without an agent needs persist(agents=[…])")
    made: dict[str, Agent] = {}
    for agent in map(_made, agents):
        if agent.id in made:
            raise InvalidValue(f"two agents have the id {agent.id!r}: give one of them another")
        made[agent.id] = agent
    newest = next((made[name] for name in reversed([*agents_named(turns)]) if name in made), None)
    return newest or next(iter(made.values()))


def _made(agent: AgentOrMaker) -> Agent:
    return agent if isinstance(agent, Agent) else agent()
