"""Typed text: each message is answered in its turn, recorded once, and never lost.

The page gives every message an id. It sends a message again after a reload or a takeover, until it
sees the record of it. The turn takes this id, so a repetition is recognised.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from livekit.agents import llm

from session_store.errors import InvalidValue
from session_store.livekit.job.greeting import fall_silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from livekit.agents import AgentSession, AgentStateChangedEvent
    from livekit.agents.voice.room_io import TextInputEvent

logger = logging.getLogger(__name__)

MESSAGE_ID: Final = "rj.msg"
"""Attribute of the text stream that carries the message's id."""
MAX_TYPED_CHARS: Final = 4_000
_HEARD_WITHIN_S: Final = 15.0


class TypedText:
    """Takes typed messages one after another, as RoomIO's ``text_input_cb``."""

    def __init__(
        self,
        *,
        known: Callable[[str], bool],
        record: Callable[[llm.ChatMessage], bool],
        refuse: Callable[[str, str], None],
    ) -> None:
        """Make the receiver.

        Args:
            known: returns whether a message with this id was accepted before.
            record: returns whether it accepted a message; ``InvalidValue`` if that cannot be kept.
            refuse: called with the id of a message, and why it was not accepted.
        """
        self._known = known
        self._record = record
        self._refuse = refuse
        self._one_at_a_time = asyncio.Lock()

    async def receive(self, agent_session: AgentSession[Any], event: TextInputEvent) -> None:
        """Record a typed message, and have it answered."""
        attributes = event.info.attributes if event.info else None
        message_id = (attributes or {}).get(MESSAGE_ID, "")[:64]
        text = event.text.strip()
        if len(text) > MAX_TYPED_CHARS:
            self._refuse_length(message_id, len(text))
        elif text:
            async with self._one_at_a_time:
                await self._take(agent_session, message_id, text)

    def _refuse_length(self, message_id: str, length: int) -> None:
        self._refuse(
            message_id,
            f"Your message has {length} characters. Please keep it under {MAX_TYPED_CHARS}, or "
            "send it in parts.",
        )

    async def _take(self, agent_session: AgentSession[Any], message_id: str, text: str) -> None:
        if message_id and self._known(message_id):
            return
        await fall_silent(agent_session)
        # Made only now: the model's context is ordered by time, and this message belongs behind
        # the answer to the one before.
        message = llm.ChatMessage(role="user", content=[text])
        if message_id:
            message.id = message_id
        try:
            is_taken = self._record(message)
        except InvalidValue:
            self._refuse(message_id, "Your message contains characters that can't be saved.")
            return
        if is_taken:
            await self._answer(agent_session, message)

    async def _answer(self, agent_session: AgentSession[Any], message: llm.ChatMessage) -> None:
        """Have a message answered; return once the answer is heard, or will not be.

        If the next message interrupted before that, the tools that this one calls would not run,
        and the model might never see it.
        """
        heard = asyncio.Event()

        def note(event: AgentStateChangedEvent) -> None:
            if event.new_state == "speaking":
                heard.set()

        agent_session.on("agent_state_changed", note)
        try:
            handle = agent_session.generate_reply(user_input=message)
            handle.add_done_callback(lambda _: heard.set())
            async with asyncio.timeout(_HEARD_WITHIN_S):
                await heard.wait()
        except TimeoutError:
            logger.warning("no answer to a typed message yet: taking the next one")
        finally:
            agent_session.off("agent_state_changed", note)
