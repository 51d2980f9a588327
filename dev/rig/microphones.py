"""What participants do with their microphone."""

from __future__ import annotations

from enum import Enum

from dev.rig.closed_microphone import ClosedMicrophone
from dev.rig.microphone import Microphone


class Microphones(Enum):
    """What a participant does with the microphone."""

    CLOSED = "closed"
    """Closed as soon as it was open: they type. LiveKit announces them at once."""
    OPEN = "open"
    """They can speak; their agent listens all the time."""
    NONE = "none"
    """LiveKit announces them up to 3 s late."""


def microphone_of(kind: Microphones) -> Microphone | ClosedMicrophone | None:
    """Return a microphone that is still to be published."""
    match kind:
        case Microphones.CLOSED:
            return ClosedMicrophone()
        case Microphones.OPEN:
            return Microphone()
        case Microphones.NONE:
            return None
