"""Watching and taking over with a real livekit-server and a real Redis.

Agents are processes that only join and answer pings; workers and conversations are in
``tests/chaos``.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from livekit import api, rtc

from session_store import AgentPresence, SessionState, SessionStore
from session_store.backends.values import SessionRef
from session_store.livekit.rooms.api_calls import LiveKitFailed
from session_store.livekit.rooms.dispatch import Dispatch
from session_store.livekit.rooms.rooms import AGENT, GAVE_UP, LiveKitRooms, Occupants
from session_store.livekit.worker.contact import Contact
from session_store.livekit.worker.dead_jobs import DeadJob, DeadJobs
from session_store.livekit.worker.dispatcher import Dispatcher
from session_store.livekit.worker.room_finder import RoomFinder
from session_store.livekit.worker.takeover import Takeover
from session_store.tasks import RateLimit
from session_store.upkeep.sweeper import Sweeper
from tests.integration.keeping import pass_time
from tests.integration.livekit import LiveKit, running_livekit
from tests.integration.stand_in_agent import stand_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

NAME = "assistant"
LEASE_S = 3.0


@pytest.fixture(scope="module")
def livekit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveKit]:
    """Run one livekit-server for this file."""
    with running_livekit(tmp_path_factory.mktemp("livekit")) as server:
        yield server


@pytest.fixture(autouse=True)
def no_worker_is_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are none here."""
    monkeypatch.setattr("session_store.livekit.rooms.rooms.COMES_WITHIN_S", 0.5)


@pytest.fixture
async def rooms(livekit: LiveKit) -> AsyncIterator[LiveKitRooms]:
    """Return what is tested, connected."""
    async with LiveKitRooms(livekit.url, livekit.key, livekit.secret) as rooms:
        yield rooms


@pytest.fixture
async def livekit_api(livekit: LiveKit) -> AsyncIterator[api.LiveKitAPI]:
    """Return LiveKit's own API, to look at what was done there."""
    async with api.LiveKitAPI(livekit.url, livekit.key, livekit.secret) as client:
        yield client


@asynccontextmanager
async def person(livekit: LiveKit, room: str, identity: str) -> AsyncIterator[rtc.Room]:
    """Let a person be in a room until the block ends."""
    token = (
        api.AccessToken(livekit.key, livekit.secret)
        .with_identity(identity)
        .with_grants(api.VideoGrants(room_join=True, room=room))
        .to_jwt()
    )
    connected = rtc.Room()
    await connected.connect(livekit.url, token)
    try:
        yield connected
    finally:
        await connected.disconnect()


def watcher(store: SessionStore, rooms: LiveKitRooms) -> tuple[Takeover, DeadJobs]:
    """Make a watcher that has been in contact for long."""
    contact = Contact(1e9)
    contact.heard()
    contact._since = -1e9
    finder = RoomFinder(store, rooms, agent_name=NAME)
    dispatcher = Dispatcher(rooms, rate_limit=RateLimit(100), expected_s=1.0)
    return (
        Takeover(store, finder, dispatcher, contact, caution_s=2 * LEASE_S),
        DeadJobs(store, rooms, finder, dispatcher),
    )


async def dispatches(livekit_api: api.LiveKitAPI, room: str) -> list[str]:
    """Return the metadata of the agents that were dispatched to a room by name."""
    everything = await livekit_api.agent_dispatch.list_dispatch(room)
    return [each.metadata for each in everything if each.agent_name == NAME]


async def until(condition: Callable[[], Any], within_s: float = 10) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.02)


def new_room() -> str:
    """Name a room."""
    return f"room-{secrets.token_hex(4)}"


async def test_an_agent_answers_while_it_lives(livekit: LiveKit, rooms: LiveKitRooms) -> None:
    """Stopped it is silent; when it goes on it answers again; killed it never does."""
    room = new_room()
    async with stand_in(livekit, room, "agent-1") as agent:
        assert await rooms.any_answers(room, ["agent-1"])
        agent.pause()
        assert not await rooms.any_answers(room, ["agent-1"])
        agent.resume()
        await until_answers(rooms, room, "agent-1")
        await agent.kill()
        assert not await rooms.any_answers(room, ["agent-1"])
        # LiveKit goes on showing it, which is why it is asked.
        assert (await rooms.look(room, NAME)).agents == ("agent-1",)


async def until_answers(rooms: LiveKitRooms, room: str, agent: str) -> None:
    """Wait until an agent answers."""
    async with asyncio.timeout(10):
        while not await rooms.any_answers(room, [agent]):
            pass


async def test_one_living_agent_among_ghosts_is_enough(
    livekit: LiveKit, rooms: LiveKitRooms
) -> None:
    """All are asked at once; who is not there, or has no conversation, does not answer."""
    room = new_room()
    async with (
        stand_in(livekit, room, "agent-1") as ghost,
        stand_in(livekit, room, "agent-2"),
        person(livekit, room, "maria"),
    ):
        await ghost.kill()
        assert not await rooms.any_answers(room, [])
        assert not await rooms.any_answers(room, ["agent-1"])
        assert not await rooms.any_answers(room, ["maria"])
        assert not await rooms.any_answers(room, ["agent-1", "nobody"])
        assert await rooms.any_answers(room, ["agent-1", "nobody", "agent-2"])


async def test_a_look_tells_people_from_agents(livekit: LiveKit, rooms: LiveKitRooms) -> None:
    """Agents of another name are somebody else's; a room that is not there is empty."""
    room = new_room()
    async with (
        stand_in(livekit, room, "agent-1"),
        stand_in(livekit, room, "agent-2", agent_name="notes"),
        person(livekit, room, "maria"),
    ):
        seen = await rooms.look(room, NAME)
        assert (list(seen.people), seen.agents) == (["maria"], ("agent-1",))
        assert (await rooms.look(room, "notes")).agents == ("agent-2",)
    assert await rooms.look("no-such-room", NAME) == Occupants({}, ())


async def test_a_livekit_that_is_away_is_no_answer() -> None:
    """Nobody is taken for dead because LiveKit cannot be asked."""
    async with LiveKitRooms("ws://127.0.0.1:1", "key", "secret" * 8) as rooms:
        for question in (
            rooms.reach(),
            rooms.look("room", NAME),
            rooms.any_answers("room", ["agent-1"]),
        ):
            with pytest.raises(LiveKitFailed):
                await question


async def test_an_agent_that_does_not_come_is_sent_again(
    livekit: LiveKit,
    rooms: LiveKitRooms,
    livekit_api: api.LiveKitAPI,
) -> None:
    """It is sent again while somebody waits, and not any more when they have left, or it came."""
    room = new_room()
    dispatch = Dispatch(room, NAME, "{}")
    await rooms.make(room, departure_timeout_s=60)
    async with person(livekit, room, "maria"):
        there = await rooms.look(room, NAME)
        assert not await rooms.bring(dispatch, there, within_s=1.6)
        sent = len(await dispatches(livekit_api, room))
        assert sent > 1
        async with stand_in(livekit, room, "agent-1"):
            assert await rooms.bring(dispatch, there, within_s=10)
        assert len(await dispatches(livekit_api, room)) == sent + 1
        # Its ghost is still shown.
        there = replace(there, agents=("agent-1",))
    assert not await rooms.bring(dispatch, there, within_s=10)
    assert len(await dispatches(livekit_api, room)) == sent + 2


class Talk:
    """A session whose participant is in the room, and whose agent is a stand-in."""

    def __init__(self, store: SessionStore) -> None:
        self.store = store
        self.participant = store.pseudonym(secrets.token_hex(4))
        self.owner = ""
        self.session_id = ""

    async def begin(self) -> Talk:
        """Let a job take the lease."""
        self.owner = self.store.owner_of("worker", secrets.token_hex(4))
        joined = await self.store.join(self.participant, owner=self.owner)
        self.session_id = joined.session.id
        return self

    @property
    def session(self) -> SessionRef:
        """The session as the sweeper names it."""
        return SessionRef(self.participant, self.session_id)

    @property
    def dispatch(self) -> Dispatch:
        """What brings its agents."""
        return Dispatch.for_session(*self.session, NAME)

    @property
    def dead(self) -> DeadJob:
        """Its job, when it has died."""
        return DeadJob(self.owner, "agent-1", self.dispatch, "", self.session)


async def test_two_watchers_send_one_agent(
    livekit: LiveKit,
    rooms: LiveKitRooms,
    livekit_api: api.LiveKitAPI,
    make_store: Callable[..., SessionStore],
    raw: Any,
) -> None:
    """Both sweep, both find the lost lease and the silent agent; one removes it and dispatches."""
    talk = await Talk(make_store()).begin()
    room = talk.session_id
    async with person(livekit, room, talk.participant), stand_in(livekit, room, "agent-1") as agent:
        agent.pause()
        await pass_time(raw, LEASE_S + 1)
        tasks: list[asyncio.Task[None]] = []
        found: list[SessionRef] = []
        for _ in range(2):
            store = make_store(agent_expected_s=30)
            relieve = watcher(store, rooms)[0].relieve

            def see_to(session: SessionRef, relieve: Callable[..., Any] = relieve) -> None:
                found.append(session)
                tasks.append(asyncio.ensure_future(relieve(session)))

            await Sweeper(store, on_orphan=see_to).sweep(range(1024))
            # The one that settled first has put it off; the other one comes upon it by itself.
            if len(found) < 2:
                see_to(talk.session)
        await asyncio.gather(*tasks)
        assert await dispatches(livekit_api, room) == [talk.dispatch.metadata]
        assert (await rooms.look(room, NAME)).agents == ()


async def test_an_agent_that_answers_keeps_its_conversation(
    livekit: LiveKit,
    rooms: LiveKitRooms,
    livekit_api: api.LiveKitAPI,
    store: SessionStore,
    raw: Any,
) -> None:
    """Without its lease, but with its participant, it is left where it is."""
    talk = await Talk(store).begin()
    room = talk.session_id
    async with person(livekit, room, talk.participant), stand_in(livekit, room, "agent-1"):
        await pass_time(raw, LEASE_S + 1)
        await watcher(store, rooms)[0].relieve(talk.session)
        assert await dispatches(livekit_api, room) == []
        assert (await rooms.look(room, NAME)).agents == ("agent-1",)


async def test_nobody_is_sent_to_an_empty_room(
    rooms: LiveKitRooms, livekit_api: api.LiveKitAPI, store: SessionStore, raw: Any
) -> None:
    """The participant has left with its agent: it counts as away."""
    talk = await Talk(store).begin()
    await rooms.make(talk.session_id, departure_timeout_s=60)
    await pass_time(raw, LEASE_S + 1)
    await watcher(store, rooms)[0].relieve(talk.session)
    loaded = await store.load(*talk.session)
    assert loaded is not None
    assert loaded.session.state is SessionState.AWAY
    assert await dispatches(livekit_api, talk.session_id) == []


async def test_a_page_hears_that_no_agent_will_come(
    livekit: LiveKit, rooms: LiveKitRooms, make_store: Callable[..., SessionStore], raw: Any
) -> None:
    """After the fourth death in a minute an attribute says so; the next agent clears it."""
    store = make_store()
    talk = await Talk(store).begin()
    dead_jobs = watcher(store, rooms)[1]
    async with person(livekit, talk.session_id, talk.participant) as connected:
        mine = connected.local_participant
        for _ in range(3):
            await dead_jobs.replace(talk.dead)
            await talk.begin()
            assert mine.attributes.get(AGENT, "") == ""
        await dead_jobs.replace(talk.dead)
        await until(lambda: mine.attributes.get(AGENT) == GAVE_UP)
        assert await store.claim_orphan(*talk.session) is AgentPresence.GAVE_UP

        await pass_time(raw, 61)
        await talk.begin()
        await dead_jobs.replace(talk.dead)
        await until(lambda: not mine.attributes.get(AGENT))
