"""The spool's files: whole or not there, for one user, and never in the way of others."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from session_store import Keyring, SessionStore, StoreSettings, StoreUnavailable, Turn
from session_store.backends.memory.backend import MemoryBackend
from session_store.backends.values import LeaseRef
from session_store.values import SealedTurn
from session_store.writing.spool import Spool, SpoolReport, keep_replaying

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from session_store import Joined
    from session_store.values import Replayed

LEASE = LeaseRef("participant", "session", "owner", "1700000000000", "data-key")
TURNS = [SealedTurn(n, bytes(16), secrets.token_bytes(1000), None) for n in (1, 2, 3)]


class Memory(SessionStore):
    """A store in memory that can be away."""

    def __init__(self) -> None:
        keys = {"k": secrets.token_bytes(32)}
        keyring = Keyring(keys, primary="k", pseudonym_key=secrets.token_bytes(32))
        super().__init__(MemoryBackend.from_settings(StoreSettings()), keyring)
        self.is_away = False
        self.replays = 0

    async def replay(
        self,
        lease: LeaseRef,
        turns: Sequence[SealedTurn],
        settles: Mapping[str, int] | None = None,
    ) -> Replayed:
        """Count, and fail where it is to be away."""
        self.replays += 1
        await asyncio.sleep(0)
        if self.is_away:
            raise StoreUnavailable("away")
        return await super().replay(lease, turns, settles)


@pytest.fixture
def store() -> Memory:
    """Return an empty store."""
    return Memory()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Name a folder that does not exist yet."""
    return tmp_path / "a" / "spool"


def names(folder: Path) -> list[str]:
    """Return what is in the folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir())


def only_file(folder: Path) -> Path:
    """Return the one file of the folder, hidden or not."""
    (file,) = folder.iterdir()
    return file


def mode(path: Path) -> int:
    """Return who may do what with it."""
    return path.stat().st_mode & 0o777


async def left_by(store: Memory, who: str, count: int) -> tuple[Joined, list[SealedTurn]]:
    """Join, and seal turns that the store never sees."""
    joined = await store.join(store.pseudonym(who))
    turns = [
        Turn(id=f"{who}-{n}", role="user", text=f"a secret of {who}", created_at=n)
        for n in range(1, count + 1)
    ]
    return joined, [store.seal(joined.lease, turn) for turn in turns]


async def stored(store: Memory, joined: Joined) -> list[str]:
    """Return the ids of the turns that the store has."""
    loaded = await store.load(joined.session.participant, joined.session.id)
    assert loaded is not None
    return [each.turn.id for each in loaded.turns]


async def test_what_was_left_comes_in_and_its_file_goes(store: Memory, folder: Path) -> None:
    """A replay appends the turns in order, and another one finds nothing."""
    joined, turns = await left_by(store, "maria", 3)
    spool = Spool(folder)
    spool.write(joined.lease.ref, turns)
    assert await spool.replay(store) == SpoolReport(appended=3)
    assert await stored(store, joined) == ["maria-1", "maria-2", "maria-3"]
    assert await spool.replay(store) == SpoolReport()
    assert names(folder) == []


async def test_nothing_left_makes_no_file(store: Memory, folder: Path, tmp_path: Path) -> None:
    """A job that saved everything touches no disk, and a folder that is not there is empty."""
    Spool(folder).write(LEASE, [])
    assert names(tmp_path) == []
    assert await Spool(folder).replay(store) == SpoolReport()


async def test_files_are_for_one_user_and_say_nothing(store: Memory, folder: Path) -> None:
    """Mode 0600 in 0700 under any umask; neither text nor identity is in the file or its name."""
    joined, turns = await left_by(store, "maria", 2)
    before = os.umask(0)
    try:
        Spool(folder).write(joined.lease.ref, turns)
    finally:
        os.umask(before)
    file = only_file(folder)
    assert (mode(folder), mode(file)) == (0o700, 0o600)
    assert b"maria" not in file.read_bytes() + file.name.encode()
    assert b"secret" not in file.read_bytes()


async def test_each_job_leaves_a_file_of_its_own(store: Memory, folder: Path) -> None:
    """The jobs of a worker that ends leave their turns side by side, and all of them come in."""
    left = [await left_by(store, who, 2) for who in ("maria", "juan", "ana")]
    for joined, turns in left:
        Spool(folder).write(joined.lease.ref, turns)
    assert len(names(folder)) == 3
    assert await Spool(folder).replay(store) == SpoolReport(appended=6)
    for (joined, _), who in zip(left, ("maria", "juan", "ana"), strict=True):
        assert await stored(store, joined) == [f"{who}-1", f"{who}-2"]


async def test_many_turns_come_in_piece_by_piece(store: Memory, folder: Path) -> None:
    """No command grows with the length of an outage."""
    joined, turns = await left_by(store, "maria", 250)
    Spool(folder).write(joined.lease.ref, turns)
    assert await Spool(folder).replay(store) == SpoolReport(appended=250)
    assert store.replays == 3
    assert (await stored(store, joined))[-1] == "maria-250"


async def test_two_replayers_bring_each_turn_in_once(store: Memory, folder: Path) -> None:
    """A file that another one is at is passed over; together they do all of them."""
    left = [await left_by(store, f"who-{n}", 2) for n in range(8)]
    for joined, turns in left:
        Spool(folder).write(joined.lease.ref, turns)
    one, other = await asyncio.gather(Spool(folder).replay(store), Spool(folder).replay(store))
    assert one + other == SpoolReport(appended=16)
    assert store.replays == 8
    assert names(folder) == []


async def test_files_wait_for_a_store_that_is_away(store: Memory, folder: Path) -> None:
    """It is asked once, for all of them; they come in when it is back."""
    left = [await left_by(store, f"who-{n}", 1) for n in range(3)]
    for joined, turns in left:
        Spool(folder).write(joined.lease.ref, turns)
    store.is_away = True
    assert await Spool(folder).replay(store) == SpoolReport(kept=3)
    assert store.replays == 1
    store.is_away = False
    assert await Spool(folder).replay(store) == SpoolReport(appended=3)


@pytest.mark.parametrize("damage", ["empty", "head", "cut", "flip", "longer", "other"])
async def test_a_damaged_file_is_set_aside(
    store: Memory, folder: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is kept under another name, told, not tried again, and holds back no other."""
    spool = Spool(folder)
    damaged, those = await left_by(store, "juan", 9)
    spool.write(damaged.lease.ref, those)
    file = only_file(folder)
    whole = file.read_bytes()
    middle = len(whole) // 2
    file.write_bytes(
        {
            "empty": b"",
            "head": whole[:40],
            "cut": whole[:-1],
            "flip": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
            "longer": whole + b" ",
            "other": b"something else\n" + whole,
        }[damage]
    )
    joined, turns = await left_by(store, "maria", 1)
    spool.write(joined.lease.ref, turns)
    assert await spool.replay(store) == SpoolReport(appended=1, damaged=1)
    assert names(folder) == [file.with_suffix(".damaged").name]
    assert "damaged" in caplog.text
    assert await stored(store, damaged) == []
    assert await spool.replay(store) == SpoolReport()


async def test_a_file_of_a_newer_version_is_left_for_it(
    store: Memory, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """During an update two versions share a folder; the old one says so once."""
    spool = Spool(folder)
    spool.write(LEASE, TURNS)
    file = only_file(folder)
    file.write_bytes(file.read_bytes().replace(b"rejoin-spool 1 ", b"rejoin-spool 3 "))
    for _ in range(3):
        assert await spool.replay(store) == SpoolReport(newer=1)
    assert names(folder) == [file.name]
    assert len(caplog.records) == 1


_WRITE = """
import os, resource, secrets, signal, sys
from pathlib import Path
from session_store.writing import spool
from session_store.backends.values import LeaseRef
from session_store.values import SealedTurn

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

lease = LeaseRef(*{lease!r})
turns = [SealedTurn(n, bytes(16), secrets.token_bytes(100_000), None) for n in range(1, 30)]
write, written = os.write, []

def write_some(fd, data):
    if written:
        die()
    written.append(write(fd, data[: len(data) // 2]))
    return written[0]

{before}
spool.Spool(Path(sys.argv[1])).write(lease, turns)
"""


def write_elsewhere(folder: Path, before: str) -> subprocess.CompletedProcess[str]:
    """Write a spool file in another process, which does ``before`` first."""
    lease = ("participant", "session", "owner", "1700000000000", "data-key")
    return subprocess.run(
        [sys.executable, "-c", _WRITE.format(lease=lease, before=before), str(folder)],
        check=False,
        capture_output=True,
        text=True,
    )


async def test_a_writer_killed_in_the_middle_leaves_nothing(store: Memory, folder: Path) -> None:
    """What it had written is no file of the spool, and the next replay clears it away."""
    killed = write_elsewhere(folder, "os.write = write_some")
    assert killed.returncode == -signal.SIGKILL
    assert len(only_file(folder).read_bytes()) > 100_000
    assert await Spool(folder).replay(store) == SpoolReport()
    assert names(folder) == []


async def test_a_writer_killed_at_the_very_end_leaves_everything(
    store: Memory, folder: Path
) -> None:
    """A file that lacks only its name is given it, and counts."""
    killed = write_elsewhere(folder, "os.fsync = die")
    assert killed.returncode == -signal.SIGKILL
    assert [name[-4:] for name in names(folder)] == [".tmp"]
    store.is_away = True
    assert await Spool(folder).replay(store) == SpoolReport(kept=1)
    assert [name[-6:] for name in names(folder)] == [".spool"]


async def test_a_full_disk_is_said_and_leaves_nothing(folder: Path) -> None:
    """The writer hears of it, and no half of a file stays."""
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))"
    full = write_elsewhere(folder, limit)
    assert "OSError: [Errno 27]" in full.stderr
    assert names(folder) == []


async def test_a_writer_that_is_at_it_is_left_alone(
    store: Memory, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replay in the middle of a write takes nothing away from it."""
    joined, turns = await left_by(store, "maria", 1)
    fsync = os.fsync
    seen: list[tuple[SpoolReport, list[str]]] = []

    def look(fd: int) -> None:
        if not seen:
            seen.append((asyncio.run(Spool(folder).replay(store)), names(folder)))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", look)
    await asyncio.to_thread(Spool(folder).write, joined.lease.ref, turns)
    report, (name,) = seen[0]
    assert (report, name[-4:]) == (SpoolReport(), ".tmp")
    assert await Spool(folder).replay(store) == SpoolReport(appended=1)


async def test_a_replay_before_the_lock_makes_the_writer_begin_again(
    store: Memory, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken for dead between making its file and locking it, a writer makes another one."""
    joined, turns = await left_by(store, "maria", 1)
    opened = os.open
    taken: list[Path] = []

    def take_first(path: Path, flags: int, mode: int = 0o777) -> int:
        fd = opened(path, flags, mode)
        if flags & os.O_CREAT and not taken:
            taken.append(path)
            path.unlink()
        return fd

    monkeypatch.setattr(os, "open", take_first)
    Spool(folder).write(joined.lease.ref, turns)
    assert len(taken) == 1
    assert await Spool(folder).replay(store) == SpoolReport(appended=1)


async def test_a_file_that_is_gone_once_it_is_locked_was_somebody_elses(
    store: Memory, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another replayer has just brought it in: it is not brought in twice, and nothing fails."""
    joined, turns = await left_by(store, "maria", 1)
    Spool(folder).write(joined.lease.ref, turns)
    opened = os.open

    def be_late(path: Path, flags: int, mode: int = 0o777) -> int:
        fd = opened(path, flags, mode)
        path.unlink()
        return fd

    monkeypatch.setattr(os, "open", be_late)
    assert await Spool(folder).replay(store) == SpoolReport()
    assert store.replays == 0


async def test_an_unknown_participant_is_damage(store: Memory, folder: Path) -> None:
    """What no store can ever take is set aside, rather than tried for ever."""
    spool = Spool(folder)
    spool.write(LEASE, TURNS)
    assert await spool.replay(store) == SpoolReport(damaged=1)


async def test_a_failure_of_one_file_holds_back_no_other(
    store: Memory, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong with one is told once, and the others come in."""
    left = [await left_by(store, who, 1) for who in ("maria", "juan")]
    spool = Spool(folder)
    for joined, turns in left:
        spool.write(joined.lease.ref, turns)
    replay = store.replay

    async def fails(
        lease: LeaseRef, turns: Sequence[SealedTurn], settles: Mapping[str, int]
    ) -> Replayed:
        if lease == left[0][0].lease.ref:
            raise RuntimeError("with something that must not be in a log")
        return await replay(lease, turns, settles)

    monkeypatch.setattr(store, "replay", fails)
    assert await spool.replay(store) == SpoolReport(appended=1, kept=1)
    assert await spool.replay(store) == SpoolReport(kept=1)
    assert [record.getMessage() for record in caplog.records] == ["a spool file waits"]
    assert "must not" not in caplog.text


async def test_replaying_goes_on_until_it_is_stopped(store: Memory, folder: Path) -> None:
    """What is left later comes in too, and so does what a store that was away had refused."""
    store.is_away = True
    replaying = asyncio.create_task(keep_replaying(store, folder, every_s=0.01))
    joined, turns = await left_by(store, "maria", 2)
    Spool(folder).write(joined.lease.ref, turns)
    while not store.replays:
        await asyncio.sleep(0.01)
    store.is_away = False
    while names(folder):
        await asyncio.sleep(0.01)
    replaying.cancel()
    assert await stored(store, joined) == ["maria-1", "maria-2"]
