"""``Parts``: what one conversation is made of."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from session_store.livekit.job.lease_writers import LeaseWriters
from session_store.livekit.job.page_channel import PageChannel
from session_store.livekit.job.presence import Presence
from session_store.livekit.job.tool_calls import ToolCalls
from session_store.livekit.providers.outages import ProviderOutages
from session_store.livekit.telemetry.conversation_metrics import ConversationMetrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from session_store.errors import SessionStoreError
    from session_store.livekit.job.conversation_setup import Setup
    from session_store.livekit.job.entry import Entry
    from session_store.livekit.job.liveness import Liveness
    from session_store.livekit.job.participant import Coming
    from session_store.values import Arrival

logger = logging.getLogger(__name__)


class Hooks(NamedTuple):
    """What the parts report. No hook may block or raise."""

    on_lost: Callable[[SessionStoreError], None]
    """Nothing can be written under the lease any more."""
    on_came: Callable[[Coming], None]
    """The participant came."""
    on_arrived: Callable[[Arrival], None]
    """The store has written an arrival."""
    is_over: Callable[[], bool]
    """Whether the conversation has ended in this job."""


class Parts:
    """The parts of one conversation, each made after those that it needs."""

    def __init__(self, setup: Setup, entry: Entry, liveness: Liveness, hooks: Hooks) -> None:
        room, identity = setup.ctx.room, entry.participant.identity
        self.setup: Final = setup
        self.entry: Final = entry
        self.liveness: Final = liveness
        self.channel: Final = PageChannel(room, identity)
        self.writers: Final = LeaseWriters(
            setup,
            entry,
            self.channel,
            on_lost=hooks.on_lost,
            on_arrived=hooks.on_arrived,
        )
        self.room_options: Final = self.writers.drafts.overhear(
            setup.agent_session, setup.room_options
        )
        self.tool_calls: Final = ToolCalls(setup.agent_session, self.writers.transcript)
        self.presence: Final = Presence(
            room, identity, on_came=hooks.on_came, on_left=self.writers.visits.left
        )
        self.outages: Final = self._outages(hooks)
        self.metrics: Final = ConversationMetrics(setup.store.meter, room, identity)

    def _outages(self, hooks: Hooks) -> ProviderOutages:
        content = self.writers.content
        return ProviderOutages(
            self.setup.agent_session,
            show=lambda words: self.channel.notice(words, content.content.language),
            language=lambda: content.content.language,
            is_present=lambda: not hooks.is_over() and self.presence.is_here,
            meter=self.setup.store.meter,
            spare_voice=self.setup.spare_voice,
        )

    @property
    def session_id(self) -> str:
        """The session that the conversation is kept in."""
        return self.writers.lease.session_id

    def name_in_logs(self) -> None:
        """Put the session's id on every log line of this job, LiveKit's own lines too."""
        self.setup.ctx.log_context_fields["session_id"] = self.session_id

    def log(self, what: str, **fields: object) -> None:
        """Log what happens to the conversation: ids and numbers, never what was said."""
        logger.info(what, extra={"session_id": self.session_id, **fields})
