"""What a PromQL query names: enough of its grammar to compare it with the metrics that exist."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from session_store.metrics.families import FAMILIES, CounterFamily, GaugeFamily

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

OTHERS: Final[Mapping[str, Sequence[str]]] = {
    "up": ("job", "instance"),
    "ALERTS": ("alertname", "alertstate"),
    "lk_agents_worker_load": ("job", "instance", "nodename", "pid"),
    "lk_agents_active_job_count": ("job", "instance", "nodename"),
    "livekit_room_total": ("job", "instance", "node_id", "node_type"),
    "livekit_participant_total": ("job", "instance", "node_id", "node_type"),
}
"""Metrics with their labels that are not ours: Prometheus's, livekit-agents' and LiveKit's."""
TARGET: Final = ("job", "instance")
"""Labels that Prometheus puts on everything."""

_VARIABLES: Final = {"$__rate_interval": "1m", "$__range": "1h"}
_GROUPING: Final = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_SELECTOR: Final = re.compile(r"(?<![\w.$])([a-zA-Z_:][\w:]*)\s*(\{[^}]*\})?(?!\w)(?!\s*\()")
_MATCHER: Final = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_WORDS: Final = frozenset({"and", "or", "unless", "bool", "offset"})


class Selector(NamedTuple):
    """A metric's name in a query, with what is asked of its labels."""

    name: str
    matchers: tuple[tuple[str, str], ...]
    """Label and value, or the pattern of values."""


def without_variables(query: str) -> str:
    """Put something in the place of Grafana's variables."""
    for variable, value in _VARIABLES.items():
        query = query.replace(variable, value)
    return query


def selectors(query: str) -> Iterator[Selector]:
    """Yield each selector of a query."""
    bare = re.sub(r"\[[^\]]*\]", "", _GROUPING.sub("", query))
    for name, matchers in _SELECTOR.findall(bare):
        if name not in _WORDS:
            yield Selector(
                name, tuple((key, value) for key, _, value in _MATCHER.findall(matchers))
            )


def grouped_by(query: str) -> set[str]:
    """Return the labels by which a query groups or joins."""
    return {label.strip() for group in _GROUPING.findall(query) for label in group.split(",")} - {
        ""
    }


@cache
def labels_of_metrics() -> dict[str, dict[str, Sequence[str] | None]]:
    """Return the labels of every metric that exists, with their values; ``None`` for any."""
    known: dict[str, dict[str, Sequence[str] | None]] = {
        name: dict.fromkeys(labels) for name, labels in OTHERS.items()
    }
    for family in FAMILIES:
        labels: dict[str, Sequence[str] | None] = {**dict.fromkeys(TARGET), **family.labels}
        if isinstance(family, CounterFamily | GaugeFamily):
            known[family.name] = labels
        else:
            known |= {f"{family.name}_{part}": labels for part in ("sum", "count")}
            known[f"{family.name}_bucket"] = {**labels, "le": None}
    return known


def mistakes(query: str) -> list[str]:
    """Say which metrics, labels and values of a query do not exist."""
    known = labels_of_metrics()
    found = []
    of_query: set[str] = set()
    for name, matchers in selectors(query):
        if name not in known:
            found.append(f"{name} is no metric")
            continue
        of_query |= set(known[name])
        for label, pattern in matchers:
            values = known[name].get(label, ())
            if label not in known[name]:
                found.append(f"{name} has no label {label}")
            elif values is not None:
                never = set(pattern.split("|")) - set(values)
                found += [f"{label} of {name} is never {value}" for value in never]
    return found + [f"nothing has a label {label}" for label in grouped_by(query) - of_query]
