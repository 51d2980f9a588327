"""The record on its way to the page: one JSON object per text stream, to the participant alone.

``lk.transcription`` goes to the whole room and has no ids; it is a draft. This is the record, with
turn id, number and saved mark. ``docs/architecture.md`` lists the messages.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

import orjson

from session_store.page_turns import is_shown, shown
from session_store.tasks import Loop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from livekit import rtc

    from session_store.models import RecordedTurn
    from session_store.values import SealedTurn

logger = logging.getLogger(__name__)

TOPIC: Final = "rj.record"
VERSION: Final = 1
CHAT: Final = "lk.chat"
"""LiveKit's own topic for typed text."""
LAST_S: Final = 1.0
"""How long the end of a job waits until all messages are sent."""


class PageChannel:
    """Sends the record to one participant of a room, in order. No method blocks."""

    def __init__(self, room: rtc.Room, identity: str) -> None:
        self._room = room
        self._identity = identity
        self._queue: asyncio.Queue[dict[str, Any] | str] = asyncio.Queue()
        """Messages of the record, and chat messages."""
        self._loop = Loop(self._send, name="page-channel")
        self._loop.start()

    def hello(
        self, *, session_id: str, language: str, last_seq: int, saved: bool, back: bool
    ) -> None:
        """Say that the agent is ready. The page then sends what was typed meanwhile.

        Args:
            session_id: the session of the conversation.
            language: of the session.
            last_seq: number of its newest turn.
            saved: False if the store has been unreachable since before this agent came. Then the
                numbers of turns are not final, and another hello follows.
            back: whether the agent takes over from a lost one, and so does not greet.
        """
        marks = {**({} if saved else {"saved": False}), **({"back": True} if back else {})}
        self._put("hello", session_id=session_id, language=language, last_seq=last_seq, **marks)

    def turn(self, recorded: RecordedTurn, *, saved: bool) -> None:
        """Send a finished turn. Only messages are shown, so other turns are not sent."""
        if is_shown(recorded.turn):
            self._put("turn", **shown(recorded.seq, recorded.turn), saved=saved)

    def saved(self, turns: Sequence[SealedTurn]) -> None:
        """Say that turns are in the store."""
        marks = [
            {"id": sealed.turn.id, "seq": sealed.seq}
            for sealed in turns
            if sealed.turn is not None and is_shown(sealed.turn)
        ]
        if marks:
            self._put("saved", turns=marks)

    def refused(self, message_id: str, reason: str) -> None:
        """Say that a typed message was not accepted, and what to do.

        A front end that gives its messages no ids does not read the record: it gets the reason as
        a chat message.
        """
        if message_id:
            self._put("refused", id=message_id, message=reason)
        else:
            self._queue.put_nowait(reason)

    def notice(self, words: str, language: str) -> None:
        """Show a notice about the agent, which is not a turn, until the next one; "" clears it."""
        self._put("notice", text=words, language=language)

    def erased(self) -> None:
        """Say that everything about the participant is erased."""
        self._put("erased")

    async def aclose(self) -> None:
        """Wait ``LAST_S`` at most until all messages are sent, and stop."""
        try:
            async with asyncio.timeout(LAST_S):
                await self._queue.join()
        except TimeoutError:
            pass
        await self._loop.aclose()

    def _put(self, type_: str, **fields: Any) -> None:
        self._queue.put_nowait({"v": VERSION, "type": type_, **fields})

    async def _send(self) -> None:
        while True:
            message = await self._queue.get()
            try:
                await self._room.local_participant.send_text(
                    message if isinstance(message, str) else orjson.dumps(message).decode(),
                    topic=CHAT if isinstance(message, str) else TOPIC,
                    destination_identities=[self._identity],
                )
            except Exception as error:  # noqa: BLE001 (the SDK raises bare ones; a page that returns is sent all again)
                extra = {"error": type(error).__name__}
                logger.info("a message to the page was not sent", extra=extra)
            finally:
                self._queue.task_done()
