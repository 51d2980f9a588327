"""Events, counts and the command line where Redis is many, moves, or lets us do little."""

from __future__ import annotations

import asyncio
import itertools
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from dev.rig.net import NET_S
from dev.rig.servers.users import OPERATOR, as_user
from session_store import SessionStore, Turn
from session_store.backends.redis import listen
from session_store.cli import app
from session_store.cli.exit_codes import Exit
from session_store.events import Event, EventsMissed
from session_store.keys import KeySpace
from session_store.upkeep.analytics import Analytics, last_days

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from dev.rig.servers.cluster import ClusterSet
    from dev.rig.servers.process import Server
    from dev.rig.servers.sentinels import SentinelSet
    from session_store import StoreSettings

    Settings = Callable[..., StoreSettings]

_numbers = itertools.count()


def people(count: int) -> list[str]:
    """Name people whom no other test knows."""
    return [f"looked at {next(_numbers)}" for _ in range(count)]


@asynccontextmanager
async def opened(settings: StoreSettings) -> AsyncIterator[SessionStore]:
    """Open a store for a block."""
    store = SessionStore.from_settings(settings)
    try:
        await store.check()
        yield store
    finally:
        await store.aclose()


class Heard:
    """A stream that is being read in the background."""

    def __init__(self, store: SessionStore) -> None:
        self.items: list[Event | EventsMissed] = []
        self.task = asyncio.create_task(self._read(store))

    async def _read(self, store: SessionStore) -> None:
        async for item in store.events():
            self.items.append(item)

    @property
    def missed(self) -> int:
        """How many gaps were told."""
        return sum(isinstance(item, EventsMissed) for item in self.items)

    def created(self) -> list[str]:
        """The participants whose sessions were heard to begin."""
        return [
            item.participant
            for item in self.items
            if isinstance(item, Event) and item.type == "session_created"
        ]

    async def until(self, condition: Callable[[Heard], bool]) -> None:
        """Wait until what was heard is as it should be."""
        async with asyncio.timeout(NET_S):
            while not condition(self):
                if self.task.done():
                    self.task.result()
                await asyncio.sleep(0.01)


@asynccontextmanager
async def listening(store: SessionStore) -> AsyncIterator[Heard]:
    """Read a store's events for a block."""
    heard = Heard(store)
    try:
        await heard.until(lambda heard: heard.missed == 1)
        yield heard
    finally:
        heard.task.cancel()
        await asyncio.gather(heard.task, return_exceptions=True)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask a quiet connection sooner, so that a test need not wait."""
    monkeypatch.setattr(listen, "QUIET_S", 0.2)
    monkeypatch.setattr(listen, "ANSWER_S", 0.5)


async def test_a_cluster_passes_events_to_whoever_listens_anywhere(
    clustered: ClusterSet, settings_for: Settings
) -> None:
    """One connection hears of sessions on all primaries, each once."""
    async with opened(settings_for(clustered.url)) as store, listening(store) as heard:
        # Keys are random: of a dozen people, one run in 43 has none on one of the primaries.
        names = [store.pseudonym(person) for person in people(60)]
        primaries = {clustered.primary_of(KeySpace().participant(each).due).port for each in names}
        for name in names:
            await store.open(name)
        await heard.until(lambda heard: len(heard.created()) >= len(names))

    assert len(primaries) == 3
    assert sorted(heard.created()) == sorted(names)
    assert heard.missed == 1


@pytest.mark.usefixtures("impatient")
async def test_a_listener_survives_a_dead_node_of_a_cluster(
    clustered: ClusterSet, settings_for: Settings
) -> None:
    """When the node that it listens to is paused, it says so, and hears the others."""
    settings = settings_for(clustered.url, redis_timeout_s=0.5)
    async with opened(settings) as store, listening(store) as heard:
        primaries = clustered.primaries()
        listened_to = [each for each in primaries if _listeners(each)]
        assert len(listened_to) == 1
        person = next(
            each
            for each in map(store.pseudonym, people(60))
            if clustered.primary_of(KeySpace().participant(each).due) not in listened_to
        )
        listened_to[0].pause()
        try:
            await heard.until(lambda heard: heard.missed >= 2)
            await _is_heard(store, heard, person)
        finally:
            await asyncio.to_thread(clustered.heal)


def _listeners(server: Server) -> int:
    with server.client() as client:
        return len(client.client_list(_type="pubsub"))


@pytest.mark.usefixtures("impatient")
async def test_a_listener_follows_a_failover(
    sentinels: SentinelSet, settings_for: Settings
) -> None:
    """When another server becomes the primary, the listener finds it, and says that it did."""
    settings = settings_for(sentinels.url, redis_timeout_s=0.5)
    async with opened(settings) as store, listening(store) as heard:
        before = await asyncio.to_thread(sentinels.primary)
        before.pause()
        try:
            await heard.until(lambda heard: heard.missed >= 2)
            assert await asyncio.to_thread(sentinels.primary) is not before
            (name,) = map(store.pseudonym, people(1))
            await _is_heard(store, heard, name)
        finally:
            await asyncio.to_thread(sentinels.heal)


async def _is_heard(store: SessionStore, heard: Heard, person: str) -> None:
    """Begin sessions until one is heard of.

    That may fail while Redis moves, and an impatient listener may have one more gap.
    """
    async with asyncio.timeout(NET_S):
        while person not in heard.created():
            await asyncio.gather(store.open_new(person), return_exceptions=True)
            await asyncio.sleep(0.05)


async def test_counts_and_people_of_many_days_share_a_node(
    clustered: ClusterSet, settings_for: Settings
) -> None:
    """Unions of days work on a Cluster, since all days lie in one slot."""
    async with opened(settings_for(clustered.url)) as store:
        analytics = Analytics(store.side)
        store.add_hook(analytics)
        today = datetime.now(UTC).date()
        before = await analytics.day(today)
        for name in map(store.pseudonym, people(5)):
            await store.open(name)
        await analytics.aclose()
        after = await analytics.day(today)
        assert await analytics.active(last_days(31)) >= 5

    assert after.sessions_created - before.sessions_created == 5


async def _talk(settings: StoreSettings, person: str) -> tuple[str, str]:
    async with opened(settings) as store:
        joined = await store.join(store.pseudonym(person))
        turn = Turn(id="t", role="user", text="hello", created_at=1.0)
        await store.append(joined.lease, [store.seal(joined.lease, turn)])
        await store.leave(joined.lease)
        await store.release(joined.lease)
        return joined.lease.participant, joined.session.id


def _everything(person: str, participant: str, session_id: str, folder: Path) -> list[list[str]]:
    """Return every command that ends by itself."""
    return [
        ["list", "--limit", "100"],
        ["list", "--participant", participant],
        ["show", session_id],
        ["show", session_id, "--reveal"],
        ["stats", "--days", "3"],
        ["export", "--identity", person, "--output", str(folder / "export.json")],
        ["consent", "--identity", person, "--give", "1"],
        ["retention", "--identity", person, "--set", "1h"],
        ["sweep", "--once"],
        ["rotate-keys"],
        ["audit", "list"],
        ["audit", "verify"],
        ["erase-session", session_id, "--yes"],
        ["erase", "--identity", person, "--yes"],
        ["replay-erasures", str(folder / "erasures.jsonl")],
    ]


@pytest.fixture(params=["operator", "cluster"])
def url(request: pytest.FixtureRequest) -> str:
    """Return where the command line goes: as a user who may do little, or to a Cluster."""
    if request.param == "cluster":
        group: ClusterSet = request.getfixturevalue("clustered")
        return group.url
    guarded: Server = request.getfixturevalue("guarded")
    return as_user(f"redis://{guarded.name}/2", OPERATOR)


def test_every_command_works_there_too(
    url: str,
    settings_for: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The shipped operator's rules are enough for every command, and so is a Cluster."""
    settings = settings_for(url)
    (person,) = people(1)
    participant, session_id = asyncio.run(_talk(settings, person))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REJOIN_REDIS_URL", url)
    monkeypatch.setenv("REJOIN_KEY_FILE", str(settings.key_file))
    monkeypatch.setenv("REJOIN_ERASURE_JOURNAL", str(tmp_path / "erasures.jsonl"))
    for arguments in _everything(person, participant, session_id, tmp_path):
        code = app.run(arguments)
        shown = capsys.readouterr()
        assert code == Exit.OK, (arguments, shown)
        assert shown.out, arguments
    assert json.loads((tmp_path / "export.json").read_text())["sessions"]
