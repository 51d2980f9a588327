"""What agents of other people run with, in place of hosted models and telephones.

It stands alone: the agents run in an environment that has livekit-rejoin from its wheel, and
nothing of this checkout. What happens is noted in the file ``OTHERS_NOTES``, a JSON object a line.

The model does what it is told: ``run NAME {"argument": 1}`` calls that tool, ``story`` is answered
at length, and all else is repeated. The recogniser hears speech by its sound, and takes the words
from the folder ``OTHERS_SPOKEN``, where the caller has left them.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import time
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any

from livekit.agents import get_job_context, llm, stt, tts
from livekit.agents.language import LanguageCode
from livekit.agents.llm import tool_context
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, APIConnectOptions
from livekit.agents.utils import shortuuid
from livekit.api.sip_service import SipService
from livekit.plugins import silero

if TYPE_CHECKING:
    from collections.abc import Sequence

    from livekit import api

NOTES = Path(os.environ["OTHERS_NOTES"])
SPOKEN = Path(os.environ["OTHERS_SPOKEN"])
TOOL_S = float(os.environ.get("OTHERS_TOOL_S", "0"))
"""How much longer than its own code each tool takes."""
RATE = 24_000
WORD_S = 0.3
STORY = " ".join(["Once", *[f"part {number}" for number in range(14)], "the end."])
_RUN = re.compile(r"run (\w+) ?({.*})?")
_ANSWERED_S = 60.0


def note(kind: str, **fields: Any) -> None:
    """Note something, with the time, the process and the room."""
    context = get_job_context(required=False)
    room = context.room.name if context is not None else ""
    noted = {"at": time.time(), "pid": os.getpid(), "room": room, "kind": kind, **fields}
    with NOTES.open("a") as notes:
        notes.write(json.dumps(noted, default=str) + "\n")


def load_by_jobs(server: Any) -> float:
    """Return the load of a worker by its jobs; LiveKit's default loses dispatches."""
    return len(server.active_jobs) / 20


SERVER: dict[str, Any] = {
    "load_fnc": load_by_jobs,
    "num_idle_processes": 3,
    "initialize_process_timeout": 120.0,
}
"""How a worker runs on a machine that is small and busy."""


class LLM(llm.LLM[str]):
    """A model that does what it is told."""

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        tool_choice: Any = NOT_GIVEN,
        **_: Any,
    ) -> llm.LLMStream:
        """Answer a context."""
        allowed = [] if tool_choice == "none" else tools or []
        return _Answer(self, chat_ctx=chat_ctx, tools=allowed, conn_options=conn_options)


class _Answer(llm.LLMStream):
    async def _run(self) -> None:
        names = sorted(llm.ToolContext(self._tools).function_tools)
        kind, answer = answer_to(self._chat_ctx, names)
        said = answer if isinstance(answer, str) else answer.name
        items = [item.type for item in self._chat_ctx.items][-4:]
        note("asked", as_what=kind, said=said[:200], tools=names, tail=items)
        delta = llm.ChoiceDelta(role="assistant")
        if isinstance(answer, str):
            delta.content = answer
        else:
            delta.tool_calls = [answer]
        self._event_ch.send_nowait(llm.ChatChunk(id=shortuuid("stand_in_"), delta=delta))


def answer_to(context: llm.ChatContext, tools: list[str]) -> tuple[str, Any]:
    """Return what kind of answer a context wants, and the answer."""
    items = [item for item in context.items if item.type != "agent_config_update"]
    told = [item for item in items if item.type == "message" and item.role == "system"]
    while items and items[-1].type == "message" and items[-1].role in {"system", "developer"}:
        items.pop()
    outputs: list[str] = []
    while items and items[-1].type in {"function_call", "function_call_output"}:
        item = items.pop()
        if item.type == "function_call_output":
            outputs.insert(0, item.output)
    if not outputs:
        outputs = _unexplained(items)
    if outputs:
        return "output", f"It says {'; '.join(outputs)}."
    last = items[-1] if items else None
    if last is None or last.type != "message" or last.role != "user":
        asked = " ".join(item.text_content or "" for item in told)[-400:]
        if "is back" in asked:
            return "welcome", "Welcome back, my friend."
        if "idle" in asked:
            return "idle", "Are you still there?"
        return "greeting", "Hello and welcome to our service."
    return _answer_to_user(last.text_content or "", context, tools)


def _unexplained(items: Sequence[llm.ChatItem]) -> list[str]:
    """Return unknown outcomes behind which the agent has only said what its tool had it say."""
    found: list[str] = []
    for item in items:
        if item.type == "function_call_output" and item.output.startswith("outcome unknown"):
            found.append(item.output)
        elif item.type == "message" and (
            item.role == "user" or (item.text_content or "").startswith("It says")
        ):
            found.clear()
    return found


def _answer_to_user(said: str, context: llm.ChatContext, tools: list[str]) -> tuple[str, Any]:
    if wanted := _RUN.search(said):
        if wanted[1] not in tools:
            return "reply", f"I cannot do {wanted[1]} now."
        call = llm.FunctionToolCall(
            name=wanted[1], arguments=wanted[2] or "{}", call_id=shortuuid("call_")
        )
        return "call", call
    if "story" in said:
        return "reply", STORY
    if "said" in said:
        words = [item.text_content or "" for item in context.messages() if item.role == "user"]
        return "reply", f"You said: {'; '.join(words[:-1])}."
    return "reply", f"I heard {said}."


class STT(stt.STT[str]):
    """Takes the words that the caller has left for what was heard."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))

    async def _recognize_impl(self, *_: Any, **__: Any) -> Any:
        words = ""
        context = get_job_context(required=False)
        if context is not None:
            left = SPOKEN / context.room.name
            words = left.read_text() if left.exists() else ""
            left.unlink(missing_ok=True)
        note("heard", words=words)
        heard = stt.SpeechData(
            language=LanguageCode("en"), text=words, confidence=1.0 if words else 0.0
        )
        return stt.SpeechEvent(type=stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[heard])


class TTS(tts.TTS[str]):
    """A tone, as long as a voice takes for the words."""

    def __init__(self, **_: Any) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False), sample_rate=RATE, num_channels=1
        )

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        """Sound a text."""
        return _Tone(tts=self, input_text=text, conn_options=conn_options)


class _Tone(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id=shortuuid("tone_"),
            sample_rate=RATE,
            num_channels=1,
            mime_type="audio/pcm",
        )
        samples = int(RATE * WORD_S) * max(1, len(self.input_text.split()))
        tone = (int(8000 * math.sin(i * 2 * math.pi * 220 / RATE)) for i in range(samples))
        output_emitter.push(array("h", tone).tobytes())
        output_emitter.flush()


def vad() -> Any:
    """Return a local VAD."""
    return silero.VAD.load()


TURNS: dict[str, Any] = {
    "turn_detection": "vad",
    "endpointing": {"mode": "fixed", "min_delay": 0.3, "max_delay": 1.5},
    "interruption": {"mode": "vad"},
}
"""Turns without LiveKit's detector, which asks a cloud service."""


def models() -> dict[str, Any]:
    """Return the models of an agent session, and how it takes turns."""
    return {"stt": STT(), "llm": LLM(), "tts": TTS(), "vad": vad(), "turn_handling": TURNS}


def _note_tools() -> None:
    """Note when each tool begins and ends."""
    call_tool = tool_context._BaseFunctionTool.__call__  # noqa: SLF001 (all tools pass here)

    def noted(self: Any, *args: Any, **kwargs: Any) -> Any:
        return _noted(self.info.name, call_tool(self, *args, **kwargs))

    tool_context._BaseFunctionTool.__call__ = noted  # type: ignore[method-assign]  # noqa: SLF001 (the same)


async def _noted(name: str, result: Any) -> Any:
    note("tool", name=name)
    await asyncio.sleep(TOOL_S)
    outcome = await result if asyncio.iscoroutine(result) else result
    note("tool_end", name=name)
    return outcome


async def _dial(_: SipService, request: api.CreateSIPParticipantRequest, **__: Any) -> None:
    """Note a call, and wait until it is answered: then the file ``answered-ROOM`` is there."""
    note("dialled", number=request.sip_call_to, to=request.room_name)
    answered = SPOKEN / f"answered-{request.room_name}"
    async with asyncio.timeout(_ANSWERED_S):
        while not answered.exists():  # noqa: ASYNC110 (another process makes it)
            await asyncio.sleep(0.05)
    note("answered", to=request.room_name)


async def _transfer(_: SipService, request: api.TransferSIPParticipantRequest, **__: Any) -> None:
    note("transferred", to=request.transfer_to)


_note_tools()
SipService.create_sip_participant = _dial  # type: ignore[assignment,method-assign]
SipService.transfer_sip_participant = _transfer  # type: ignore[assignment,method-assign]
