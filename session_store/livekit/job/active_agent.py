"""Which of a program's agents goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from livekit.agents import Agent

from session_store.errors import InvalidValue
from session_store.models import TurnKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from session_store.models import RecordedTurn

    SomeAgent = Agent | Callable[[], Agent]
    """An agent, or what makes one: its class, for example."""


def goes_on(agents: Sequence[SomeAgent], turns: Iterable[RecordedTurn]) -> Agent:
    """Return the agent that was active at the end of a record.

    That is the newest one of these that the record names. An agent that awaits a task is active:
    the task is none of them, and begins again when the agent awaits it anew. If the record names
    none of them, it is the first.

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
    newest = next((made[name] for name in reversed([*_named(turns)]) if name in made), None)
    return newest or next(iter(made.values()))


def _made(agent: SomeAgent) -> Agent:
    return agent if isinstance(agent, Agent) else agent()


def _named(turns: Iterable[RecordedTurn]) -> Iterator[Any]:
    """Yield the ids of the agents that were handed to."""
    for recorded in turns:
        if recorded.turn.kind is TurnKind.HANDOFF:
            yield recorded.turn.details.get("new_agent_id")
