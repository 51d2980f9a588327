"""How a running store is doing: memory, sessions that nobody looks at, the way to Redis.

``look`` is for people and for cron; ``Gauges`` tells Prometheus the same, from a worker's main
process. What is set up wrongly, ``session_store.doctor`` finds.
"""

from session_store.monitor.gauges import Gauges
from session_store.monitor.report import Report, look

__all__ = ["Gauges", "Report", "look"]
