"""The transport, on a real Redis: batches, scripts that are unknown, losses, refusals, replicas."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from dev.rig.net import NET_S
from session_store import LeaseHeld, LeaseLost, StoreSettings
from session_store.backends.redis.backend import transport_options
from session_store.backends.transport import wire
from session_store.backends.transport.transport import Transport
from session_store.errors import (
    CircuitOpen,
    InvalidValue,
    LoginRefused,
    NotReplicated,
    PermissionMissing,
    StoreFull,
    StoreLoading,
    StoreReadOnly,
    StoreRefused,
    StoreUnavailable,
)
from tests.integration.test_store import append, commands, turn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from session_store import SessionStore
    from session_store.backends.transport.call import Call


def transport_of(settings: StoreSettings) -> Transport:
    """Return a transport as the Redis backend makes it."""
    return Transport(transport_options(settings))


@pytest.fixture
async def transport(settings: StoreSettings) -> AsyncIterator[Transport]:
    """Return a transport to the test's Redis."""
    made = transport_of(settings)
    yield made
    await made.aclose()


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note how many calls go out in each write."""
    sizes: list[int] = []
    send = wire.Wire.send

    def noting(self: wire.Wire, calls: Sequence[Call]) -> None:
        sizes.append(len(calls))
        send(self, calls)

    monkeypatch.setattr(wire.Wire, "send", noting)
    return sizes


@contextlib.asynccontextmanager
async def server(answer: Callable[[bytes], bytes | None]) -> AsyncIterator[int]:
    """Listen on a port of loopback; ``None`` as an answer closes the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                said = answer(data)
                if said is None:
                    break
                writer.write(said)
                await writer.drain()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()


async def test_calls_of_one_tick_are_one_write(transport: Transport, batches: list[int]) -> None:
    """What is asked for at once goes out together, and each caller gets its own answer."""
    await transport.execute("k", "SET", "k", "x")
    batches.clear()
    replies = await asyncio.gather(
        *(transport.execute("k", "ECHO", f"{number}") for number in range(100)),
        transport.execute("k", "LPUSH", "k", "y"),
        return_exceptions=True,
    )
    assert batches == [101]
    assert replies[:100] == [f"{number}".encode() for number in range(100)]
    assert isinstance(replies[100], StoreRefused)
    assert "WRONGTYPE" in str(replies[100])


async def test_calls_made_meanwhile_form_the_next_batch(
    transport: Transport, batches: list[int]
) -> None:
    """Sixteen that call again and again cost about as many writes as one does."""

    async def call_often() -> None:
        for _ in range(50):
            await transport.execute("k", "PING")

    await asyncio.gather(*(call_often() for _ in range(16)))
    assert sum(batches) == 16 * 50
    assert len(batches) < 16 * 50 / 4


async def test_a_slow_batch_does_not_hold_up_others(transport: Transport, raw: Any) -> None:
    """While one call waits in Redis, others are answered on another connection."""
    await transport.execute("k", "PING")
    slow = asyncio.create_task(transport.execute("k", "BLPOP", "nothing", "1"))
    await asyncio.sleep(0.02)
    assert await transport.execute("k", "PING") == b"PONG"
    assert not slow.done()
    await raw.rpush("nothing", "x")
    assert await slow == [b"nothing", b"x"]


async def test_a_redis_that_forgot_the_scripts_is_told_again(store: SessionStore, raw: Any) -> None:
    """After SCRIPT FLUSH, as on a promoted replica, many calls at once all succeed."""
    joined = [await store.join(store.pseudonym(f"p{number}")) for number in range(8)]
    await raw.script_flush()
    await asyncio.gather(*(append(store, each, turn(1)) for each in joined))
    for each in joined:
        loaded = await store.load(each.session.participant, each.session.id)
        assert loaded is not None
        assert len(loaded.turns) == 1


async def test_a_connection_that_redis_closed_is_replaced(store: SessionStore, raw: Any) -> None:
    """Killed connections cost no caller an error, and no turn is there twice."""
    joined = await store.join(store.pseudonym("maria"))
    for number in range(1, 6):
        await raw.client_kill_filter(_type="normal", skipme=True)
        await append(store, joined, turn(number))
    loaded = await store.load(joined.session.participant, joined.session.id)
    assert loaded is not None
    assert [each.seq for each in loaded.turns] == [1, 2, 3, 4, 5]


async def test_a_redis_that_is_away_costs_nothing(settings: StoreSettings) -> None:
    """After the first call that found no server, others fail without asking; then it is back."""
    asked = 0
    is_there = False

    def answer(data: bytes) -> bytes | None:
        nonlocal asked
        asked += 1
        return b"+PONG\r\n" * data.count(b"PING") if is_there else None

    async with server(answer) as port:
        transport = transport_of(
            StoreSettings.model_validate(
                {
                    **settings.model_dump(),
                    "redis_url": f"redis://127.0.0.1:{port}",
                    "redis_retry_s": 0.05,
                }
            )
        )
        with pytest.raises(StoreUnavailable):
            await transport.execute("k", "PING")
        before = asked
        for _ in range(100):
            with pytest.raises(CircuitOpen):
                await transport.execute("k", "PING")
        assert asked == before
        is_there = True
        async with asyncio.timeout(NET_S):
            while True:
                with contextlib.suppress(CircuitOpen):
                    if await transport.execute("k", "PING") == b"PONG":
                        break
                await asyncio.sleep(0.01)
        await transport.aclose()


async def test_failing_at_once_takes_less_than_a_millisecond(settings: StoreSettings) -> None:
    """A call while the circuit is open takes less than a thousandth of the time-out: no wait."""
    with socket.socket() as silent:
        # Listens and never accepts: connections hang, as to a machine that is off.
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        port = silent.getsockname()[1]
        transport = transport_of(
            StoreSettings.model_validate(
                {
                    **settings.model_dump(),
                    "redis_url": f"redis://127.0.0.1:{port}",
                    "redis_timeout_s": 0.5,
                    "redis_retry_s": 5,
                }
            )
        )
        started = time.perf_counter()
        with pytest.raises(StoreUnavailable):
            await transport.execute("k", "PING")
        first_s = time.perf_counter() - started
        times = []
        for _ in range(200):
            started = time.perf_counter()
            with pytest.raises(CircuitOpen):
                await transport.execute("k", "PING")
            times.append(time.perf_counter() - started)
        assert sorted(times)[100] < first_s / 500
        await transport.aclose()


async def test_a_silent_redis_is_given_up_in_time(settings: StoreSettings) -> None:
    """Where the login is answered and nothing else, every caller gets an error after the bound."""
    async with server(lambda _: b"") as port:
        transport = transport_of(
            StoreSettings.model_validate(
                {
                    **settings.model_dump(),
                    "redis_url": f"redis://127.0.0.1:{port}",
                    "redis_timeout_s": 0.1,
                }
            )
        )
        calls = [transport.execute("k", "PING") for _ in range(20)]
        async with asyncio.timeout(NET_S):
            replies = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(reply) for reply in replies} == {StoreUnavailable}
        await transport.aclose()


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"-LOADING Redis is loading the dataset in memory\r\n", StoreLoading),
        (b"-NOAUTH Authentication required.\r\n", LoginRefused),
        (b"-MASTERDOWN Link with MASTER is down.\r\n", StoreLoading),
        (b"-NOREPLICAS Not enough good replicas to write.\r\n", StoreReadOnly),
        (b"-MISCONF Redis is configured to save RDB snapshots\r\n", StoreRefused),
    ],
)
async def test_what_redis_refuses_has_a_name(
    settings: StoreSettings, said: bytes, error: type[Exception]
) -> None:
    """Each kind of refusal is an error of its own."""
    async with server(lambda _: said) as port:
        transport = transport_of(
            StoreSettings.model_validate(
                {**settings.model_dump(), "redis_url": f"redis://127.0.0.1:{port}"}
            )
        )
        with pytest.raises(error) as refused:
            await transport.execute("k", "PING")
        assert type(refused.value) is error
        await transport.aclose()


async def test_a_bad_argument_fails_its_caller_alone(transport: Transport) -> None:
    """What cannot be sent is refused before it can harm the others of its tick."""
    replies = await asyncio.gather(
        transport.execute("k", "ECHO", "good"),
        transport.execute("k", "ECHO", "\ud800"),
        transport.execute("k", "ECHO", "good too"),
        return_exceptions=True,
    )
    assert replies[0] == b"good"
    assert isinstance(replies[1], InvalidValue)
    assert replies[2] == b"good too"


async def test_a_caller_that_gave_up_disturbs_nobody(transport: Transport) -> None:
    """A cancelled call's reply is thrown away, and the next ones get their own."""
    await transport.execute("k", "PING")
    given_up = asyncio.create_task(transport.execute("k", "ECHO", "mine"))
    await asyncio.sleep(0)
    given_up.cancel()
    replies = await asyncio.gather(*(transport.execute("k", "ECHO", f"{n}") for n in range(10)))
    assert replies == [f"{n}".encode() for n in range(10)]


async def test_closing_answers_those_who_wait(settings: StoreSettings) -> None:
    """No call waits for ever on a store that was closed."""
    transport = transport_of(settings)
    await transport.execute("k", "PING")
    waiting = asyncio.create_task(transport.execute("k", "BLPOP", "nothing", "0"))
    await asyncio.sleep(0.02)
    await transport.aclose()
    with pytest.raises(StoreUnavailable):
        await waiting


async def test_a_full_redis_says_so(store: SessionStore, raw: Any) -> None:
    """At maxmemory a write is refused with its own error, changes nothing, and reading goes on."""
    joined = await store.join(store.pseudonym("maria"))
    await append(store, joined, turn(1))
    await raw.config_set("maxmemory", "1")
    try:
        with pytest.raises(StoreFull, match="maxmemory"):
            await append(store, joined, turn(2))
    finally:
        await raw.config_set("maxmemory", "0")
    loaded = await store.load(joined.session.participant, joined.session.id)
    assert loaded is not None
    assert len(loaded.turns) == 1


async def test_a_replica_says_that_it_is_one(
    store: SessionStore, raw: Any, redis_port: int
) -> None:
    """A write to a read-only Redis is refused with its own error."""
    await store.join(store.pseudonym("maria"))
    # Of itself: it is never in sync, which is not needed here.
    await raw.execute_command("REPLICAOF", "127.0.0.1", str(redis_port))
    try:
        with pytest.raises(StoreReadOnly, match="primary"):
            await store.join(store.pseudonym("joe"))
    finally:
        await raw.execute_command("REPLICAOF", "NO", "ONE")


async def test_a_wrong_password_is_named(make_store: Any, redis_port: int) -> None:
    """A login that Redis refuses is its own error; the message does not repeat the password."""
    store = make_store(redis_url=f"redis://nobody:hunter2@127.0.0.1:{redis_port}/0")
    with pytest.raises(LoginRefused) as refused:
        await store.ping()
    assert "hunter2" not in str(refused.value)
    assert "REJOIN_REDIS_URL" in str(refused.value)


async def test_a_missing_permission_is_named(make_store: Any, raw: Any, redis_port: int) -> None:
    """An ACL user that lacks a command gets an error that points to the rules."""
    await raw.execute_command(
        "ACL", "SETUSER", "narrow", "on", ">pw", "~rj1:*", "&*", "+evalsha", "+eval", "+hget"
    )
    store = make_store(redis_url=f"redis://narrow:pw@127.0.0.1:{redis_port}/0")
    try:
        with pytest.raises(PermissionMissing, match=r"users\.acl"):
            await store.join(store.pseudonym("maria"))
    finally:
        await raw.execute_command("ACL", "DELUSER", "narrow")
    assert await raw.keys() == []


async def test_a_turn_that_no_replica_has_is_not_saved(make_store: Any, raw: Any) -> None:
    """With ``replicated`` and no replica, an append is unknown, also when repeated."""
    store = make_store(durability="replicated", replica_timeout_s=0.05)
    plain = make_store()
    joined = await store.join(store.pseudonym("maria"))
    sealed = store.seal(joined.lease, turn(1))
    for _ in range(2):
        with pytest.raises(NotReplicated):
            await store.append(joined.lease, [sealed])
    assert joined.lease.saved_seq == 0
    loaded = await plain.load(joined.session.participant, joined.session.id)
    assert len(loaded.turns) == 1
    assert await commands(raw, "wait") == 2


async def test_other_errors_of_a_batch_are_their_callers(store: SessionStore) -> None:
    """A refusal of one operation leaves the others of the same tick as they are."""
    first = await store.join(store.pseudonym("maria"))
    replies = await asyncio.gather(
        store.join(store.pseudonym("maria")),
        append(store, first, turn(1)),
        store.load(first.session.participant, first.session.id),
        return_exceptions=True,
    )
    assert isinstance(replies[0], LeaseHeld)
    assert replies[1] == 1


async def test_what_is_no_redis_is_named(settings: StoreSettings) -> None:
    """A port of something else is an error like any other that is no answer."""
    async with server(lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        transport = transport_of(
            StoreSettings.model_validate(
                {**settings.model_dump(), "redis_url": f"redis://127.0.0.1:{port}"}
            )
        )
        with pytest.raises(StoreUnavailable):
            await transport.execute("k", "PING")
        await transport.aclose()


def test_a_store_works_in_a_second_event_loop(settings: StoreSettings) -> None:
    """Two runs of asyncio.run with the same store are fine: each has its own connections."""
    transport = transport_of(settings)

    async def use(*, last: bool) -> bytes:
        async with asyncio.timeout(NET_S):
            pong: bytes = await transport.execute("k", "PING")
            for route in () if last else transport._routes.values():
                await route.aclose()
            if last:
                await transport.aclose()
            return pong

    assert asyncio.run(use(last=False)) == b"PONG"
    assert asyncio.run(use(last=True)) == b"PONG"


async def test_a_refusal_ends_the_probing(settings: StoreSettings) -> None:
    """A Redis that comes back and wants a password is not called away any more."""
    is_there = False

    def answer(_: bytes) -> bytes | None:
        return b"-NOAUTH Authentication required.\r\n" if is_there else None

    async with server(answer) as port, asyncio.timeout(NET_S):
        transport = transport_of(
            StoreSettings.model_validate(
                {
                    **settings.model_dump(),
                    "redis_url": f"redis://127.0.0.1:{port}",
                    "redis_retry_s": 0.05,
                }
            )
        )
        with pytest.raises(StoreUnavailable):
            await transport.execute("k", "PING")
        is_there = True
        error: Exception = CircuitOpen("")
        while isinstance(error, CircuitOpen):
            await asyncio.sleep(0.01)
            with pytest.raises((CircuitOpen, LoginRefused)) as refused:
                await transport.execute("k", "PING")
            error = refused.value
        assert isinstance(error, LoginRefused)
        await transport.aclose()


async def test_nobody_is_stuck_behind_a_stalled_connection(settings: StoreSettings) -> None:
    """Where one connection stalls and no other can be made, every caller is told in time."""
    stalled = False

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if not stalled:
                    writer.write(b"+PONG\r\n" * data.count(b"PING"))
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    transport = transport_of(
        StoreSettings.model_validate(
            {
                **settings.model_dump(),
                "redis_url": f"redis://127.0.0.1:{port}",
                "redis_timeout_s": 0.3,
            }
        )
    )
    await transport.execute("k", "PING")
    stalled = True
    listening.close()

    async def call(delay_s: float) -> Exception | None:
        await asyncio.sleep(delay_s)
        with pytest.raises(StoreUnavailable) as refused:
            await transport.execute("k", "PING")
        return refused.value

    async with asyncio.timeout(NET_S):
        told = await asyncio.gather(*(call(delay_s) for delay_s in (0, 0.02, 0.05, 0.1)))
    assert len(told) == 4
    await transport.aclose()


async def test_a_large_reply_on_its_way_is_an_answer(settings: StoreSettings) -> None:
    """A reply that takes longer than the time-out, but keeps coming, arrives."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(b"$200\r\n")
        for _ in range(20):
            writer.write(b"x" * 10)
            await writer.drain()
            await asyncio.sleep(0.03)
        writer.write(b"\r\n")
        await reader.read(65536)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    transport = transport_of(
        StoreSettings.model_validate(
            {
                **settings.model_dump(),
                "redis_url": f"redis://127.0.0.1:{port}",
                "redis_timeout_s": 0.3,
            }
        )
    )
    assert await transport.execute("k", "GET", "k") == b"x" * 200
    await transport.aclose()
    listening.close()


async def test_a_login_that_redis_quotes_is_cut(settings: StoreSettings) -> None:
    """A server that does not know AUTH repeats the password; our error does not."""
    said = b"-ERR unknown command `AUTH`, with args beginning with: `bob`, `swordfish`, \r\n"
    async with server(lambda _: said) as port:
        transport = transport_of(
            StoreSettings.model_validate(
                {
                    **settings.model_dump(),
                    "redis_url": f"redis://bob:swordfish@127.0.0.1:{port}",
                }
            )
        )
        with pytest.raises(StoreRefused) as refused:
            await transport.execute("k", "PING")
        told = "".join(traceback.format_exception(refused.value))
        assert "swordfish" not in told
        await transport.aclose()


async def test_a_refusal_needs_no_replica(make_store: Any) -> None:
    """With ``replicated`` and no replica, a stale writer still hears that it is one."""
    store = make_store(durability="replicated", replica_timeout_s=0.05)
    joined = await store.join(store.pseudonym("maria"))
    sealed = store.seal(joined.lease, turn(1))
    await make_store().close(joined.session.participant, joined.session.id)
    with pytest.raises(LeaseLost):
        await store.append(joined.lease, [sealed])
