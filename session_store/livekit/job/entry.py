"""``Entry``: how a job came to its conversation."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from session_store.backends.values import JoinOutcome

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from session_store.livekit.job.participant import Coming, JobParticipant
    from session_store.models import Place
    from session_store.values import Joined
    from session_store.writing.offline_start import OfflineStart


class EntryKind(StrEnum):
    """How a job came to its conversation."""

    NEW = "new"
    """The conversation begins with this job; or the store is unreachable, so that nothing is known
    of an earlier one."""
    RETURN = "return"
    """The participant was away, or loaded the page anew, and is back."""
    TAKEOVER = "takeover"
    """The job before died. The participant was there all the time."""
    HANDOFF = "handoff"
    """The job before gave the conversation back in order, for a deploy for example. The participant
    was there all the time."""

    @property
    def is_succession(self) -> bool:
        """Whether this job continues another one's conversation in mid-call."""
        return self in {EntryKind.TAKEOVER, EntryKind.HANDOFF}


_KINDS: Final[Mapping[JoinOutcome, EntryKind]] = {
    JoinOutcome.CREATED: EntryKind.NEW,
    JoinOutcome.REJOINED: EntryKind.RETURN,
    JoinOutcome.TAKEN_OVER: EntryKind.TAKEOVER,
    JoinOutcome.HANDED_OVER: EntryKind.HANDOFF,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """The join of a job, or its beginning without the store."""

    participant: JobParticipant
    coming: Coming
    """The participant's arrival for which the job joined."""
    lease_owner: str
    """The nonce under which the job joined, or will join later."""
    joined: Joined
    waited_from: float
    """When the participant was there, by the event loop's clock."""
    place: Place
    """Where a successor has to be sent."""
    offline_start: OfflineStart | None = None
    """Set if the store was unreachable, so that nothing was joined yet."""

    @property
    def kind(self) -> EntryKind:
        """What the join found."""
        return _KINDS[self.joined.outcome]

    @property
    def gap(self) -> timedelta:
        """How long the participant was away, or without a job."""
        return self.joined.gap
