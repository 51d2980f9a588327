"""A scripted participant: does in a room what the page does, and notes all that it is sent."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import Counter
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final, Self

import aiohttp
from livekit import rtc

from dev.rig.hearing import Hearing
from dev.rig.microphone import Microphone
from dev.rig.microphones import Microphones, microphone_of
from dev.rig.net import NET_S
from dev.rig.notes import Kind, Note, Notes
from session_store.tasks import stop

_RETRY_S: Final = (0.2, 0.5, 1.0, 2.0, 3.0)
_RECORD_WITHIN_S: Final = 20.0
"""As the page's: after this, a message without a record is sent again."""
_STREAM_S: Final = 4.0
_RECORDS: Final = {
    kind.value: kind
    for kind in (Kind.HELLO, Kind.TURN, Kind.SAVED, Kind.REFUSED, Kind.NOTICE, Kind.ERASED)
}
_STAYS_OUT: Final = {
    rtc.DisconnectReason.CLIENT_INITIATED,
    rtc.DisconnectReason.DUPLICATE_IDENTITY,
    rtc.DisconnectReason.PARTICIPANT_REMOVED,
    rtc.DisconnectReason.ROOM_DELETED,
}
"""After these, the page does not come back by itself."""


class NoToken(Exception):
    """The gateway refused."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"the gateway answers {status} {code}")
        self.status = status
        self.code = code


class Person:
    """A participant with a page open. Use it as a context manager: it leaves at the end."""

    def __init__(
        self, gateway: str, *, microphone: Microphones = Microphones.CLOSED, listens: bool = False
    ) -> None:
        """Make a new participant; ``come`` lets them in.

        Args:
            gateway: address of the gateway.
            microphone: only with an open one can they ``say`` something.
            listens: receives sound, and notes when an agent begins to be heard.
        """
        self.notes = Notes()
        self.secret_id = secrets.token_urlsafe(24)
        self.load_id = secrets.token_urlsafe(16)
        self.participant = ""
        """The pseudonym."""
        self.session_id = ""
        self.answers: list[dict[str, Any]] = []
        """What the gateway answered, oldest first."""
        self.turns: dict[str, dict[str, Any]] = {}
        """The record as the page would show it, by id; ``saved`` as it was last heard."""
        self.agent: str | None = None
        """The agent that said hello last, while it is there."""
        self._gateway = gateway
        self._listens = listens
        self._microphone = microphone_of(microphone)
        self._http = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=10),
            # The gateway closes an idle connection after 5 s, perhaps as the next request is sent.
            connector=aiohttp.TCPConnector(force_close=True),
        )
        self._room: rtc.Room | None = None
        self.spoken: Counter[str] = Counter()
        """How often it has said these words aloud."""
        self._pending: list[tuple[str, str]] = []
        self._marked: set[str] = set()
        """Ids that were marked saved, perhaps before their record came."""
        self._outbox = asyncio.Event()
        self._records: asyncio.Queue[tuple[asyncio.Task[str], str]] = asyncio.Queue()
        self._hearing = Hearing(self.notes)
        self._away = True
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        self._spawn(self._read_records())
        self._spawn(self._send_typed())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()
        await stop(*self._tasks)
        if self._microphone is not None:
            await self._microphone.aclose()
        await self._http.close()

    @property
    def room(self) -> rtc.Room:
        """The room, once it was entered."""
        assert self._room is not None
        return self._room

    @property
    def agents(self) -> list[str]:
        """Identities of the agents that are in the room, as this participant sees it."""
        if self._room is None:
            return []
        return [
            each.identity for each in self._room.remote_participants.values() if _is_agent(each)
        ]

    @property
    def saved(self) -> dict[str, dict[str, Any]]:
        """The turns that were marked saved, by id."""
        return {id_: turn for id_, turn in self.turns.items() if turn["saved"]}

    @property
    def unrecorded(self) -> list[str]:
        """Ids of what was typed and has no record yet."""
        return [id_ for id_, _ in self._pending]

    def texts(self, role: str) -> list[str]:
        """Return what was said by ``user`` or ``assistant``, in the record's order."""
        turns = sorted(self.turns.values(), key=lambda turn: turn["seq"])
        return [turn["text"] for turn in turns if turn["role"] == role]

    async def come(self, **wishes: Any) -> None:
        """Get a token and enter the room.

        Args:
            wishes: further fields for the gateway, such as ``new_session=True``.

        Raises:
            NoToken: the gateway refused.
        """
        self._away = False
        answer = await self._token(wishes)
        await self._enter(answer)

    async def reload(self) -> None:
        """Load the page again: another load id, and a connection that ends without a leave."""
        self.load_id = secrets.token_urlsafe(16)
        await self.come()

    async def leave(self) -> None:
        """Leave the room for good, so that the server knows at once."""
        self._away = True
        self._lose_agent()
        if self._room is not None:
            await self._room.disconnect()

    def type(self, text: str) -> str:
        """Type a message, which goes out as soon as an agent is ready; return its id."""
        message_id = secrets.token_urlsafe(12)
        self._pending.append((message_id, text))
        self.notes.add(Kind.TYPED, id=message_id, text=text)
        self._outbox.set()
        return message_id

    async def say(self, text: str) -> None:
        """Say something into the microphone."""
        assert isinstance(self._microphone, Microphone)
        self.spoken[text] += 1
        await self._microphone.say(text)

    async def ask(self, text: str, *, within_s: float = NET_S) -> dict[str, Any]:
        """Type a message, and return the answer's turn as soon as it is saved."""
        asked = self.type(text)
        return await self.answer(asked, within_s=within_s)

    async def answer(self, asked: str, *, within_s: float = NET_S) -> dict[str, Any]:
        """Return the first whole turn of the agent's behind a typed message, when it is saved.

        Raises:
            AssertionError: with all that happened, when there is none within this time.
        """
        deadline = time.monotonic() + within_s
        while (found := self._answer_to(asked)) is None:
            if time.monotonic() > deadline:
                raise AssertionError(f"no answer within {within_s:g} s:\n{self.notes.told()}")
            await asyncio.sleep(0.01)
        return found

    async def silence(self) -> None:
        """Return when no agent has been heard for a while: the next sound gets a note of its own.

        A person who does not listen hears nothing, and waits just that while.
        """
        since = time.monotonic()
        while not self._hearing.is_silent(since):
            await asyncio.sleep(0.02)

    async def first_words(
        self, after: float, *, not_from: str | None = None, within_s: float = NET_S
    ) -> Note:
        """Return the first words of an agent after a moment: as it speaks, or in the record.

        Args:
            after: the moment.
            not_from: a dead agent; its last words may still be on their way.
            within_s: a net.
        """

        def is_answer(note: Note) -> bool:
            if note.who == not_from:
                return False
            if note.kind is Kind.WORDS:
                return not note.fields["mine"]
            is_whole = note.fields["role"] == "assistant" and not note.fields["interrupted"]
            return is_whole and bool(note.fields["first"])

        return await self.notes.first(
            Kind.WORDS, Kind.TURN, after=after, where=is_answer, within_s=within_s
        )

    def _answer_to(self, asked: str) -> dict[str, Any] | None:
        question = self.turns.get(asked)
        if question is None:
            return None
        behind = [
            turn
            for turn in self.turns.values()
            if turn["role"] == "assistant"
            and turn["seq"] > question["seq"]
            and turn["saved"]
            and not turn["interrupted"]
        ]
        return min(behind, key=lambda turn: int(turn["seq"]), default=None)

    async def _token(self, wishes: dict[str, Any]) -> dict[str, Any]:
        known = [turn["seq"] for turn in self.saved.values()]
        wanted = {
            "participant_identity": self.secret_id,
            "participant_attributes": {"rj.load": self.load_id},
            "after_seq": max(known, default=0),
            **({"session_id": self.session_id} if self.session_id else {}),
            **wishes,
        }
        async with self._http.post(f"{self._gateway}/api/token", json=wanted) as answered:
            answer: dict[str, Any] = await answered.json()
            if answered.status != HTTPStatus.CREATED:
                code = answer["error"]["code"]
                self.notes.add(Kind.NO_TOKEN, status=answered.status, code=code)
                raise NoToken(answered.status, code)
        self.answers.append(answer)
        if answer["session_id"] != self.session_id:
            self.session_id = answer["session_id"]
            self.turns = {}
        self.participant = answer["participant_identity"]
        for turn in answer["turns"]:
            self.turns[turn["id"]] = {**turn, "saved": True}
        return answer

    async def _enter(self, answer: dict[str, Any]) -> None:
        before, self._room = self._room, None
        self._lose_agent()
        room = rtc.Room()
        self._listen(room)
        # It subscribes to sound in any case: an agent waits with its words for a listener.
        await room.connect(answer["server_url"], answer["participant_token"])
        self._room = room
        self.notes.add(Kind.CONNECTED)
        for participant in room.remote_participants.values():
            self._came(participant)
        if before is not None:
            # Only now: the newer connection throws out the older one, which never left.
            await before.disconnect()
        if self._microphone is not None:
            await self._microphone.publish(room)

    def _listen(self, room: rtc.Room) -> None:
        room.register_text_stream_handler("rj.record", self._on_record)
        room.register_text_stream_handler("lk.transcription", self._on_words)
        room.on("participant_connected", self._came)
        room.on("participant_disconnected", self._left)
        room.on("participant_attributes_changed", self._on_attributes)
        room.on("reconnecting", lambda: self.notes.add(Kind.RECONNECTING))
        room.on("reconnected", lambda: self.notes.add(Kind.RECONNECTED))
        room.on("disconnected", lambda reason: self._dropped(room, reason))
        if self._listens:
            room.on("track_subscribed", self._on_track)

    def _came(self, participant: rtc.RemoteParticipant) -> None:
        if _is_agent(participant):
            self.notes.add(Kind.AGENT_CAME, participant.identity)

    def _left(self, participant: rtc.RemoteParticipant) -> None:
        if _is_agent(participant):
            self.notes.add(Kind.AGENT_LEFT, participant.identity)
            if participant.identity == self.agent:
                self._lose_agent()

    def _lose_agent(self) -> None:
        self.agent = None
        self._outbox.set()

    def _on_attributes(self, changed: dict[str, str], participant: rtc.Participant) -> None:
        if participant.identity == self.participant:
            self.notes.add(Kind.TOLD, **changed)
        elif "lk.agent.state" in changed:
            self.notes.add(Kind.AGENT_STATE, participant.identity, state=changed["lk.agent.state"])

    def _dropped(self, room: rtc.Room, reason: Any) -> None:
        if room is not self._room or self._away:
            return
        self.notes.add(Kind.DROPPED, reason=rtc.DisconnectReason.Name(reason))
        self._lose_agent()
        if reason not in _STAYS_OUT:
            self._spawn(self._come_back())

    async def _come_back(self) -> None:
        tries = 0
        while not self._away:
            await asyncio.sleep(_RETRY_S[min(tries, len(_RETRY_S) - 1)])
            tries += 1
            with suppress(NoToken, aiohttp.ClientError, TimeoutError, rtc.ConnectError):
                await self._enter(await self._token({}))
                return

    def _on_record(self, reader: rtc.TextStreamReader, who: str) -> None:
        # Read at once, and taken in the order of arrival.
        self._records.put_nowait((self._spawn(reader.read_all()), who))

    async def _read_records(self) -> None:
        while True:
            reading, who = await self._records.get()
            try:
                async with asyncio.timeout(_STREAM_S):
                    record = json.loads(await reading)
            except (TimeoutError, ConnectionError):
                continue  # Its sender died in mid-record.
            self._take(record, who)

    def _take(self, record: dict[str, Any], who: str) -> None:
        kind = _RECORDS[record.pop("type")]
        if kind is Kind.TURN:
            known = self.turns.get(record["id"])
            if record["saved"] or (known is not None and known["saved"]):
                self._marked.add(record["id"])
            self.turns[record["id"]] = {**record, "saved": record["id"] in self._marked}
            self._pending = [each for each in self._pending if each[0] != record["id"]]
            record["first"] = known is None
        elif kind is Kind.SAVED:
            for mark in record["turns"]:
                self._marked.add(mark["id"])
                if mark["id"] in self.turns:
                    self.turns[mark["id"]]["saved"] = True
        elif kind is Kind.HELLO:
            self.agent = who
            self._ask_again()
        elif kind is Kind.REFUSED:
            self._pending = [each for each in self._pending if each[0] != record["id"]]
        self.notes.add(kind, who, **record)
        self._outbox.set()

    def _ask_again(self) -> None:
        """A new agent may not have what was never saved: it is typed again, under its own id."""
        waiting = set(self.unrecorded)
        typed = [
            (note.fields["id"], note.fields["text"])
            for note in self.notes.of(Kind.TYPED)
            # Of an earlier conversation too: what was saved there is not asked again.
            if note.fields["id"] in waiting or note.fields["id"] not in self._marked
        ]
        refused = {note.fields["id"] for note in self.notes.of(Kind.REFUSED)}
        self._pending = [each for each in typed if each[0] not in refused]

    async def _send_typed(self) -> None:
        """Send what was typed, one at a time, each again until its record comes."""
        while True:
            self._outbox.clear()
            if self.agent is None or not self._pending:
                await self._outbox.wait()
                continue
            agent, (message_id, text) = self.agent, self._pending[0]
            with suppress(Exception):  # The SDK raises bare ones; it is sent again.
                await self.room.local_participant.send_text(
                    text,
                    topic="lk.chat",
                    destination_identities=[agent],
                    attributes={"rj.msg": message_id},
                )
                self.notes.add(Kind.SENT, agent, id=message_id)
            await self._recorded(agent, message_id)

    async def _recorded(self, agent: str, message_id: str) -> None:
        """Wait for the record of what was sent, as long as the same agent is there."""
        deadline = time.monotonic() + _RECORD_WITHIN_S
        hellos = len(self.notes.of(Kind.HELLO))
        while (
            message_id in self.unrecorded
            and self.agent == agent
            and len(self.notes.of(Kind.HELLO)) == hellos
            and time.monotonic() < deadline
        ):
            await asyncio.sleep(0.005)

    def _on_words(self, reader: rtc.TextStreamReader, who: str) -> None:
        self._spawn(self._read_words(reader, who))

    async def _read_words(self, reader: rtc.TextStreamReader, who: str) -> None:
        segment = (reader.info.attributes or {}).get("lk.segment_id", reader.info.stream_id)
        with suppress(ConnectionError):  # Its sender died in mid-sentence.
            async for text in reader:
                mine = who == self.participant
                self.notes.add(Kind.WORDS, who, text=text, segment=segment, mine=mine)

    def _on_track(
        self,
        track: rtc.Track,
        _: rtc.RemoteTrackPublication,
        participant: rtc.RemoteParticipant,
    ) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO and _is_agent(participant):
            self._spawn(self._hearing.listen(track, participant.identity))

    def _spawn(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _is_agent(participant: rtc.Participant) -> bool:
    return participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
