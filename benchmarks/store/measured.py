"""What a run has measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from benchmarks.store.timing import Series

    ByLevel: TypeAlias = dict[str, dict[int, Series]]
    """By contestant and number of sessions, in microseconds."""


class Appends(NamedTuple):
    """By contestant."""

    alone_us: dict[str, Series]
    crowd_per_s: dict[str, Series]


class Reads(NamedTuple):
    """By contestant."""

    alone_us: dict[str, Series]
    crowd_per_s: dict[str, Series]


class Joins(NamedTuple):
    """By kind of join; and of one task, or many."""

    times_us: dict[str, Series]
    """In the same rounds, too: ``pipeline``, an append of the raw pipeline, and ``ping``, an empty
    round trip of the store's own, below which no call of its can be."""
    crowd_per_s: dict[str, Series]
    """And ``pipeline``, likewise."""
    calls: dict[str, int]
    """Scripts that Redis ran for one: that many round trips."""


class Writers16(NamedTuple):
    """Turns per second, by contestant."""

    same: dict[str, Series]
    spread: dict[str, Series]


class Works(NamedTuple):
    """Times of one task that records a turn of 200 bytes, in microseconds."""

    none: Series
    """Without what a program works on."""
    same: Series
    """With 4 KiB of it that have not changed."""
    changed: Series
    """With 4 KiB of it that have changed."""
    longer: Series
    """Without it, but of a turn that is 4 KiB longer."""


class TurnBytes(NamedTuple):
    """What one turn of 200 bytes of text takes."""

    stored: float
    """Length of the list's element."""
    memory: float
    """Its share of what Redis spends on a list of 100, by its own account."""


class IdleBytes(NamedTuple):
    """What a session takes without turns, after its participant and its job have left."""

    used_memory: float
    """Its share of what many of them add to Redis's memory: keys, their places, shared ones."""
    own_keys: int
    """What Redis spends on all keys of one that is alone, by its own account."""


class Growth(NamedTuple):
    """How times grow with the number of sessions."""

    append_us: ByLevel
    read_us: ByLevel
    scattered_us: dict[str, Series]
    """By contestant: reading many of the most sessions in turn, rather than one of them."""


@dataclass(frozen=True)
class Measured:
    """All that was measured."""

    appends: Appends
    reads: Reads
    joins: Joins
    writers16: Writers16
    works: Works
    turns: dict[str, TurnBytes]
    idle: IdleBytes
    growth: Growth
