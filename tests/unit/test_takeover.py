"""Which participants are sent another agent: a store in memory, a stand-in for LiveKit's rooms.

Time is virtual, for the store too. With a real LiveKit: ``tests/integration/test_takeover.py``.
"""

from __future__ import annotations

import asyncio
import secrets
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from session_store import AgentPresence, EventType, Keyring, SessionStore, StoreSettings
from session_store.backends.memory.backend import MemoryBackend
from session_store.backends.values import SessionRef
from session_store.errors import StoreUnavailable
from session_store.keys import LATE_PART
from session_store.livekit.rooms.api_calls import LiveKitFailed
from session_store.livekit.rooms.dispatch import Dispatch, Errand
from session_store.livekit.rooms.rooms import GAVE_UP, Occupants
from session_store.livekit.worker.contact import Contact
from session_store.livekit.worker.dead_jobs import DeadJob, DeadJobs
from session_store.livekit.worker.dispatcher import Dispatcher
from session_store.livekit.worker.room_finder import RoomFinder
from session_store.livekit.worker.takeover import Takeover, TakeoverTasks
from session_store.models import SessionContent
from session_store.tasks import RateLimit, stop
from session_store.upkeep.sweeper import Sweeper
from tests.counted import Counted
from tests.unit.virtual_time import in_virtual_time, now_s

if TYPE_CHECKING:
    from collections.abc import Iterable

    from session_store import Event, Joined

LEASE_S = 3.0
CAUTION_S = 6.0
EXPECTED_S = 10.0
NAME = "assistant"


class Store(SessionStore):
    """A store in memory that can be away."""

    def __init__(self) -> None:
        keyring = Keyring(
            {"k": secrets.token_bytes(32)}, primary="k", pseudonym_key=secrets.token_bytes(32)
        )
        settings = StoreSettings(lease_s=LEASE_S, agent_expected_s=EXPECTED_S)
        super().__init__(MemoryBackend(settings, clock=lambda: round(now_s() * 1000)), keyring)
        self.is_away = False
        self.told: list[EventType] = []
        self.add_hook(self)

    def on_event(self, event: Event) -> None:
        """Note what happened."""
        self.told.append(event.type)

    async def ping(self) -> None:
        """Answer, if it is there."""
        if self.is_away:
            raise StoreUnavailable("away")

    async def claim_orphan(self, *args: Any, **kwargs: Any) -> AgentPresence:
        """Claim, if it is there."""
        await self.ping()
        return await super().claim_orphan(*args, **kwargs)


class Rooms:
    """Rooms that a test fills."""

    def __init__(self) -> None:
        self.there: dict[str, Occupants] = {}
        self.alive: set[str] = set()
        self.sent: list[Dispatch] = []
        self.removed: list[str] = []
        self.told: list[tuple[str, str]] = []
        self.pinged = 0
        self.is_away = False
        self.newest: str | None = None

    def fill(self, room: str, people: Iterable[str], agents: Iterable[str] = ()) -> None:
        """Set the participants of a room."""
        self.there[room] = Occupants({each: {} for each in people}, tuple(agents))

    async def look(self, room: str, agent_name: str) -> Occupants:
        """See ``LiveKitRooms.look``."""
        assert agent_name == NAME
        if self.is_away:
            raise LiveKitFailed(OSError("away"))
        return self.there.get(room, Occupants({}, ()))

    async def exists(self, room: str) -> bool:
        """See ``LiveKitRooms.exists``."""
        return room in self.there

    async def newest_dispatch(self, room: str, agent_name: str) -> str | None:
        """See ``LiveKitRooms.newest_dispatch``."""
        assert (room, agent_name) == (room, NAME)
        return self.newest

    async def any_answers(self, room: str, agents: Iterable[str]) -> bool:
        """See ``LiveKitRooms.any_answers``."""
        assert room
        asked = list(agents)
        if asked:
            self.pinged += 1
            await asyncio.sleep(0.1)
        return any(agent in self.alive for agent in asked)

    async def bring(self, dispatch: Dispatch, there: Occupants, *, within_s: float) -> bool:
        """See ``LiveKitRooms.bring``."""
        assert within_s == EXPECTED_S
        self.removed.extend(there.agents)
        self.sent.append(dispatch)
        return True

    async def clear(self, room: str, there: Occupants) -> None:
        """See ``LiveKitRooms.clear``."""
        assert room
        self.removed.extend(there.agents)

    async def tell_people(self, room: str, there: Occupants, agent: str) -> None:
        """See ``LiveKitRooms.tell_people``."""
        self.told += [(each, agent) for each in there.people]
        assert room


class World:
    """A store, rooms, and one watcher."""

    def __init__(self, *, per_s: float = 100.0, contact_s: float = 100.0) -> None:
        self.store = Store()
        self.rooms = Rooms()
        self.contact = Contact(1e9, now=now_s)
        self.contact.heard()
        self.contact._since = now_s() - contact_s
        self.counted = Counted()
        self.takeover, self.dead_jobs = self.watcher(per_s=per_s)
        self.joined: Joined
        self.owner = ""

    def watcher(self, *, per_s: float = 100.0) -> tuple[Takeover, DeadJobs]:
        """Make one more watcher."""
        rooms: Any = self.rooms
        finder = self.finder = RoomFinder(self.store, rooms, agent_name=NAME)
        dispatcher = Dispatcher(
            rooms,
            rate_limit=RateLimit(per_s, now=now_s),
            expected_s=EXPECTED_S,
            meter=self.counted.sink,
        )
        return (
            Takeover(self.store, finder, dispatcher, self.contact, caution_s=CAUTION_S),
            DeadJobs(self.store, rooms, finder, dispatcher),
        )

    async def talk(self, who: str = "maria", *, agents: Iterable[str] = ("agent-1",)) -> SessionRef:
        """Let a participant talk to an agent."""
        participant = self.store.pseudonym(who)
        self.owner = self.store.owner_of("worker", secrets.token_hex(4))
        self.joined = await self.store.join(participant, owner=self.owner)
        session = SessionRef(participant, self.joined.session.id)
        self.rooms.fill(session.session_id, [participant], agents)
        return session

    def dead(self, session: SessionRef) -> DeadJob:
        """Describe the job that joined last as one that died."""
        dispatch = Dispatch.for_session(*session, NAME)
        return DeadJob(self.owner, "agent-1", dispatch, "dispatch-1", session)

    async def sweep(self) -> list[SessionRef]:
        """Return what a sweep finds orphaned."""
        found: list[SessionRef] = []
        await Sweeper(self.store, on_orphan=found.append).sweep()
        return found


def test_a_dead_job_is_replaced_at_once() -> None:
    """Its lease, which would run on, is broken; its ghost goes; the same dispatch is made again."""

    async def scene() -> None:
        world = World()
        session = await world.talk()
        dead = world.dead(session)
        begun = now_s()
        await world.dead_jobs.replace(dead)
        assert now_s() == begun
        assert world.rooms.removed == ["agent-1"]
        assert world.rooms.sent == [dead.dispatch]
        assert world.rooms.pinged == 0
        assert EventType.LEASE_LOST in world.store.told
        assert await world.store.claim_orphan(*session) is AgentPresence.EXPECTED

    in_virtual_time(scene())


def test_a_job_that_ended_with_nobody_there_is_not_replaced() -> None:
    """Its participant counts as having left; no agent is sent."""

    async def scene() -> None:
        world = World()
        session = await world.talk()
        world.rooms.fill(session.session_id, [])
        await world.dead_jobs.replace(world.dead(session))
        assert world.rooms.sent == []
        loaded = await world.store.load(*session)
        assert loaded is not None
        assert loaded.session.state == "away"

    in_virtual_time(scene())


def test_a_job_that_ended_in_order_leaves_nothing_to_do() -> None:
    """Left, released, and ended: a look, and no event."""

    async def scene() -> None:
        world = World()
        session = await world.talk()
        await world.store.leave(world.joined.lease)
        await world.store.release(world.joined.lease)
        world.rooms.fill(session.session_id, [])
        told = len(world.store.told)
        await world.dead_jobs.replace(world.dead(session))
        assert world.rooms.sent == []
        assert len(world.store.told) == told

    in_virtual_time(scene())


def test_a_job_that_ended_in_order_with_somebody_there_is_replaced() -> None:
    """A participant in the room waits for an agent, however the last one went."""

    async def scene() -> None:
        world = World()
        session = await world.talk()
        await world.store.release(world.joined.lease)
        await world.dead_jobs.replace(world.dead(session))
        assert len(world.rooms.sent) == 1

    in_virtual_time(scene())


def test_a_job_whose_conversation_another_has_is_not_replaced() -> None:
    """A job that lost its lease to a successor leaves without consequences."""

    async def scene() -> None:
        world = World()
        session = await world.talk()
        dead = world.dead(session)
        await world.store.release(world.joined.lease)
        await world.talk(agents=["agent-2"])
        await world.dead_jobs.replace(dead)
        assert world.rooms.sent == []
        assert world.rooms.removed == []

    in_virtual_time(scene())


@pytest.mark.parametrize("away", ["rooms", "store"])
def test_a_dead_job_is_remembered_while_nothing_answers(away: str) -> None:
    """It is replaced when LiveKit is back; and without the store too, a second later."""

    async def scene() -> None:
        world = World()
        session = await world.talk()
        broken: Any = getattr(world, away)
        broken.is_away = True
        task = asyncio.create_task(world.dead_jobs.replace(world.dead(session)))
        await asyncio.sleep(0.9)
        assert world.rooms.sent == []
        if away == "rooms":
            await asyncio.sleep(30)
            assert world.rooms.sent == []
            world.rooms.is_away = False
        await asyncio.sleep(2)
        assert len(world.rooms.sent) == 1
        assert task.done()

    in_virtual_time(scene())


def test_without_the_store_an_agent_is_sent_once_a_minute_at_most() -> None:
    """Deaths are not counted then; the next one is replaced when the store is back."""

    async def scene() -> None:
        world = World()
        session = await world.talk()
        world.store.is_away = True
        await world.dead_jobs.replace(world.dead(session))
        assert len(world.rooms.sent) == 1
        task = asyncio.create_task(world.dead_jobs.replace(world.dead(session)))
        await asyncio.sleep(20)
        assert len(world.rooms.sent) == 1
        world.store.is_away = False
        await task
        assert len(world.rooms.sent) == 2

    in_virtual_time(scene())


def test_a_lost_lease_is_taken_over_when_no_agent_answers() -> None:
    """The sweep finds it, the ping goes unanswered, the ghost is removed, an agent is sent."""

    async def scene() -> None:
        world = World()
        session = await world.talk()
        await asyncio.sleep(LEASE_S + 0.01)
        assert await world.sweep() == [session]
        await world.takeover.relieve(session)
        assert world.rooms.removed == ["agent-1"]
        assert world.rooms.sent == [Dispatch.for_session(*session, NAME)]

    in_virtual_time(scene())


def test_an_agent_that_answers_is_left_alone() -> None:
    """Cut off from the store alone, it goes on talking; it is asked again with each sweep."""

    async def scene() -> None:
        world = World()
        session = await world.talk(agents=["ghost", "agent-2"])
        world.rooms.alive.add("agent-2")
        for _ in range(5):
            await asyncio.sleep(LEASE_S + 0.01)
            assert await world.sweep() == [session]
            await world.takeover.relieve(session)
        assert world.rooms.pinged == 5
        assert world.rooms.sent == []
        assert world.rooms.removed == []
        await world.store.renew(world.joined.lease)

    in_virtual_time(scene())


def test_nobody_acts_without_long_contact() -> None:
    """A watcher that was away waits until it has been in contact for long, and looks again."""

    async def scene() -> None:
        world = World(contact_s=0.0)
        kept, lost = await world.talk("maria"), None
        lease = world.joined.lease
        lost = await world.talk("juan")
        await asyncio.sleep(LEASE_S + 0.01)
        assert set(await world.sweep()) == {kept, lost}
        begun = now_s()
        tasks = [asyncio.create_task(world.takeover.relieve(each)) for each in (kept, lost)]
        await asyncio.sleep(1)
        await world.store.renew(lease)
        while now_s() < begun + CAUTION_S - LEASE_S - 0.02:
            assert world.rooms.sent == []
            await world.store.renew(lease)
            await asyncio.sleep(0.5)
        await asyncio.gather(*tasks)
        assert world.rooms.pinged == 1
        assert world.rooms.sent == [Dispatch.for_session(*lost, NAME)]

    in_virtual_time(scene())


def test_two_watchers_send_one_agent() -> None:
    """The store gives the right to one of them."""

    async def scene() -> None:
        world = World()
        session = await world.talk()
        await asyncio.sleep(LEASE_S + 0.01)
        others = [world.watcher()[0] for _ in range(3)]
        await asyncio.gather(*(each.relieve(session) for each in (world.takeover, *others)))
        assert len(world.rooms.sent) == 1

    in_virtual_time(scene())


def test_a_lost_lease_with_nobody_there_ends_in_a_departure() -> None:
    """No agent is sent to an empty room; a participant back within a minute is still seen."""

    async def scene() -> None:
        world = World()
        session = await world.talk()
        world.rooms.fill(session.session_id, [])
        await asyncio.sleep(LEASE_S + 0.01)
        assert await world.sweep() == [session]
        await world.takeover.relieve(session)
        loaded = await world.store.load(*session)
        assert loaded is not None
        assert loaded.session.state == "away"
        await asyncio.sleep(2 * LEASE_S)
        assert await world.sweep() == [session]
        await world.takeover.relieve(session)
        assert world.rooms.sent == []
        world.rooms.fill(session.session_id, [session.participant])
        await asyncio.sleep(2 * LEASE_S)
        assert await world.sweep() == [session]
        await world.takeover.relieve(session)
        assert len(world.rooms.sent) == 1

    in_virtual_time(scene())


def test_an_agent_that_is_overdue_is_sent_again() -> None:
    """A dispatch that brought no agent is repeated, for ever, and counts as no death."""

    async def scene() -> None:
        world = World()
        participant = world.store.pseudonym("maria")
        opened = await world.store.open(participant, expect_agent=True)
        assert opened.agent is AgentPresence.WANTED
        session = SessionRef(participant, opened.session.id)
        world.rooms.fill(session.session_id, [participant])
        for number in range(1, 9):
            await asyncio.sleep(EXPECTED_S + 0.01)
            assert await world.sweep() == [session]
            await world.takeover.relieve(session)
            assert len(world.rooms.sent) == number
        assert world.rooms.told == []

    in_virtual_time(scene())


def test_an_agent_that_waits_for_its_participant_is_left_alone() -> None:
    """It has no lease yet, but it answers."""

    async def scene() -> None:
        world = World()
        participant = world.store.pseudonym("maria")
        opened = await world.store.open(participant, expect_agent=True)
        session = SessionRef(participant, opened.session.id)
        world.rooms.fill(session.session_id, [], ["agent-1"])
        world.rooms.alive.add("agent-1")
        await asyncio.sleep(EXPECTED_S + 0.01)
        assert await world.sweep() == [session]
        await world.takeover.relieve(session)
        assert world.rooms.sent == []
        assert world.rooms.removed == []

    in_virtual_time(scene())


def test_a_crash_loop_stops_and_the_page_is_told() -> None:
    """After three replacements within a minute none is sent, and none is looked for any more."""

    async def scene() -> None:
        world = World()
        session = await world.talk()
        for _ in range(4):
            await world.dead_jobs.replace(world.dead(session))
            if not world.rooms.told:
                await world.talk()
            await asyncio.sleep(1)
        assert len(world.rooms.sent) == 3
        assert world.rooms.told == [(session.participant, GAVE_UP)]
        assert world.rooms.removed == ["agent-1"] * 4
        await asyncio.sleep(20)
        assert await world.sweep() == []

    in_virtual_time(scene())


def test_a_mass_death_does_not_stampede() -> None:
    """Agents are sent one after another; a participant who left meanwhile is sent none."""

    async def scene() -> None:
        world = World(per_s=2.0)
        sessions = [await world.talk(f"person-{number}") for number in range(10)]
        await asyncio.sleep(LEASE_S + 0.01)
        begun = now_s()
        tasks = [asyncio.create_task(world.takeover.relieve(each)) for each in sessions]
        await asyncio.sleep(1.3)
        assert len(world.rooms.sent) == 4
        sent = {dispatch.room for dispatch in world.rooms.sent}
        gone = next(each for each in sessions if each.session_id not in sent)
        world.rooms.fill(gone.session_id, [])
        await asyncio.gather(*tasks)
        assert len(world.rooms.sent) == 9
        assert 4 <= now_s() - begun < 5

    in_virtual_time(scene())


def test_rooms_that_do_not_answer_leave_the_session_due() -> None:
    """The look fails with a log line; the next sweep brings the session again."""

    async def scene() -> None:
        world = World()
        session = await world.talk()
        await asyncio.sleep(LEASE_S + 0.01)
        world.rooms.is_away = True
        await world.sweep()
        await world.takeover.relieve(session)
        assert world.rooms.sent == []
        await asyncio.sleep(LEASE_S + 0.01)
        assert await world.sweep() == [session]
        world.rooms.is_away = False
        await world.takeover.relieve(session)
        assert len(world.rooms.sent) == 1

    in_virtual_time(scene())


@pytest.mark.parametrize("known", [True, False])
def test_a_job_that_others_dispatched_is_replaced_where_it_was(known: bool) -> None:  # noqa: FBT001
    """The session says in which room its job was; the name in the token leads to the session.

    ``known``: its own worker lives, and saw it die.
    """

    async def scene() -> None:
        world = World()
        session = await world.talk("maria")
        theirs = Dispatch("call-7", NAME, "theirs", {"plan": "gold"}, "blue")
        await world.store.update(
            world.joined.lease, lambda content: content.at(theirs.place("maria"))
        )
        bystander = await world.store.join(world.store.pseudonym("juan"))
        world.rooms.there.clear()
        world.rooms.fill("call-7", ["juan", "maria"], ["agent-1"])
        if known:
            dead = DeadJob(world.owner, "agent-1", theirs, "dispatch-1", None)
            await world.dead_jobs.replace(dead)
        else:
            await asyncio.sleep(LEASE_S + 0.01)
            await world.takeover.relieve(session)
        assert world.rooms.sent == [theirs.on(Errand(*session, identity="maria"))]
        assert world.rooms.removed == ["agent-1"]
        await world.store.renew(bystander.lease)

    in_virtual_time(scene())


def test_who_left_the_newest_room_is_looked_for_in_those_before() -> None:
    """Its agent there lives, but serves nobody: the other room gets the conversation."""

    async def scene() -> None:
        world = World()
        session = await world.talk("maria")
        first, second = (Dispatch(room, NAME, "theirs") for room in ("call-1", "call-2"))
        for dispatch in (first, second):
            place = dispatch.place("maria")
            await world.store.update(world.joined.lease, partial(SessionContent.at, place=place))
        world.rooms.there.clear()
        world.rooms.fill("call-2", [], ["agent-2"])
        world.rooms.fill("call-1", ["maria"], [])
        world.rooms.alive.add("agent-2")
        there = await world.finder.find(session)
        assert there.dispatch == first.on(Errand(*session, identity="maria"))
        world.rooms.fill("call-2", ["maria"], ["agent-2"])
        assert (await world.finder.find(session)).dispatch.room == "call-2"

    in_virtual_time(scene())


def test_a_session_of_another_agent_is_left_to_its_watchers() -> None:
    """Before its first job has joined, nobody else knows which agent to send."""

    async def scene() -> None:
        world = World()
        participant = world.store.pseudonym("maria")
        opened = await world.store.open(participant, expect_agent=True, scope="another agent")
        session = SessionRef(participant, opened.session.id)
        world.rooms.fill(session.session_id, [participant], [])
        there = await world.finder.find(session)
        assert (there.is_awaited, there.is_certain) == (False, False)
        await asyncio.sleep(EXPECTED_S + 0.01)
        await world.takeover.relieve(session, lease_ran_out=False)
        assert world.rooms.sent == []

    in_virtual_time(scene())


def test_an_agent_that_lives_is_not_thrown_out_for_a_dead_job() -> None:
    """Sent without the store, it talks already when the dead job's lease could be broken."""

    async def scene() -> None:
        world = World()
        session = await world.talk(agents=["agent-1", "agent-2"])
        world.rooms.alive.add("agent-2")
        await world.dead_jobs.replace(world.dead(session))
        assert world.rooms.removed == []
        assert world.rooms.sent == []
        world.rooms.alive.clear()
        await world.dead_jobs.replace(world.dead(session))
        assert world.rooms.removed == ["agent-1", "agent-2"]
        assert len(world.rooms.sent) == 1

    in_virtual_time(scene())


@pytest.mark.parametrize(("newest", "sent"), [("dispatch-1", 1), ("dispatch-2", 0), (None, 0)])
def test_a_job_that_died_before_its_join_is_replaced(newest: str | None, sent: int) -> None:
    """It is itself what the others expect; once, so that a job that cannot start does not spin."""

    async def scene() -> None:
        world = World()
        participant = world.store.pseudonym("maria")
        opened = await world.store.open(participant, expect_agent=True)
        session = SessionRef(participant, opened.session.id)
        world.rooms.fill(session.session_id, [participant], ["agent-1"])
        world.rooms.newest = newest
        for _ in range(3):
            await world.dead_jobs.replace(world.dead(session))
        assert len(world.rooms.sent) == sent

    in_virtual_time(scene())


def test_without_the_store_only_those_are_replaced_whom_the_dispatch_names() -> None:
    """An agent in the room of another program's dispatch may be anyone's."""

    async def scene() -> None:
        world = World()
        await world.talk()
        world.rooms.fill("call-7", ["juan"], ["agent-1"])
        world.store.is_away = True
        theirs = Dispatch("call-7", NAME, "theirs")
        dead = DeadJob(world.owner, "agent-1", theirs, "dispatch-1", None)
        task = asyncio.create_task(world.dead_jobs.replace(dead))
        await asyncio.sleep(20)
        assert world.rooms.sent == []
        await stop(task)

    in_virtual_time(scene())


def test_a_job_that_had_not_said_where_it_was_is_known_by_its_lease() -> None:
    """A job of another program's dispatch that dies at once is replaced all the same."""

    async def scene() -> None:
        world = World()
        await world.talk("maria")
        world.rooms.there.clear()
        world.rooms.fill("call-7", ["maria", "x" * 600], ["agent-1"])
        theirs = Dispatch("call-7", NAME, "theirs")
        for owner, sent in (("0" * 32, 0), (world.owner, 1)):
            await world.dead_jobs.replace(DeadJob(owner, "agent-1", theirs, "dispatch-1", None))
            assert len(world.rooms.sent) == sent

    in_virtual_time(scene())


def test_nobody_is_absent_from_a_room_that_nothing_tells_of() -> None:
    """Where a job was dispatched by others and did not say where it is, nothing is concluded."""

    async def scene() -> None:
        world = World()
        session = await world.talk()
        world.rooms.there.clear()
        await asyncio.sleep(LEASE_S + 0.01)
        await world.takeover.relieve(session)
        loaded = await world.store.load(*session)
        assert loaded is not None
        assert loaded.session.state == "live"

    in_virtual_time(scene())


class Watch:
    """A listener that hears of the sweep every half second."""

    def __init__(self, world: World) -> None:
        self.takeovers = TakeoverTasks(world.takeover, LEASE_S)
        self._sweeper = Sweeper(
            world.store,
            every_s=0.5,
            on_orphan=self.takeovers.relieve_orphan,
            on_overdue=self.takeovers.relieve_overdue,
            on_late=self.takeovers.be_ready_for,
        )

    async def run(self, for_s: float) -> None:
        """Watch for a while."""
        self._sweeper.start()
        await asyncio.sleep(for_s)
        await self._sweeper.aclose()
        await self.takeovers.aclose()


def test_an_overdue_agent_is_followed_by_another_without_long_contact() -> None:
    """No lease has run out that a stall could explain, so a watcher that just started acts."""

    async def scene() -> None:
        world = World(contact_s=0.0)
        session = await world.talk()
        world.rooms.fill(session.session_id, [session.participant])
        claimed = await world.store.claim_orphan(
            *session, owner=world.owner, idempotency_key=secrets.token_hex(16)
        )
        assert claimed is AgentPresence.WANTED
        watching = asyncio.create_task(Watch(world).run(for_s=EXPECTED_S + 1))
        await asyncio.sleep(EXPECTED_S - 0.1)
        assert world.rooms.sent == []
        await watching
        assert world.rooms.sent == [Dispatch.for_session(*session, NAME)]

    in_virtual_time(scene())


def test_an_agent_is_sent_as_soon_as_the_lease_has_run_out() -> None:
    """The agent was asked before that; a lease that was renewed late after all is left alone."""

    async def scene() -> None:
        world = World()
        lost = await world.talk("maria")
        await world.talk("juan")
        lease = world.joined.lease
        watch = asyncio.create_task(Watch(world).run(4 * LEASE_S))
        while not watch.done():
            await asyncio.sleep(LEASE_S * (1 - LATE_PART / 2))
            await world.store.renew(lease)
        assert [each.room for each in world.rooms.sent] == [lost.session_id]
        assert world.rooms.pinged > 2

    in_virtual_time(scene())


def test_being_asked_early_saves_the_time_that_a_ping_takes() -> None:
    """From the end of the lease until an agent is sent hardly any time passes."""

    async def scene() -> None:
        world = World()
        await world.talk()
        begun = now_s()
        watch = asyncio.create_task(Watch(world).run(2 * LEASE_S))
        while not world.rooms.sent:
            await asyncio.sleep(0.001)
        assert LEASE_S <= now_s() - begun < LEASE_S + 0.15
        await watch

    in_virtual_time(scene())


def test_who_has_had_no_contact_for_long_does_not_ask_early() -> None:
    """It waits for contact, like for every lost lease."""

    async def scene() -> None:
        world = World(contact_s=0.0)
        await world.talk()
        begun = now_s()
        watch = asyncio.create_task(Watch(world).run(3 * LEASE_S))
        while not world.rooms.sent:
            await asyncio.sleep(0.001)
        assert now_s() - begun >= CAUTION_S
        await watch

    in_virtual_time(scene())


def test_a_session_is_seen_to_once_at_a_time() -> None:
    """However often the sweep names it."""

    async def scene() -> None:
        world = World()
        session = await world.talk()
        await asyncio.sleep(LEASE_S + 0.01)
        takeovers = TakeoverTasks(world.takeover, LEASE_S)
        for _ in range(5):
            takeovers.relieve_orphan(session)
            takeovers.be_ready_for(session)
        await asyncio.sleep(1)
        assert world.rooms.pinged == 1
        assert len(world.rooms.sent) == 1
        takeovers.relieve_orphan(session)
        await takeovers.aclose()

    in_virtual_time(scene())
