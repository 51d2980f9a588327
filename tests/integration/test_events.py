"""Events: each once and in order, losses told, and nothing about a person in them."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from pydantic import SecretStr

from dev.rig.net import NET_S
from dev.rig.servers.process import standalone
from session_store import SessionStore, StoreSettings, Turn
from session_store.backends.redis import listen
from session_store.backends.redis.backend import transport_options
from session_store.backends.transport import transport
from session_store.errors import LoginRefused, PermissionMissing
from session_store.events import Event, EventsMissed, EventType
from session_store.keys import KeySpace

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
    from pathlib import Path

    from redis.asyncio import Redis

    from dev.rig.servers.process import Server
    from session_store.backends.transport.topology import Topology

ALLOWED = {"v", "type", "at", "participant", "session_id", "seq", "turns", "visit_ms"}


def topology_of(settings: StoreSettings) -> Topology:
    """Return the topology that a store with these settings uses."""
    return transport.topology_of(transport_options(settings))


class Heard:
    """A stream that is being read in the background."""

    def __init__(self, stream: AsyncGenerator[Event | EventsMissed, None]) -> None:
        self.stream = stream
        self.items: list[Event | EventsMissed] = []
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async with aclosing(self.stream):
            async for item in self.stream:
                self.items.append(item)

    @property
    def types(self) -> list[str]:
        """What was heard, in order."""
        return [item.type.value if isinstance(item, Event) else "missed" for item in self.items]

    async def until(self, condition: Callable[[list[str]], bool]) -> list[str]:
        """Wait until what was heard is as it should be."""
        async with asyncio.timeout(NET_S):
            while not condition(self.types):
                if self.task.done():
                    self.task.result()
                await asyncio.sleep(0.005)
        return self.types


@asynccontextmanager
async def listening(store: SessionStore) -> AsyncIterator[Heard]:
    """Read a store's events, from the moment it listens to the end of the block."""
    heard = Heard(store.events())
    try:
        await heard.until(lambda types: types == ["missed"])
        yield heard
    finally:
        heard.task.cancel()
        await asyncio.gather(heard.task, return_exceptions=True)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask a quiet connection sooner, so that a test need not wait."""
    monkeypatch.setattr(listen, "QUIET_S", 0.1)
    monkeypatch.setattr(listen, "ANSWER_S", 0.3)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Server]:
    """Run a Redis that a test may stop."""
    with standalone(tmp_path / "redis") as server:
        yield server


async def age(raw: Redis, participant: str, session_id: str, by_s: float) -> None:
    """Make a session older, by Redis's clock."""
    keys = KeySpace().participant(participant)
    key = keys.session(session_id)
    times = ("last_seen", "lease_until", "window_until", "arrived_at", "joined_at", "agent_by")
    for name in times:
        value = int(await raw.hget(key, name) or 0)
        if value:
            await raw.hset(key, name, str(round(value - by_s * 1000)))
    await raw.zincrby(keys.due, -by_s * 1000, f"{participant}:{session_id}")


def turn(n: int) -> Turn:
    """Return a turn that says something private."""
    return Turn(id=f"t{n}", role="user", text="my name is Maria Moreno", created_at=float(n))


async def test_the_life_of_a_session_is_heard_once_and_in_order(
    make_store: Callable[..., SessionStore], raw: Any
) -> None:
    """Every type of event comes once, in the order of what happened, to another process."""
    store = make_store(publish_turns=True, lease_s=0.2, lease_renew_s=0.05)
    who = store.pseudonym("maria")
    async with listening(make_store()) as heard:
        first = await store.join(who, load_id="load-1")
        session_id = first.session.id
        await store.append(first.lease, [store.seal(first.lease, turn(1))])
        await store.leave(first.lease)
        await store.arrive(first.lease, load_id="load-2")
        await store.release(first.lease)
        second = await store.join(who, load_id="load-2")
        await age(raw, who, session_id, 60)
        await store.claim_orphan(who, session_id)
        third = await store.join(who, load_id="load-2")
        await store.leave(third.lease)
        await age(raw, who, session_id, 3600)
        await store._backend.settle(who, session_id)
        await store.delete(who, session_id)
        await store.open(who)
        await store.erase(who)
        expected = [
            "missed",
            "session_created",
            "turn_appended",
            "participant_left",
            "session_resumed",
            "handoff",
            "lease_lost",
            "takeover",
            "participant_left",
            "session_ended",
            "erased",
            "session_created",
            "erased",
        ]
        types = await heard.until(lambda types: len(types) >= len(expected))

    assert types == expected
    assert set(types) - {"missed"} == {each.value for each in EventType}
    events = [item for item in heard.items if isinstance(item, Event)]
    assert {event.participant for event in events} == {who}
    assert [event.at for event in events] == sorted(event.at for event in events)
    assert events[1].turns == events[1].seq == 1
    assert events[-1].session_id == ""
    assert second.session.id == third.session.id == session_id


async def test_events_hold_nothing_about_a_person(
    make_store: Callable[..., SessionStore], raw: Any
) -> None:
    """What is on the wire is ids, times and counts; no identity, load id, title or word."""
    store = make_store(publish_turns=True)
    who = store.pseudonym("maria@example.org")
    async with raw.pubsub() as channel:
        await channel.subscribe(KeySpace().events)
        await channel.get_message(timeout=NET_S)
        joined = await store.join(who, load_id="secret-load")
        await store.append(joined.lease, [store.seal(joined.lease, turn(1))])
        await store.update(
            joined.lease,
            lambda content: content.model_copy(
                update={"identity": "maria@example.org", "title": "Moreno", "language": "es"}
            ),
        )
        await store.leave(joined.lease)
        await store.close(who, joined.session.id)
        await store.erase(who)
        payloads = []
        while (message := await channel.get_message(timeout=0.3)) is not None:
            payloads.append(message["data"])

    assert len(payloads) == 5
    for payload in payloads:
        fields = orjson.loads(payload)
        assert set(fields) <= ALLOWED
        for name, value in fields.items():
            assert isinstance(value, int) or value in {
                *EventType,
                who,
                joined.session.id,
                "",
            }, name


async def test_turns_are_published_only_where_that_is_switched_on(
    make_store: Callable[..., SessionStore],
) -> None:
    """By default an append publishes nothing; hooks of the same process hear of it all the same."""
    store = make_store()
    told: list[Event] = []

    class Sink:
        def on_event(self, event: Event) -> None:
            told.append(event)

    store.add_hook(Sink())
    who = store.pseudonym("maria")
    async with listening(make_store()) as heard:
        joined = await store.join(who)
        await store.append(joined.lease, [store.seal(joined.lease, turn(1))])
        await store.leave(joined.lease)
        types = await heard.until(lambda types: "participant_left" in types)

    assert types == ["missed", "session_created", "participant_left"]
    assert [event.type for event in told] == [
        "session_created",
        "turn_appended",
        "participant_left",
    ]


async def test_a_hook_hears_what_the_channel_carries(
    make_store: Callable[..., SessionStore],
) -> None:
    """What the process that acts tells its hooks is what Redis publishes, field by field."""
    store = make_store(publish_turns=True)
    told: list[Event] = []

    class Sink:
        def on_event(self, event: Event) -> None:
            told.append(event)

    store.add_hook(Sink())
    who = store.pseudonym("maria")
    async with listening(make_store()) as heard:
        joined = await store.join(who)
        await store.append(joined.lease, [store.seal(joined.lease, turn(n)) for n in (1, 2)])
        await store.leave(joined.lease)
        await store.erase(who)
        await heard.until(lambda types: types[-1] == "erased")

    assert [event.model_copy(update={"at": 0}) for event in told] == [
        item.model_copy(update={"at": 0}) for item in heard.items if isinstance(item, Event)
    ]


async def test_unknown_events_are_left_out(store: SessionStore, raw: Any) -> None:
    """A newer publisher, or a stranger on the channel, does not stop a reader."""
    known = Event(type=EventType.SESSION_ENDED, at=1, participant="p", session_id="s")
    async with listening(store) as heard:
        for payload in (
            b"\xff\xfe",
            b"not json",
            b"[]",
            b'{"v":2,"type":"session_ended","at":1,"participant":"p"}',
            b'{"v":1,"type":"session_moved","at":1,"participant":"p"}',
            b'{"v":1,"type":"session_ended","at":"soon","participant":"p"}',
            known.model_dump_json().replace('"v"', '"colour":"red","v"').encode(),
        ):
            await raw.publish(KeySpace().events, payload)
        await heard.until(lambda types: len(types) > 1)

    assert heard.items[1:] == [known]


async def test_a_killed_subscriber_says_that_it_missed_some(store: SessionStore, raw: Any) -> None:
    """After CLIENT KILL the stream says so, goes on by itself, and hears what comes next."""
    async with listening(store) as heard:
        for expected in (["missed"] * 2, ["missed"] * 3):
            assert await raw.client_kill_filter(_type="pubsub") == 1
            await heard.until(expected.__eq__)
        await store.open(store.pseudonym("maria"))
        types = await heard.until(lambda types: types[-1] != "missed")

    assert types == ["missed"] * 3 + ["session_created"]


async def test_a_restart_of_redis_is_survived(
    make_store: Callable[..., SessionStore], own_redis: Server
) -> None:
    """While Redis is away nothing is yielded; once it is back: some were missed, and on it goes."""
    store = make_store(redis_url=f"redis://{own_redis.name}/0")
    async with listening(store) as heard:
        own_redis.kill()
        await asyncio.sleep(0.3)
        assert heard.types == ["missed"]
        await asyncio.to_thread(own_redis.revive)
        await heard.until(lambda types: types == ["missed", "missed"])
        with own_redis.client() as client:
            event = Event(type=EventType.ERASED, at=1, participant="p")
            client.publish(KeySpace().events, event.model_dump_json())
        types = await heard.until(lambda types: len(types) > 2)

    assert types == ["missed", "missed", "erased"]


@pytest.mark.usefixtures("impatient")
async def test_a_connection_that_is_dead_without_a_word_is_noticed(
    make_store: Callable[..., SessionStore], own_redis: Server
) -> None:
    """A server that stalls for longer than a PING may take counts as lost, though TCP holds."""
    store = make_store(redis_url=f"redis://{own_redis.name}/0")
    async with listening(store) as heard:
        own_redis.pause()
        await asyncio.sleep(1.0)
        own_redis.resume()
        types = await heard.until(lambda types: types.count("missed") == 2)

    assert set(types) == {"missed"}


@pytest.mark.usefixtures("impatient")
async def test_a_quiet_connection_stays(store: SessionStore, raw: Any) -> None:
    """Silence alone is no loss: an idle stream keeps its connection and tells of no gap."""
    async with listening(store) as heard:
        (before,) = await raw.client_list(_type="pubsub")
        await asyncio.sleep(1.0)
        (after,) = await raw.client_list(_type="pubsub")

    assert heard.types == ["missed"]
    assert before["id"] == after["id"]


@pytest.mark.usefixtures("impatient")
async def test_a_listener_moves_with_the_primaries(
    settings: StoreSettings, raw: Any, own_redis: Server
) -> None:
    """Where others found that Redis is elsewhere now, a connection that still lives is left."""
    old = topology_of(settings)
    new = topology_of(
        settings.model_copy(update={"redis_url": SecretStr(f"redis://{own_redis.name}")})
    )

    class Moving:
        """Is where ``at`` is."""

        at = old

        def __getattr__(self, name: str) -> Any:
            return getattr(self.at, name)

    topology: Any = Moving()
    stream = listen.listen(topology, KeySpace().events)
    async with asyncio.timeout(NET_S), aclosing(stream):
        assert await anext(stream) is None
        topology.at = new
        assert await anext(stream) is None
        await raw.publish(KeySpace().events, "from the old one")
        with own_redis.client() as client:
            client.publish(KeySpace().events, "from the new one")
        assert await anext(stream) == b"from the new one"


async def test_a_slow_reader_costs_bounded_memory(settings: StoreSettings, raw: Any) -> None:
    """Where more wait than may, they become one gap; what comes after it is heard."""
    stream = listen.listen(topology_of(settings), KeySpace().events, limit=10)
    async with asyncio.timeout(NET_S), aclosing(stream):
        assert await anext(stream) is None
        for n in range(25):
            await raw.publish(KeySpace().events, str(n))
        await raw.publish(KeySpace().events, "last")
        heard: list[bytes | None] = []
        while not heard or heard[-1] != b"last":
            # The reader is at work on each for a moment.
            await asyncio.sleep(0.01)
            heard.append(await anext(stream))

    assert heard.count(None) >= 1
    assert len(heard) <= 2 * 10 + 2
    kept = [int(each) for each in heard[:-1] if each is not None]
    assert kept == sorted(kept)


async def test_closing_leaves_nothing_behind(store: SessionStore, raw: Any) -> None:
    """A closed or cancelled stream has no task, and no connection in Redis."""
    before = asyncio.all_tasks()
    async with listening(store):
        assert len(await raw.client_list(_type="pubsub")) == 1
    stream = store.events()
    await anext(stream)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await stream.aclose()

    async with asyncio.timeout(NET_S):
        while await raw.client_list(_type="pubsub"):
            await asyncio.sleep(0.01)
    assert asyncio.all_tasks() - before == set()


async def test_closing_in_the_middle_of_a_ping_does_not_hang(
    settings: StoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the stream is doing at that moment, being cancelled ends it."""
    monkeypatch.setattr(listen, "QUIET_S", 0.01)
    moments = random.Random(1)  # noqa: S311 (no secret)
    for _ in range(60):
        stream = listen.listen(topology_of(settings), KeySpace().events)
        await anext(stream)
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(moments.uniform(0.008, 0.014))
        waiting.cancel()
        done, _ = await asyncio.wait({waiting}, timeout=NET_S)
        assert done
        await stream.aclose()


async def test_who_may_not_listen_is_told(
    make_store: Callable[..., SessionStore], raw: Any, redis_port: int
) -> None:
    """A user without the channel, or with a wrong password, gets an error instead of silence."""
    await raw.execute_command("ACL", "SETUSER", "deaf", "on", ">pw", "~*", "resetchannels", "+@all")
    try:
        for password, error in (("pw", PermissionMissing), ("wrong", LoginRefused)):
            store = make_store(redis_url=f"redis://deaf:{password}@127.0.0.1:{redis_port}/0")
            stream = store.events()
            async with asyncio.timeout(NET_S):
                with pytest.raises(error):
                    await anext(stream)
    finally:
        await raw.execute_command("ACL", "DELUSER", "deaf")
