"""How a watch begins, and that it goes on."""

from __future__ import annotations

import asyncio
import logging
import secrets
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from session_store import Keyring, SessionStore, StoreSettings
from session_store.backends.memory.backend import MemoryBackend
from session_store.errors import StoreReadOnly, StoreUnavailable, WrongKey
from session_store.livekit.worker import watch
from session_store.tasks import stop
from session_store.upkeep.sweeper import Sweeper
from tests.unit.test_takeover_liveness import running
from tests.unit.virtual_time import in_virtual_time, now_s

if TYPE_CHECKING:
    import pytest


class Store(SessionStore):
    """A store whose checks fail in turn."""

    def __init__(self, *errors: Exception) -> None:
        keyring = Keyring(
            {"k": secrets.token_bytes(32)}, primary="k", pseudonym_key=secrets.token_bytes(32)
        )
        super().__init__(
            MemoryBackend(StoreSettings(), clock=lambda: round(now_s() * 1000)), keyring
        )
        self.errors = list(errors)

    async def check(self) -> None:
        """Fail as told, then succeed."""
        if self.errors:
            raise self.errors.pop(0)


def test_a_watch_begins_when_the_store_can_be_checked(caplog: pytest.LogCaptureFixture) -> None:
    """Away, read-only in a failover, written with other keys: it waits, and then it watches."""

    async def scene() -> None:
        begun = now_s()
        await watch._check_keys(
            Store(StoreUnavailable("away"), StoreReadOnly("a replica"), WrongKey("other keys"))
        )
        assert now_s() - begun >= watch.SAY_AGAIN_S

    with caplog.at_level(logging.WARNING):
        in_virtual_time(scene())
    assert [each.message for each in caplog.records if each.levelname == "ERROR"] == [
        "not watching conversations"
    ]


def test_a_look_that_fails_is_not_the_last(caplog: pytest.LogCaptureFixture) -> None:
    """Jobs that end after it are replaced, and what is under way at the end has a moment."""

    async def scene() -> None:
        replaced: list[str] = []

        async def replace(dead: Any) -> None:
            await asyncio.sleep(1)
            replaced.append(dead.agent)

        class Server:
            looks = 0

            @property
            def active_jobs(self) -> list[Any]:
                self.looks += 1
                if self.looks == 3:
                    raise RuntimeError("a defect")
                return [running("job-1")] if self.looks < 5 else []

        server: Any = Server()
        dead_jobs: Any = SimpleNamespace(replace=replace)
        task = asyncio.create_task(watch._watch_jobs(server, Store(), dead_jobs))
        await asyncio.sleep(10 * watch.LOOK_EVERY_S)
        await stop(task)
        assert len(replaced) == 1

    in_virtual_time(scene())
    assert "checking the jobs failed" in caplog.text


def test_who_cannot_help_leaves_the_shards_to_others() -> None:
    """A sweeper that is not able leaves the registry, and looks at all only from time to time."""

    async def scene() -> None:
        store = Store()
        able = [True]
        looked: list[int] = []
        due = store._backend.due

        async def note(shards: Any, limit: int) -> Any:
            looked.append(len(shards))
            return await due(shards, limit)

        store._backend.due = note  # type: ignore[method-assign]
        sweeper = Sweeper(store, every_s=0.5, all_every_s=10, is_able=lambda: able[0])
        sweeper.start()
        await asyncio.sleep(9.8)
        assert len(looked) == 20
        assert (await store._backend.sweepers("other", 1_500)).names != ["other"]
        able[0] = False
        looked.clear()
        await asyncio.sleep(20)
        assert len(looked) == 2
        assert list((await store._backend.sweepers("other", 1_500)).names) == ["other"]
        able[0] = True
        await asyncio.sleep(1.1)
        assert len(looked) > 2
        await sweeper.aclose()

    in_virtual_time(scene())
