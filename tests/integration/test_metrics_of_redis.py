"""Calls to Redis as they are counted: how long they take, how they fail, whether they are sent."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from dev.rig.programs import until
from session_store import SessionStore, StoreSettings
from session_store.errors import (
    CircuitOpen,
    LeaseHeld,
    LoginRefused,
    NotReplicated,
    SessionStoreError,
    StoreUnavailable,
)
from tests.counted import Counted
from tests.integration.test_store import append, turn
from tests.integration.test_transport import server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KINDS = ("timeout", "connection", "refused", "moved", "circuit_open", "not_replicated")


def errors(counted: Counted) -> dict[str, float]:
    """Return how many calls failed, by kind; without kinds of which there were none."""
    values = {kind: counted.value("rejoin_redis_errors_total", kind=kind) for kind in KINDS}
    return {kind: value for kind, value in values.items() if value}


def calls(counted: Counted, operation: str) -> float:
    """Return how many calls of a script were timed."""
    return counted.value("rejoin_redis_call_seconds_count", operation=operation) or 0


@asynccontextmanager
async def counting(
    settings: StoreSettings, **changed: Any
) -> AsyncIterator[tuple[SessionStore, Counted]]:
    """Make a store with settings changed at will, and count what it does."""
    counted = Counted()
    changed_settings = StoreSettings.model_validate({**settings.model_dump(), **changed})
    store = SessionStore.from_settings(changed_settings)
    store.measure(counted.sink)
    try:
        yield store, counted
    finally:
        await store.aclose()


async def test_each_script_is_timed_under_its_name(settings: StoreSettings) -> None:
    """An append is one call, and no error."""
    async with counting(settings) as (store, counted):
        joined = await store.join(store.pseudonym("maria"))
        await append(store, joined, turn(1), turn(2))
        assert (calls(counted, "join"), calls(counted, "append")) == (1, 1)
        assert errors(counted) == {}
        seconds = counted.value("rejoin_redis_call_seconds_sum", operation="append")
        assert seconds is not None
        assert 0 < seconds <= (counted.value("rejoin_append_seconds_sum") or 0)


async def test_a_refused_lease_is_an_answer_and_no_error_of_redis(settings: StoreSettings) -> None:
    """What a script refuses was decided by it: Redis did what it was asked to."""
    async with counting(settings) as (store, counted):
        maria = store.pseudonym("maria")
        held = (await store.join(maria)).session.id
        with pytest.raises(LeaseHeld):
            await store.join(maria, session_id=held)
        assert calls(counted, "join") == 2
        assert errors(counted) == {}


async def test_a_redis_that_is_away_opens_the_circuit_until_it_is_back(
    settings: StoreSettings,
) -> None:
    """The first call found no server, the others were not sent; the gauge says for how long."""
    is_there = False

    def answer(data: bytes) -> bytes | None:
        return b"+PONG\r\n" * data.count(b"PING") if is_there else None

    async with (
        server(answer) as port,
        counting(settings, redis_url=f"redis://127.0.0.1:{port}", redis_retry_s=0.05) as (
            store,
            counted,
        ),
    ):
        assert counted.value("rejoin_redis_circuit_open") == 0
        with pytest.raises(StoreUnavailable):
            await store.join(store.pseudonym("maria"))
        assert counted.value("rejoin_redis_circuit_open") == 1
        for _ in range(5):
            with pytest.raises(CircuitOpen):
                await store.join(store.pseudonym("maria"))
        assert errors(counted) == {"connection": 1, "circuit_open": 5}
        assert calls(counted, "join") == 1
        is_there = True
        await until(lambda: counted.value("rejoin_redis_circuit_open") == 0, "it is back")


async def test_a_store_that_is_closed_has_no_open_circuit(settings: StoreSettings) -> None:
    """A conversation that ends in an outage leaves no alarm behind in a process that goes on."""
    async with server(lambda _: None) as port:
        async with counting(settings, redis_url=f"redis://127.0.0.1:{port}") as (store, counted):
            with pytest.raises(StoreUnavailable):
                await store.ping()
            assert counted.value("rejoin_redis_circuit_open") == 1
        await asyncio.sleep(0)
        assert counted.value("rejoin_redis_circuit_open") == 0


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (b"-LOADING Redis is loading the dataset in memory\r\n", "refused"),
        (b"-OOM command not allowed when used memory > 'maxmemory'.\r\n", "refused"),
        (b"-NOPERM this user has no permissions\r\n", "refused"),
        (b"-READONLY You can't write against a read only replica.\r\n", "moved"),
        (b"", "timeout"),
    ],
)
async def test_an_error_is_counted_by_its_kind(
    settings: StoreSettings, said: bytes, kind: str
) -> None:
    """What Redis says, or that it says nothing, decides; its words are not looked at."""

    def answer(data: bytes) -> bytes:
        return said if b"EVALSHA" in data else b"+OK\r\n" * data.count(b"*")

    async with (
        server(answer) as port,
        counting(settings, redis_url=f"redis://127.0.0.1:{port}", redis_timeout_s=0.3) as (
            store,
            counted,
        ),
    ):
        with pytest.raises(SessionStoreError):
            await store.join(store.pseudonym("maria"))
        assert set(errors(counted)) == {kind}


async def test_a_wrong_password_is_a_refusal(settings: StoreSettings, redis_port: int) -> None:
    """Already where it connects."""
    url = f"redis://nobody:wrong@127.0.0.1:{redis_port}/0"
    async with counting(settings, redis_url=url) as (store, counted):
        with pytest.raises(LoginRefused):
            await store.ping()
        assert errors(counted) == {"refused": 1}


async def test_a_turn_that_no_replica_has_is_counted(settings: StoreSettings) -> None:
    """The primary answered, and too few others did."""
    async with counting(settings, durability="replicated", replica_timeout_s=0.05) as (
        store,
        counted,
    ):
        joined = await store.join(store.pseudonym("maria"))
        with contextlib.suppress(NotReplicated):
            await append(store, joined, turn(1))
        assert errors(counted) == {"not_replicated": 1}
        assert counted.value("rejoin_append_seconds_count") == 0
