"""A participant with a page, steered line by line: ``python deploy/smoke/talk.py``.

It reads ``join``, ``ask <typed text>`` and ``leave`` from standard input. It answers each with one
line on standard output: ``joined new|resumed <turns shown>``, ``answer <text>``, ``left``, or
``failed <reason>``.

Settings: ``SMOKE_GATEWAY``. ``SMOKE_LIVEKIT`` replaces the address of LiveKit that the gateway
names.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import aiohttp
from livekit import rtc

ANSWER_S: Final = 60.0
"""Timeout of each step. The first job of a new worker may take long to begin."""


@dataclass
class Turn:
    """A turn, as an agent reports it."""

    seq: int
    role: str
    text: str
    is_whole: bool
    """Whether it was not interrupted."""
    saved: bool


class Visitor:
    """The part of a page that a typed conversation needs."""

    def __init__(self, gateway: str, livekit: str | None) -> None:
        self._gateway = gateway
        self._livekit = livekit
        self._secret_id = secrets.token_urlsafe(24)
        self._session_id = ""
        self._room = rtc.Room()
        self._agent: str | None = None
        """The agent that said hello, while it is in the room."""
        self._turns: dict[str, Turn] = {}
        self._saved: set[str] = set()
        self._news = asyncio.Event()
        self._reading: set[asyncio.Task[None]] = set()

    async def join(self) -> str:
        """Load the page: enter the room, and wait for the agent's hello."""
        wanted = {
            "participant_identity": self._secret_id,
            "participant_attributes": {"rj.load": secrets.token_urlsafe(16)},
            **({"session_id": self._session_id} if self._session_id else {}),
        }
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http,
            http.post(f"{self._gateway}/api/token", json=wanted) as answered,
        ):
            answer = await answered.json()
            if answered.status != HTTPStatus.CREATED:
                raise ConnectionError(f"the gateway answers {answered.status}: {answer}")
        self._session_id = answer["session_id"]
        self._room = room = rtc.Room()
        room.register_text_stream_handler("rj.record", self._on_record)
        room.on("participant_disconnected", self._on_departure)
        await room.connect(self._livekit or answer["server_url"], answer["participant_token"])
        while self._agent is None:
            await self._hear_more()
        return f"joined {'resumed' if answer['resumed'] else 'new'} {len(answer['turns'])}"

    async def ask(self, text: str) -> str:
        """Type a text, and return the agent's whole answer once it is saved."""
        message_id = secrets.token_urlsafe(12)
        told: str | None = None
        while True:
            question = self._turns.get(message_id)
            if question is not None and (answer := self._answer_to(question)) is not None:
                return f"answer {answer.text}"
            # A successor may lack what its predecessor received. It accepts each id only once.
            if self._agent not in {None, told} and not (question and question.saved):
                told = self._agent
                await self._room.local_participant.send_text(
                    text, topic="lk.chat", attributes={"rj.msg": message_id}
                )
            await self._hear_more()

    async def leave(self) -> str:
        """Close the page."""
        self._agent = None
        await self._room.disconnect()
        return "left"

    def _answer_to(self, question: Turn) -> Turn | None:
        answers = [
            turn
            for turn in self._turns.values()
            if turn.role == "assistant" and turn.seq > question.seq and turn.saved and turn.is_whole
        ]
        return min(answers, key=lambda turn: turn.seq, default=None)

    async def _hear_more(self) -> None:
        self._news.clear()
        await self._news.wait()

    def _on_departure(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity == self._agent:
            self._agent = None

    def _on_record(self, reader: rtc.TextStreamReader, who: str) -> None:
        task = asyncio.ensure_future(self._read(reader, who))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _read(self, reader: rtc.TextStreamReader, who: str) -> None:
        try:
            record: dict[str, Any] = json.loads(await reader.read_all())
        except ConnectionError:
            return  # Its sender died in mid-record.
        match record["type"]:
            case "hello":
                self._agent = who
            case "turn":
                saved = record["saved"] or record["id"] in self._saved
                self._turns[record["id"]] = Turn(
                    record["seq"], record["role"], record["text"], not record["interrupted"], saved
                )
            case "saved":
                for mark in record["turns"]:
                    self._saved.add(mark["id"])
                    if mark["id"] in self._turns:
                        self._turns[mark["id"]].saved = True
        self._news.set()


async def do(visitor: Visitor, line: str) -> str:
    """Carry out one line."""
    what, _, text = line.strip().partition(" ")
    async with asyncio.timeout(ANSWER_S):
        match what:
            case "join":
                return await visitor.join()
            case "ask":
                return await visitor.ask(text)
            case "leave":
                return await visitor.leave()
    return f"failed unknown command: {what}"


async def main() -> None:
    """Carry out lines from standard input until it ends."""
    visitor = Visitor(os.environ["SMOKE_GATEWAY"], os.environ.get("SMOKE_LIVEKIT"))
    while line := await asyncio.to_thread(sys.stdin.readline):
        try:
            said = await do(visitor, line)
        except TimeoutError:
            said = f"failed no answer within {ANSWER_S:.0f} s"
        except (OSError, aiohttp.ClientError, rtc.ConnectError) as error:
            said = f"failed {type(error).__name__}: {error}"
        sys.stdout.write(f"{said}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
