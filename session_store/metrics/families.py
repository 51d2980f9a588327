"""Every metric: its name, what it says, and the closed sets of its labels.

``docs/metrics.md`` has the same list for people; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Final, Literal, get_args

from session_store import meter
from session_store.backends.redis.scripts import names_of_scripts
from session_store.values import Replayed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Part = Literal["worker", "gateway"]
"""Whose metrics: a process has those of its part alone, so that no 0 stands for "not known"."""
WORKER: Final = frozenset[Part]({"worker"})
GATEWAY: Final = frozenset[Part]({"gateway"})
BOTH: Final = WORKER | GATEWAY

_CALL_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_SAVED_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300)
_RESUME_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_TAKEOVER_S: Final = (0.25, 0.5, 1, 1.5, 2, 3, 4, 5, 7.5, 10, 15, 30, 60)
_TOKEN_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_VISIT_S: Final = (10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
_ROUND_TRIP_S: Final = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5)
_LOSS: Final = (0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True, slots=True)
class Family:
    """One metric, with all its labels' values."""

    name: str
    says: str
    parts: frozenset[Part] = WORKER
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def label_sets(self) -> Iterator[tuple[str, ...]]:
        """Yield every combination of the labels' values; one empty one where there are none."""
        return product(*self.labels.values())


@dataclass(frozen=True, slots=True)
class CounterFamily(Family):
    """Goes up. Its name ends in ``_total``."""


@dataclass(frozen=True, slots=True)
class GaugeFamily(Family):
    """Goes up and down; that of a process that is gone counts no more."""

    of_all: Literal["livesum", "livemax"] = "livesum"
    """What is shown of a worker's processes together."""


@dataclass(frozen=True, slots=True)
class HistogramFamily(Family):
    """How many observations were at most so large."""

    buckets: tuple[float, ...] = field(kw_only=True)


def _of(closed_set: object) -> Sequence[str]:
    return get_args(closed_set)


FAMILIES: Final[Sequence[Family]] = (
    # --- conversations
    CounterFamily(
        "session_connections_total",
        "Participants who joined a new session, or returned to one.",
        BOTH,
        {"kind": ("new", "return")},
    ),
    CounterFamily("session_reconnections_total", "Returns that were counted."),
    GaugeFamily("active_sessions", "Conversations that jobs hold now."),
    HistogramFamily(
        "session_duration_seconds",
        "How long a visit lasted, once it is over.",
        BOTH,
        buckets=_VISIT_S,
    ),
    CounterFamily(
        "rejoin_joins_total",
        "Joins of jobs, by outcome.",
        labels={"outcome": _of(meter.JoinEnd)},
    ),
    HistogramFamily(
        "rejoin_resume_seconds",
        "From the participant's arrival in the room to the agent listening.",
        labels={"kind": _of(meter.Resumption)},
        buckets=_RESUME_S,
    ),
    HistogramFamily(
        "rejoin_turn_saved_seconds",
        "From recording a turn to its acknowledgement.",
        buckets=_SAVED_S,
    ),
    HistogramFamily("rejoin_append_seconds", "One append that was acknowledged.", buckets=_CALL_S),
    CounterFamily("rejoin_turns_saved_total", "Turns that the store acknowledged."),
    GaugeFamily("rejoin_unsaved_turns", "Turns that wait in recorders."),
    GaugeFamily("rejoin_unsaved_bytes", "Their size, sealed."),
    CounterFamily("rejoin_turns_spooled_total", "Turns that a job left in the spool."),
    CounterFamily(
        "rejoin_turns_replayed_total",
        "Turns replayed from the spool, by outcome.",
        labels={"outcome": tuple(Replayed)},
    ),
    CounterFamily("rejoin_turns_lost_total", "Turns that could be kept nowhere."),
    GaugeFamily("rejoin_spool_files", "Files that wait in the spool.", of_all="livemax"),
    CounterFamily(
        "rejoin_erasures_total",
        "Erased participants, and sessions erased one by one or past their retention.",
        BOTH,
        {"what": ("participant", "session")},
    ),
    CounterFamily(
        "rejoin_seal_failures_total",
        "Reads of a record that does not open.",
        BOTH,
        {"kind": ("SealBroken", "UnknownKey", "UnknownSchema")},
    ),
    # --- takeover
    CounterFamily("rejoin_leases_lost_total", "Leases of dead or cut-off holders, broken."),
    CounterFamily(
        "rejoin_takeovers_total", "Conversations that a job continued after a lost lease."
    ),
    CounterFamily(
        "rejoin_handoffs_total", "Conversations that a job continued after a released lease."
    ),
    HistogramFamily(
        "rejoin_takeover_seconds",
        "From the lost holder's last renewal of its lease to the successor's lease.",
        buckets=_TAKEOVER_S,
    ),
    CounterFamily(
        "rejoin_dispatches_total",
        "Agents that were dispatched.",
        BOTH,
        {"reason": _of(meter.DispatchReason)},
    ),
    CounterFamily(
        "rejoin_dispatch_retries_total", "Agents dispatched again, because none joined.", BOTH
    ),
    CounterFamily("rejoin_gave_up_total", "Conversations given up: agents died again and again."),
    # --- Redis
    CounterFamily(
        "rejoin_redis_errors_total",
        "Calls to Redis that failed, by kind.",
        BOTH,
        {"kind": _of(meter.RedisTrouble)},
    ),
    GaugeFamily(
        "rejoin_redis_circuit_open", "1 while calls to Redis fail at once.", BOTH, of_all="livemax"
    ),
    HistogramFamily(
        "rejoin_redis_call_seconds",
        "One script, sent and answered or failed.",
        BOTH,
        {"operation": names_of_scripts()},
        buckets=_CALL_S,
    ),
    GaugeFamily(
        "rejoin_redis_memory_bytes",
        "Memory that Redis uses, on the fullest primary.",
        of_all="livemax",
    ),
    GaugeFamily("rejoin_redis_memory_max_bytes", "Its bound; 0 for none.", of_all="livemax"),
    GaugeFamily(
        "rejoin_stale_sessions", "Sessions long due that no sweeper handles.", of_all="livemax"
    ),
    GaugeFamily("rejoin_sweep_lag_seconds", "Age of the oldest deadline.", of_all="livemax"),
    # --- pages, providers, processes
    HistogramFamily(
        "rejoin_client_round_trip_seconds",
        "Round trip of a page's connection, as it reports.",
        buckets=_ROUND_TRIP_S,
    ),
    HistogramFamily(
        "rejoin_client_loss_ratio", "Share of packets lost, as a page reports.", buckets=_LOSS
    ),
    CounterFamily(
        "rejoin_provider_errors_total",
        "Failures of providers of speech and language.",
        labels={"part": _of(meter.ProviderPart), "kind": _of(meter.ProviderTrouble)},
    ),
    GaugeFamily(
        "rejoin_worker_memory_bytes",
        "Resident memory of the worker and its jobs.",
        of_all="livemax",
    ),
    CounterFamily(
        "rejoin_gateway_requests_total",
        "Requests that the gateway answered.",
        GATEWAY,
        {"path": _of(meter.GatewayPath), "status": _of(meter.StatusClass)},
    ),
    HistogramFamily(
        "rejoin_gateway_token_seconds",
        "One answer to a request for a token.",
        GATEWAY,
        buckets=_TOKEN_S,
    ),
)
