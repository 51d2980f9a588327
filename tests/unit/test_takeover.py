"""Who is sent another agent, and who is not: a store in memory, a stand-in for LiveKit's rooms.

Time is virtual, for the store too. With a real LiveKit: ``tests/integration/test_takeover.py``.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from session_store import AgentPresence, EventType, Keyring, SessionStore, StoreSettings
from session_store.backends.base import DueSession
from session_store.backends.memory import MemoryBackend
from session_store.errors import StoreUnavailable
from session_store.livekit.contact import Contact
from session_store.livekit.rate import RateCap
from session_store.livekit.rooms import GAVE_UP, Dispatch, LiveKitFailed, Occupants
from session_store.livekit.takeover import DeadJob, Takeover
from session_store.models import Place
from session_store.sweeper import Sweeper
from tests.unit.virtual_time import in_virtual_time, now_s

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

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
        self.comes: Callable[[Dispatch], Coroutine[Any, Any, Any]] | None = None

    def fill(self, room: str, people: Iterable[str], agents: Iterable[str] = ()) -> None:
        """Say who is in a room."""
        self.there[room] = Occupants({each: {} for each in people}, tuple(agents))

    async def look(self, room: str, agent_name: str) -> Occupants:
        """See ``LiveKitRooms.look``."""
        assert agent_name == NAME
        if self.is_away:
            raise LiveKitFailed(OSError("away"))
        return self.there.get(room, Occupants({}, ()))

    async def any_answers(self, room: str, agents: Iterable[str]) -> bool:
        """See ``LiveKitRooms.any_answers``."""
        assert room
        self.pinged += 1
        await asyncio.sleep(0.1)
        return any(agent in self.alive for agent in agents)

    async def bring(self, dispatch: Dispatch, there: Occupants, *, within_s: float) -> bool:
        """See ``LiveKitRooms.bring``."""
        assert within_s == EXPECTED_S
        self.removed.extend(there.agents)
        self.sent.append(dispatch)
        if self.comes is not None:
            await self.comes(dispatch)
        return True

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
        self.takeover = self.watcher(per_s=per_s)
        self.joined: Joined
        self.owner = ""

    def watcher(self, *, per_s: float = 100.0) -> Takeover:
        """Make one more watcher."""
        rooms: Any = self.rooms
        return Takeover(
            self.store,
            rooms,
            agent_name=NAME,
            contact=self.contact,
            caution_s=CAUTION_S,
            cap=RateCap(per_s, now=now_s),
            expected_s=EXPECTED_S,
        )

    async def talk(self, who: str = "maria", *, agents: Iterable[str] = ("agent-1",)) -> DueSession:
        """Let somebody talk to an agent."""
        participant = self.store.pseudonym(who)
        self.owner = self.store.owner_of("worker", secrets.token_hex(4))
        self.joined = await self.store.join(participant, attempt=self.owner)
        session = DueSession(participant, self.joined.session.id)
        self.rooms.fill(session.session_id, [participant], agents)
        return session

    def dead(self, session: DueSession) -> DeadJob:
        """Describe the job that joined last as one that died."""
        return DeadJob(self.owner, Dispatch.for_session(*session, NAME), session)

    async def sweep(self) -> list[DueSession]:
        """Return what a sweep finds orphaned."""
        found: list[DueSession] = []
        await Sweeper(self.store, on_orphan=found.append).sweep()
        return found


def test_a_dead_job_is_replaced_at_once() -> None:
    """Its lease, which would run on, is broken; its ghost goes; the same dispatch is made again."""

    async def scene() -> None:
        world = World()
        session = await world.talk()
        dead = world.dead(session)
        begun = now_s()
        await world.takeover.replace(dead)
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
        await world.takeover.replace(world.dead(session))
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
        await world.takeover.replace(world.dead(session))
        assert world.rooms.sent == []
        assert len(world.store.told) == told

    in_virtual_time(scene())


def test_a_job_that_ended_in_order_with_somebody_there_is_replaced() -> None:
    """Whoever is in the room waits for an agent, however the last one went."""

    async def scene() -> None:
        world = World()
        session = await world.talk()
        await world.store.release(world.joined.lease)
        await world.takeover.replace(world.dead(session))
        assert len(world.rooms.sent) == 1

    in_virtual_time(scene())


def test_a_job_whose_conversation_another_has_is_not_replaced() -> None:
    """Who lost its lease to a successor leaves without consequences."""

    async def scene() -> None:
        world = World()
        session = await world.talk()
        dead = world.dead(session)
        await world.store.release(world.joined.lease)
        await world.talk(agents=["agent-2"])
        await world.takeover.replace(dead)
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
        task = asyncio.create_task(world.takeover.replace(world.dead(session)))
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
    """Nobody counts deaths then; the next one is replaced when the store is back."""

    async def scene() -> None:
        world = World()
        session = await world.talk()
        world.store.is_away = True
        await world.takeover.replace(world.dead(session))
        assert len(world.rooms.sent) == 1
        task = asyncio.create_task(world.takeover.replace(world.dead(session)))
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
        others = [world.watcher() for _ in range(3)]
        await asyncio.gather(*(each.relieve(session) for each in (world.takeover, *others)))
        assert len(world.rooms.sent) == 1

    in_virtual_time(scene())


def test_a_lost_lease_with_nobody_there_ends_in_a_departure() -> None:
    """No agent is sent to an empty room, and the sweep has done with it."""

    async def scene() -> None:
        world = World()
        session = await world.talk()
        world.rooms.fill(session.session_id, [])
        await asyncio.sleep(LEASE_S + 0.01)
        assert await world.sweep() == [session]
        await world.takeover.relieve(session)
        await asyncio.sleep(2 * LEASE_S)
        assert await world.sweep() == []
        assert world.rooms.sent == []
        loaded = await world.store.load(*session)
        assert loaded is not None
        assert loaded.session.state == "away"

    in_virtual_time(scene())


def test_an_agent_that_is_overdue_is_sent_again() -> None:
    """A dispatch that brought nobody is repeated, for ever, and counts as no death."""

    async def scene() -> None:
        world = World()
        participant = world.store.pseudonym("maria")
        opened = await world.store.open(participant, expect_agent=True)
        assert opened.agent is AgentPresence.WANTED
        session = DueSession(participant, opened.session.id)
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
        session = DueSession(participant, opened.session.id)
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
            await world.takeover.replace(world.dead(session))
            if not world.rooms.told:
                await world.talk()
            await asyncio.sleep(1)
        assert len(world.rooms.sent) == 3
        assert world.rooms.told == [(session.participant, GAVE_UP)]
        await asyncio.sleep(20)
        assert await world.sweep() == []

    in_virtual_time(scene())


def test_a_mass_death_does_not_stampede() -> None:
    """Agents are sent one after another; who left meanwhile is sent none."""

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
        place = Place(room="call-7", agent_name=NAME, metadata="theirs")
        await world.store.update(
            world.joined.lease, lambda content: content.model_copy(update={"place": place})
        )
        bystander = await world.store.join(world.store.pseudonym("juan"))
        world.rooms.there.clear()
        world.rooms.fill("call-7", ["juan", "maria"], ["agent-1"])
        theirs = Dispatch("call-7", NAME, "theirs")
        if known:
            await world.takeover.replace(DeadJob(world.owner, theirs, None))
        else:
            await asyncio.sleep(LEASE_S + 0.01)
            await world.takeover.relieve(session)
        assert world.rooms.sent == [theirs]
        assert world.rooms.removed == ["agent-1"]
        await world.store.renew(bystander.lease)

    in_virtual_time(scene())
