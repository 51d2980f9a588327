"""What can be measured: ``Meter`` hears it and does nothing. ``session_store.metrics`` counts.

A meter hears events as ``EventHook`` too; no method here repeats an event. Labels come from closed
sets: they never hold an id, a name or content.
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
    "handed_over",
    "begun_without_store",
    "lease_held",
    "gone",
    "unreadable",
    "failed",
]
"""How a job's join ended: a ``JoinOutcome``, a start without the store, or an error."""
Resumption = Literal["new", "return", "takeover"]
"""How a participant came to the agent that is ready now."""
DispatchReason = Literal["asked", "job_died", "lease_lost", "overdue"]
"""Why an agent is dispatched: a page asked, a job of this worker died, a job elsewhere lost
its lease, or an agent did not come in time."""
RedisTrouble = Literal[
    "timeout", "connection", "refused", "moved", "circuit_open", "not_replicated"
]
"""How a call failed. A ``moved`` call is repeated elsewhere; ``circuit_open`` was not sent."""
GatewayPath = Literal["token", "health", "page"]
StatusClass = Literal["2xx", "3xx", "4xx", "5xx"]
ProviderPart = Literal["stt", "llm", "tts", "realtime"]
ProviderTrouble = Literal["auth", "rate_limit", "unreachable", "other"]


class Meter:
    """Hears how often things happen and how long they take; also a hook of both kinds.

    No method may block or raise. Times are seconds.
    """

    def on_event(self, event: Event) -> None:
        """See ``EventHook``."""

    def on_seal_failure(self, failure: SealFailure) -> None:
        """See ``SealHook``."""

    # --- conversations ---------------------------------------------------------------------

    def joined(self, outcome: JoinEnd) -> None:
        """A job's join has ended. All its tries count as one."""

    def resumed(self, kind: Resumption, seconds: float) -> None:
        """An agent listens; ``seconds`` since its participant was in the room."""

    def conversation_begun(self) -> None:
        """A job holds one more conversation."""

    def conversation_over(self) -> None:
        """A job holds one conversation less."""

    def appended(self, seconds: float) -> None:
        """The store acknowledged an append."""

    def turn_saved(self, seconds: float) -> None:
        """The store acknowledged a turn; ``seconds`` since it was recorded."""

    def unsaved_changed(self, turns: int, size: int) -> None:
        """This many more turns and bytes wait in a recorder; fewer if negative."""

    def turns_spooled(self, turns: int) -> None:
        """A job that ended left turns in the spool."""

    def turns_replayed(self, outcome: Replayed, turns: int) -> None:
        """Turns that a job had left were written, or dropped with their session."""

    def turns_lost(self, turns: int) -> None:
        """Turns could not be kept anywhere."""

    def spool_files(self, files: int) -> None:
        """This many files wait in the spool now."""

    # --- takeover --------------------------------------------------------------------------

    def dispatched(self, reason: DispatchReason) -> None:
        """An agent is dispatched."""

    def dispatch_repeated(self) -> None:
        """An agent is dispatched again, because none came."""

    def gave_up(self) -> None:
        """No further agent is dispatched for a while: too many died in a row."""

    # --- Redis -----------------------------------------------------------------------------

    def redis_called(self, operation: str, seconds: float) -> None:
        """A script was run, or failed; ``operation`` is its name."""

    def redis_failed(self, kind: RedisTrouble) -> None:
        """A call failed."""

    def circuit_opened(self) -> None:
        """Calls to one more primary fail at once."""

    def circuit_closed(self) -> None:
        """Calls to that primary are sent again."""

    def redis_memory(self, used: int, most: int) -> None:
        """Redis uses ``used`` bytes of ``most``; 0 if there is no limit."""

    def sessions_stale(self, sessions: int) -> None:
        """This many sessions are overdue for long: no sweeper handles them."""

    def sweep_lag(self, seconds: float) -> None:
        """The oldest deadline passed this long ago."""

    # --- pages, providers, processes -------------------------------------------------------

    def client_quality(self, round_trip_s: float, loss: float | None) -> None:
        """A page reported its connection; ``loss`` is 0 to 1, or ``None`` if unknown."""

    def request_answered(self, path: GatewayPath, status: StatusClass) -> None:
        """The gateway has answered."""

    def token_took(self, seconds: float) -> None:
        """The gateway has answered a request for a token, with or without one."""

    def provider_failed(self, part: ProviderPart, kind: ProviderTrouble) -> None:
        """A call to a provider of speech or language failed."""

    def worker_memory(self, size: int) -> None:
        """The worker and its jobs use this many bytes of memory."""


NO_METER: Final = Meter()
"""Measures nothing."""
