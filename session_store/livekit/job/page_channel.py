"""The record, as the page gets it: one JSON object per text stream, to the owner alone.

``lk.transcription`` goes to everybody in the room and has no ids; it is a draft. This is the
record, with turn id, number and saved mark. ``docs/architecture.md`` lists the messages.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

import orjson

from session_store.page_turns import is_shown, shown
from session_store.tasks import stop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from livekit import rtc

    from session_store.models import RecordedTurn
    from session_store.store import SealedTurn

logger = logging.getLogger(__name__)

TOPIC: Final = "rj.record"
VERSION: Final = 1


class PageChannel:
    """Sends the record to one participant of a room, in order. No method blocks."""

    def __init__(self, room: rtc.Room, owner: str) -> None:
        self._room = room
        self._owner = owner
        self._queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._task = asyncio.create_task(self._send(), name="record-channel")

    def hello(
        self, *, session_id: str, language: str, last_seq: int, saved: bool, back: bool
    ) -> None:
        """Say that the agent is ready; the page sends what was typed meanwhile.

        Args:
            session_id: what the conversation is kept in.
            language: of the session.
            last_seq: number of its newest turn.
            saved: False while the store is away since before this agent came: numbers of turns
                are not final, and another hello follows.
            back: whether it goes on for an agent that was lost, and so greets nobody.
        """
        marks = {**({} if saved else {"saved": False}), **({"back": True} if back else {})}
        self._put("hello", session_id=session_id, language=language, last_seq=last_seq, **marks)

    def turn(self, recorded: RecordedTurn, *, saved: bool) -> None:
        """Send a finished turn. Turns that are no message are not shown, and not sent."""
        if is_shown(recorded.turn):
            self._put("turn", **shown(recorded.seq, recorded.turn), saved=saved)

    def saved(self, turns: Sequence[SealedTurn]) -> None:
        """Say that turns are in the store."""
        marks = [
            {"id": each.turn.id, "seq": each.seq}
            for each in turns
            if each.turn is not None and is_shown(each.turn)
        ]
        if marks:
            self._put("saved", turns=marks)

    def refused(self, message_id: str, reason: str) -> None:
        """Say that a typed message was not taken, and what to do."""
        self._put("refused", id=message_id, message=reason)

    def notice(self, words: str, language: str) -> None:
        """Say how the agent is, which is no turn; it holds until the next one. "" is nothing."""
        self._put("notice", text=words, language=language)

    def erased(self) -> None:
        """Say that everything about the participant is gone."""
        self._put("erased")

    async def aclose(self) -> None:
        """Send what is queued (as long as that takes under a second), and stop."""
        try:
            async with asyncio.timeout(1):
                await self._queue.join()
        except TimeoutError:
            pass
        await stop(self._task)

    def _put(self, type_: str, **fields: Any) -> None:
        self._queue.put_nowait({"v": VERSION, "type": type_, **fields})

    async def _send(self) -> None:
        while True:
            message = await self._queue.get()
            try:
                await self._room.local_participant.send_text(
                    orjson.dumps(message).decode(),
                    topic=TOPIC,
                    destination_identities=[self._owner],
                )
            except Exception as error:  # noqa: BLE001 (the SDK raises bare ones; a page that comes back is given all anew)
                logger.info("the page could not be told", extra={"error": type(error).__name__})
            finally:
                self._queue.task_done()
