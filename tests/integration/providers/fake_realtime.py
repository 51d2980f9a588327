"""OpenAI's realtime API as far as an agent uses it: one WebSocket, one conversation."""

from __future__ import annotations

import base64
import itertools
import json
import re
from typing import TYPE_CHECKING, Any, Final

from aiohttp import WSMsgType, web
from typing_extensions import override

from dev.rig.providers.fake import FakeProvider
from dev.rig.providers.fake_openai import tone

if TYPE_CHECKING:
    from collections.abc import Iterator

REALTIME: Final = "/v1/realtime"


class FakeRealtime(FakeProvider):
    """It answers with what it heard or read; a test says what it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = itertools.count(1)
        self.sessions: list[RealtimeSession] = []
        """The provider's sessions, oldest first."""
        self.fails_with = ""
        """The code with which each response fails; empty: none does."""
        self.turns_away_with = ""
        """The code with which each new session is ended; empty: it is not."""

    @override
    def routes(self) -> list[web.RouteDef]:
        return [web.get(REALTIME, self._converse)]

    @override
    def mend(self) -> None:
        super().mend()
        self.fails_with = self.turns_away_with = ""

    async def drop(self) -> None:
        """End all connections; new ones are taken."""
        for session in self.sessions:
            await session.socket.close()

    async def _converse(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        session = RealtimeSession(self, socket)
        self.sessions.append(session)
        if self.turns_away_with:
            error = {"type": "invalid_request_error", "code": self.turns_away_with, "message": "No"}
            await session.send("error", error=error)
            await socket.close()
            return socket
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await session.take(json.loads(message.data))
        return socket


class RealtimeSession:
    """One session, from the provider's side."""

    def __init__(self, provider: FakeRealtime, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self.items: list[dict[str, Any]] = []
        """The conversation, in order."""
        self.settings: dict[str, Any] = {}
        """What was asked of the session so far."""
        self._provider = provider
        self._numbers = provider.numbers

    def said(self) -> list[tuple[str, str]]:
        """Return roles and texts of the conversation."""
        return [(each["role"], _text(each)) for each in self.items if each["type"] == "message"]

    async def send(self, type_: str, **fields: Any) -> None:
        """Send an event."""
        if not self.socket.closed:
            event = {"type": type_, "event_id": f"event_{next(self._numbers)}", **fields}
            await self.socket.send_str(json.dumps(event))

    async def hear(self, words: str) -> None:
        """Understand words of the user's, and answer them."""
        item_id = f"heard_{next(self._numbers)}"
        part = {"type": "input_audio", "transcript": None}
        await self._add({"id": item_id, "type": "message", "role": "user", "content": [part]})
        self.items[-1]["content"] = [{"type": "input_text", "text": words}]
        await self.send(
            "conversation.item.input_audio_transcription.completed",
            item_id=item_id,
            content_index=0,
            transcript=words,
        )
        await self._respond({})

    async def take(self, event: dict[str, Any]) -> None:
        """Do as the client says."""
        match event["type"]:
            case "session.update":
                self.settings |= event["session"]
                await self.send("session.updated", session=event["session"])
            case "conversation.item.create":
                await self._add(event["item"], event.get("previous_item_id"))
            case "conversation.item.delete":
                self.items = [each for each in self.items if each["id"] != event["item_id"]]
                await self.send("conversation.item.deleted", item_id=event["item_id"])
            case "response.create":
                await self._respond(event.get("response") or {})

    async def _add(self, item: dict[str, Any], after: str | None = None) -> None:
        ids = [each["id"] for each in self.items]
        if after is None:
            after = ids[-1] if ids else None
        place = ids.index(after) + 1 if after in ids else len(ids) if after != "root" else 0
        self.items.insert(place, item)
        previous = self.items[place - 1]["id"] if place else None
        await self.send("conversation.item.added", previous_item_id=previous, item=item)

    async def _respond(self, asked: dict[str, Any]) -> None:
        response: dict[str, Any] = {
            "id": f"resp_{next(self._numbers)}",
            "object": "realtime.response",
            "metadata": asked.get("metadata"),
            "output": [],
        }
        await self.send("response.created", response={**response, "status": "in_progress"})
        if code := self._provider.fails_with:
            details = {"type": "failed", "error": {"type": code, "code": code}}
            await self.send(
                "response.done",
                response={**response, "status": "failed", "status_details": details},
            )
            return
        item: dict[str, Any] = {
            "id": f"said_{next(self._numbers)}",
            "type": "message",
            "role": "assistant",
            "status": "in_progress",
            "content": [],
        }
        where = {
            "response_id": response["id"],
            "item_id": item["id"],
            "output_index": 0,
            "content_index": 0,
        }
        await self.send("response.output_item.added", **where, item=item)
        await self._add(item)
        words = self._answer(asked.get("instructions") or "")
        await self.send(
            "response.content_part.added", **where, part={"type": "audio", "transcript": ""}
        )
        for delta in re.findall(r"\s*\S+", words):
            await self.send("response.output_audio_transcript.delta", **where, delta=delta)
        sound = base64.b64encode(tone(0.2)).decode()
        await self.send("response.output_audio.delta", **where, delta=sound)
        await self.send("response.output_audio.done", **where)
        item["content"] = [{"type": "output_audio", "transcript": words}]
        item["status"] = "completed"
        await self.send("response.output_item.done", **where, item=item)
        await self.send("response.done", response={**response, "status": "completed"})

    def _answer(self, instructions: str) -> str:
        asked = instructions.rpartition("Say this, and nothing else: ")[2]
        if asked and asked != instructions:
            return asked
        said = list(self._said_by_the_user())
        if not said:
            return "I heard nothing."
        if said[-1] == "what have I said?":
            return f"You said: {'; '.join(said[:-1])}."
        return f"I heard: {said[-1]}."

    def _said_by_the_user(self) -> Iterator[str]:
        return (text for role, text in self.said() if role == "user" and text)


def _text(item: dict[str, Any]) -> str:
    parts = item.get("content") or []
    return "".join(part.get("text") or part.get("transcript") or "" for part in parts)
