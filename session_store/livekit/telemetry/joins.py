"""What a job's join is counted as."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from session_store.backends.values import JoinOutcome
from session_store.errors import (
    LeaseHeld,
    SealBroken,
    SessionEnded,
    SessionGone,
    UnknownKey,
    UnknownSchema,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_store.errors import SessionStoreError
    from session_store.meter import JoinEnd, Resumption

JOINED_AS: Final[Mapping[JoinOutcome, JoinEnd]] = {
    JoinOutcome.CREATED: "created",
    JoinOutcome.REJOINED: "rejoined",
    JoinOutcome.TAKEN_OVER: "taken_over",
}
RESUMED_AS: Final[Mapping[JoinOutcome, Resumption]] = {
    JoinOutcome.CREATED: "new",
    JoinOutcome.REJOINED: "return",
    JoinOutcome.TAKEN_OVER: "takeover",
}


def failed_as(error: SessionStoreError) -> JoinEnd:
    """Return what a join is counted as that ended in an error."""
    if isinstance(error, LeaseHeld):
        return "lease_held"
    if isinstance(error, SessionGone | SessionEnded):
        return "gone"
    if isinstance(error, SealBroken | UnknownKey | UnknownSchema):
        return "unreadable"
    return "failed"
