"""Every metric: its name, its help text, and the closed sets of its labels.

``docs/metrics.md`` has the same list; a test compares the two.
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
"""A part of the product. Its processes have only its metrics, so that 0 never means "unknown"."""
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
    """One metric, with all values of its labels."""

    name: str
    says: str
    parts: frozenset[Part] = WORKER
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def label_sets(self) -> Iterator[tuple[str, ...]]:
        """Yield every combination of the labels' values; without labels, one empty tuple."""
        return product(*self.labels.values())


@dataclass(frozen=True, slots=True)
class CounterFamily(Family):
    """A metric that only goes up. Its name ends in ``_total``."""


@dataclass(frozen=True, slots=True)
class GaugeFamily(Family):
    """A metric that goes up and down. A dead process no longer counts."""

    of_all: Literal["livesum", "livemax"] = "livesum"
    """How the values of a worker's processes are combined."""


@dataclass(frozen=True, slots=True)
class HistogramFamily(Family):
    """A metric that counts observations by size."""

    buckets: tuple[float, ...] = field(kw_only=True)


def _of(closed_set: object) -> Sequence[str]:
    return get_args(closed_set)


FAMILIES: Final[Sequence[Family]] = (
    # --- conversations
    CounterFamily(
        "session_connections_total",
        "Arrivals of participants: at a new session, or back at one.",
        BOTH,
        {"kind": ("new", "return")},
    ),
    CounterFamily("session_reconnections_total", "Returns of participants."),
    GaugeFamily("active_sessions", "Conversations that jobs hold now."),
    HistogramFamily(
        "session_duration_seconds",
        "Duration of a visit, counted at its end.",
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
        "From the participant's arrival in the room until the agent listens.",
        labels={"kind": _of(meter.Resumption)},
        buckets=_RESUME_S,
    ),
    HistogramFamily(
        "rejoin_turn_saved_seconds",
        "From recording a turn to its acknowledgement.",
        buckets=_SAVED_S,
    ),
    HistogramFamily(
        "rejoin_append_seconds", "Duration of an acknowledged append.", buckets=_CALL_S
    ),
    CounterFamily("rejoin_turns_saved_total", "Turns that the store acknowledged."),
    GaugeFamily("rejoin_unsaved_turns", "Turns that wait in recorders."),
    GaugeFamily("rejoin_unsaved_bytes", "Sealed size of the turns that wait in recorders."),
    CounterFamily("rejoin_turns_spooled_total", "Turns that jobs left in the spool."),
    CounterFamily(
        "rejoin_turns_replayed_total",
        "Turns replayed from the spool, by outcome.",
        labels={"outcome": tuple(Replayed)},
    ),
    CounterFamily("rejoin_turns_lost_total", "Turns that neither Redis nor the spool could keep."),
    GaugeFamily("rejoin_spool_files", "Files that wait in the spool.", of_all="livemax"),
    CounterFamily(
        "rejoin_erasures_total",
        "Erased participants; sessions erased one by one or after their retention.",
        BOTH,
        {"what": ("participant", "session")},
    ),
    CounterFamily(
        "rejoin_seal_failures_total",
        "Reads of stored data that does not open, by error.",
        BOTH,
        {"kind": ("SealBroken", "UnknownKey", "UnknownSchema")},
    ),
    # --- takeover
    CounterFamily(
        "rejoin_leases_lost_total", "Leases that ran out because their holder died or was cut off."
    ),
    CounterFamily("rejoin_takeovers_total", "Conversations continued after a lost lease."),
    CounterFamily("rejoin_handoffs_total", "Conversations continued after a returned lease."),
    HistogramFamily(
        "rejoin_takeover_seconds",
        "From the lost holder's last renewal of its lease to the successor's lease.",
        buckets=_TAKEOVER_S,
    ),
    CounterFamily(
        "rejoin_dispatches_total",
        "Dispatched agents.",
        BOTH,
        {"reason": _of(meter.DispatchReason)},
    ),
    CounterFamily(
        "rejoin_dispatch_retries_total",
        "Repeated dispatches, because the agent did not come.",
        BOTH,
    ),
    CounterFamily(
        "rejoin_gave_up_total", "Conversations given up, because their agents died again and again."
    ),
    # --- Redis
    CounterFamily(
        "rejoin_redis_errors_total",
        "Calls to Redis that failed, by kind.",
        BOTH,
        {"kind": _of(meter.RedisTrouble)},
    ),
    GaugeFamily(
        "rejoin_redis_circuit_open",
        "1 while the circuit breaker refuses calls to Redis.",
        BOTH,
        of_all="livemax",
    ),
    HistogramFamily(
        "rejoin_redis_call_seconds",
        "Duration of a script that was sent, answered or not.",
        BOTH,
        {"operation": names_of_scripts()},
        buckets=_CALL_S,
    ),
    GaugeFamily(
        "rejoin_redis_memory_bytes",
        "Memory that the fullest primary uses.",
        of_all="livemax",
    ),
    GaugeFamily(
        "rejoin_redis_memory_max_bytes",
        "Memory limit of that primary; 0 means none.",
        of_all="livemax",
    ),
    GaugeFamily(
        "rejoin_stale_sessions", "Sessions long due that no sweeper handles.", of_all="livemax"
    ),
    GaugeFamily(
        "rejoin_sweep_lag_seconds", "Age of the oldest deadline that has passed.", of_all="livemax"
    ),
    # --- pages, providers, processes
    HistogramFamily(
        "rejoin_client_round_trip_seconds",
        "Round-trip time of a page's connection, as the page reports it.",
        buckets=_ROUND_TRIP_S,
    ),
    HistogramFamily(
        "rejoin_client_loss_ratio", "Share of lost packets, as the page reports it.", buckets=_LOSS
    ),
    CounterFamily(
        "rejoin_provider_errors_total",
        "Failures of speech and language providers.",
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
        "Duration of an answer to a token request.",
        GATEWAY,
        buckets=_TOKEN_S,
    ),
)
