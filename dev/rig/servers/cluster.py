"""A Cluster of three primaries with a replica each."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from dev.rig.servers.process import QUICK, Server, running, wait_until
from dev.rig.servers.sentinels import await_replicas

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import redis

PRIMARIES = 3
_OPTIONS = (
    *QUICK,
    *("--cluster-enabled", "yes", "--cluster-node-timeout", "1000"),
    *("--cluster-replica-validity-factor", "0"),
)


@dataclass(frozen=True)
class ClusterSet:
    """The processes; which of them are primaries changes."""

    servers: Sequence[Server]

    @property
    def url(self) -> str:
        """What ``REJOIN_REDIS_URL`` would be: two of the nodes, the others are to be found."""
        return f"redis+cluster://{self.servers[0].name},{self.servers[4].name}"

    def primaries(self) -> list[Server]:
        """Return those that say so."""
        return [server for server in self.servers if server.is_master()]

    def primary_of(self, key: str) -> Server:
        """Return the one that serves a key's slot, in the view of a node that answers."""
        slot = key_slot(key.encode())
        return next(server for first, last, server in self._ranges() if first <= slot <= last)

    def move_slot(self, key: str) -> tuple[Server, Server]:
        """Give a key's slot, with all that is in it, to another primary; return from and to."""
        slot = key_slot(key.encode())
        source = self.primary_of(key)
        target = next(server for server in self.primaries() if server is not source)
        with source.client() as old, target.client() as new:
            old_id, new_id = old.cluster("MYID"), new.cluster("MYID")
            new.cluster("SETSLOT", slot, "IMPORTING", old_id)
            old.cluster("SETSLOT", slot, "MIGRATING", new_id)
            while keys := old.cluster("GETKEYSINSLOT", slot, 100):
                old.migrate("127.0.0.1", target.port, keys, 0, 1000)
        for server in (target, source, *self.primaries()):
            with server.client() as client:
                client.cluster("SETSLOT", slot, "NODE", new_id)
        return source, target

    def heal(self) -> None:
        """Bring back nodes that were killed or paused, and wait until all is well."""
        for server in self.servers:
            server.revive()
        for server in self.servers:
            wait_until(partial(self._is_content, server), "the nodes see all nodes")
        wait_until(lambda: len(self.primaries()) == PRIMARIES, "there are three primaries")
        for server in self.primaries():
            await_replicas(server, 1)

    def _is_content(self, server: Server) -> bool:
        with server.client() as client:
            nodes: dict[str, Any] = client.cluster("NODES")
            state = client.cluster("INFO")
        return (
            state["cluster_state"] == "ok"
            and len(nodes) == len(self.servers)
            and not any("fail" in node["flags"] or not node["connected"] for node in nodes.values())
        )

    def _ranges(self) -> list[tuple[int, int, Server]]:
        by_port = {server.port: server for server in self.servers}
        for server in self.primaries():
            with server.client() as client:
                rows = client.execute_command("CLUSTER SLOTS")
                return [(first, last, by_port[main[1]]) for first, last, main, *_ in rows]
        raise TimeoutError("no node of the Cluster answers")


def _knows(client: redis.Redis, node_id: str) -> bool:
    nodes: dict[str, Any] = client.cluster("NODES")
    return any(node["node_id"] == node_id for node in nodes.values())


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[ClusterSet]:
    """Run the six processes, and wait until everybody knows everybody."""
    servers = [Server(folder / str(n), *_OPTIONS) for n in range(2 * PRIMARIES)]
    with running(*servers):
        primaries = servers[:PRIMARIES]
        bounds = [REDIS_CLUSTER_HASH_SLOTS * n // PRIMARIES for n in range(PRIMARIES + 1)]
        ids = []
        for n, server in enumerate(servers):
            with server.client() as client:
                client.cluster("SET-CONFIG-EPOCH", n + 1)
                client.cluster("MEET", "127.0.0.1", servers[0].port)
                ids.append(client.cluster("MYID"))
                if server in primaries:
                    client.cluster("ADDSLOTS", *range(bounds[n], bounds[n + 1]))
        for n, server in enumerate(servers[PRIMARIES:]):
            with server.client() as client:
                wait_until(partial(_knows, client, ids[n]), "the nodes have met")
                client.cluster("REPLICATE", ids[n])
        group = ClusterSet(servers)
        group.heal()
        yield group
