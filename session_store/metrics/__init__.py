"""A process as Prometheus sees it: it counts what the ``meter`` hears. Needs the extra ``metrics``.

``families`` lists the metrics. Each job of a worker is a process of its own and leaves its counts
in files; ``process_files`` folds the files of dead jobs, and ``endpoint`` serves the sum.
"""

from session_store.metrics.sink import PrometheusSink, sink

__all__ = ["PrometheusSink", "sink"]
