"""Tool calls, recorded when they begin and when they end, so that a crash does not hide a call.

LiveKit reports calls and outputs once all calls of a reply have ended
(``function_tools_executed``). Here a call is recorded when it begins, and its output when it is
there, although other calls of the same reply go on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from livekit.agents import llm

from session_store.livekit.job.unknown_outcomes import FINAL

if TYPE_CHECKING:
    from livekit.agents import AgentSession, FunctionToolsExecutedEvent, SpeechCreatedEvent
    from livekit.agents.voice.events import ToolExecutionUpdatedEvent
    from livekit.agents.voice.speech_handle import SpeechHandle

    from session_store.livekit.job.transcript import Transcript

_LOOKS: Final = 5
"""Iterations of the event loop until LiveKit has the output of a tool that has ended."""
_REPORTS: Final = "__livekit_agents_tool_non_blocking"
"""LiveKit's mark in ``extra`` of a call if its tool has reported and goes on."""


class ToolCalls:
    """Records the tool calls of an agent session."""

    def __init__(self, agent_session: AgentSession[Any], transcript: Transcript) -> None:
        self._agent_session = agent_session
        self._transcript = transcript
        self._speeches: WeakSet[SpeechHandle] = WeakSet()
        self._running: set[str] = set()
        agent_session.on("speech_created", self._on_speech)
        agent_session.on("tool_execution_updated", self._on_updated)
        agent_session.on("function_tools_executed", self._on_executed)

    def stop(self) -> None:
        """Stop recording."""
        self._agent_session.off("speech_created", self._on_speech)
        self._agent_session.off("tool_execution_updated", self._on_updated)
        self._agent_session.off("function_tools_executed", self._on_executed)

    def _on_speech(self, event: SpeechCreatedEvent) -> None:
        self._speeches.add(event.speech_handle)

    def _on_updated(self, event: ToolExecutionUpdatedEvent) -> None:
        update = event.update
        if update.type == "tool_call_started":
            self._running.add(update.function_call.call_id)
            self._transcript.record_if_new(update.function_call)
        elif update.type == "tool_call_ended":
            self._running.discard(update.call_id)
            # The outcome of a tool that had reported before has an id of its own.
            self._record_reports()
            if self._running and not update.id.endswith(FINAL):
                # LiveKit reports the last one at once.
                asyncio.get_running_loop().call_soon(self._look_for, update.call_id, _LOOKS)

    def _on_executed(self, event: FunctionToolsExecutedEvent) -> None:
        for call, output in event.zipped():
            self._transcript.record_if_new(call)
            self._record_output(output, still_runs=bool(call.extra.get(_REPORTS)))
        self._record_reports()

    def _look_for(self, call_id: str, looks: int) -> None:
        """Record the output of a call that has ended, without waiting for the others."""
        for speech in tuple(self._speeches):
            for item in reversed(speech.chat_items):
                if not isinstance(item, llm.FunctionCallOutput) or item.call_id != call_id:
                    continue
                # A known one is of an earlier call with the same id.
                if not self._transcript.knows(item.id):
                    # An empty output may be a handoff, which is not certain yet.
                    if item.output:
                        self._record_output(item)
                    return
        if looks:
            asyncio.get_running_loop().call_soon(self._look_for, call_id, looks - 1)

    def _record_reports(self) -> None:
        """Record the outcomes of tools that had reported before: they are in LiveKit's history."""
        for item in self._agent_session.history.items:
            if isinstance(item, llm.FunctionCall):
                self._transcript.record_if_new(item)
            elif isinstance(item, llm.FunctionCallOutput):
                self._record_output(item)

    def _record_output(self, output: llm.FunctionCallOutput, *, still_runs: bool = False) -> None:
        # Each call has one output, whatever LiveKit's id of it.
        if self._transcript.awaits_output(output.call_id):
            self._transcript.record_if_new(output, still_runs=still_runs)
