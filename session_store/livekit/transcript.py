"""The transcript of a conversation: each finished item recorded once, and shown to the page."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from session_store.errors import InvalidValue, RecorderFull
from session_store.livekit.chat import turn_of
from session_store.models import RecordedTurn

if TYPE_CHECKING:
    from collections.abc import Iterable

    from livekit.agents import llm

    from session_store.livekit.record import RecordChannel
    from session_store.recorder import Recorder
    from session_store.store import Lease

logger = logging.getLogger(__name__)


class Transcript:
    """Records items by their ids, and shows them."""

    def __init__(
        self,
        recorder: Recorder,
        channel: RecordChannel,
        lease: Lease,
        earlier: Iterable[RecordedTurn],
    ) -> None:
        self._recorder = recorder
        self._channel = channel
        self._lease = lease
        self._recorded = {recorded.turn.id: recorded for recorded in earlier}
        self._not_kept: set[str] = set()

    def knows(self, item_id: str) -> bool:
        """Tell whether an item was recorded already, or would have been, had there been room."""
        return item_id in self._recorded or item_id in self._not_kept

    def record(self, item: llm.ChatItem) -> bool:
        """Record an item; False for one that says nothing of the conversation.

        Raises:
            InvalidValue: it cannot be kept: too large, or not Unicode.
            RecorderFull: too much waits for the store already. The page's turn stays unsaved.
        """
        try:
            turn = turn_of(item)
        except (ValidationError, PydanticSerializationError, UnicodeError):
            raise InvalidValue("the item cannot be written down as a turn") from None
        if turn is None:
            return False
        try:
            sealed = self._recorder.record(turn)
        except RecorderFull as error:
            if not self._not_kept:
                logger.warning("turns are not kept any more", extra={"error": str(error)})
            self._not_kept.add(item.id)
            raise
        recorded = RecordedTurn(sealed.seq, turn)
        self._recorded[item.id] = recorded
        self._show(recorded)
        return True

    def record_if_new(self, item: llm.ChatItem) -> bool:
        """Record an item that was not yet; False for what cannot be kept, which is logged."""
        if self.knows(item.id):
            return False
        try:
            return self.record(item)
        except InvalidValue as error:
            logger.warning("a turn cannot be kept", extra={"error": str(error)})
            return False
        except RecorderFull:
            return False

    def show_again(self, item_id: str) -> None:
        """Show an item to a page that may have missed it, if it was recorded."""
        recorded = self._recorded.get(item_id)
        if recorded is not None:
            self._show(recorded)

    def show_newest(self, count: int) -> None:
        """Show the newest items to a page that was away for a moment."""
        for recorded in list(self._recorded.values())[-count:]:
            self._show(recorded)

    def _show(self, recorded: RecordedTurn) -> None:
        # A late turn has no number of its own; the page is given its place by the gateway.
        if not recorded.late:
            self._channel.turn(recorded, saved=recorded.seq <= self._lease.saved_seq)
