"""``Entry``: how a job came to its conversation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from session_store.livekit.job.participant import Coming, JobParticipant
    from session_store.models import Place
    from session_store.values import Joined
    from session_store.writing.offline_start import OfflineStart


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
