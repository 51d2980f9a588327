"""Servers of every kind, each started once, when a test first asks for it."""

from __future__ import annotations

import base64
import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from dev.rig.key_file import write_key_file
from dev.rig.servers.cluster import cluster
from dev.rig.servers.process import standalone
from dev.rig.servers.sentinels import sentinel_set
from dev.rig.servers.tls import tls_redis
from dev.rig.servers.users import LOOKS_AT_ALL, guarded_by_users
from session_store import StoreSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dev.rig.servers.cluster import ClusterSet
    from dev.rig.servers.process import Server
    from dev.rig.servers.sentinels import SentinelSet
    from dev.rig.servers.tls import TLSRedis


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One Redis."""
    with standalone(tmp_path_factory.mktemp("plain")) as server:
        yield server


@pytest.fixture(scope="session")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One Redis with a password."""
    with standalone(tmp_path_factory.mktemp("locked"), "--requirepass", "right") as server:
        yield server


@pytest.fixture(scope="session")
def sentinels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelSet]:
    """A primary with two replicas and three sentinels."""
    with sentinel_set(tmp_path_factory.mktemp("sentinels")) as group:
        yield group


@pytest.fixture(scope="session")
def clustered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterSet]:
    """A Cluster of three primaries with a replica each."""
    with cluster(tmp_path_factory.mktemp("cluster")) as group:
        yield group


@pytest.fixture(scope="session")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TLSRedis]:
    """A Redis that is reached by TLS alone."""
    with tls_redis(tmp_path_factory.mktemp("tls")) as server:
        yield server


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Redis with the users that this project ships."""
    folder = tmp_path_factory.mktemp("guarded")
    with standalone(folder, *guarded_by_users(folder), login=LOOKS_AT_ALL) as server:
        yield server


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return one key file for the run: a Redis remembers which keys it was written with.

    It has a second key, so that there is something to rotate.
    """
    path = write_key_file(tmp_path_factory.mktemp("keys") / "keys.json")
    keys = json.loads(path.read_text())
    keys["keys"]["k-0"] = base64.b64encode(secrets.token_bytes(32)).decode()
    path.write_text(json.dumps(keys))
    return path


@pytest.fixture(scope="session")
def settings_for(key_file: Path) -> Callable[..., StoreSettings]:
    """Return what makes the settings for a URL."""

    def make(url: str, **others: Any) -> StoreSettings:
        return StoreSettings.model_validate({"redis_url": url, "key_file": key_file, **others})

    return make
