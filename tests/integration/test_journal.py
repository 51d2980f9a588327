"""The erasure journal: what was erased is erased again after a backup was restored."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import os
import secrets
import stat
import sys
from typing import TYPE_CHECKING, Any

import pytest

from dev.rig.servers.process import QUICK, Server, running
from session_store import InvalidValue, Keyring, SessionStore
from session_store.keys import KeySpace
from session_store.upkeep import privacy
from session_store.upkeep.audit import AuditLog
from session_store.upkeep.journal import ErasureJournal, JournalFailed, Noted, replay
from tests.integration.keeping import dump, left_in, talk_and_go, turn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def journal(tmp_path: Path) -> ErasureJournal:
    """Return a journal that was not written yet."""
    return ErasureJournal(tmp_path / "erasures.jsonl")


def lines(journal: ErasureJournal) -> list[bytes]:
    """Return the journal's lines."""
    return journal.path.read_bytes().splitlines()


async def test_erased_data_come_back_with_a_backup_and_go_with_the_journal(
    make_store: Callable[..., SessionStore], tmp_path: Path, journal: ErasureJournal
) -> None:
    """A restored RDB holds what was erased, readable; replay erases it, and nothing newer."""
    server = Server(tmp_path / "redis", *QUICK)
    backup = tmp_path / "redis" / "dump.rdb"
    with running(server):
        url = f"redis://{server.name}/0"
        store = make_store(redis_url=url)
        erased, returned, kept = (store.pseudonym(each) for each in ("maria", "tom", "joe"))
        for who in (erased, returned, kept):
            await talk_and_go(store, who)
        second = await store.open_new(kept)
        with server.client() as client:
            client.save()
        saved = backup.read_bytes()

        await privacy.erase(store, erased, journal=journal)
        await privacy.erase(store, returned, journal=journal)
        await privacy.erase_session(store, kept, second.session.id, journal=journal)
        await asyncio.sleep(0.002)  # the store's clock counts milliseconds
        await talk_and_go(store, returned, turns=1)
        await talk_and_go(store, newcomer := store.pseudonym("newcomer"))
        await store.aclose()

        # Disaster: the data are lost, and the backup is put back.
        server.kill()
        backup.write_bytes(saved)
        await asyncio.to_thread(server.revive)
        store = make_store(redis_url=url)
        await store.check()
        (session,) = (await store.sessions(erased)).sessions
        loaded = await store.load(erased, session.id)
        assert loaded is not None
        assert [each.turn for each in loaded.turns] == [turn(1), turn(2), turn(3)]
        # A new participant is faster than the operator.
        await talk_and_go(store, newcomer)

        report = await replay(store, journal)

        assert (report.entries, report.participants, report.sessions) == (3, 2, 1)
        assert not report.left_over
        assert not report.skipped
        assert await store._backend.participant(erased) is None
        assert await store._backend.participant(returned) is None
        left = {each.id for each in (await store.sessions(kept)).sessions}
        assert len(left) == 1
        assert second.session.id not in left
        assert (await store.sessions(newcomer)).total == 1
        with server.client() as client:
            theirs = [key for key in client.scan_iter() if erased in key or returned in key]
        assert all(key.endswith(":erased") for key in theirs)


async def test_who_came_back_after_the_erasure_is_left_alone(
    store: SessionStore, raw: Any, journal: ErasureJournal
) -> None:
    """Replayed where nothing was restored, a journal changes nothing, however often."""
    gone, back = store.pseudonym("maria"), store.pseudonym("tom")
    for who in (gone, back):
        await talk_and_go(store, who)
        await privacy.erase(store, who, journal=journal)
    await asyncio.sleep(0.002)  # the store's clock counts milliseconds
    joined = await talk_and_go(store, back)
    before = await dump(raw)

    for _ in range(2):
        report = await replay(store, journal)
        assert (report.participants, report.sessions, report.absent) == (0, 0, 1)
        assert report.came_back == (back,)

    assert await dump(raw) == before
    assert await store.load(back, joined.session.id) is not None


@pytest.mark.parametrize("skew_ms", [-10_000_000, 10_000_000])
async def test_a_wrong_clock_spares_nobody_and_erases_nobody(
    store: SessionStore,
    raw: Any,
    journal: ErasureJournal,
    monkeypatch: pytest.MonkeyPatch,
    skew_ms: int,
) -> None:
    """What is compared are two times of the store's own clock, not of the machine that erased."""
    now = int((await raw.time())[0]) * 1000
    monkeypatch.setattr("time.time_ns", lambda: (now + skew_ms) * 1_000_000)
    who = store.pseudonym("maria")
    await talk_and_go(store, who)
    backup = {key: await raw.dump(key) for key in await raw.keys()}
    await privacy.erase(store, who, journal=journal)
    await asyncio.sleep(0.002)
    await talk_and_go(store, who)
    assert (await replay(store, journal)).came_back == (who,)

    await raw.flushall()
    for key, value in backup.items():
        await raw.restore(key, 3_600_000, value)
    assert (await replay(store, journal)).participants == 1
    assert await store._backend.participant(who) is None


def test_somebody_the_store_did_not_know_is_covered_until_the_erasure() -> None:
    """Without a time of the store's, that of the machine counts."""
    noted = Noted("p", "", at=1_000, created=0)
    assert noted.covers(999)
    assert not noted.covers(1_000)
    assert Noted("p", "", at=1_000, created=2_000).covers(2_000)
    assert not Noted("p", "", at=1_000, created=2_000).covers(2_001)


async def test_somebody_unknown_is_erased_from_backups_too(
    store: SessionStore, journal: ErasureJournal
) -> None:
    """An erasure after the data expired is noted: a backup may have them."""
    who = store.pseudonym("maria")
    await privacy.erase(store, who, journal=journal)
    (noted,) = (await journal.read(store.keyring)).entries
    assert (noted.participant, noted.created) == (who, 0)


async def test_a_broken_participant_can_be_erased_and_replayed(
    store: SessionStore, raw: Any, journal: ErasureJournal
) -> None:
    """Where the data key does not read any more, erasure still works, and so does replay."""
    who = store.pseudonym("maria")
    for _ in range(2):
        await talk_and_go(store, who)
        await raw.hdel(KeySpace().participant(who).data_key, "wrapped")
        await privacy.erase(store, who, journal=journal)
    await talk_and_go(store, who)
    await raw.hdel(KeySpace().participant(who).data_key, "wrapped")
    assert (await replay(store, journal)).participants >= 1
    assert await left_in(raw) == []


async def test_the_journal_comes_first(
    store: SessionStore, raw: Any, journal: ErasureJournal
) -> None:
    """An erasure that cannot be noted is not done."""
    who = store.pseudonym("maria")
    joined = await talk_and_go(store, who)
    before = await dump(raw)
    for nowhere in (
        ErasureJournal(journal.path / "not" / "there"),
        ErasureJournal(journal.path.parent),
    ):
        with pytest.raises(JournalFailed, match="erasure journal"):
            await privacy.erase(store, who, journal=nowhere)
        with pytest.raises(JournalFailed):
            await privacy.erase_session(store, who, joined.session.id, journal=nowhere)
    assert await dump(raw) == before


async def test_only_participants_are_noted(store: SessionStore, journal: ErasureJournal) -> None:
    """An identity in place of a pseudonym is refused: it must not reach the disk."""
    with pytest.raises(InvalidValue):
        await journal.note(store.keyring, "maria@example.com")
    assert not journal.path.exists()


async def test_a_replay_needs_a_journal(store: SessionStore, journal: ErasureJournal) -> None:
    """A file that is not there is an error, not a journal of nothing."""
    with pytest.raises(JournalFailed, match="No such file"):
        await replay(store, journal)


async def test_only_the_owner_reads_the_journal(
    store: SessionStore, journal: ErasureJournal
) -> None:
    """The file has mode 0600, also where it was made with another one."""
    journal.path.touch(mode=0o644)
    await journal.note(store.keyring, store.pseudonym("maria"))
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600
    assert b"maria" not in journal.path.read_bytes()


def altered(name: str, value: object) -> Callable[[dict[str, Any]], object]:
    """Make a change of one field."""
    return lambda said: {**said, name: value}


@pytest.mark.parametrize(
    "change",
    [
        altered("participant", "latxzhijiz3wwurugz4myx5hlm"),
        altered("participant", "nobody"),
        altered("participant", 1),
        altered("session", "s"),
        altered("at", 1),
        altered("at", "1"),
        altered("created", 9),
        altered("v", 2),
        altered("mac", "0" * 64),
        altered("mac", None),
        altered("mac", "ü"),
        lambda said: {name: value for name, value in said.items() if name != "mac"},
        lambda said: [said],
        lambda _: 1e400,
        lambda _: None,
    ],
)
async def test_a_forged_line_is_skipped_and_reported(
    store: SessionStore, journal: ErasureJournal, change: Callable[[dict[str, Any]], object]
) -> None:
    """Without the keys no one can have a participant erased: each field of a line is authentic."""
    who = store.pseudonym("maria")
    await talk_and_go(store, who)
    await journal.note(store.keyring, who, created=8)
    await journal.note(store.keyring, store.pseudonym("tom"))
    first, second = lines(journal)
    forged = json.dumps(change(json.loads(first))).encode()
    journal.path.write_bytes(forged + b"\n" + second + b"\n")

    report = await replay(store, journal)

    assert (report.skipped, report.entries) == ((1,), 1)
    assert await store._backend.participant(who) is not None


@pytest.mark.parametrize("damage", [b"{", b"\xff\xfe", b"\0\0\0\0", b"[" * 100_000, b"{}"])
async def test_a_damaged_line_hides_no_other(
    store: SessionStore, journal: ErasureJournal, damage: bytes
) -> None:
    """What cannot be read is skipped by its number, and what is around it is read."""
    await journal.note(store.keyring, store.pseudonym("maria"))
    with journal.path.open("ab") as file:
        file.write(damage + b"\n")
    await journal.note(store.keyring, store.pseudonym("tom"))
    content = await journal.read(store.keyring)
    assert [each.participant for each in content.entries] == [
        store.pseudonym("maria"),
        store.pseudonym("tom"),
    ]
    assert content.skipped == (2,)


async def test_a_line_that_a_crash_cut_short_does_not_swallow_the_next(
    store: SessionStore, journal: ErasureJournal
) -> None:
    """Whatever is left of a line, the next one stands by itself."""
    await journal.note(store.keyring, store.pseudonym("maria"))
    whole = journal.path.read_bytes()
    for length in range(len(whole)):
        journal.path.write_bytes(whole[:length])
        await journal.note(store.keyring, store.pseudonym("tom"))
        content = await journal.read(store.keyring)
        assert content.entries[-1].participant == store.pseudonym("tom")
        # A line that lacks nothing but its end is whole.
        assert len(content.entries) == (2 if length == len(whole) - 1 else 1)


async def test_a_full_disk_leaves_no_half_line(
    store: SessionStore, journal: ErasureJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line of which only a part could be written is taken back, and the caller is told."""
    await journal.note(store.keyring, store.pseudonym("maria"))
    before = journal.path.read_bytes()
    write = os.write

    def full(file: int, data: bytes) -> int:
        if len(data) < 100:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, data[:100])

    monkeypatch.setattr("session_store.upkeep.journal.os.write", full)
    with pytest.raises(JournalFailed, match="No space left"):
        await journal.note(store.keyring, store.pseudonym("tom"))
    assert journal.path.read_bytes() == before


async def test_many_processes_write_whole_lines(journal: ErasureJournal, tmp_path: Path) -> None:
    """Processes that write at the same time mix no lines and lose none."""
    program = tmp_path / "write.py"
    program.write_text(
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from session_store import Keyring\n"
        "from session_store.upkeep.journal import ErasureJournal\n"
        "async def main():\n"
        "    ring = Keyring({'a': bytes(32)}, primary='a', pseudonym_key=bytes(32))\n"
        "    for number in range(50):\n"
        "        who = ring.pseudonym(f'{sys.argv[2]} {number}')\n"
        "        await ErasureJournal(Path(sys.argv[1])).note(ring, who)\n"
        "asyncio.run(main())\n"
    )
    writers = [
        await asyncio.create_subprocess_exec(
            sys.executable, str(program), str(journal.path), str(number)
        )
        for number in range(2)
    ]
    assert [await writer.wait() for writer in writers] == [0, 0]
    ring = Keyring({"a": bytes(32)}, primary="a", pseudonym_key=bytes(32))
    content = await journal.read(ring)
    assert len({each.participant for each in content.entries}) == 100
    assert not content.skipped


async def test_a_writer_waits_for_the_one_before(
    store: SessionStore, journal: ErasureJournal
) -> None:
    """While another process is in the middle of a line, no reader judges it cut short."""
    await journal.note(store.keyring, store.pseudonym("maria"))
    with journal.path.open("rb+") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        waiting = asyncio.create_task(journal.note(store.keyring, store.pseudonym("tom")))
        await asyncio.wait([waiting], timeout=0.1)
        assert not waiting.done()
        assert len(lines(journal)) == 1
    await waiting
    assert len(lines(journal)) == 2


async def test_other_keys_make_no_journal(store: SessionStore, journal: ErasureJournal) -> None:
    """With another keyring, every line is out: pseudonyms would not be the same either."""
    await journal.note(store.keyring, store.pseudonym("maria"))
    key = secrets.token_bytes(32)
    other = Keyring({"a": key}, primary="a", pseudonym_key=key)
    content = await journal.read(other)
    assert (content.entries, content.skipped) == ((), (1,))


async def test_a_replay_is_audited(store: SessionStore, journal: ErasureJournal) -> None:
    """It leaves one entry, with what it did in numbers."""
    who = store.pseudonym("maria")
    await journal.note(store.keyring, who, created=4_000_000_000_000)
    await talk_and_go(store, who)
    log = AuditLog(store.side, store.keyring, actor="cli")
    await replay(store, journal, audit=log)
    (entry,) = [entry.fields async for entry in log.entries()]
    assert entry["action"] == "replay"
    assert entry["detail"] == "participants=1 sessions=0 skipped=0 left_over=0"
