"""Which of several agents without a lease stays."""

from __future__ import annotations

import itertools

import pytest

from session_store.livekit.job.other_agents import goes_first
from session_store.livekit.rooms.pings import COMING, HERE


def test_nobody_else_leaves_the_room_to_us() -> None:
    """An empty room, and agents that answer nothing, are no reason to leave."""
    assert not goes_first([], "agent-b")
    assert not goes_first([("avatar", ""), ("ghost", "")], "agent-b")


@pytest.mark.parametrize("other", ["agent-a", "agent-c"])
def test_whoever_has_begun_goes_first(other: str) -> None:
    """A conversation that is under way is never taken by a newcomer."""
    assert goes_first([(other, HERE)], "agent-b")


def test_of_several_that_are_about_to_begin_exactly_one_does() -> None:
    """Whatever their number, all come to the same answer."""
    agents = ["agent-a", "agent-b", "agent-c"]
    stays = [
        mine
        for mine in agents
        if not goes_first([(other, COMING) for other in agents if other != mine], mine)
    ]
    assert stays == ["agent-a"]


def test_never_do_all_of_them_leave() -> None:
    """Whichever of them have begun already, at least one stays, and at most one newcomer."""
    agents = ["agent-a", "agent-b", "agent-c"]
    for begun in itertools.product([True, False], repeat=3):
        says = dict(zip(agents, begun, strict=True))
        newcomers = [
            mine
            for mine in agents
            if not says[mine]
            and not goes_first(
                [(other, HERE if says[other] else COMING) for other in agents if other != mine],
                mine,
            )
        ]
        assert len(newcomers) == (0 if any(begun) else 1)
