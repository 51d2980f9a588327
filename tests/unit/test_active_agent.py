"""Which of a program's agents goes on."""

from __future__ import annotations

import pytest
from livekit.agents import Agent

from session_store import RecordedTurn, Turn, TurnKind
from session_store.errors import InvalidValue
from session_store.livekit.job.active_agent import goes_on


class Reception(Agent):
    """Begins."""

    def __init__(self) -> None:
        super().__init__(instructions="")


class Billing(Reception):
    """Goes on."""


def handed_to(*ids: str) -> list[RecordedTurn]:
    """Return a record with these transfers."""
    return [
        RecordedTurn(
            seq,
            Turn(
                id=f"t{seq}",
                kind=TurnKind.HANDOFF,
                created_at=seq,
                details={"old_agent_id": None, "new_agent_id": name},
            ),
        )
        for seq, name in enumerate(ids, 1)
    ]


@pytest.mark.parametrize(
    ("ids", "active"),
    [
        ([], Reception),
        (["billing"], Billing),
        (["billing", "reception"], Reception),
        # A task is no agent of the list: the agent that awaits it goes on.
        (["billing", "ask_number"], Billing),
        (["ask_number"], Reception),
    ],
)
def test_the_newest_agent_of_the_record_goes_on(ids: list[str], active: type[Agent]) -> None:
    """By its id."""
    agent = goes_on([Reception, Billing], handed_to(*ids))
    assert type(agent) is active


def test_agents_that_exist_are_not_made_again() -> None:
    """A program may hold them, in its state for example; or make them by a function."""
    billing = Billing()
    assert goes_on([Reception(), billing], handed_to("billing")) is billing
    assert goes_on([Reception, lambda: billing], handed_to("billing")) is billing


def test_a_list_that_names_none_or_two_of_one_id_is_refused() -> None:
    """With what to do."""
    with pytest.raises(InvalidValue, match=r"persist\(agents="):
        goes_on([], [])
    with pytest.raises(InvalidValue, match="two agents have the id 'billing'"):
        goes_on([Billing, Billing()], [])
