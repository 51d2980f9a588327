"""The monitor where Redis is many, or moves."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from session_store import SessionStore
from session_store.backends.redis.backend import RedisBackend
from session_store.doctor import Verdict
from session_store.monitor import Report, look
from tests.integration.keeping import talk

if TYPE_CHECKING:
    from collections.abc import Callable

    from dev.rig.servers.cluster import ClusterSet
    from dev.rig.servers.sentinels import SentinelSet
    from session_store import StoreSettings

    Settings = Callable[..., StoreSettings]


async def report_on(settings: StoreSettings, *people: str) -> Report:
    """Let people be there, and look once."""
    async with aclosing(SessionStore.from_settings(settings)) as store:
        for person in people:
            await talk(store, store.pseudonym(person))
        assert isinstance(store._backend, RedisBackend)
        return await look(store._backend, settings)


async def test_a_cluster_is_looked_at_node_by_node(
    clustered: ClusterSet, settings_for: Settings
) -> None:
    """Sessions of all primaries are counted together; each primary is judged by itself."""
    odd = clustered.primaries()[0]
    with odd.client() as client:
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 1000)
        try:
            report = await report_on(settings_for(clustered.url))
        finally:
            client.config_set("maxmemory", 0)

    full = [each for each in report.findings if each.check == "memory" and each.change]
    assert [each.where for each in full] == [odd.name]
    assert {each.where for each in report.servers} == {
        primary.name for primary in clustered.primaries()
    }


async def test_sessions_of_a_cluster_are_counted_together(
    clustered: ClusterSet, settings_for: Settings
) -> None:
    """Whichever primaries people's sessions are on."""
    before = (await report_on(settings_for(clustered.url))).sessions
    after = (
        await report_on(settings_for(clustered.url), *(f"monitored {n}" for n in range(12)))
    ).sessions

    assert before is not None
    assert after is not None
    assert after.sessions - before.sessions == 12
    assert after.live - before.live == 12


async def test_the_primary_that_sentinels_name_is_looked_at(
    sentinels: SentinelSet, settings_for: Settings
) -> None:
    """With its replicas, and how far they are behind."""
    report = await report_on(settings_for(sentinels.url))

    [server] = report.servers
    assert len(server.replicas) == 2
    found = {each.check: each.verdict for each in report.findings}
    assert found["replicas"] is Verdict.OK
