"""A checker of recorded histories: what concurrent callers saw, against what is there at the end.

Each call has a beginning, an end, and an outcome. Nothing is assumed about what happened between
calls that overlap; what a call that got no answer did is unknown, and both is allowed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CLOCK_S = 0.02
"""How far the server's milliseconds and a caller's clock may be apart."""


class Outcome(StrEnum):
    """What a caller knows."""

    OK = "ok"
    FAILED = "failed"
    """It was refused: nothing happened."""
    UNKNOWN = "unknown"
    """There was no answer: it happened, or not."""


@dataclass(frozen=True)
class Op:
    """One call. Times are seconds of one monotonic clock."""

    kind: str
    """join, append, update, renew, release, leave, arrive, claim or erase."""
    who: str
    began: float
    ended: float
    outcome: Outcome
    session: str = ""
    fence: int = 0
    """Shown by the call; for a join, what it got; for a claim, that of the job said to be dead."""
    turns: tuple[tuple[int, bytes], ...] = ()
    """Number and tag of each turn of an append."""
    counted: bool = False
    """Of a join or an arrival: whether it was a return."""
    version: int = 0
    """Of an update: what it wrote."""
    wanted: bool = False
    """Of a claim: whether it is this caller who dispatches a successor."""
    error: str = ""


@dataclass(frozen=True)
class Final:
    """A session at the end."""

    who: str
    seq: int
    tags: tuple[bytes, ...]
    """Of the turns that are kept, oldest first; the last one has number ``seq``."""
    reconnect_count: int
    version: int
    fence: int


@dataclass
class History:
    """What was called, and what there is in the end."""

    ops: list[Op] = field(default_factory=list)
    finals: dict[str, Final] = field(default_factory=dict)
    """By session; those that are gone are not there."""
    disturbances: list[tuple[float, float]] = field(default_factory=list)
    """When a wire was cut: a call that was repeated behind its caller's back may have been refused
    the second time only."""
    lease_s: float = 3.0
    expected_s: float = 10.0
    max_turns: int = 100

    def violations(self) -> list[str]:
        """Return what must not have happened, in words."""
        return [
            problem
            for check in (
                self._acknowledged_turns_are_there,
                self._every_turn_was_sent,
                self._the_record_has_neither_gap_nor_double,
                self._later_leases_write_later,
                self._nothing_is_written_below_a_fence,
                self._no_fence_is_given_twice,
                self._no_lease_is_taken_before_its_end,
                self._a_broken_lease_is_lost,
                self._one_dispatches,
                self._returns_are_counted_once,
                self._versions_are_counted_once,
                self._nothing_appears_after_an_erasure,
            )
            for problem in check()
        ]

    def _acknowledged_turns_are_there(self) -> Iterator[str]:
        for op in self._all("append", Outcome.OK):
            final = self.finals.get(op.session)
            if final is None:
                if not self._may_be_erased(op):
                    yield f"{op.session}: acknowledged turns are gone, and nobody erased them"
                continue
            for seq, tag in op.turns:
                there = _numbered(final).get(seq)
                trimmed = seq <= final.seq - self.max_turns
                if there != tag and not (there is None and trimmed):
                    yield f"{op.session}: acknowledged turn {seq} is not there"

    def _every_turn_was_sent(self) -> Iterator[str]:
        sent: dict[str, set[tuple[int, bytes]]] = defaultdict(set)
        for op in self._all("append"):
            if self._may_have_happened(op):
                sent[op.session].update(op.turns)
        for session, final in self.finals.items():
            for turn in _numbered(final).items():
                if turn not in sent[session]:
                    yield f"{session}: turn {turn[0]} is one that nobody sent under this number"

    def _the_record_has_neither_gap_nor_double(self) -> Iterator[str]:
        for session, final in self.finals.items():
            if len(set(final.tags)) != len(final.tags):
                yield f"{session}: a turn is there twice"
            if len(final.tags) != min(final.seq, self.max_turns):
                yield f"{session}: {len(final.tags)} turns are kept of {final.seq}"

    def _later_leases_write_later(self) -> Iterator[str]:
        fence_of = {(op.session, turn): op.fence for op in self._all("append") for turn in op.turns}
        for session, final in self.finals.items():
            fences = [fence_of.get((session, turn), 0) for turn in _numbered(final).items()]
            if any(later < earlier for earlier, later in pairwise(fences)):
                yield f"{session}: a turn lies behind one of a later lease"

    def _nothing_is_written_below_a_fence(self) -> Iterator[str]:
        joins = self._by_session("join", Outcome.OK)
        for op in self._guarded(Outcome.OK):
            for join in joins[op.session]:
                if join.fence > op.fence and join.ended < op.began:
                    yield f"{op.session}: {op.kind} under {op.fence} after {join.fence} was given"

    def _no_fence_is_given_twice(self) -> Iterator[str]:
        for session, joins in self._by_session("join", Outcome.OK).items():
            for one, two in pairwise(sorted(joins, key=lambda op: op.ended)):
                if two.fence == one.fence:
                    yield f"{session}: two joins got the fencing token {one.fence}"
                if two.fence < one.fence and one.ended < two.began:
                    yield f"{session}: fencing tokens went back to {two.fence}"

    def _no_lease_is_taken_before_its_end(self) -> Iterator[str]:
        joins = self._by_session("join", Outcome.OK)
        released: dict[tuple[str, int], float] = {}
        for op in sorted([*self._all("release"), *self._all("claim")], key=lambda op: op.began):
            released.setdefault((op.session, op.fence), op.began)
        for op in self._guarded(Outcome.OK, "join", "renew"):
            for join in joins[op.session]:
                given_back = released.get((op.session, op.fence), math.inf)
                live_until = min(op.began + self.lease_s - CLOCK_S, given_back)
                if join.fence > op.fence and op.ended < join.began and join.ended < live_until:
                    yield f"{op.session}: the lease {op.fence} was live when {join.fence} took it"

    def _a_broken_lease_is_lost(self) -> Iterator[str]:
        broken = [op for op in self._all("claim", Outcome.OK) if op.wanted]
        for op in self._guarded(Outcome.OK):
            for claim in broken:
                same = (claim.session, claim.fence) == (op.session, op.fence)
                if same and claim.ended < op.began:
                    yield f"{op.session}: {op.kind} under {op.fence} after its lease was broken"

    def _one_dispatches(self) -> Iterator[str]:
        for session, claims in self._by_session("claim", Outcome.OK).items():
            granted = sorted((op for op in claims if op.wanted), key=lambda op: op.ended)
            for one, two in pairwise(granted):
                came = any(
                    join.who == one.who
                    and join.ended > one.began
                    and join.began < two.ended
                    and self._may_have_happened(join)
                    for join in self._all("join")
                )
                if not came and two.ended < one.began + self.expected_s - CLOCK_S:
                    yield f"{session}: two dispatch a successor of {one.fence}"

    def _returns_are_counted_once(self) -> Iterator[str]:
        arrivals = [*self._all("join"), *self._all("arrive")]
        for session, final in self.finals.items():
            known = sum(
                op.counted for op in arrivals if op.session == session and op.outcome is Outcome.OK
            )
            perhaps = sum(
                op.who == final.who
                and op.session in ("", session)
                and op.outcome is not Outcome.OK
                and self._may_have_happened(op)
                for op in arrivals
            )
            if not known <= final.reconnect_count <= known + perhaps:
                yield (
                    f"{session}: {final.reconnect_count} returns, but {known} were acknowledged, "
                    f"and {perhaps} more are unknown"
                )

    def _versions_are_counted_once(self) -> Iterator[str]:
        updates = self._by_session("update")
        for session, final in self.finals.items():
            known = [op.version for op in updates[session] if op.outcome is Outcome.OK]
            perhaps = sum(
                op.outcome is not Outcome.OK and self._may_have_happened(op)
                for op in updates[session]
            )
            if len(set(known)) != len(known):
                yield f"{session}: a version was written twice"
            if not len(known) <= final.version <= len(known) + perhaps:
                yield f"{session}: version {final.version} after {len(known)} updates"

    def _nothing_appears_after_an_erasure(self) -> Iterator[str]:
        first_seen: dict[str, float] = {}
        for op in sorted(self.ops, key=lambda op: op.began):
            if op.session and op.outcome is Outcome.OK:
                first_seen.setdefault(op.session, op.began)
        for erasure in self._all("erase", Outcome.OK):
            before = {
                op.session
                for op in self.ops
                if op.who == erasure.who
                and op.session in first_seen
                and op.outcome is Outcome.OK
                and op.ended < erasure.began
            }
            for session in before:
                if session in self.finals:
                    yield f"{session}: it is there after it was erased"
            for op in self.ops:
                if op.session in before and op.outcome is Outcome.OK and op.began > erasure.ended:
                    yield f"{op.session}: {op.kind} succeeded after it was erased"

    def _all(self, kind: str, outcome: Outcome | None = None) -> Iterator[Op]:
        for op in self.ops:
            if op.kind == kind and outcome in (None, op.outcome):
                yield op

    def _by_session(self, kind: str, outcome: Outcome | None = None) -> Mapping[str, Sequence[Op]]:
        found = defaultdict(list)
        for op in self._all(kind, outcome):
            found[op.session].append(op)
        return found

    def _guarded(self, outcome: Outcome, *kinds: str) -> Iterator[Op]:
        for kind in kinds or ("append", "update", "renew", "release", "leave", "arrive"):
            yield from self._all(kind, outcome)

    def _may_have_happened(self, op: Op) -> bool:
        disturbed = any(began < op.ended and op.began < ended for began, ended in self.disturbances)
        return op.outcome is not Outcome.FAILED or disturbed

    def _may_be_erased(self, op: Op) -> bool:
        return any(
            erasure.who == op.who and erasure.ended > op.began and self._may_have_happened(erasure)
            for erasure in self._all("erase")
        )


def _numbered(final: Final) -> dict[int, bytes]:
    first = final.seq - len(final.tags) + 1
    return dict(enumerate(final.tags, first))
