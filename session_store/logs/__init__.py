"""Log lines: one shape for all programs, with ids, and without a word of anybody's.

A program of its own calls ``configure``. A LiveKit worker has LiveKit's handlers already: its main
process calls ``adopt`` once they are there, each of its job processes ``guard``.
"""

from session_store.logs.discretion import Discretion
from session_store.logs.lines import JsonLines, TextLines
from session_store.logs.settings import LogSettings
from session_store.logs.setup import adopt, configure, guard

__all__ = [
    "Discretion",
    "JsonLines",
    "LogSettings",
    "TextLines",
    "adopt",
    "configure",
    "guard",
]
