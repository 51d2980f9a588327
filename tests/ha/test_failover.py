"""Failovers in the middle of a thousand appends: a primary dies, or only stops."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from dev.rig.servers.process import Server
from session_store import SessionStore, Turn
from session_store.errors import NotReplicated
from session_store.events import Event
from session_store.keys import KeySpace
from session_store.tasks import stop
from tests.ha.conversation import AGAIN_WITHIN_S, MAX_TURNS, Conversation, patiently

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from dev.rig.servers.cluster import ClusterSet
    from dev.rig.servers.sentinels import SentinelSet
    from session_store import StoreSettings

    Settings = Callable[..., StoreSettings]
    Fault = Callable[[Server], None]

TURNS = 1000
BEFORE = 300
"""Turns recorded when it happens; the others come during the failover, and after it."""
JUNK_BYTES = 32 * 1024 * 1024
"""More than sockets hold: what a primary writes behind it does not leave it."""
HASTY = {"max_turns": MAX_TURNS, "redis_timeout_s": 1.0, "replica_timeout_s": 0.5}

FAULTS = pytest.mark.parametrize("fault", [Server.kill, Server.pause], ids=["killed", "paused"])
_numbers = itertools.count()


def somebody() -> str:
    """Return a person whom no other test knows."""
    return f"person {next(_numbers)}"


def some_with_one_primary(group: ClusterSet, settings: StoreSettings) -> tuple[Server, list[str]]:
    """Find three people whom the same primary of a Cluster serves."""
    pseudonym = SessionStore.from_settings(settings).pseudonym
    found: dict[Server, list[str]] = {}
    while max(map(len, found.values()), default=0) < 3:
        person = somebody()
        key = KeySpace().participant(pseudonym(person)).data_key
        found.setdefault(group.primary_of(key), []).append(person)
    return max(found.items(), key=lambda each: len(each[1]))


def replicated(settings: StoreSettings, replicas: int) -> StoreSettings:
    """Ask so many replicas for each turn."""
    return settings.model_copy(update={"durability": "replicated", "replicas_asked": replicas})


class Failover:
    """Three conversations with one primary, and what happens to it.

    The first one counts a turn as saved when the primary has it, the others when all replicas
    have it too. The third one's job dies with the primary, and sends nothing again.
    """

    def __init__(self, settings: StoreSettings, replicas: int) -> None:
        self._settings = settings
        self._replicated = replicated(settings, replicas)

    async def run(
        self, people: Sequence[str], *, fault: Callable[[], None], heal: Callable[[], None]
    ) -> None:
        """Record, let it happen in the middle, heal, and compare what is kept."""
        living = await Conversation.begin(self._settings, people[0])
        safe = await Conversation.begin(self._replicated, people[1])
        dying = await Conversation.begin(self._replicated, people[2])
        everybody = (living, safe, dying)
        async with self._listening():
            await asyncio.gather(*(each.talk(BEFORE) for each in everybody))
            assert all(each.acknowledged for each in everybody)
            dying.say()
            await asyncio.to_thread(fault)
            await dying.die()

            promised = len(safe.acknowledged)
            await asyncio.gather(*(each.talk(TURNS - BEFORE) for each in (living, safe)))
            await living.end()
            assert len(safe.acknowledged) == promised, "with a replica missing nothing is promised"
            await asyncio.to_thread(heal)
            await safe.end()

        for each in everybody:
            await each.check_kept(self._settings, complete=each is not dying)
        assert {seq for seq, _ in living.acknowledged} == set(range(1, TURNS + 1))
        # What all replicas have no failover takes back, so nothing was said to be saved twice.
        assert [seq for seq, _ in safe.acknowledged] == list(range(1, TURNS + 1))

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        """Events are heard across the failover: after it, others come in than before it."""
        store = SessionStore.from_settings(self._settings)
        heard: set[str] = set()
        listening = asyncio.Event()

        async def listen() -> None:
            async for event in store.events():
                listening.set()
                if isinstance(event, Event):
                    heard.add(event.participant)

        ear = asyncio.create_task(listen())
        try:
            await listening.wait()
            yield
            async with asyncio.timeout(AGAIN_WITHIN_S):
                joined: set[str] = set()
                while not joined & heard:
                    who = store.pseudonym(somebody())
                    await store.join(who)
                    joined.add(who)
                    await asyncio.sleep(0.1)
        finally:
            await stop(ear)
            await store.aclose()


@FAULTS
async def test_a_failover_with_sentinels_keeps_every_turn(
    sentinels: SentinelSet, settings_for: Settings, fault: Fault
) -> None:
    """The sentinels promote a replica: nothing acknowledged is lost, all is there once."""
    primary = sentinels.primary()
    failover = Failover(settings_for(sentinels.url, **HASTY), replicas=2)
    people = [somebody() for _ in range(3)]
    await failover.run(people, fault=lambda: fault(primary), heal=sentinels.heal)
    assert sentinels.primary() is not primary


@FAULTS
async def test_a_failover_in_a_cluster_keeps_every_turn(
    clustered: ClusterSet, settings_for: Settings, fault: Fault
) -> None:
    """The nodes promote a replica: nothing acknowledged is lost, all is there once."""
    settings = settings_for(clustered.url, **HASTY)
    primary, people = some_with_one_primary(clustered, settings)
    failover = Failover(settings, replicas=1)
    await failover.run(people, fault=lambda: fault(primary), heal=clustered.heal)
    assert primary not in clustered.primaries()


async def lose_the_newest(
    settings: StoreSettings,
    replicas: Sequence[Server],
    primary: Server,
    people: Sequence[str],
    heal: Callable[[], None],
) -> None:
    """Let a primary die with turns that it acknowledged and no replica has."""
    living = await Conversation.begin(settings, people[0])
    safe = await Conversation.begin(replicated(settings, len(replicas)), people[1])
    for each in (living, safe):
        await each.talk(20)
        assert await each.recorder.flush(5)
    for replica in replicas:
        replica.pause()
    with primary.client() as client:
        client.set(f"{living.key}:junk", b"0" * JUNK_BYTES)
    for each in (living, safe):
        await each.talk(50)
    assert await living.recorder.flush(5)
    assert len(living.acknowledged) == 70
    primary.kill()
    for replica in replicas:
        replica.resume()

    living.say()
    await living.end()
    assert len(safe.acknowledged) == 20
    await asyncio.to_thread(heal)
    await safe.end()

    for each in (living, safe):
        await each.check_kept(settings)
    assert [seq for seq, _ in safe.acknowledged] == list(range(1, 71))
    again = [seq for seq, _ in living.acknowledged[70:]]
    assert again == list(range(21, 72)), "the failover took the newest ones; they were sent again"


async def test_what_sentinels_took_back_is_sent_again(
    sentinels: SentinelSet, settings_for: Settings
) -> None:
    """Turns that only the dead primary had are resent by the job that lives, each once."""
    primary = sentinels.primary()
    replicas = [server for server in sentinels.servers if server is not primary]
    people = [somebody(), somebody()]
    settings = settings_for(sentinels.url, **HASTY)
    await lose_the_newest(settings, replicas, primary, people, sentinels.heal)


async def test_what_a_cluster_took_back_is_sent_again(
    clustered: ClusterSet, settings_for: Settings
) -> None:
    """Turns that only the dead primary had are resent by the job that lives, each once."""
    settings = settings_for(clustered.url, **HASTY)
    primary, people = some_with_one_primary(clustered, settings)
    replicas = [server for server in clustered.servers if server.follows() == primary.port]
    assert len(replicas) == 1
    await lose_the_newest(settings, replicas, primary, people, clustered.heal)


async def test_a_primary_that_wakes_after_its_successor_promises_nothing(
    sentinels: SentinelSet, settings_for: Settings
) -> None:
    """It still takes writes on old connections: only durability by replicas is safe from that."""
    settings = settings_for(sentinels.url, **HASTY)
    living = await Conversation.begin(settings, somebody())
    safe = await Conversation.begin(replicated(settings, 2), somebody())
    for each in (living, safe):
        await each.talk(20)
        assert await each.recorder.flush(5)
    old = sentinels.primary()
    old.pause()
    new = await asyncio.to_thread(sentinels.primary)
    assert new is not old
    old.resume()

    for each in (living, safe):
        each.say()
    assert await living.recorder.flush(1), "the old primary says yes"
    assert not await safe.recorder.flush(1)
    await asyncio.to_thread(sentinels.heal)
    living.say()
    await living.end()
    await safe.end()
    for each in (living, safe):
        await each.check_kept(settings)
    assert [seq for seq, _ in safe.acknowledged] == list(range(1, 22))
    assert [seq for seq, _ in living.acknowledged[20:]] == [21, 21, 22]


async def test_a_turn_that_no_replica_has_is_not_saved_however_often_it_is_asked(
    sentinels: SentinelSet, settings_for: Settings
) -> None:
    """Sent again, on the same connection or on another one, it still does not count as saved."""
    settings = settings_for(sentinels.url, **HASTY | {"replica_timeout_s": 0.1})
    store, another = (SessionStore.from_settings(replicated(settings, 2)) for _ in range(2))
    joined = await store.join(store.pseudonym(somebody()))
    turn = Turn(id="t1", role="user", text="sentence 1", created_at=1)
    sealed = [store.seal(joined.lease, turn)]
    primary = sentinels.primary()
    replicas = [server for server in sentinels.servers if server is not primary]
    for replica in replicas:
        replica.pause()
    for each in (store, store, another):
        with pytest.raises(NotReplicated) as refused:
            await each.append(joined.lease, sealed)
        assert (refused.value.asked, refused.value.answered) == (2, 0)
    replicas[0].resume()
    with pytest.raises(NotReplicated) as refused:
        await another.append(joined.lease, sealed)
    assert refused.value.answered == 1
    replicas[1].resume()
    assert await patiently(lambda: another.append(joined.lease, sealed)) == 1
    for each in (store, another):
        await each.aclose()
