"""Two deployments in one Redis, with the same people: neither sees anything of the other."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import pytest
from pydantic import ValidationError

from dev.rig.key_file import write_key_file
from dev.rig.net import NET_S
from dev.rig.servers.process import standalone
from dev.rig.servers.users import LOOKS_AT_ALL, WORKER, guarded_by_users, password_of, rules_of
from session_store import SessionStore, StoreSettings
from session_store.backends.redis.backend import RedisBackend
from session_store.cli import app
from session_store.doctor import examine
from session_store.errors import PermissionMissing, WrongKey
from session_store.events import Event
from session_store.keys import SHARDS, KeySpace
from session_store.monitor import look
from session_store.monitor.deadlines import overdue_now
from session_store.settings import explain
from session_store.upkeep.analytics import Analytics
from session_store.upkeep.audit import AuditAction, AuditLog
from tests.integration.keeping import talk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    Pair = tuple[SessionStore, SessionStore]
    MakeStore = Callable[..., SessionStore]

NAMESPACES = ("", "sales")


@pytest.fixture(params=[("", "sales"), ("sales", "sales-2")], ids="+".join)
def pair(request: pytest.FixtureRequest, make_store: MakeStore) -> Pair:
    """Return the stores of two deployments that have the same keys."""
    ours, theirs = request.param
    return make_store(namespace=ours), make_store(namespace=theirs)


def backend_of(store: SessionStore) -> RedisBackend:
    """Return a store's backend."""
    assert isinstance(store._backend, RedisBackend)
    return store._backend


async def heard_of(store: SessionStore, begun: asyncio.Event) -> AsyncIterator[Event]:
    """Yield a store's events; ``begun`` is set once it listens."""
    async with aclosing(store.events()) as stream:
        async for event in stream:
            if isinstance(event, Event):
                yield event
            else:
                begun.set()


class Listening:
    """Collects what a store hears, in the background."""

    def __init__(self, store: SessionStore) -> None:
        self.events: list[Event] = []
        self._begun = asyncio.Event()
        self._task = asyncio.create_task(self._collect(store))

    async def __aenter__(self) -> Self:
        async with asyncio.timeout(NET_S):
            await self._begun.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _collect(self, store: SessionStore) -> None:
        async for event in heard_of(store, self._begun):
            self.events.append(event)

    async def until_of(self, participant: str) -> None:
        """Wait for an event of a participant."""
        async with asyncio.timeout(NET_S):
            while participant not in {event.participant for event in self.events}:
                await asyncio.sleep(0.005)


def test_without_a_namespace_every_name_is_as_ever() -> None:
    """The records of every deployment so far are found again."""
    space, day = KeySpace(), datetime(2026, 2, 28, tzinfo=UTC).date()
    keys = space.participant("a" * 26)
    assert [
        *(space.key_check, space.events, space.audit, space.sweepers),
        *(space.day_counts(day), space.day_people(day), space.due(7), space.kek(7, "k-1")),
        *(keys.data_key, keys.sessions, keys.erased, keys.due, keys.kek("k-1"), keys.mark),
        *(keys.session("s"), keys.turns("s")),
    ] == [
        *("rj1:check", "rj1:events", "rj1:audit", "rj1:sweepers"),
        *("rj1:{day}:2026-02-28", "rj1:{day}:2026-02-28:people"),
        *("rj1:{s0007}:due", "rj1:{s0007}:kek:k-1"),
        *(f"rj1:{{s0000}}:p:{'a' * 26}{rest}" for rest in ("", ":sessions", ":erased")),
        *("rj1:{s0000}:due", "rj1:{s0000}:kek:k-1", "rj1:{s0000}:mark"),
        *(f"rj1:{{s0000}}:{kind}:{'a' * 26}:s" for kind in "st"),
    ]


@pytest.mark.parametrize("namespace", ["Sales", "a:b", "a*", "{a}", "a b", "a" * 33, "ä", "a'"])
def test_a_namespace_that_would_break_names_is_refused(namespace: str) -> None:
    """The message names the setting and what it may hold."""
    with pytest.raises(ValidationError) as refused:
        StoreSettings.model_validate({"namespace": namespace})
    assert explain(refused.value).startswith("REJOIN_NAMESPACE: ")
    assert "at most 32 of these characters: a to z in lower case" in explain(refused.value)


async def test_every_key_in_redis_names_its_deployment(pair: Pair, raw: Any) -> None:
    """All keys of one deployment begin alike, and no key of the other does."""
    prefixes = [f"{backend_of(store).space.prefix}:" for store in pair]
    for store in pair:
        await store.check()
        await talk(store, store.pseudonym("maria"))
        await AuditLog(store.side, store.keyring, actor="cli:root").log(AuditAction.EXPORT)
        await store.side.count(datetime.now(UTC).date(), {"p"}, {"turns": 1})
        await store._backend.sweepers("a sweeper", 15_000)
        await store.erase(store.pseudonym("joe"))
    keys = [key.decode() for key in await raw.keys("*")]
    assert {key.partition(":")[0] + ":" for key in keys} == set(prefixes)
    mine, other = ([key for key in keys if key.startswith(prefix)] for prefix in prefixes)
    assert len(mine) == len(other) == len(keys) / 2


async def test_a_conversation_of_one_is_not_found_by_the_other(pair: Pair) -> None:
    """The same participant and even the same id name nothing there."""
    ours, theirs = pair
    maria = ours.pseudonym("maria")
    assert theirs.pseudonym("maria") == maria
    joined = await talk(ours, maria)

    assert await theirs.load(maria, joined.session.id) is None
    assert (await theirs.sessions(maria)).total == 0
    assert await theirs.participant(maria) is None
    opened = await theirs.open(maria, session_id=joined.session.id)
    assert opened.session.id != joined.session.id
    assert not opened.turns


async def test_two_jobs_of_one_person_hold_two_leases(pair: Pair) -> None:
    """A lease of one deployment keeps nobody out of the other."""
    for store in pair:
        joined = await store.join(store.pseudonym("maria"))
        await store.renew(joined.lease)


async def test_an_erasure_in_one_leaves_the_other_alone(pair: Pair) -> None:
    """Neither the records nor the mark of the erasure reach the other."""
    ours, theirs = pair
    maria = ours.pseudonym("maria")
    kept = await talk(theirs, maria)
    await talk(ours, maria)
    assert (await ours.erase(maria)).sessions == 1

    loaded = await theirs.load(maria, kept.session.id)
    assert loaded is not None
    assert len(loaded.turns) == 3
    assert await theirs._backend.erased_at(maria) is None
    assert await ours._backend.erased_at(maria) is not None


async def test_events_stay_in_their_deployment(
    settings: StoreSettings, make_store: MakeStore
) -> None:
    """Also between two databases, which share their channels in Redis."""
    url = settings.redis_url.get_secret_value().removesuffix("/0")
    ours = make_store(redis_url=f"{url}/0", namespace="", publish_turns=True)
    theirs = make_store(redis_url=f"{url}/1", namespace="sales", publish_turns=True)
    async with Listening(ours) as here, Listening(theirs) as there:
        await talk(ours, ours.pseudonym("maria"))
        await talk(theirs, theirs.pseudonym("joe"))
        await here.until_of(ours.pseudonym("maria"))
        await there.until_of(theirs.pseudonym("joe"))
        # The last events of both come before what each hears last.
        await talk(ours, ours.pseudonym("anna"))
        await talk(theirs, theirs.pseudonym("anton"))
        await here.until_of(ours.pseudonym("anna"))
        await there.until_of(theirs.pseudonym("anton"))
    assert {event.participant for event in here.events} == {
        ours.pseudonym("maria"),
        ours.pseudonym("anna"),
    }
    assert {event.participant for event in there.events} == {
        theirs.pseudonym("joe"),
        theirs.pseudonym("anton"),
    }


async def overdue_in(store: SessionStore, raw: Any) -> None:
    """Have a conversation that sweepers should have looked at long ago."""
    maria = store.pseudonym("maria")
    joined = await talk(store, maria)
    due = backend_of(store).space.participant(maria).due
    await raw.zadd(due, {f"{maria}:{joined.session.id}": 1})


async def test_sweepers_share_the_shards_with_their_own_kind(pair: Pair, raw: Any) -> None:
    """Each deployment's sweepers handle all shards, and see its own deadlines alone."""
    ours, theirs = pair
    assert (await ours._backend.sweepers("here", 15_000)).names == ["here"]
    assert (await theirs._backend.sweepers("there", 15_000)).names == ["there"]
    await overdue_in(ours, raw)
    assert len(await ours._backend.due(range(SHARDS), 10)) == 1
    assert await theirs._backend.due(range(SHARDS), 10) == []


async def test_figures_are_those_of_one_deployment(
    pair: Pair, settings: StoreSettings, raw: Any
) -> None:
    """Overdue sessions, sweepers and sessions without an agent of the other are not counted."""
    ours, theirs = pair
    await overdue_in(ours, raw)
    await ours._backend.sweepers("here", 15_000)

    mine = (await look(backend_of(ours), settings)).sessions
    assert mine is not None
    assert (mine.sessions, mine.overdue.stale, mine.sweepers) == (1, 1, 1)
    assert (await overdue_now(backend_of(ours))).stale == 1
    assert (await overdue_now(backend_of(theirs))).stale == 0
    seen = (await look(backend_of(theirs), settings)).sessions
    assert seen is not None
    assert (seen.sessions, seen.overdue.sessions, seen.sweepers) == (0, 0, 0)


async def test_counts_and_audit_are_kept_apart(pair: Pair) -> None:
    """The counts of a day, its people, and the audit stream."""
    ours, theirs = pair
    today = datetime.now(UTC).date()
    await ours.side.count(today, {"p"}, {"turns": 3})
    await AuditLog(ours.side, ours.keyring, actor="cli:root").log(AuditAction.EXPORT)
    assert (await ours.side.counted(today), await ours.side.people([today])) == ({"turns": 3}, 1)
    assert (await theirs.side.counted(today), await theirs.side.people([today])) == ({}, 0)
    assert (await Analytics(theirs.side).day(today)).people == 0
    log = AuditLog(theirs.side, theirs.keyring, actor="cli:root")
    assert [entry async for entry in log.entries()] == []


async def test_deployments_may_have_other_keys(
    make_store: MakeStore, settings: StoreSettings, tmp_path: Path
) -> None:
    """Key checks are per namespace: other keys under the same names are right there."""
    others = write_key_file(tmp_path / "others.json")
    await make_store().check()
    with pytest.raises(WrongKey):
        await make_store(key_file=others).check()
    theirs = make_store(key_file=others, namespace="sales")
    await theirs.check()
    await talk(theirs, theirs.pseudonym("maria"))
    sales = settings.model_copy(update={"key_file": others, "namespace": "sales"})
    found = {finding.check: finding for finding in await examine(sales)}
    assert found["keys match"].says == "this Redis was written with these keys"
    assert found["events"].says == "published events are received"


async def test_a_record_does_not_depend_on_its_namespace(make_store: MakeStore, raw: Any) -> None:
    """What was sealed in one deployment opens in another with the same keys."""
    ours, theirs = make_store(), make_store(namespace="sales")
    maria = ours.pseudonym("maria")
    joined = await talk(ours, maria)
    for key in await raw.keys("rj1:{s*"):
        await raw.rename(key, key.replace(b"rj1:", b"rj1-sales:", 1))
    assert await ours.load(maria, joined.session.id) is None
    loaded = await theirs.load(maria, joined.session.id)
    assert loaded is not None
    assert [sealed.turn.text for sealed in loaded.turns] == [f"sentence {n}" for n in (1, 2, 3)]


def test_the_command_line_shows_one_deployment(
    settings: StoreSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """``session-store`` takes the namespace from the environment, as the agents do."""

    async def converse() -> str:
        store = SessionStore.from_settings(settings.model_copy(update={"namespace": "sales"}))
        try:
            return (await talk(store, store.pseudonym("maria"))).session.id
        finally:
            await store.aclose()

    session_id = asyncio.run(converse())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REJOIN_REDIS_URL", settings.redis_url.get_secret_value())
    monkeypatch.setenv("REJOIN_KEY_FILE", str(settings.key_file))

    def shown(namespace: str, *words: str) -> str:
        monkeypatch.setenv("REJOIN_NAMESPACE", namespace)
        app.run(words)
        return capsys.readouterr().out

    for words in (("list",), ("show", session_id), ("list", "--identity", "maria")):
        assert session_id in shown("sales", *words), words
        assert session_id not in shown("", *words), words
        assert session_id not in shown("service", *words), words


async def test_a_user_of_one_deployment_reaches_no_other(tmp_path: Path, key_file: Path) -> None:
    """The rules of ``deploy/redis/README.md``, with Redis to enforce them."""
    with standalone(
        tmp_path / "redis", *guarded_by_users(tmp_path / "users"), login=LOOKS_AT_ALL
    ) as server:
        with server.client() as client:
            rules = [
                rule.replace("~rj1:*", "~rj1-sales:*").replace("&rj1:events", "&rj1-sales:events")
                for rule in rules_of(WORKER)
            ]
            client.execute_command("ACL", "SETUSER", "sales", "reset", *rules)
        for user, allowed in ((WORKER, ""), ("sales", "sales")):
            url = f"redis://{user}:{password_of(WORKER).replace(' ', '%20')}@{server.name}/0"
            for namespace in NAMESPACES:
                store = SessionStore.from_settings(
                    StoreSettings.model_validate(
                        {"redis_url": url, "key_file": key_file, "namespace": namespace}
                    )
                )
                try:
                    await _use(store, allowed=namespace == allowed)
                finally:
                    await store.aclose()


async def _use(store: SessionStore, *, allowed: bool) -> None:
    if allowed:
        await store.check()
        async with Listening(store) as heard:
            await talk(store, store.pseudonym("maria"))
            await heard.until_of(store.pseudonym("maria"))
        return
    with pytest.raises(PermissionMissing):
        await store.check()
    with pytest.raises(PermissionMissing):
        await store.join(store.pseudonym("maria"))
    with pytest.raises(PermissionMissing):
        await anext(aiter(store.events()))
