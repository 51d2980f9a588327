"""A primary with two replicas, watched by three sentinels."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dev.rig.servers.process import QUICK, Login, Server, running, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SERVICE = "main"
QUORUM = 2
_CONFIG = """
sentinel monitor {service} 127.0.0.1 {port} {quorum}
sentinel down-after-milliseconds {service} 1500
sentinel failover-timeout {service} 4000
sentinel parallel-syncs {service} 2
"""


@dataclass(frozen=True)
class SentinelSet:
    """The processes; which of them is the primary changes."""

    servers: Sequence[Server]
    sentinels: Sequence[Server]

    @property
    def url(self) -> str:
        """What ``REJOIN_REDIS_URL`` would be."""
        hosts = ",".join(sentinel.name for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}"

    def primary(self) -> Server:
        """Return the one that all sentinels name and that agrees; wait for it where necessary."""
        found: list[Server] = []

        def agreed() -> bool:
            found[:] = [each for each in self.servers if each.port in self._named_ports()]
            return len(found) == 1 and found[0].is_master()

        wait_until(agreed, "the sentinels agree on a primary")
        return found[0]

    def heal(self) -> None:
        """Bring back what was killed or paused, as replicas, and wait until all is well."""
        primary = self.primary()
        follow = ("127.0.0.1", str(primary.port))
        for server in self.servers:
            if server is not primary:
                server.revive("--replicaof", *follow)
                with server.client() as client:
                    client.execute_command("REPLICAOF", *follow)
        await_replicas(primary, len(self.servers) - 1)
        for sentinel in self.sentinels:
            wait_until(partial(self._is_content, sentinel), "sentinels see all")

    def _named_ports(self) -> set[int]:
        ports = set()
        for sentinel in self.sentinels:
            with sentinel.client() as client:
                where = client.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", SERVICE)
                ports.add(int(where[1]))
        return ports

    def _is_content(self, sentinel: Server) -> bool:
        with sentinel.client() as client:
            state = client.sentinel_master(SERVICE)
            replicas = client.sentinel_slaves(SERVICE)
        return (
            state["flags"] == "master"
            and state["num-other-sentinels"] == len(self.sentinels) - 1
            and [each["flags"] for each in replicas] == ["slave"] * (len(self.servers) - 1)
        )


def await_replicas(primary: Server, count: int) -> None:
    """Wait until so many replicas follow without a gap."""

    def follow() -> bool:
        with primary.client() as client:
            state = client.info("replication")
        online = [n for n in range(count) if state.get(f"slave{n}", {}).get("state") == "online"]
        return bool(state["connected_slaves"] == len(online) == count)

    wait_until(follow, f"{count} replicas follow {primary}")


@contextlib.contextmanager
def sentinel_set(
    folder: Path, *options: str, login: Login | None = None, config: str = ""
) -> Iterator[SentinelSet]:
    """Run the six processes, and wait until everybody knows everybody.

    Args:
        folder: for their data.
        options: of the primary and the replicas.
        login: with which tests look into these three.
        config: more lines for the sentinels.
    """
    primary = Server(folder / "0", *QUICK, *options, login=login)
    follow = ("--replicaof", "127.0.0.1", str(primary.port))
    replicas = [Server(folder / str(n), *QUICK, *options, *follow, login=login) for n in (1, 2)]
    with running(primary, *replicas):
        await_replicas(primary, len(replicas))
        config = _CONFIG.format(service=SERVICE, port=primary.port, quorum=QUORUM) + config
        sentinels = [Server(folder / f"s{n}", sentinel_config=config) for n in range(3)]
        with running(*sentinels):
            group = SentinelSet((primary, *replicas), sentinels)
            group.heal()
            yield group
