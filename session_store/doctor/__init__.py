"""What is wrong with a Redis and its settings, and what to change: checks as data.

``examine`` checks everything, for the command line. ``quick`` checks what silently loses
conversations, for the start of a process.
"""

from session_store.doctor.examination import examine, quick
from session_store.doctor.finding import Finding, Verdict

__all__ = ["Finding", "Verdict", "examine", "quick"]
