"""A speech-to-speech model that runs in the test: LiveKit's part of it is the real one."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from livekit.agents import llm
from livekit.agents.types import NOT_GIVEN
from livekit.agents.utils import shortuuid

from examples.local import reply_to

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from livekit import rtc
    from livekit.agents.types import NotGivenOr


class LocalRealtime(llm.RealtimeModel):
    """Hears what a test says, and answers by the rules of the examples' model."""

    def __init__(self) -> None:
        super().__init__(
            capabilities=llm.RealtimeCapabilities(
                message_truncation=False,
                turn_detection=True,
                user_transcription=True,
                auto_tool_reply_generation=False,
                audio_output=False,
                manual_function_calls=True,
                mutable_chat_context=True,
                mutable_instructions=True,
                mutable_tools=True,
                per_response_tool_choice=True,
            )
        )
        self.stops_after: int | None = None
        """How many words it says of an answer; then it stands still, for good."""
        self.sessions: list[LocalSession] = []

    def session(self, *, turn_detection_disabled: bool = False) -> LocalSession:
        """Begin a session with the provider."""
        assert not turn_detection_disabled
        self.sessions.append(LocalSession(self))
        return self.sessions[-1]

    async def aclose(self) -> None:
        """Do nothing: there is nothing outside."""


class LocalSession(llm.RealtimeSession[Any]):
    """One session with that model."""

    def __init__(self, model: LocalRealtime) -> None:
        super().__init__(model)
        self._local = model
        self._chat_ctx = llm.ChatContext.empty()
        self._tools = llm.ToolContext.empty()
        self.instructions: list[str] = []
        """What replies were asked for."""

    @property
    def chat_ctx(self) -> llm.ChatContext:
        """What the provider knows of the conversation."""
        return self._chat_ctx.copy()

    @property
    def tools(self) -> llm.ToolContext:
        """What it can call."""
        return self._tools.copy()

    async def update_instructions(self, instructions: str) -> None:
        """Take no notice."""

    async def update_chat_ctx(self, chat_ctx: llm.ChatContext) -> None:
        """Take the conversation."""
        self._chat_ctx = chat_ctx.copy(exclude_config_update=True, exclude_handoff=True)

    async def update_tools(self, tools: list[llm.Tool]) -> None:
        """Take the tools."""
        self._tools = llm.ToolContext(tools)

    def update_options(self, *, tool_choice: NotGivenOr[llm.ToolChoice | None] = NOT_GIVEN) -> None:
        """Take no notice."""

    def push_audio(self, frame: rtc.AudioFrame) -> None:
        """Hear nothing: a test says what was heard."""

    def push_video(self, frame: rtc.VideoFrame) -> None:
        """See nothing."""

    def hear(self, words: str, *, is_final: bool = True, item_id: str = "item_heard") -> None:
        """Understand words of the user's; answer them when they are final."""
        self.emit(
            "input_audio_transcription_completed",
            llm.InputTranscriptionCompleted(
                item_id=item_id, transcript=words, is_final=is_final, turn_started_at=time.time()
            ),
        )
        if is_final:
            self._chat_ctx.add_message(role="user", content=words, id=item_id)
            self.emit("generation_created", self._generation(self._tools, user_initiated=False))

    def generate_reply(
        self,
        *,
        instructions: NotGivenOr[str] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        tools: NotGivenOr[list[llm.Tool]] = NOT_GIVEN,  # noqa: ARG002 (the session's are meant)
    ) -> asyncio.Future[llm.GenerationCreatedEvent]:
        """Answer."""
        if isinstance(instructions, str):
            self.instructions.append(instructions)
        allowed = llm.ToolContext.empty() if tool_choice == "none" else self._tools
        event = self._generation(allowed, user_initiated=True)
        self.emit("generation_created", event)
        done: asyncio.Future[llm.GenerationCreatedEvent] = asyncio.Future()
        done.set_result(event)
        return done

    def commit_audio(self) -> None:
        """Take no notice."""

    def clear_audio(self) -> None:
        """Take no notice."""

    def interrupt(self) -> None:
        """Take no notice: LiveKit stops reading."""

    def truncate(self, **_: Any) -> None:
        """Take no notice."""

    async def aclose(self) -> None:
        """End the session."""

    def _generation(
        self, tools: llm.ToolContext, *, user_initiated: bool
    ) -> llm.GenerationCreatedEvent:
        asked = self.instructions[-1:] if user_initiated else []
        answer = reply_to(self._chat_ctx, tools)
        if asked:
            answer = asked[0].removeprefix("Say this, and nothing else: ")
            self.instructions.pop()
        return llm.GenerationCreatedEvent(
            message_stream=self._messages(answer),
            function_stream=self._calls(answer),
            user_initiated=user_initiated,
            response_id=shortuuid("response_"),
        )

    async def _messages(
        self, answer: str | llm.FunctionToolCall
    ) -> AsyncIterator[llm.MessageGeneration]:
        if isinstance(answer, str):
            modalities: asyncio.Future[Any] = asyncio.Future()
            modalities.set_result(["text"])
            message_id = shortuuid("item_")
            yield llm.MessageGeneration(message_id, self._words(answer), _no_sound(), modalities)
            self._chat_ctx.add_message(role="assistant", content=answer, id=message_id)

    async def _words(self, answer: str) -> AsyncIterator[str]:
        for number, word in enumerate(answer.split()):
            if number == self._local.stops_after:
                await asyncio.Event().wait()
            yield f" {word}" if number else word

    async def _calls(self, answer: str | llm.FunctionToolCall) -> AsyncIterator[llm.FunctionCall]:
        if not isinstance(answer, str):
            call = llm.FunctionCall(
                call_id=answer.call_id, name=answer.name, arguments=answer.arguments
            )
            self._chat_ctx.items.append(call)
            yield call


async def _no_sound() -> AsyncIterator[rtc.AudioFrame]:
    return
    yield
