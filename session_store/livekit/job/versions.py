"""What differs between versions of livekit-agents. No other module knows which is installed.

Versions 1.7 and 1.8 give each agent a context of its own. From 2.0 on the conversation belongs to
the agent session: agents take no context, and read it only in their own hooks.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from livekit.agents import __version__
from livekit.agents.llm import ToolContext
from livekit.agents.voice import SpeechHandle
from livekit.agents.voice.agent import _set_activity_task_info

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Awaitable, Callable

    from livekit.agents import Agent, AgentSession, llm

AGENTS_HAVE_CONTEXTS: Final = int(__version__.partition(".")[0]) < 2  # noqa: PLR2004 (2.0 took them)
"""Whether the installed version gives each agent a context of its own."""
_ENTER: Final = "on_enter" if AGENTS_HAVE_CONTEXTS else "_enter"
"""What LiveKit calls on the agent that begins. 2.0 looks ``on_enter`` up on the class, so an
attribute of the agent would not hide it."""
_SPEAK: Final = ("say", "generate_reply")
"""By which calls of the agent session an agent speaks."""
_RETURN: Final = "on_return"
"""The hook of an agent that we call: the participant is back, and this job still lives."""


def start_args_for(chat_ctx: llm.ChatContext) -> dict[str, Any]:
    """Return the keyword arguments with which ``agent_session.start`` takes a context, if any."""
    return {} if AGENTS_HAVE_CONTEXTS else {"chat_ctx": chat_ctx}


async def extend_context(agent: Agent, chat_ctx: llm.ChatContext) -> None:
    """Put a context behind the agent's own, before the agent starts.

    A no-op where agents have none: ``start_args_for`` carries it.
    """
    if not AGENTS_HAVE_CONTEXTS:
        return
    context = agent.chat_ctx.copy()
    context.items.extend(chat_ctx.items)
    # A call stays, even if its tool is not the agent's own: a model that does not see it makes it
    # again.
    await agent.update_chat_ctx(context, exclude_invalid_function_calls=False)


def context_of(agent_session: AgentSession[Any]) -> llm.ChatContext:
    """Return a copy of the context that the current agent works on.

    Raises:
        RuntimeError: the agent session does not run.
    """
    context: llm.ChatContext = _holder_of_context(agent_session).chat_ctx
    return context.copy()


async def update_context(agent_session: AgentSession[Any], context: llm.ChatContext) -> None:
    """Replace the context that the current agent works on, calls of unknown tools included.

    Raises:
        RuntimeError: the agent session does not run.
        RealtimeError: the provider of a realtime model does not take it.
    """
    holder = _holder_of_context(agent_session)
    await holder.update_chat_ctx(context, exclude_invalid_function_calls=False)


def realtime_session_of(agent_session: AgentSession[Any]) -> llm.RealtimeSession[Any] | None:
    """Return the provider's session of the current agent; ``None`` if it has none."""
    with suppress(RuntimeError):
        session: llm.RealtimeSession[Any] | None
        session = _holder_of_context(agent_session).realtime_llm_session
        return session
    return None


def tool_names_of(agent_session: AgentSession[Any]) -> frozenset[str]:
    """Return the names of all tools that the current agent has: its own, and the session's.

    Raises:
        RuntimeError: the agent session does not run.
    """
    activity: Any = agent_session._activity  # noqa: SLF001 (no version shows all of them)
    if activity is None:
        raise RuntimeError("no agent runs in this agent session")
    return frozenset(ToolContext(activity.tools).function_tools)


def may_become_a_turn(agent_session: AgentSession[Any]) -> bool:
    """Return whether what was recognised of the user's words may still become a turn.

    False once LiveKit has taken them, or has thrown them away: by ``StopResponse``, by
    ``clear_user_turn``. True if that cannot be known: no agent runs, or its provider recognises.
    """
    activity: Any = agent_session._activity  # noqa: SLF001 (no version shows it)
    recognition = activity and activity._audio_recognition  # noqa: SLF001 (the same)
    if not recognition or activity.realtime_llm_session is not None:
        return True
    taking = activity._user_turn_completed_atask  # noqa: SLF001 (the same)
    if taking is not None and not taking.done():
        return True
    words = recognition._audio_transcript + recognition._audio_interim_transcript  # noqa: SLF001 (the same)
    return bool(words)


def enter_through(agent: Agent, enter: Callable[[Callable[[], Awaitable[Any]]], Any]) -> None:
    """Have ``enter`` called instead of the agent's next ``on_enter``, which it gets and awaits.

    Args:
        agent: not started yet. If the conversation returns to it later, its own ``on_enter`` runs.
        enter: a coroutine function. It returns what ``on_enter`` has returned.
    """
    on_enter = getattr(agent, _ENTER)

    async def enter_once(*args: Any) -> Any:
        delattr(agent, _ENTER)
        return await enter(lambda: on_enter(*args))

    # The instance's own attribute hides the method of its class.
    setattr(agent, _ENTER, enter_once)


def mute(agent_session: AgentSession[Any], is_muted: Callable[[], bool]) -> Callable[[], None]:
    """Have nothing said, and no model asked, by callers of whom ``is_muted`` is true.

    They get a speech that was interrupted and is over.

    Returns:
        What undoes that; a second call is a no-op.
    """

    def unless_muted(speak: Callable[..., SpeechHandle]) -> Callable[..., SpeechHandle]:
        def speak_or_not(*args: Any, **wishes: Any) -> SpeechHandle:
            return _speech_that_is_over() if is_muted() else speak(*args, **wishes)

        return speak_or_not

    for name in _SPEAK:
        # The instance's own attribute hides the method of its class.
        setattr(agent_session, name, unless_muted(getattr(agent_session, name)))

    def undo() -> None:
        for name in _SPEAK:
            agent_session.__dict__.pop(name, None)

    return undo


def _speech_that_is_over() -> SpeechHandle:
    handle = SpeechHandle.create()
    handle.interrupt(force=True)
    handle._mark_done()  # noqa: SLF001 (else it is over only when LiveKit has scheduled it)
    return handle


def has_return_hook(agent_session: AgentSession[Any]) -> bool:
    """Return whether the current agent has an ``on_return``.

    Raises:
        RuntimeError: the agent session does not run.
    """
    return callable(getattr(agent_session.current_agent, _RETURN, None))


def start_return_hook(agent_session: AgentSession[Any]) -> Task[Any]:
    """Run the current agent's ``on_return`` as LiveKit runs ``on_enter``.

    So it may await a task, and on 2.0 it reaches its session.

    Raises:
        RuntimeError: the agent session does not run.
    """
    activity: Any = agent_session._activity  # noqa: SLF001 (no version shows it)
    hook = getattr(agent_session.current_agent, _RETURN)
    task: Task[Any]
    task = activity._create_speech_task(hook(), name=f"AgentTask_{_RETURN}")  # noqa: SLF001 (the same)
    _set_activity_task_info(task, inline_task=True)
    return task


async def update_instructions(agent: Agent, instructions: str) -> None:
    """Give an agent other instructions, from its next answer on.

    A realtime model keeps those that it began with on 2.0, where no call changes them.
    """
    if AGENTS_HAVE_CONTEXTS:
        await agent.update_instructions(instructions)
        return
    changed: Any = agent
    changed._instructions = instructions  # noqa: SLF001 (2.0 has no public way)
    if not changed._instruction_fns:  # noqa: SLF001 (the same)
        # With a function among them, LiveKit renders the instructions anew for each answer.
        # (Its decorator refuses one once the agent runs.)
        changed._instruction_fns.append(lambda _: "")  # noqa: SLF001 (the same)


def _holder_of_context(agent_session: AgentSession[Any]) -> Any:
    """Return what has the context: the current agent, or from 2.0 on what runs it.

    Raises:
        RuntimeError: the agent session does not run.
    """
    agent = agent_session.current_agent
    if AGENTS_HAVE_CONTEXTS:
        return agent
    activity: Any = agent_session._activity  # noqa: SLF001 (2.0 shows the context to hooks alone)
    if activity is None:
        raise RuntimeError("no agent runs in this agent session")
    return activity
