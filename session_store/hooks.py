"""The hooks of a process: they get its events, and the records that it could not open."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from session_store.events import SealFailure
from session_store.sealing.opening import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from session_store.events import Event, EventHook, SealHook

logger = logging.getLogger(__name__)


class Hooks:
    """The hooks of one store."""

    def __init__(self, hooks: Sequence[EventHook] = ()) -> None:
        self._of_events = list(hooks)
        self._of_seals: list[SealHook] = []

    def add(self, hook: EventHook) -> None:
        """Tell a hook of events from now on."""
        self._of_events.append(hook)

    def add_seal_hook(self, hook: SealHook) -> None:
        """Tell a hook of records that cannot be opened from now on."""
        self._of_seals.append(hook)

    @property
    def hear_events(self) -> bool:
        """Whether there is a hook to tell."""
        return bool(self._of_events)

    def tell(self, events: Iterable[Event]) -> None:
        """Tell the hooks of these events. What a hook raises is logged; the next hook is told."""
        for event in events:
            for hook in self._of_events:
                try:
                    hook.on_event(event)
                except Exception as error:  # noqa: BLE001 (the event has happened; the next hook must be told)
                    logger.error(  # noqa: TRY400 (its text may hold anything)
                        "a hook failed",
                        extra={"hook": type(hook).__name__, "error": type(error).__name__},
                    )

    @contextmanager
    def noting_broken(self, participant: str, session_id: str | None) -> Iterator[None]:
        """Log a record that cannot be opened, and tell the hooks; the error goes to the caller."""
        try:
            yield
        except UNREADABLE as error:
            where = getattr(error, "session_id", None) or session_id or ""
            logger.warning(
                "something stored cannot be opened",
                extra={"session_id": where, "reason": type(error).__name__},
            )
            for hook in self._of_seals:
                hook.on_seal_failure(SealFailure(participant, where, error))
            raise
