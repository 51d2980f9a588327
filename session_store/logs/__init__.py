"""Log lines: one shape for all programs, with ids and without anything that a person said.

An ordinary program calls ``configure``. A LiveKit worker already has LiveKit's handlers: its main
process calls ``adopt`` once they exist, and each of its job processes calls ``guard``.
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
