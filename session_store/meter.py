"""What can be measured: a ``Meter`` hears it, and does nothing. ``session_store.metrics`` counts.

What is an event already is heard as one (``events``), and not told a second time. Labels are of
closed sets: no id, name or content ever is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from session_store.events import Event, SealFailure
    from session_store.values import Replayed

JoinEnd = Literal[
    "created",
    "rejoined",
    "taken_over",
    "begun_without_store",
    "lease_held",
    "gone",
    "unreadable",
    "failed",
]
"""What became of a job's join: a ``JoinOutcome``, a beginning without the store, or an error."""
Resumption = Literal["new", "return", "takeover"]
"""How somebody came to the agent that is ready for them now."""
DispatchReason = Literal["asked", "job_died", "lease_lost", "overdue"]
"""Why an agent is sent: a page asked, a job of this worker has ended, an agent is lost that LiveKit
still shows, or there is none at all."""
RedisTrouble = Literal[
    "timeout", "connection", "refused", "moved", "circuit_open", "not_replicated"
]
"""How a call failed; ``moved`` is repeated elsewhere, ``circuit_open`` was not even sent."""
GatewayPath = Literal["token", "health", "page"]
StatusClass = Literal["2xx", "3xx", "4xx", "5xx"]
ProviderPart = Literal["stt", "llm", "tts", "realtime"]
ProviderTrouble = Literal["auth", "rate_limit", "unreachable", "other"]


class Meter:
    """Hears how often and how long: a hook of both kinds, and more.

    No method may block or raise. Times are seconds.
    """

    def on_event(self, event: Event) -> None:
        """See ``EventHook``."""

    def on_seal_failure(self, failure: SealFailure) -> None:
        """See ``SealHook``."""

    # --- conversations ---------------------------------------------------------------------

    def joined(self, outcome: JoinEnd) -> None:
        """A job's join has ended, one way or another; its tries are one."""

    def resumed(self, kind: Resumption, seconds: float) -> None:
        """An agent listens, so long after its participant was there."""

    def conversation_begun(self) -> None:
        """A job holds one more conversation."""

    def conversation_over(self) -> None:
        """A job holds one less."""

    def appended(self, seconds: float) -> None:
        """The store acknowledged an append."""

    def turn_saved(self, seconds: float) -> None:
        """The store acknowledged a turn, so long after it was recorded."""

    def unsaved_changed(self, turns: int, size: int) -> None:
        """So many more turns and bytes wait in a recorder; fewer, where negative."""

    def turns_spooled(self, turns: int) -> None:
        """A job that ended left turns in the spool."""

    def turns_replayed(self, outcome: Replayed, turns: int) -> None:
        """Turns that a job had left were brought in, or dropped with their session."""

    def turns_lost(self, turns: int) -> None:
        """Turns could be kept nowhere."""

    def spool_files(self, files: int) -> None:
        """So many files wait in the spool now."""

    # --- takeover --------------------------------------------------------------------------

    def dispatched(self, reason: DispatchReason) -> None:
        """An agent is sent."""

    def dispatch_repeated(self) -> None:
        """It is sent once more, since nobody came."""

    def gave_up(self) -> None:
        """No further agent is sent for a while: they died again and again."""

    # --- Redis -----------------------------------------------------------------------------

    def redis_called(self, operation: str, seconds: float) -> None:
        """A script was run, or failed; ``operation`` is its name."""

    def redis_failed(self, kind: RedisTrouble) -> None:
        """A call failed."""

    def circuit_opened(self) -> None:
        """Calls to one more primary fail at once."""

    def circuit_closed(self) -> None:
        """Calls to it are sent again."""

    def redis_memory(self, used: int, most: int) -> None:
        """Redis uses so many bytes of at most so many; 0 for no bound."""

    def sessions_stale(self, sessions: int) -> None:
        """So many sessions are due for long, and nobody looks."""

    def sweep_lag(self, seconds: float) -> None:
        """For so long the oldest deadline is due."""

    # --- pages, providers, processes -------------------------------------------------------

    def client_quality(self, round_trip_s: float, loss: float | None) -> None:
        """A page told of its connection; ``loss`` is 0 to 1, ``None`` where it is not known."""

    def request_answered(self, path: GatewayPath, status: StatusClass) -> None:
        """The gateway has answered."""

    def token_took(self, seconds: float) -> None:
        """The gateway has answered who asked for a token, with or without one."""

    def provider_failed(self, part: ProviderPart, kind: ProviderTrouble) -> None:
        """A provider of speech or language did not do what it was asked to."""

    def worker_memory(self, size: int) -> None:
        """The worker and its jobs are resident in so many bytes."""


NO_METER: Final = Meter()
"""Where nothing is measured."""
