"""The first steps of docs/binding.md, word for word, with the wheel and outside of the checkout.

Headings that are run here: Install, Keys and settings, The agent, Run it, Tests and the console.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zipfile import ZipFile

import pytest
import pytest_asyncio

from dev.paths import ROOT
from dev.rig.livekit import LiveKitServer
from dev.rig.net import NET_S
from dev.rig.programs import Program, environment, signal_process, until
from tests.snippets import blocks, changed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PAGE: Final = "docs/binding.md"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, and unpack it: without examples, demo models and tests."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    (wheel,) = folder.glob("*.whl")
    with ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write the files that the reader writes."""
    folder = tmp_path / "reader"
    folder.mkdir()
    model, plain = blocks(PAGE, "The agent", "python")
    (diff,) = blocks(PAGE, "The agent", "diff")
    tokens, talk = blocks(PAGE, "Run it", "python")
    files = {"model": model, "my_agent": changed(plain, diff), "tokens": tokens, "talk": talk}
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder


@pytest_asyncio.fixture
async def livekit(tmp_path: Path) -> AsyncIterator[LiveKitServer]:
    """Run LiveKit."""
    server = LiveKitServer(tmp_path / "livekit")
    server.start()
    await server.ready()
    yield server
    await server.aclose(grace_s=0)


@pytest.fixture
def known(redis_url: str, livekit: LiveKitServer, site: Path) -> dict[str, str]:
    """Return what differs from a reader's machine: addresses, and where packages are."""
    return {
        "REJOIN_REDIS_URL": redis_url,
        "LIVEKIT_URL": livekit.url,
        "LIVEKIT_API_KEY": livekit.key,
        "LIVEKIT_API_SECRET": livekit.secret,
        "LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE": "0",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(site),
    }


def in_shell(name: str, command: str, folder: Path, known: dict[str, str]) -> Program:
    """Start commands of the page, but for the environment, which is there already."""
    command = re.sub(
        r"^(python3 -m venv|pip install) .*$|\. venv/bin/activate(?: && )?", "", command
    )
    command = re.sub(r"^(?=\s*$)", ":", command) if not command.strip() else command
    program = Program(name, ["/bin/sh", "-ec", command], folder, known)
    program.start()
    return program


async def test_the_first_steps_lead_to_a_conversation_that_outlives_its_job(
    folder: Path, known: dict[str, str]
) -> None:
    """Say something, kill the job, be answered; come again from another room."""
    (make_keys,) = blocks(PAGE, "Keys and settings", "sh")
    keys = in_shell("keys", make_keys, folder, known)
    await until(lambda: not keys.runs, "the keys are made")
    assert re.search(r"^ok +keys +1 key", keys.last_words(), re.MULTILINE), keys.last_words()

    run_worker, run_talk = blocks(PAGE, "Run it", "sh")
    worker = in_shell("worker", run_worker, folder, known)
    try:
        await until(lambda: "registered worker" in worker.last_words(100_000), "it is ready")
        talk = await Talk.begin(run_talk, folder, known)
        await talk.prints("assistant: Hello! What can I do for you?")
        talk.type("my cat is called Tom")
        await talk.prints("assistant: You said: my cat is called Tom.")
        jobs = re.findall(r' joined .*"pid": (\d+)', worker.last_words(100_000))
        signal_process(int(jobs[-1]), signal.SIGKILL)
        await talk.prints("[the agent is back]")
        talk.type("her name is Ada")
        await talk.prints("assistant: You said: my cat is called Tom; her name is Ada.")
        await talk.end()

        again = await Talk.begin(run_talk, folder, known)
        await again.prints("assistant: You said: my cat is called Tom; her name is Ada.")
        await again.end()
    finally:
        await worker.aclose(grace_s=0)
    listed = in_shell(
        "listed", ". ./settings.sh; session-store list --identity maria", folder, known
    )
    await until(lambda: not listed.runs, "the sessions are listed")
    assert "assistant" not in listed.last_words()
    assert re.search(r"\b[a-z2-7]{26}\b", listed.last_words()), listed.last_words()


class Talk:
    """The program with which the reader talks."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._printed = ""

    @classmethod
    async def begin(cls, command: str, folder: Path, known: dict[str, str]) -> Talk:
        """Start it."""
        command = command.replace(". venv/bin/activate && ", "")
        return cls(
            await asyncio.create_subprocess_exec(
                *("/bin/sh", "-ec", command),
                cwd=folder,
                env=environment(known),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
        )

    def type(self, text: str) -> None:
        """Type a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\n".encode())

    async def prints(self, line: str) -> None:
        """Wait until it prints a line."""
        assert self._process.stdout is not None
        async with asyncio.timeout(NET_S):
            while line not in self._printed.splitlines():
                read = await self._process.stdout.readline()
                assert read, f"{line!r} was not printed:\n{self._printed}"
                self._printed += read.decode()

    async def end(self) -> None:
        """Press Ctrl-D."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await asyncio.wait_for(self._process.wait(), NET_S)


def test_the_tests_of_the_page_pass(site: Path, folder: Path) -> None:
    """Without Redis, without a key, with and without memory."""
    (folder / "test_agent.py").write_text(
        "\n\n".join(blocks(PAGE, "Tests and the console", "python"))
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-o", "asyncio_mode=auto", "-p", "no:cacheprovider"],
        cwd=folder,
        env=environment({"PYTHONPATH": f"{site}:{folder}"}),
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * NET_S,
    )
    assert re.search(r"^2 passed", done.stdout, re.MULTILINE), done.stdout + done.stderr
