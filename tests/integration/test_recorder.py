"""The recorder and the content writer, on a real Redis that goes away and comes back."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from dev.rig.net import NET_S
from dev.rig.servers.process import QUICK, Server, running
from session_store import LeaseKeeper, LeaseLost, Recorder, SessionGone, SessionStoreError, Turn
from session_store.errors import CircuitOpen
from session_store.writing.content_writer import ContentWriter
from tests.integration.test_store import age, commands

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from session_store import Lease, SealedTurn, SessionContent, SessionStore

RETRY_S = 0.1


class Heard:
    """What a recorder called back."""

    def __init__(self) -> None:
        self.saved: list[int] = []
        self.lost: list[SessionStoreError] = []

    def on_saved(self, turns: Sequence[SealedTurn]) -> None:
        """Note acknowledged turns."""
        self.saved.extend(each.seq for each in turns)

    def on_lost(self, error: SessionStoreError) -> None:
        """Note the end."""
        self.lost.append(error)


def turn(number: int) -> Turn:
    """Make the user's turn number ``number``."""
    return Turn(id=f"t{number}", role="user", text=f"sentence {number}", created_at=number)


async def away(raw: Any) -> None:
    """Make Redis refuse all clients for now, as a Redis that is loading does."""
    await raw.config_set("maxmemory-policy", "noeviction")
    await raw.config_set("maxmemory", "1")


async def back(raw: Any) -> None:
    """Undo ``away``."""
    await raw.config_set("maxmemory", "0")


async def test_turns_are_saved_in_order_and_acknowledged(store: SessionStore) -> None:
    """Every turn gets its number at once, and its acknowledgement when it is in."""
    who = store.pseudonym("maria")
    joined, heard = await store.join(who), Heard()
    recorder = Recorder(store, joined.lease, on_saved=heard.on_saved, on_lost=heard.on_lost)
    assert [recorder.record(turn(n)).seq for n in range(1, 151)] == list(range(1, 151))
    assert await recorder.flush(NET_S)
    assert heard.saved == list(range(1, 151))
    loaded = await store.load(who, joined.session.id)
    assert loaded is not None
    assert [each.turn.id for each in loaded.turns] == [f"t{n}" for n in range(51, 151)]
    await recorder.aclose()


async def test_turns_wait_for_a_store_that_is_away(store: SessionStore, raw: Any) -> None:
    """While Redis refuses, recording goes on; when it is back, all turns arrive once, in order."""
    who = store.pseudonym("maria")
    joined, heard = await store.join(who), Heard()
    recorder = Recorder(store, joined.lease, on_saved=heard.on_saved, on_lost=heard.on_lost)
    content = ContentWriter(store, joined.lease, recorder)
    await away(raw)
    for number in range(1, 6):
        recorder.record(turn(number))
    content.change(lambda before: before.model_copy(update={"language": "fr"}))
    assert not await recorder.flush(0.3)
    assert recorder.waiting == 5
    assert heard.saved == []
    assert content.content.language == "fr"

    await back(raw)

    assert await recorder.flush(NET_S)
    assert await content.flush(NET_S)
    loaded = await store.load(who, joined.session.id)
    assert loaded is not None
    assert [each.turn for each in loaded.turns] == [turn(n) for n in range(1, 6)]
    assert loaded.session.content.language == "fr"
    await recorder.aclose()
    await content.aclose()


async def test_turns_that_a_failover_lost_are_sent_again(store: SessionStore, raw: Any) -> None:
    """When the store has gone back in time, what is missing is resent before what is new."""
    who = store.pseudonym("maria")
    joined, heard = await store.join(who), Heard()
    recorder = Recorder(store, joined.lease, on_saved=heard.on_saved, on_lost=heard.on_lost)
    recorder.record(turn(1))
    assert await recorder.flush(NET_S)
    earlier = {key: await raw.dump(key) for key in await raw.keys()}
    for number in (2, 3):
        recorder.record(turn(number))
    assert await recorder.flush(NET_S)
    for key, value in earlier.items():
        await raw.restore(key, 60_000, value, replace=True)

    recorder.record(turn(4))

    assert await recorder.flush(NET_S)
    loaded = await store.load(who, joined.session.id)
    assert loaded is not None
    assert [each.turn.id for each in loaded.turns] == ["t1", "t2", "t3", "t4"]
    await recorder.aclose()


async def test_a_recorder_stops_when_its_lease_is_lost(store: SessionStore, raw: Any) -> None:
    """After a takeover nothing more is written, and the conversation is told once."""
    who = store.pseudonym("maria")
    joined, heard = await store.join(who), Heard()
    recorder = Recorder(store, joined.lease, on_saved=heard.on_saved, on_lost=heard.on_lost)
    await age(raw, store, "maria", joined.session.id, 5)
    successor = await store.join(who)
    recorder.record(turn(1))
    assert not await recorder.flush(5)
    recorder.record(turn(2))
    assert [type(error) for error in heard.lost] == [LeaseLost]
    assert (await store.load(who, successor.session.id)).turns == ()  # type: ignore[union-attr]
    await recorder.aclose()


async def test_a_lease_is_kept_as_long_as_nobody_takes_it(store: SessionStore, raw: Any) -> None:
    """The keeper renews an expired lease too, and tells when it was taken or erased."""
    who = store.pseudonym("maria")
    joined, heard = await store.join(who), Heard()
    keeper = LeaseKeeper(store, joined.lease.ref, every_s=0.02, on_lost=heard.on_lost)
    keeper.start()
    await age(raw, store, "maria", joined.session.id, 60)
    await asyncio.sleep(0.1)
    assert heard.lost == []
    await store.erase(who)
    async with asyncio.timeout(NET_S):
        while not heard.lost:
            await asyncio.sleep(0.01)
    assert isinstance(heard.lost[0], SessionGone)
    await keeper.aclose()


async def test_the_newest_content_wins(store: SessionStore) -> None:
    """Many changes at once become few writes, and the last one is kept."""
    who = store.pseudonym("maria")
    joined = await store.join(who)
    content = ContentWriter(store, joined.lease, Recorder(store, joined.lease))

    def titled(title: str) -> Any:
        def change(before: SessionContent) -> SessionContent:
            return before.model_copy(update={"title": title})

        return change

    for number in range(50):
        content.change(titled(str(number)))
    assert await content.flush(NET_S)
    loaded = await store.load(who, joined.session.id)
    assert loaded is not None
    assert loaded.session.content.title == "49"
    assert loaded.session.version < 10
    await content.aclose()


async def stored(store: SessionStore, lease: Lease) -> list[str]:
    """Return the ids of the turns that the store has."""
    loaded = await store.load(lease.participant, lease.session_id)
    assert loaded is not None
    return [each.turn.id for each in loaded.turns]


async def test_what_sixteen_tasks_record_shares_its_round_trips(
    store: SessionStore, raw: Any
) -> None:
    """Each of them waits for its own turn; all that are recorded at once are one append."""
    joined = await store.join(store.pseudonym("maria"))
    recorder = Recorder(store, joined.lease)

    async def speak(who: int) -> None:
        for number in range(6):
            assert await recorder.saved(recorder.record(turn(who * 100 + number)).seq, 10)

    before = await commands(raw, "evalsha")
    await asyncio.gather(*map(speak, range(16)))
    assert await commands(raw, "evalsha") - before <= 2 * 6
    assert len(await stored(store, joined.lease)) == 96
    await recorder.aclose()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Run a Redis that this test may pause and kill."""
    process = Server(tmp_path / "redis", *QUICK)
    with running(process):
        yield process


@pytest.fixture
def own_store(make_store: Callable[..., SessionStore], server: Server) -> SessionStore:
    """Return a store in that Redis."""
    return make_store(
        redis_url=f"redis://{server.name}/0", redis_timeout_s=0.5, redis_retry_s=RETRY_S
    )


async def test_a_pause_of_redis_costs_the_conversation_nothing(
    own_store: SessionStore, server: Server
) -> None:
    """While Redis hangs, no turn waits for it; all arrive once after."""
    joined, heard = await own_store.join(own_store.pseudonym("maria")), Heard()
    recorder = Recorder(own_store, joined.lease, on_saved=heard.on_saved, on_lost=heard.on_lost)
    server.pause()
    paused_at, cost_s = time.perf_counter(), 0.0
    for number in range(1, 61):
        began = time.perf_counter()
        recorder.record(turn(number))
        cost_s += time.perf_counter() - began
        await asyncio.sleep(0.05)
    assert recorder.waiting == 60
    # One turn that waited for a time-out of Redis would take a sixth of the pause.
    assert cost_s < (time.perf_counter() - paused_at) / 10
    server.resume()
    assert await recorder.flush(NET_S)
    assert heard.saved == list(range(1, 61))
    assert heard.lost == []
    assert await stored(own_store, joined.lease) == [f"t{n}" for n in range(1, 61)]
    await recorder.aclose()


async def test_while_redis_is_away_nobody_but_a_probe_asks_for_it(
    own_store: SessionStore, server: Server
) -> None:
    """With the circuit open, five hundred turns make no connection, and a call fails at once."""
    joined = await own_store.join(own_store.pseudonym("maria"))
    recorder = Recorder(own_store, joined.lease)
    server.kill()
    recorder.record(turn(0))
    circuit_opened = False
    async with asyncio.timeout(NET_S):
        while not circuit_opened:
            try:
                await own_store.renew(joined.lease.ref)
            except CircuitOpen:
                circuit_opened = True
            except SessionStoreError:
                await asyncio.sleep(0.01)
    asked = 0

    def count(_: Any, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        writer.close()

    port = int(server.name.partition(":")[2])
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with await asyncio.start_server(count, "127.0.0.1", port):
        for number in range(1, 501):
            recorder.record(turn(number))
            await asyncio.sleep(0.002)
        elapsed_s = loop.time() - began
    assert recorder.waiting == 501
    # The probe's pause grows; more than one connection may belong to a look.
    assert asked <= 2 * (1 + elapsed_s / RETRY_S)
    await recorder.aclose()


async def test_a_turn_that_no_replica_has_is_not_saved(
    make_store: Callable[..., SessionStore], server: Server, tmp_path: Path
) -> None:
    """The primary alone is not enough where replicas are asked; then one comes, and it is."""
    store = make_store(
        redis_url=f"redis://{server.name}/0",
        redis_retry_s=RETRY_S,
        durability="replicated",
        replica_timeout_s=0.1,
    )
    joined, heard = await store.join(store.pseudonym("maria")), Heard()
    recorder = Recorder(store, joined.lease, on_saved=heard.on_saved, on_lost=heard.on_lost)
    seq = recorder.record(turn(1)).seq
    assert not await recorder.saved(seq, 0.5)
    assert await stored(store, joined.lease) == ["t1"]
    assert (recorder.waiting, heard.saved) == (1, [])
    replica = Server(tmp_path / "replica", *QUICK, "--replicaof", *server.name.split(":"))
    with running(replica):
        assert await recorder.saved(seq, 20)
        recorder.record(turn(2))
        assert await recorder.flush(20)
    assert (heard.saved, heard.lost) == ([1, 2], [])
    assert await stored(store, joined.lease) == ["t1", "t2"]
    await recorder.aclose()


async def test_a_redis_that_lost_everything_ends_the_recorder(
    own_store: SessionStore, server: Server
) -> None:
    """Started again empty, it has no session to write to: that is told, and nothing waits."""
    joined, heard = await own_store.join(own_store.pseudonym("maria")), Heard()
    recorder = Recorder(own_store, joined.lease, on_saved=heard.on_saved, on_lost=heard.on_lost)
    server.kill()
    seq = recorder.record(turn(1)).seq
    server.revive()
    assert not await recorder.saved(seq, 20)
    assert [type(error) for error in heard.lost] == [SessionGone]
    assert recorder.unsaved() == ()
    await recorder.aclose()
