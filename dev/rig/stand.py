"""Everything that a conversation needs, really running on this machine, for one test."""

from __future__ import annotations

import asyncio
import itertools
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

from livekit import api

from dev.rig.key_file import write_key_file
from dev.rig.livekit import LiveKitServer
from dev.rig.microphones import Microphones
from dev.rig.net import NET_S
from dev.rig.notes import Kind
from dev.rig.person import Person
from dev.rig.ports import free_port
from dev.rig.programs import Program, until
from dev.rig.rooms import RoomWatch, agents_in
from dev.rig.servers.process import Server
from dev.rig.servers.users import LOOKS_AT_ALL, WORKER, as_user, guarded_by_users
from dev.rig.worker import Job, Worker
from session_store import SessionStore, StoreSettings
from session_store.keys import KeySpace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from dev.rig.network import Island
    from session_store import Loaded, RecordedTurn

_AGENT: Final = "rejoin"
_TRIES: Final = 20
_KEEPS = (
    *("--save", "", "--appendonly", "yes", "--appendfsync", "everysec"),
    *("--loglevel", "notice"),
)


class Stand:
    """Redis, LiveKit, a gateway, workers, and people. ``running`` makes it."""

    def __init__(
        self,
        folder: Path,
        at_the_end: AsyncExitStack,
        settings: Mapping[str, str],
        islands: Sequence[Island],
    ) -> None:
        self.folder = folder
        self._at_the_end = at_the_end
        self._numbers = itertools.count(1)
        self.workers: list[Worker] = []
        addresses = [island.redis.address for island in islands]
        bind = ("--bind", "127.0.0.1", *addresses, "--protected-mode", "no") if addresses else ()
        users = guarded_by_users(folder / "redis")
        self.redis = Server(folder / "redis", *_KEEPS, *bind, *users, login=LOOKS_AT_ALL)
        self.livekit = LiveKitServer(
            folder, addresses=[island.livekit.address for island in islands]
        )
        self._key_file = write_key_file(folder / "keys.json")
        self.spool = folder / "spool"
        page = folder / "page"
        page.mkdir()
        (page / "index.html").write_text("no page is needed here")
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        """Of the gateway."""
        self._settings = {
            "LIVEKIT_URL": self.livekit.url,
            "LIVEKIT_API_KEY": self.livekit.key,
            "LIVEKIT_API_SECRET": self.livekit.secret,
            "LIVEKIT_AGENT_NAME": _AGENT,
            "LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE": "0",
            "REJOIN_REDIS_URL": self.redis_url_at("127.0.0.1", self.redis.port),
            "REJOIN_KEY_FILE": str(self._key_file),
            "REJOIN_SPOOL_DIR": str(self.spool),
            "REJOIN_MAX_TURNS": "5000",
            "AGENT_PIPELINE": "demo",
            # Everybody comes from one address, and often.
            "GATEWAY_ASKS_PER_MINUTE": "0",
            "GATEWAY_ASKS_PER_MINUTE_ADDRESS": "0",
            **settings,
        }
        self.gateway = Program(
            "gateway",
            [sys.executable, "-m", "gateway"],
            folder,
            {"GATEWAY_PAGE": str(page), **self._settings, "GATEWAY_PORT": str(port)},
        )
        self.api: api.LiveKitAPI
        self.store: SessionStore

    @staticmethod
    def redis_url_at(host: str, port: int) -> str:
        """Return the address of Redis behind a wire, or at the end of a cable.

        With the login that is shipped for workers: what it does not allow shows in every test.
        """
        return as_user(f"redis://{host}:{port}/0", WORKER)

    async def start(self) -> None:
        """Start everything but the workers."""
        await asyncio.to_thread(self.redis.await_answer)
        self.livekit.start()
        await self.livekit.ready()
        self.gateway.start()
        await self.gateway.until_ready(f"{self.address}/readyz")
        self.api = api.LiveKitAPI(self.livekit.url, self.livekit.key, self.livekit.secret)
        self._at_the_end.push_async_callback(self.api.aclose)
        settings = {"redis_url": self._settings["REJOIN_REDIS_URL"], "key_file": self._key_file}
        self.store = SessionStore.from_settings(StoreSettings.model_validate(settings))
        self._at_the_end.push_async_callback(self.store.aclose)

    async def aclose(self) -> None:
        """End everything: first the users of a server, then the server."""
        await asyncio.gather(*(worker.aclose(grace_s=0) for worker in self.workers))
        await self.gateway.aclose()
        await self.livekit.aclose(grace_s=0)
        await asyncio.to_thread(self.redis.stop)

    async def mend(self, *, workers: int, run: bool = True) -> None:
        """Bring back what was killed or stopped, end further workers, and empty all rooms.

        Args:
            workers: how many to keep, of those that came first.
            run: whether they run then; else they are killed.
        """
        await asyncio.to_thread(self.redis.revive)
        for program in (self.livekit, self.gateway):
            program.resume()
            if not program.runs:
                program.start()
        await self.livekit.ready()
        await self.gateway.until_ready(f"{self.address}/readyz")
        for room in (await self.api.room.list_rooms(api.ListRoomsRequest())).rooms:
            await self.api.room.delete_room(api.DeleteRoomRequest(room=room.name))
        for worker in self.workers[workers:]:
            await worker.aclose(grace_s=0)
        del self.workers[workers:]
        for worker in self.workers:
            worker.resume()
            if not run:
                worker.kill()
            elif not worker.runs:
                worker.start()
        for worker in self.workers if run else ():
            await worker.ready()
            await until(worker.has_idle_process, f"{worker} is ready for the next job")

    async def add_worker(
        self,
        *,
        module: Sequence[str] = ("agent",),
        island: Island | None = None,
        ready: bool = True,
        **settings: str,
    ) -> Worker:
        """Start one more worker, and wait until it takes jobs.

        Args:
            module: what ``python -m`` runs, instead of the agent.
            island: the network that it lives in, if not this machine's.
            ready: whether to wait.
            settings: of its environment, such as ``AGENT_MAX_JOBS="1"``.
        """
        worker = self.new_worker(module=module, island=island, **settings)
        worker.start()
        if ready:
            await worker.ready()
        return worker

    def new_worker(
        self, *, module: Sequence[str] = ("agent",), island: Island | None = None, **settings: str
    ) -> Worker:
        """Add one more worker, which ``mend`` starts; see ``add_worker``."""
        if island is not None:
            settings = {
                "LIVEKIT_URL": self.livekit.url_at(island.livekit.address),
                "REJOIN_REDIS_URL": self.redis_url_at(island.redis.address, self.redis.port),
                **settings,
            }
        worker = Worker(
            f"worker-{next(self._numbers)}",
            self.folder,
            {**self._settings, "AGENT_HTTP_PORT": "0", **settings},
            module=module,
            island=island,
        )
        self.workers.append(worker)
        return worker

    def person(
        self, *, microphone: Microphones = Microphones.CLOSED, listens: bool = False
    ) -> Person:
        """Return a new person, still to come; see ``Person``."""
        return Person(self.address, microphone=microphone, listens=listens)

    @asynccontextmanager
    async def person_of(self, worker: Worker) -> AsyncIterator[Person]:
        """Let people come until this worker has one, and go on with that one."""
        for _ in range(_TRIES):
            async with self.person() as person:
                await person.come()
                await person.notes.first(Kind.HELLO)
                if (await self._job_logged_by(person)).worker is worker:
                    yield person
                    return
        raise AssertionError(f"LiveKit sends no person to {worker}")

    def watch(self, person: Person) -> RoomWatch:
        """Watch the agents in the room of a person's session."""
        return RoomWatch(self.api, person.session_id)

    async def agents_with(self, person: Person) -> list[str]:
        """Return the agents that LiveKit shows in the room of a person's session."""
        return await agents_in(self.api, person.session_id)

    def job_of(self, person: Person) -> Job:
        """Return the job that holds a person's conversation.

        Raises:
            AssertionError: no living process has it.
        """
        jobs = [worker.job_of(person.session_id) for worker in self.workers]
        for job in jobs:
            if job is not None:
                return job
        raise AssertionError("no living process has this conversation")

    async def _job_logged_by(self, person: Person) -> Job:
        """Return the same, as soon as it is in a log: the page may hear of it first."""

        def has_job() -> bool:
            return any(worker.job_of(person.session_id) for worker in self.workers)

        await until(has_job, "a worker has this conversation")
        return self.job_of(person)

    async def loaded(self, person: Person) -> Loaded:
        """Return what Redis holds of a person's session."""
        loaded = await self.store.load(person.participant, person.session_id)
        assert loaded is not None, "Redis has no such session"
        return loaded

    async def recorded(self, person: Person) -> list[RecordedTurn]:
        """Return the turns of a person's session that Redis holds."""
        return list((await self.loaded(person)).turns)

    def field_of(self, person: Person, name: str) -> str:
        """Return a plain field of a person's session from Redis, past the store; "" for none."""
        key = KeySpace().participant(person.participant).session(person.session_id)
        with self.redis.client() as client:
            return str(client.hget(key, name) or "")

    async def restart_livekit(self) -> None:
        """End LiveKit as a crash does, and start it again under the same address and key."""
        self.livekit.kill()
        self.livekit.start()
        await self.livekit.ready()

    async def until_alone_with_one_agent(self, person: Person, *, within_s: float = NET_S) -> str:
        """Return the agent's identity as soon as LiveKit and the person see the same single one."""
        seen: list[str] = []

        async def look() -> None:
            while True:
                seen[:] = await self.agents_with(person)
                if len(seen) == 1 and person.agents == seen:
                    return
                await asyncio.sleep(0.1)

        try:
            async with asyncio.timeout(within_s):
                await look()
        except TimeoutError:
            raise AssertionError(
                f"LiveKit shows {len(seen)} agents, the person sees {len(person.agents)}:\n"
                f"{person.notes.told()}"
            ) from None
        return seen[0]


@asynccontextmanager
async def running(
    folder: Path,
    *,
    workers: int = 2,
    islands: Sequence[Island] = (),
    **settings: str,
) -> AsyncIterator[Stand]:
    """Run everything until the block ends.

    Args:
        folder: of its own, for logs and data.
        workers: how many to start with; they all get ready.
        islands: networks that further workers will live in.
        settings: of all programs, such as ``REJOIN_LEASE_S="3"``.
    """
    async with AsyncExitStack() as at_the_end:
        stand = Stand(folder, at_the_end, settings, islands)
        at_the_end.push_async_callback(stand.aclose)
        await stand.start()
        for _ in range(workers):
            await stand.add_worker(ready=False)
        for worker in stand.workers:
            await worker.ready()
        yield stand
