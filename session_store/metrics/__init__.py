"""Prometheus's view of a process: what ``meter`` hears, counted. Needs the extra ``metrics``.

The metrics are listed in ``families``. A worker's jobs are processes of their own, which leave
their counts in files; ``ended`` folds those of jobs that are gone, and ``endpoint`` shows all.
"""

from session_store.metrics.sink import PrometheusSink, sink

__all__ = ["PrometheusSink", "sink"]
