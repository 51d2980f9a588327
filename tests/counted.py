"""A sink of its own for one test, and what Prometheus would read of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from session_store.metrics import PrometheusSink

if TYPE_CHECKING:
    from session_store.metrics.families import Part


class Counted:
    """Counts what is told to ``sink``."""

    def __init__(self, part: Part = "worker") -> None:
        self.registry = CollectorRegistry()
        self.sink = PrometheusSink(part, self.registry)

    def value(self, name: str, **labels: str) -> float | None:
        """Return a sample; ``None`` where there is none."""
        return self.registry.get_sample_value(name, labels)

    def samples(self) -> dict[str, list[dict[str, str]]]:
        """Return the labels of all samples, by name of the metric."""
        text = generate_latest(self.registry).decode()
        return {
            family.name: [sample.labels for sample in family.samples]
            for family in text_string_to_metric_families(text)
        }
