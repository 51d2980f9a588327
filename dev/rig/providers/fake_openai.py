"""OpenAI's HTTP API as far as an agent uses it: chat completions, transcriptions, speech."""

from __future__ import annotations

import json
import math
import re
import struct
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from typing_extensions import override

from dev.rig.providers.fake import FakeProvider
from dev.rig.providers.strict import refusals

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

CHAT: Final = "/v1/chat/completions"
TRANSCRIPTIONS: Final = "/v1/audio/transcriptions"
SPEECH: Final = "/v1/audio/speech"
RATE: Final = 24_000
HALF: Final = "This is the first half of what I have to say about it. The second half begins with"


def tone(seconds: float) -> bytes:
    """Return a tone as 16-bit samples: what this provider's voice sounds like."""
    count = int(RATE * seconds)
    wave = (int(6_000 * math.sin(2 * math.pi * 220 * n / RATE)) for n in range(count))
    return struct.pack(f"<{count}h", *wave)


class FakeOpenAI(FakeProvider):
    """It answers with what it heard, transcribes as it is told to, and speaks in one tone."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[dict[str, Any]] = []
        """The bodies of all requests for a completion that were not refused."""
        self.heard: list[str] = []
        """What the next recordings are transcribed as."""
        self.spoken: list[str] = []
        """What was asked to be spoken."""
        self.languages: list[str] = []
        """In which language each recording was said to be."""
        self.cuts: list[asyncio.Event] = []
        """When the next answers break off, each in its middle."""

    @override
    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/models", self._models),
            web.post(CHAT, self._complete),
            web.post(TRANSCRIPTIONS, self._transcribe),
            web.post(SPEECH, self._speak),
        ]

    def said_by(self, role: str, request: int = -1) -> list[str]:
        """Return what a request told the model that this role had said."""
        messages = self.requests[request]["messages"]
        return [_text(each["content"]) for each in messages if each["role"] == role]

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": []})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(body)
        if refused := refusals(body["messages"]):
            error = {"message": "; ".join(refused), "type": "invalid_request_error"}
            return web.json_response({"error": error}, status=400)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        cut = self.cuts.pop(0) if self.cuts else None
        for delta, reason in _deltas(body["messages"], HALF if cut else None):
            if cut and reason is not None:
                await cut.wait()
                if request.transport is not None:
                    request.transport.abort()
                return response
            chunk = {
                "id": "chatcmpl-1",
                "object": "chat.completion.chunk",
                "created": 0,
                "model": body["model"],
                "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
            }
            await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response

    async def _transcribe(self, request: web.Request) -> web.Response:
        form = await request.post()
        self.languages.append(str(form.get("language", "")))
        return web.json_response({"text": self.heard.pop(0) if self.heard else ""})

    async def _speak(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.spoken.append(body["input"])
        sound = tone(0.3)
        return web.Response(body=sound, content_type="audio/pcm")


def _deltas(
    messages: list[dict[str, Any]], answer: str | None = None
) -> Iterator[tuple[dict[str, Any], str | None]]:
    """Yield an answer as OpenAI streams it: this one, or what wants to be said."""
    last = messages[-1]
    if last["role"] == "user" and _text(last["content"]) == "speak Spanish, please":
        function = {"name": "set_language", "arguments": '{"language": "es"}'}
        call = {"index": 0, "id": "call_1", "type": "function", "function": function}
        yield {"role": "assistant", "tool_calls": [call]}, None
        yield {}, "tool_calls"
        return
    for word in re.findall(r"\s*\S+", answer or _answer(messages)):
        yield {"role": "assistant", "content": word}, None
    yield {}, "stop"


def _answer(messages: list[dict[str, Any]]) -> str:
    said = [_text(each["content"]) for each in messages if each["role"] == "user"]
    if messages[-1]["role"] == "tool":
        return "It is done."
    if said[-1] == "what have I said?":
        return f"You said: {'; '.join(said[:-1])}."
    return f"I heard: {said[-1]}."


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content or [])
