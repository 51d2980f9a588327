"""The Prometheus sink: a ``Meter`` that counts."""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from typing_extensions import override

from session_store.events import EventType
from session_store.meter import Meter
from session_store.metrics.families import FAMILIES, GaugeFamily, HistogramFamily

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from prometheus_client import CollectorRegistry

    from session_store.events import Event, SealFailure
    from session_store.meter import (
        DispatchReason,
        GatewayPath,
        JoinEnd,
        ProviderPart,
        ProviderTrouble,
        RedisTrouble,
        Resumption,
        StatusClass,
    )
    from session_store.metrics.families import Family, Part
    from session_store.values import Replayed

logger = logging.getLogger(__name__)

_COUNTED_AS: Final[Mapping[EventType, Sequence[tuple[str, ...]]]] = {
    EventType.SESSION_CREATED: [("session_connections_total", "new")],
    EventType.SESSION_RESUMED: [
        ("session_connections_total", "return"),
        ("session_reconnections_total",),
    ],
    EventType.LEASE_LOST: [("rejoin_leases_lost_total",)],
    EventType.TAKEOVER: [("rejoin_takeovers_total",)],
    EventType.HANDOFF: [("rejoin_handoffs_total",)],
}


@cache
def sink(part: Part) -> PrometheusSink:
    """Return the sink of this process, made at the first call. Prometheus has one registry, too."""
    return PrometheusSink(part, REGISTRY)


Metric = TypeVar("Metric", Counter, Gauge, Histogram)


class _Children(Generic[Metric]):
    """Metrics of one kind. A child (a metric with its labels) is made at its first use."""

    def __init__(self) -> None:
        self._parents: dict[str, Metric] = {}
        self._children: dict[tuple[str, ...], Metric | None] = {}

    def add(self, name: str, metric: Metric) -> None:
        self._parents[name] = metric

    def of(self, *name_and_values: str) -> Metric | None:
        """Return a child; ``None`` if this part of the product has no such metric."""
        if name_and_values not in self._children:
            self._children[name_and_values] = self._make(*name_and_values)
        return self._children[name_and_values]

    def _make(self, name: str, *values: str) -> Metric | None:
        parent = self._parents.get(name)
        if parent is None or not values:
            return parent
        try:
            return parent.labels(*values)
        except Exception as error:  # noqa: BLE001 (a full disk, for example: work goes on uncounted)
            extra = {"metric": name, "error": type(error).__name__}
            logger.warning("a metric cannot be counted", extra=extra)
            return None


class PrometheusSink(Meter):
    """Counts in a Prometheus registry.

    Args:
        part: makes the metrics of this part; calls for other metrics are ignored.
        registry: each metric is registered here, once.
    """

    def __init__(self, part: Part, registry: CollectorRegistry) -> None:
        self._families = [each for each in FAMILIES if part in each.parts]
        self._counters = _Children[Counter]()
        self._gauges = _Children[Gauge]()
        self._histograms = _Children[Histogram]()
        for each in self._families:
            self._make(each, registry)
        self._open_circuits = 0

    def show_all(self) -> None:
        """Show every metric from the start, as 0, under all its labels."""
        for family in self._families:
            for values in family.label_sets():
                for children in (self._counters, self._gauges, self._histograms):
                    children.of(family.name, *values)

    @override
    def on_event(self, event: Event) -> None:
        if event.type is EventType.TURN_APPENDED:
            self._count("rejoin_turns_saved_total", by=event.turns)
        elif event.type is EventType.ERASED:
            what = "session" if event.session_id else "participant"
            self._count("rejoin_erasures_total", what)
        for name in _COUNTED_AS.get(event.type, ()):
            self._count(*name)
        # A visit ends when its participant leaves, or with its session if no job saw that.
        if event.type is EventType.PARTICIPANT_LEFT or event.visit_ms:
            self._observe(event.visit_ms / 1000, "session_duration_seconds")
        if event.type is EventType.TAKEOVER and event.silent_ms:
            self._observe(event.silent_ms / 1000, "rejoin_takeover_seconds")

    @override
    def on_seal_failure(self, failure: SealFailure) -> None:
        self._count("rejoin_seal_failures_total", type(failure.error).__name__)

    @override
    def joined(self, outcome: JoinEnd) -> None:
        self._count("rejoin_joins_total", outcome)

    @override
    def resumed(self, kind: Resumption, seconds: float) -> None:
        self._observe(seconds, "rejoin_resume_seconds", kind)

    @override
    def conversation_begun(self) -> None:
        self._add(1, "active_sessions")

    @override
    def conversation_over(self) -> None:
        self._add(-1, "active_sessions")

    @override
    def appended(self, seconds: float) -> None:
        self._observe(seconds, "rejoin_append_seconds")

    @override
    def turn_saved(self, seconds: float) -> None:
        self._observe(seconds, "rejoin_turn_saved_seconds")

    @override
    def unsaved_changed(self, turns: int, size: int) -> None:
        self._add(turns, "rejoin_unsaved_turns")
        self._add(size, "rejoin_unsaved_bytes")

    @override
    def turns_spooled(self, turns: int) -> None:
        self._count("rejoin_turns_spooled_total", by=turns)

    @override
    def turns_replayed(self, outcome: Replayed, turns: int) -> None:
        self._count("rejoin_turns_replayed_total", outcome, by=turns)

    @override
    def turns_lost(self, turns: int) -> None:
        self._count("rejoin_turns_lost_total", by=turns)

    @override
    def spool_files(self, files: int) -> None:
        self._set(files, "rejoin_spool_files")

    @override
    def dispatched(self, reason: DispatchReason) -> None:
        self._count("rejoin_dispatches_total", reason)

    @override
    def dispatch_repeated(self) -> None:
        self._count("rejoin_dispatch_retries_total")

    @override
    def gave_up(self) -> None:
        self._count("rejoin_gave_up_total")

    @override
    def redis_called(self, operation: str, seconds: float) -> None:
        self._observe(seconds, "rejoin_redis_call_seconds", operation)

    @override
    def redis_failed(self, kind: RedisTrouble) -> None:
        self._count("rejoin_redis_errors_total", kind)

    @override
    def circuit_opened(self) -> None:
        self._open_circuits += 1
        self._set(1, "rejoin_redis_circuit_open")

    @override
    def circuit_closed(self) -> None:
        self._open_circuits = max(0, self._open_circuits - 1)
        self._set(int(self._open_circuits > 0), "rejoin_redis_circuit_open")

    @override
    def redis_memory(self, used: int, most: int) -> None:
        self._set(used, "rejoin_redis_memory_bytes")
        self._set(most, "rejoin_redis_memory_max_bytes")

    @override
    def sessions_stale(self, sessions: int) -> None:
        self._set(sessions, "rejoin_stale_sessions")

    @override
    def sweep_lag(self, seconds: float) -> None:
        self._set(seconds, "rejoin_sweep_lag_seconds")

    @override
    def client_quality(self, round_trip_s: float, loss: float | None) -> None:
        self._observe(round_trip_s, "rejoin_client_round_trip_seconds")
        if loss is not None:
            self._observe(loss, "rejoin_client_loss_ratio")

    @override
    def request_answered(self, path: GatewayPath, status: StatusClass) -> None:
        self._count("rejoin_gateway_requests_total", path, status)

    @override
    def token_took(self, seconds: float) -> None:
        self._observe(seconds, "rejoin_gateway_token_seconds")

    @override
    def provider_failed(self, part: ProviderPart, kind: ProviderTrouble) -> None:
        self._count("rejoin_provider_errors_total", part, kind)

    @override
    def worker_memory(self, size: int) -> None:
        self._set(size, "rejoin_worker_memory_bytes")

    def _make(self, family: Family, registry: CollectorRegistry) -> None:
        name, says, labels = family.name, family.says, tuple(family.labels)
        if isinstance(family, GaugeFamily):
            mode = family.of_all
            gauge = Gauge(name, says, labels, registry=registry, multiprocess_mode=mode)
            self._gauges.add(name, gauge)
        elif isinstance(family, HistogramFamily):
            buckets = family.buckets
            histogram = Histogram(name, says, labels, registry=registry, buckets=buckets)
            self._histograms.add(name, histogram)
        else:
            self._counters.add(name, Counter(name, says, labels, registry=registry))

    def _count(self, *name_and_values: str, by: float = 1) -> None:
        counter = self._counters.of(*name_and_values)
        if counter is not None:
            counter.inc(by)

    def _add(self, by: float, name: str) -> None:
        gauge = self._gauges.of(name)
        if gauge is not None:
            gauge.inc(by)

    def _set(self, value: float, name: str) -> None:
        gauge = self._gauges.of(name)
        if gauge is not None:
            gauge.set(value)

    def _observe(self, value: float, *name_and_values: str) -> None:
        histogram = self._histograms.of(*name_and_values)
        if histogram is not None:
            histogram.observe(value)
