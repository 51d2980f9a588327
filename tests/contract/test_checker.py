"""The checker of histories can fail: each broken promise is noticed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.histories import Final, History, Op, Outcome

S, MARIA = "a session", "maria"


def op(kind: str, at: float, **known: Any) -> Op:
    """Make a call that took a tenth of a second."""
    fields = {"who": MARIA, "outcome": Outcome.OK, "session": S, "fence": 1, **known}
    return Op(kind=kind, began=at, ended=at + 0.1, **fields)


def turns(*numbers: int) -> tuple[tuple[int, bytes], ...]:
    """Make turns with these numbers."""
    return tuple((number, f"tag {number}".encode()) for number in numbers)


def history(*ops: Op, final: Final | None, **known: Any) -> History:
    """Make a history of one session."""
    return History(list(ops), {} if final is None else {S: final}, **known)


def final(**known: Any) -> Final:
    """Make the end of a history."""
    known = {"seq": 0, "tags": (), "reconnect_count": 0, "version": 0, "fence": 1, **known}
    return Final(who=MARIA, **known)


def kept(*numbers: int, **known: Any) -> Final:
    """Make the end of a history in which these turns are kept."""
    tags = tuple(tag for _, tag in turns(*numbers))
    return final(**{"seq": len(numbers), "tags": tags, **known})


FINE = {
    "an append": history(op("join", 0), op("append", 1, turns=turns(1, 2)), final=kept(1, 2)),
    "an append without an answer that happened": history(
        op("join", 0), op("append", 1, turns=turns(1), outcome=Outcome.UNKNOWN), final=kept(1)
    ),
    "an append without an answer that did not happen": history(
        op("join", 0), op("append", 1, turns=turns(1), outcome=Outcome.UNKNOWN), final=kept()
    ),
    "an append that was refused when it was repeated": history(
        op("join", 0),
        op("append", 1, turns=turns(1), outcome=Outcome.FAILED),
        final=kept(1),
        disturbances=[(0.9, 1.05)],
    ),
    "turns that were trimmed": history(
        op("join", 0),
        op("append", 1, turns=turns(1, 2, 3)),
        final=kept(2, 3, seq=3),
        max_turns=2,
    ),
    "a takeover after the end of the lease": history(
        op("join", 0), op("join", 4, fence=2), final=final(fence=2)
    ),
    "a takeover of a lease that was given back": history(
        op("join", 0), op("release", 1), op("join", 2, fence=2), final=final(fence=2)
    ),
    "a takeover of a lease that was broken": history(
        op("join", 0), op("claim", 1, wanted=True), op("join", 2, fence=2), final=final(fence=2)
    ),
    "a claim of an overdue dispatch": history(
        op("join", 0),
        op("claim", 4, wanted=True),
        op("claim", 5),
        op("claim", 14.2, wanted=True),
        final=final(),
    ),
    "a claim of a successor that died too": history(
        op("join", 0),
        op("claim", 1, wanted=True),
        op("join", 2, fence=2, outcome=Outcome.UNKNOWN),
        op("claim", 3, wanted=True, fence=2),
        final=final(fence=2),
    ),
    "an append of the one that began before the join of the other had ended": history(
        op("join", 0),
        op("join", 4, fence=2),
        op("append", 4.05, turns=turns(1)),
        final=kept(1, fence=2),
    ),
    "a return that may have been counted": history(
        op("join", 0),
        op("arrive", 1, counted=True),
        op("arrive", 2, outcome=Outcome.UNKNOWN),
        final=final(reconnect_count=2),
    ),
    "an erasure": history(
        op("join", 0),
        op("append", 1, turns=turns(1)),
        op("erase", 2, session=""),
        op("append", 3, turns=turns(2), outcome=Outcome.FAILED),
        final=None,
    ),
}

BROKEN = {
    "acknowledged turns are gone": history(
        op("join", 0), op("append", 1, turns=turns(1)), final=None
    ),
    "acknowledged turn 2 is not there": history(
        op("join", 0), op("append", 1, turns=turns(1, 2)), final=kept(1)
    ),
    "acknowledged turn 1 is not there": history(
        op("join", 0),
        op("append", 1, turns=turns(1)),
        op("append", 2, turns=((1, b"another"),), outcome=Outcome.UNKNOWN),
        final=final(seq=1, tags=(b"another",)),
    ),
    "turn 2 is one that nobody sent": history(
        op("join", 0), op("append", 1, turns=turns(1)), final=kept(1, 2)
    ),
    "turn 1 is one that nobody sent": history(
        op("join", 0),
        op("append", 1, turns=turns(1), outcome=Outcome.FAILED),
        final=kept(1),
        disturbances=[(5, 6)],
    ),
    "a turn is there twice": history(
        op("join", 0),
        op("append", 1, turns=((1, b"x"),)),
        op("append", 2, turns=((2, b"x"),)),
        final=final(seq=2, tags=(b"x", b"x")),
    ),
    "1 turns are kept of 2": history(
        op("join", 0), op("append", 1, turns=turns(1, 2)), final=kept(2, seq=2)
    ),
    "lies behind one of a later lease": history(
        op("join", 0),
        op("join", 4, fence=2),
        op("append", 4.01, turns=turns(1), fence=2),
        op("append", 4.02, turns=turns(2), fence=1),
        final=kept(1, 2, fence=2),
    ),
    "append under 1 after 2 was given": history(
        op("join", 0),
        op("join", 4, fence=2),
        op("append", 5, turns=turns(1)),
        final=kept(1, fence=2),
    ),
    "renew under 1 after 2 was given": history(
        op("join", 0), op("join", 4, fence=2), op("renew", 5), final=final(fence=2)
    ),
    "two joins got the fencing token 1": history(op("join", 0), op("join", 9), final=final()),
    "fencing tokens went back": history(op("join", 0, fence=2), op("join", 9), final=final()),
    "the lease 1 was live when 2 took it": history(
        op("join", 0), op("renew", 3), op("join", 4, fence=2), final=final(fence=2)
    ),
    "append under 1 after its lease was broken": history(
        op("join", 0),
        op("claim", 1, wanted=True),
        op("append", 2, turns=turns(1)),
        final=kept(1),
    ),
    "two dispatch a successor of 1": history(
        op("join", 0), op("claim", 1, wanted=True), op("claim", 1.05, wanted=True), final=final()
    ),
    "1 returns, but 2 were acknowledged": history(
        op("join", 0),
        op("arrive", 1, counted=True),
        op("arrive", 2, counted=True),
        final=final(reconnect_count=1),
    ),
    "1 returns, but 0 were acknowledged": history(
        op("join", 0), op("arrive", 1), final=final(reconnect_count=1)
    ),
    "a version was written twice": history(
        op("join", 0),
        op("update", 1, version=1),
        op("update", 2, version=1),
        final=final(version=2),
    ),
    "version 1 after 2 updates": history(
        op("join", 0),
        op("update", 1, version=1),
        op("update", 2, version=2),
        final=final(version=1),
    ),
    "it is there after it was erased": history(
        op("join", 0), op("erase", 2, session=""), final=final()
    ),
    "append succeeded after it was erased": history(
        op("join", 0),
        op("erase", 2, session=""),
        op("append", 3, turns=turns(1)),
        final=None,
    ),
}


@pytest.mark.parametrize("name", FINE)
def test_a_history_that_can_be_is_accepted(name: str) -> None:
    """What concurrent calls may come to is no violation."""
    assert FINE[name].violations() == []


@pytest.mark.parametrize("problem", BROKEN)
def test_a_history_that_cannot_be_is_refused(problem: str) -> None:
    """Each broken promise is noticed, and named."""
    assert any(problem in violation for violation in BROKEN[problem].violations())
