"""New, return and takeover in real rooms, and a call that is dialled once."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from livekit import api, rtc

from dev.paths import ROOT
from dev.rig.net import NET_S
from dev.rig.notes import Kind
from dev.rig.programs import signal_process, until
from dev.rig.stand import Stand, running
from session_store import SessionState
from session_store.livekit.rooms.dispatch import SUCCESSOR
from tests.integration.entering import BACK, GREETING, QUESTIONS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from dev.rig.person import Person
    from dev.rig.worker import Worker

    NameAgent = Callable[[str], object]

HERE = ROOT / "tests" / "integration"
FROM_MODEL = "Hello! What can I do for you?"
NUMBER = "+15105550123"
QUIET_S = 1.0
CALL = "call-1"
"""The room of the call."""
IN_ONE_LOOP = pytest.mark.asyncio(loop_scope="module")
"""Servers and what talks to them live in one event loop."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stand]:
    """Run everything but a worker."""
    folder = tmp_path_factory.mktemp("entry")
    async with running(folder, workers=0, LIVEKIT_AGENT_NAME="assistant") as stand:
        yield stand


async def begin_work(stand: Stand, program: str, agent_name: str, **more: str) -> Worker:
    """Start a worker."""
    command = ("livekit.agents", "start", "--dev", str(HERE / f"{program}.py"))
    settings = {"LIVEKIT_AGENT_NAME": agent_name, **more}
    worker = stand.new_worker(module=command, island=None, **settings)
    worker.start()
    await until(lambda: "registered worker" in worker.last_words(100_000), "it is known")
    return worker


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def begins(stand: Stand) -> NameAgent:
    """Start the worker of the agents of ``entering``; return what names the one that begins."""
    named_in = stand.folder / "enters"
    await begin_work(stand, "entering_worker", "assistant", ENTERS=str(named_in))
    return named_in.write_text


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def callee(stand: Stand) -> AsyncIterator[Callee]:
    """Start the worker that calls people; return whom it calls."""
    folder = stand.folder / "calls"
    folder.mkdir()
    worker = await begin_work(stand, "calling", "caller", CALLS=str(folder))
    callee = Callee(stand, worker, folder)
    yield callee
    await callee.room.disconnect()


@asynccontextmanager
async def with_agent(stand: Stand, begins: NameAgent, agent: str) -> AsyncIterator[Person]:
    """Let a person come to one of the agents of ``entering``."""
    begins(agent)
    async with stand.person() as person:
        await person.come()
        # On a busy machine the first job waits long for its process.
        await person.notes.first(Kind.HELLO, within_s=2 * NET_S)
        yield person


async def hear(person: Person, words: str, *, after: float = 0.0) -> None:
    """Wait until the agent has said this."""
    await person.notes.first(
        Kind.TURN, after=after, where=lambda note: note.fields["text"] == words
    )


async def hear_again(person: Person, words: str) -> None:
    """Wait until the agent has said this a second time. A successor shows old turns anew."""
    await until(lambda: person.texts("assistant").count(words) == 2, f"it asks again: {words}")


def kill_job(worker: Worker, session_id: str) -> float:
    """Kill the job that holds a session; return when."""
    joined = re.findall(rf' joined .*"{session_id}".*?"pid": (\d+)', worker.log.read_text())
    return signal_process(int(joined[-1]), signal.SIGKILL)


async def leave_and_return(stand: Stand, person: Person) -> float:
    """Let a person leave, and come back to the job that still lives; return when."""
    await person.leave()
    async with asyncio.timeout(NET_S):
        while (await stand.loaded(person)).session.state is not SessionState.AWAY:
            await asyncio.sleep(0.05)
    returned_at = time.monotonic()
    await person.come()
    await person.notes.first(Kind.HELLO, after=returned_at)
    return returned_at


@IN_ONE_LOOP
async def test_a_return_to_a_living_job_is_not_met_by_silence(
    stand: Stand, begins: NameAgent
) -> None:
    """The agent has greeted in its ``on_enter``; its model is told of the return."""
    async with with_agent(stand, begins, "Practice") as person:
        await hear(person, GREETING)
        returned_at = await leave_and_return(stand, person)
        await hear(person, FROM_MODEL, after=returned_at)
        assert person.texts("assistant") == [GREETING, FROM_MODEL]


@IN_ONE_LOOP
async def test_an_agent_with_on_return_says_that(stand: Stand, begins: NameAgent) -> None:
    """And nothing else, until it asks."""
    async with with_agent(stand, begins, "Returning") as person:
        await hear(person, GREETING)
        returned_at = await leave_and_return(stand, person)
        await hear(person, "And now?", after=returned_at)
        assert person.texts("assistant") == [GREETING, BACK, "And now?"]


@IN_ONE_LOOP
async def test_nothing_of_ours_is_said_by_an_agent_that_waits(
    stand: Stand, begins: NameAgent
) -> None:
    """Not at first, and not at a return."""
    async with with_agent(stand, begins, "Waiting") as person:
        # Words of ours would begin at once, and be interrupted by a question.
        await asyncio.sleep(QUIET_S)
        await person.ask("hello")
        await leave_and_return(stand, person)
        await asyncio.sleep(QUIET_S)
        await person.ask("again")
        words = {note.fields["text"].strip() for note in person.notes.of(Kind.WORDS)}
        assert words == {"I", "heard:", "hello.", "again."}
        assert person.texts("assistant") == ["I heard: hello.", "I heard: again."]


@IN_ONE_LOOP
async def test_an_interview_that_begins_again_is_heard(stand: Stand, begins: NameAgent) -> None:
    """The job dies in its third task. The greeting is not repeated, the questions are."""
    async with with_agent(stand, begins, "Interview") as person:
        await hear(person, QUESTIONS[0])
        for following in QUESTIONS[1:]:
            person.type("please note my answer")
            await hear(person, following)
        kill_job(stand.workers[0], person.session_id)
        await hear_again(person, QUESTIONS[0])
        person.type("please note my answer")
        await hear_again(person, QUESTIONS[1])
        assert person.texts("assistant").count(GREETING) == 1


class Callee:
    """A telephone that can be called."""

    def __init__(self, stand: Stand, worker: Worker, calls: Path) -> None:
        self._stand = stand
        self.worker = worker
        self._calls = calls
        self.room = rtc.Room()

    @property
    def dialled(self) -> int:
        """How often it was called."""
        return len(list(self._calls.glob("dialled-*")))

    @property
    def sent(self) -> list[dict[str, str]]:
        """The attributes of the jobs' dispatches, oldest first."""
        jobs = sorted(self._calls.glob("job-*"), key=lambda path: path.stat().st_mtime_ns)
        return [json.loads(path.read_text()) for path in jobs]

    async def answer(self) -> None:
        """Pick up, as LiveKit's SIP service does for a telephone."""
        livekit = self._stand.livekit
        token = (
            api.AccessToken(livekit.key, livekit.secret)
            .with_identity(NUMBER)
            .with_kind("sip")
            .with_grants(api.VideoGrants(room_join=True, room=CALL))
        )
        await self.room.connect(livekit.url, token.to_jwt())
        (self._calls / "answered").touch()

    async def record(self) -> Any:
        """Return the session and the turns that are kept; ``None`` if there is no session."""
        store = self._stand.store
        participant = store.pseudonym(NUMBER)
        sessions = (await store.sessions(participant, limit=1)).sessions
        return await store.load(participant, sessions[0].id) if sessions else None

    async def hear(self, words: str) -> str:
        """Wait until the agent is recorded to have said this; return the session's id."""
        async with asyncio.timeout(NET_S):
            while True:
                loaded = await self.record()
                if loaded and words in {recorded.turn.text for recorded in loaded.turns}:
                    return str(loaded.session.id)
                await asyncio.sleep(0.05)


@IN_ONE_LOOP
async def test_a_call_is_dialled_once(stand: Stand, callee: Callee) -> None:
    """The job dies in mid-call. Its successor knows that, finds the callee, and goes on."""
    metadata = json.dumps({"phone_number": NUMBER, "trunk_id": "ST_none"})
    await stand.api.agent_dispatch.create_dispatch(
        api.CreateAgentDispatchRequest(room=CALL, agent_name="caller", metadata=metadata)
    )
    await until(lambda: callee.dialled, "it dials", within_s=2 * NET_S)
    await callee.answer()
    session_id = await callee.hear(FROM_MODEL)
    kill_job(callee.worker, session_id)
    await until(lambda: len(callee.sent) == 2, "a successor comes")
    log = callee.worker.log
    await until(lambda: log.read_text().count(" joined ") == 2, "the successor joins")
    await callee.room.local_participant.send_text("who is there?", topic="lk.chat")
    await callee.hear("I heard: who is there?.")
    assert callee.dialled == 1
    assert [SUCCESSOR in attributes for attributes in callee.sent] == [False, True]
