"""Having the agent say something to a participant who comes."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from livekit.agents import llm
from livekit.agents.types import NOT_GIVEN, NotGivenOr

from session_store.livekit.job.unknown_outcomes import OUTCOME_UNKNOWN
from session_store.tasks import happens_within

if TYPE_CHECKING:
    from datetime import timedelta

    from livekit.agents import AgentSession
    from livekit.agents.voice import SpeechHandle

SILENT_WITHIN_S: Final = 5.0
"""How long a greeting waits for a user who speaks."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A participant's visit, to be greeted."""

    number: int
    """1 for the first visit."""
    language: str
    """An ISO 639-1 code."""
    name: str | None
    known: bool = True
    """False while the store is unreachable: then it is unknown whether the participant was here
    before."""


def note_of_return(gap: timedelta) -> str:
    """Return instructions for the model: the participant was away for so long, and is back."""
    minutes = round(gap.total_seconds() / 60)
    away = "less than a minute" if minutes < 1 else f"{minutes} minutes"
    away = "1 minute" if minutes == 1 else away
    return (
        f"The person was away for {away} and is back now. Welcome them back in one short sentence, "
        "and go on where the conversation stopped."
    )


def speak(agent_session: AgentSession[Any], words: str) -> None:
    """Say words as they are; or have a model say them that cannot be given text to speak."""
    try:
        agent_session.say(words)
    except RuntimeError:
        # A realtime model without a TTS beside it speaks for itself.
        agent_session.generate_reply(instructions=f"Say this, and nothing else: {words}")


def answer(
    agent_session: AgentSession[Any], context: llm.ChatContext, *, without_tools: bool = False
) -> SpeechHandle:
    """Have the last words of a context answered.

    If a tool was called for these words and its outcome is unknown, no tool is called now. The
    model explains the situation, and the participant decides.

    Args:
        agent_session: the running session.
        context: what the model is given, unless it is a realtime model.
        without_tools: the record says that an outcome is unknown. The context may not say it: on
            its way to the model LiveKit leaves out the calls of tools that the agent has not.
    """
    without_tools = without_tools or _is_cut_short(context)
    tool_choice: NotGivenOr[llm.ToolChoice] = "none" if without_tools else NOT_GIVEN
    if isinstance(agent_session.current_agent.llm or agent_session.llm, llm.RealtimeModel):
        # It has the context already, and takes no other.
        return agent_session.generate_reply(tool_choice=tool_choice)
    return agent_session.generate_reply(chat_ctx=context, tool_choice=tool_choice)


async def fall_silent(agent_session: AgentSession[Any]) -> None:
    """Interrupt the agent; a no-op if it is not running."""
    with suppress(RuntimeError):
        await agent_session.interrupt(force=True)


async def wait_for_silence(agent_session: AgentSession[Any]) -> None:
    """Wait while the user speaks, for ``SILENT_WITHIN_S`` at most."""
    silent = asyncio.Event()

    def note(_: object) -> None:
        if agent_session.user_state != "speaking":
            silent.set()

    note(None)
    agent_session.on("user_state_changed", note)
    try:
        await happens_within(silent, SILENT_WITHIN_S)
    finally:
        agent_session.off("user_state_changed", note)


def _is_cut_short(context: llm.ChatContext) -> bool:
    """Return whether a tool with an unknown outcome was called for the user's last words."""
    for item in reversed(context.items):
        if isinstance(item, llm.FunctionCallOutput) and item.output == OUTCOME_UNKNOWN:
            return True
        if isinstance(item, llm.ChatMessage) and item.role == "user":
            break
    return False
