"""What is counted, under which names and labels."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
from prometheus_client import generate_latest

from session_store.errors import SealBroken, UnknownKey
from session_store.events import Event, EventType, SealFailure
from session_store.meter import NO_METER, JoinEnd, Meter
from session_store.metrics import PrometheusSink
from session_store.metrics.families import (
    FAMILIES,
    CounterFamily,
    GaugeFamily,
    HistogramFamily,
    Part,
)
from session_store.values import Replayed
from tests.counted import Counted

if TYPE_CHECKING:
    from session_store.metrics.families import Family

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"


def event(kind: EventType, session_id: str = "s1", **numbers: int) -> Event:
    """Return an event."""
    return Event(type=kind, at=1, participant="p1", session_id=session_id, **numbers)


HEARD = {
    "joined": ("created",),
    "resumed": ("return", 0.5),
    "conversation_begun": (),
    "conversation_over": (),
    "appended": (0.001,),
    "turn_saved": (0.002,),
    "unsaved_changed": (1, 100),
    "turns_spooled": (2,),
    "turns_replayed": (Replayed.LATE, 2),
    "turns_lost": (1,),
    "spool_files": (3,),
    "dispatched": ("overdue",),
    "dispatch_repeated": (),
    "gave_up": (),
    "redis_called": ("append", 0.001),
    "redis_failed": ("timeout",),
    "circuit_opened": (),
    "circuit_closed": (),
    "redis_memory": (10, 20),
    "sessions_stale": (1,),
    "sweep_lag": (2.0,),
    "client_quality": (0.05, 0.01),
    "request_answered": ("token", "2xx"),
    "token_took": (0.02,),
    "provider_failed": ("llm", "rate_limit"),
    "worker_memory": (1000,),
    "on_event": (event(EventType.SESSION_CREATED),),
    "on_seal_failure": (SealFailure("p1", "s1", SealBroken("turn 1", "s1")),),
}
"""Every method of a meter, with arguments."""


def test_whatever_can_be_measured_is_counted() -> None:
    """The sink counts each thing that a meter hears, in the worker or in the gateway."""
    methods = {name for name, _ in inspect.getmembers(Meter, inspect.isfunction)}
    assert set(HEARD) == methods
    assert methods <= set(vars(PrometheusSink))
    for name, args in HEARD.items():
        assert getattr(NO_METER, name)(*args) is None
        changed = []
        for part in get_args(Part):
            counted = Counted(part)
            before = generate_latest(counted.registry)
            if name in ("conversation_over", "circuit_closed"):
                getattr(counted.sink, name.replace("over", "begun").replace("closed", "opened"))()
                before = generate_latest(counted.registry)
            getattr(counted.sink, name)(*args)
            changed.append(generate_latest(counted.registry) != before)
        assert any(changed), name


@pytest.mark.parametrize("part", ["worker", "gateway"])
def test_what_has_not_happened_yet_is_shown_as_0_under_all_its_labels(part: Part) -> None:
    """A rate or an alert needs no first failure to have something to compare with."""
    counted = Counted(part)
    counted.sink.show_all()
    shown = counted.samples()
    for family in FAMILIES:
        name = family.name.removesuffix("_total")
        assert (name in shown) == (part in family.parts), family.name
        if part in family.parts:
            seen = {
                tuple(labels[label] for label in family.labels)
                for labels in shown[name]
                if set(family.labels) <= set(labels)
            }
            assert seen == set(family.label_sets()), family.name


def test_no_label_is_outside_of_its_closed_set() -> None:
    """Whatever is heard, nothing of it becomes a label: no id, no name, no text of an error."""
    counted = Counted()
    counted.sink.show_all()
    before = counted.samples()
    for name, args in HEARD.items():
        getattr(counted.sink, name)(*args)
    for kind in EventType:
        counted.sink.on_event(event(kind, visit_ms=5, silent_ms=5, turns=1))
    assert counted.samples() == before


def test_names_are_as_prometheus_wants_them() -> None:
    """Base units, ``_total`` for counters alone, and each name once."""
    names = [family.name for family in FAMILIES]
    assert len(set(names)) == len(names)
    for family in FAMILIES:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", family.name)
        assert family.name.endswith("_total") == isinstance(family, CounterFamily)
        if isinstance(family, HistogramFamily):
            assert family.name.endswith(("_seconds", "_ratio"))
            assert list(family.buckets) == sorted(set(family.buckets))


def test_events_become_counts() -> None:
    """A new session and a return are connections; a return is a reconnection too."""
    counted = Counted()
    for told in (
        event(EventType.SESSION_CREATED),
        event(EventType.SESSION_RESUMED, visit_ms=4_000),
        event(EventType.PARTICIPANT_LEFT, visit_ms=90_000),
        event(EventType.SESSION_ENDED),
        event(EventType.LEASE_LOST),
        event(EventType.TAKEOVER, silent_ms=2_500),
        event(EventType.HANDOFF),
        event(EventType.TURN_APPENDED, turns=3),
        event(EventType.ERASED),
        event(EventType.ERASED, session_id=""),
    ):
        counted.sink.on_event(told)
    assert counted.value("session_connections_total", kind="new") == 1
    assert counted.value("session_connections_total", kind="return") == 1
    assert counted.value("session_reconnections_total") == 1
    assert counted.value("session_duration_seconds_count") == 2
    assert counted.value("session_duration_seconds_sum") == 94
    assert counted.value("rejoin_leases_lost_total") == 1
    assert counted.value("rejoin_takeovers_total") == 1
    assert counted.value("rejoin_handoffs_total") == 1
    assert counted.value("rejoin_takeover_seconds_sum") == 2.5
    assert counted.value("rejoin_turns_saved_total") == 3
    assert counted.value("rejoin_erasures_total", what="session") == 1
    assert counted.value("rejoin_erasures_total", what="participant") == 1


def test_what_does_not_open_is_counted_by_the_kind_of_error() -> None:
    """The error's text, which may name a session, is not looked at."""
    counted = Counted()
    for error in (SealBroken("turn 1", "s1"), UnknownKey("k-2"), UnknownKey("k-3")):
        counted.sink.on_seal_failure(SealFailure("p1", "s1", error))
    assert counted.value("rejoin_seal_failures_total", kind="SealBroken") == 1
    assert counted.value("rejoin_seal_failures_total", kind="UnknownKey") == 2


def test_a_circuit_counts_as_open_while_any_is() -> None:
    """A Cluster has one for each primary."""
    counted = Counted()
    name = "rejoin_redis_circuit_open"
    seen = []
    for each in ("opened", "opened", "closed", "closed", "closed", "opened"):
        getattr(counted.sink, f"circuit_{each}")()
        seen.append(counted.value(name))
    assert seen == [1, 1, 1, 0, 0, 1]


def test_a_page_that_does_not_know_its_loss_is_not_counted_as_one_without() -> None:
    """An unknown loss is no observation; the round trip is."""
    counted = Counted()
    counted.sink.client_quality(0.05, None)
    assert counted.value("rejoin_client_round_trip_seconds_count") == 1
    assert counted.value("rejoin_client_loss_ratio_count") == 0


def test_every_end_of_a_join_has_a_label() -> None:
    """What the binding may say is what is shown as 0 beforehand."""
    joins = next(family for family in FAMILIES if family.name == "rejoin_joins_total")
    assert tuple(joins.labels["outcome"]) == get_args(JoinEnd)


def kind_of(family: Family) -> str:
    """Return what the table calls a family's kind."""
    kinds: dict[type[Any], str] = {
        CounterFamily: "counter",
        GaugeFamily: "gauge",
        HistogramFamily: "histogram",
    }
    return kinds[type(family)]


def test_the_documentation_lists_every_metric_as_it_is() -> None:
    """Name, kind, labels with their values, parts and meaning."""
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", DOCS.read_text(), re.MULTILINE)
    listed = {name: [cell.strip() for cell in rest.split(" | ")] for name, rest in rows}
    assert list(listed) == [family.name for family in FAMILIES]
    for family in FAMILIES:
        labels = "; ".join(
            f"`{label}`: {', '.join(values) if label != 'operation' else 'name of a script'}"
            for label, values in family.labels.items()
        )
        parts = ", ".join(part for part in ("worker", "gateway") if part in family.parts)
        assert listed[family.name] == [kind_of(family), labels, parts, family.says], family.name
