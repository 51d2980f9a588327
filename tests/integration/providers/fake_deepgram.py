"""Deepgram's two WebSockets: one that hears, one that speaks."""

from __future__ import annotations

import json
from typing import Any, Final

from aiohttp import WSMsgType, web
from typing_extensions import override

from dev.rig.providers.fake import FakeProvider
from dev.rig.providers.fake_openai import tone

LISTEN: Final = "/v1/listen"
SPEAK: Final = "/v1/speak"


class FakeDeepgram(FakeProvider):
    """It hears what a test says it hears, and speaks in one tone."""

    def __init__(self) -> None:
        super().__init__()
        self.ears: list[web.WebSocketResponse] = []
        """The connections that listen, oldest first."""
        self.listened: list[dict[str, str]] = []
        """What each of them was asked for."""
        self.voices: list[str] = []
        """The voice of each connection that speaks."""
        self.spoken: list[str] = []

    @override
    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(LISTEN, self._listen),
            web.get(SPEAK, self._speak),
            web.post(SPEAK, self._speak_at_once),
        ]

    async def hear(self, words: str) -> None:
        """Understand a sentence."""
        word = {"word": words, "start": 0.0, "end": 1.0, "confidence": 1.0}
        alternative = {"transcript": words, "confidence": 1.0, "words": [word]}
        results = {
            "type": "Results",
            "metadata": {"request_id": "request_1"},
            "is_final": True,
            "speech_final": True,
            "channel": {"alternatives": [alternative]},
        }
        for event in ({"type": "SpeechStarted"}, results):
            await self.ears[-1].send_str(json.dumps(event))

    async def _listen(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.listened.append(dict(request.query))
        self.ears.append(socket)
        async for _ in socket:
            pass
        return socket

    async def _speak_at_once(self, request: web.Request) -> web.Response:
        self.spoken.append((await request.json())["text"])
        return web.Response(body=tone(0.2), content_type="audio/pcm")

    async def _speak(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.voices.append(request.query["model"])
        words: list[str] = []
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                continue
            command: dict[str, Any] = json.loads(message.data)
            if command["type"] == "Speak":
                words.append(command["text"])
            elif command["type"] == "Flush":
                self.spoken.append("".join(words).strip())
                words.clear()
                await socket.send_bytes(tone(0.2))
                await socket.send_str(json.dumps({"type": "Flushed"}))
            else:
                break
        return socket
