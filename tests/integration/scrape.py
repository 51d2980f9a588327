"""What Prometheus would read of a real worker and a real gateway, before and after a kill."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from dev.rig.net import NET_S
from dev.rig.notes import Kind
from dev.rig.ports import free_port
from dev.rig.stand import running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dev.rig.person import Person
    from dev.rig.stand import Stand

SPOKEN: Final = ("my name is Zerubbabel", "remember that my parrot is called Quetzalcoatl")
"""Words that no scrape may hold."""
QUALITY: Final = b'{"v": 1, "round_trip": 0.042, "loss": 0.015}'


@dataclass(frozen=True, slots=True)
class Scrape:
    """What was read at one moment, in Prometheus's text format."""

    worker: str
    gateway: str

    def value(self, name: str, **labels: str) -> float:
        """Return a sample by all its labels: the sum of the worker's and the gateway's.

        Raises:
            KeyError: neither has it.
        """
        found = [
            float(sample.value)
            for text in (self.worker, self.gateway)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and sample.labels == labels
        ]
        if not found:
            raise KeyError(name, labels)
        return sum(found)


@dataclass(frozen=True, slots=True)
class Scraped:
    """What a run came to."""

    idle: Scrape
    """Before the first participant."""
    reloaded: Scrape
    """Two people talk; one of them has loaded the page again."""
    killed: Scrape
    """The other one's job was killed, and they talk to a successor."""
    pid: int
    """The killed job's."""
    files: tuple[str, ...]
    """Names of the files of metrics that were there at the end."""
    secrets: tuple[str, ...]
    """Names, ids and words of this run: no scrape may hold one."""


async def scrape_a_run(folder: Path) -> Scraped:
    """Run a worker and a gateway with two people, and read their metrics three times."""
    worker, gateway = str(free_port()), str(free_port())
    async with (
        running(
            folder,
            workers=1,
            AGENT_METRICS_PORT=worker,
            AGENT_METRICS_DIR=str(folder / "metrics"),
            GATEWAY_METRICS_PORT=gateway,
        ) as stand,
        aiohttp.ClientSession() as http,
        stand.person() as maria,
        stand.person() as joe,
    ):

        async def scrape() -> Scrape:
            texts = []
            for port in (worker, gateway):
                async with http.get(f"http://127.0.0.1:{port}/metrics") as answer:
                    texts.append(await answer.text())
            return Scrape(*texts)

        async def until(seen: Callable[[Scrape], bool]) -> Scrape:
            deadline = time.monotonic() + NET_S
            while not seen(last := await scrape()):
                assert time.monotonic() < deadline, last.worker
                await asyncio.sleep(0.1)
            return last

        idle = await until(lambda seen: "session_connections_total" in seen.worker)
        for person, words in zip((maria, joe), SPOKEN, strict=True):
            await person.come()
            await person.ask(words)
        await _report(maria)
        await maria.reload()
        await maria.ask("what is my name?")
        reloaded = await until(
            lambda seen: (
                seen.value("session_reconnections_total") == 1
                and seen.value("rejoin_client_round_trip_seconds_count") == 1
                and seen.value("rejoin_unsaved_turns") == 0
            )
        )
        job = stand.job_of(joe)
        at = job.kill()
        await joe.notes.first(Kind.HELLO, after=at)
        killed = await until(
            lambda seen: (
                seen.value("rejoin_takeovers_total") == 1 and seen.value("active_sessions") == 2
            )
        )
        files = sorted(path.name for path in (folder / "metrics").iterdir())
        return Scraped(idle, reloaded, killed, job.pid, tuple(files), _secrets(stand, maria, joe))


async def _report(person: Person) -> None:
    """Tell of the connection as the page does."""
    await person.room.local_participant.publish_data(
        QUALITY, topic="rj.quality", destination_identities=person.agents
    )


def _secrets(stand: Stand, *people: Person) -> tuple[str, ...]:
    ids = [
        each
        for person in people
        for each in (person.participant, person.secret_id, person.load_id, person.session_id)
    ]
    return (*ids, "Zerubbabel", "Quetzalcoatl", "parrot", str(stand.spool))
