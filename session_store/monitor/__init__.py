"""The state of a running store: memory, overdue sessions, the way to Redis.

``look`` is for people and for cron. ``Gauges`` reports the same to Prometheus, from a worker's main
process. Wrong settings are found by ``session_store.doctor``.
"""

from session_store.monitor.gauges import Gauges
from session_store.monitor.report import Report, look

__all__ = ["Gauges", "Report", "look"]
