"""What a dead job left, brought into a real Redis by whoever finds it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from session_store import Recorder, StoreSettings, Turn
from session_store.livekit.worker.spool_replay import replay_spool
from session_store.meter import NO_METER
from session_store.tasks import stop
from session_store.writing.content_writer import ContentWriter
from session_store.writing.spool import Spool, SpoolReport
from tests.integration.test_recorder import away, back
from tests.integration.test_store import age

if TYPE_CHECKING:
    from pathlib import Path

    from session_store import Joined, SessionStore
    from session_store.values import SealedTurn
    from session_store.writing.content_writer import SealedContent


def turn(number: int) -> Turn:
    """Make the user's turn number ``number``, said at that second."""
    return Turn(id=f"t{number}", role="user", text=f"sentence {number}", created_at=number)


class Died:
    """A job that saved two turns, and ended with two more and a title while Redis was away."""

    def __init__(self, joined: Joined) -> None:
        self.joined = joined
        self.turns: tuple[SealedTurn, ...] = ()
        self.content: SealedContent | None = None

    @classmethod
    async def in_an_outage(cls, store: SessionStore, raw: Any, who: str = "maria") -> Died:
        """Let it happen; Redis is back at the end."""
        died = cls(await store.join(store.pseudonym(who)))
        recorder = Recorder(store, died.joined.lease)
        content = ContentWriter(store, died.joined.lease, recorder)
        recorder.record(turn(1))
        recorder.record(turn(2))
        assert await recorder.flush(5)
        await away(raw)
        recorder.record(turn(3))
        recorder.record(turn(4))
        content.change(lambda old: old.model_copy(update={"title": "from the outage"}))
        await recorder.saved(4, 0.05)
        await recorder.aclose()
        await content.aclose()
        died.turns, died.content = recorder.unsaved(), content.unsaved()
        await back(raw)
        return died

    def leave(self, folder: Path) -> Spool:
        """Write it down, and return the spool."""
        spool = Spool(folder)
        spool.write(self.joined.lease.ref, self.turns, self.content)
        return spool

    async def stored(self, store: SessionStore) -> list[tuple[str, int, bool]]:
        """Return id, number and lateness of each turn that the store has."""
        loaded = await store.load(self.joined.session.participant, self.joined.session.id)
        assert loaded is not None
        return [(each.turn.id, each.seq, each.late) for each in loaded.turns]

    async def title(self, store: SessionStore) -> str | None:
        """Return the title that the store has."""
        loaded = await store.load(self.joined.session.participant, self.joined.session.id)
        assert loaded is not None
        return loaded.session.content.title


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Name the spool's folder."""
    return tmp_path / "spool"


async def test_where_nobody_took_over_the_record_goes_on(
    store: SessionStore, raw: Any, folder: Path
) -> None:
    """The turns follow in order, also under a lease that ran out; the title is there too."""
    died = await Died.in_an_outage(store, raw)
    await age(raw, store, "maria", died.joined.session.id, 60)
    spool = died.leave(folder)
    assert await spool.replay(store) == SpoolReport(appended=2, contents=1)
    numbers = [(f"t{n}", n, False) for n in (1, 2, 3, 4)]
    assert await died.stored(store) == numbers
    assert await died.title(store) == "from the outage"
    successor = await store.join(died.joined.session.participant)
    assert [each.turn for each in successor.turns] == [turn(n) for n in (1, 2, 3, 4)]


async def test_after_a_takeover_turns_come_in_late_and_once(
    store: SessionStore, raw: Any, folder: Path
) -> None:
    """They are read in by their time, keep their numbers, and a second replay adds nothing."""
    died = await Died.in_an_outage(store, raw)
    await age(raw, store, "maria", died.joined.session.id, 5)
    successor = await store.join(died.joined.session.participant)
    recorder = Recorder(store, successor.lease)
    recorder.record(turn(9))
    assert await recorder.flush(5)
    for _ in range(2):
        assert (await died.leave(folder).replay(store)).late == 2
        assert await died.stored(store) == [
            ("t1", 1, False),
            ("t2", 2, False),
            ("t3", 3, True),
            ("t4", 4, True),
            ("t9", 3, False),
        ]
    recorder.record(turn(10))
    assert await recorder.flush(5)
    assert (await died.stored(store))[-1] == ("t10", 4, False)
    await recorder.aclose()


async def test_turns_whose_acknowledgement_was_lost_are_not_doubled(
    store: SessionStore, raw: Any, folder: Path
) -> None:
    """They are in the record already when a successor has taken over: no late ones beside them."""
    died = await Died.in_an_outage(store, raw)
    await store.append(died.joined.lease, died.turns)
    await age(raw, store, "maria", died.joined.session.id, 5)
    await store.join(died.joined.session.participant)
    await died.leave(folder).replay(store)
    assert await died.stored(store) == [(f"t{n}", n, False) for n in (1, 2, 3, 4)]


async def test_what_was_erased_meanwhile_does_not_come_back(
    store: SessionStore, raw: Any, folder: Path
) -> None:
    """The spool drops it, and leaves neither a key in Redis nor a file."""
    died = await Died.in_an_outage(store, raw)
    spool = died.leave(folder)
    await store.erase(died.joined.session.participant)
    keys = sorted(await raw.keys())
    assert await spool.replay(store) == SpoolReport(erased=2)
    assert sorted(await raw.keys()) == keys
    assert list(folder.iterdir()) == []  # noqa: ASYNC240 (a test's own folder)


async def test_somebody_erased_who_came_back_stays_new(
    store: SessionStore, raw: Any, folder: Path
) -> None:
    """The sessions of a new life get nothing of what an earlier one left."""
    died = await Died.in_an_outage(store, raw)
    who = died.joined.session.participant
    spool = died.leave(folder)
    await store.erase(who)
    again = await store.join(who)
    assert await spool.replay(store) == SpoolReport(erased=2)
    loaded = await store.load(who, again.session.id)
    assert loaded is not None
    assert (loaded.turns, loaded.session.content.title) == ((), None)


async def test_a_successor_who_changed_nothing_yet_gets_the_content(
    store: SessionStore, raw: Any, folder: Path
) -> None:
    """And what it changes afterwards is made on top of that."""
    died = await Died.in_an_outage(store, raw)
    await age(raw, store, "maria", died.joined.session.id, 5)
    successor = await store.join(died.joined.session.participant)
    assert await died.leave(folder).replay(store) == SpoolReport(late=2, contents=1)
    content = ContentWriter(store, successor.lease, Recorder(store, successor.lease))
    content.change(lambda old: old.model_copy(update={"language": "fr"}))
    assert await content.flush(5)
    assert content.content.title == "from the outage"
    assert await died.title(store) == "from the outage"
    await content.aclose()


async def test_content_that_a_successor_has_changed_is_not_replaced(
    store: SessionStore, raw: Any, folder: Path
) -> None:
    """What a dead job wanted to write over an older version is dropped, and counted."""
    died = await Died.in_an_outage(store, raw)
    await age(raw, store, "maria", died.joined.session.id, 5)
    successor = await store.join(died.joined.session.participant)
    await store.update(successor.lease, lambda old: old.model_copy(update={"title": "newer"}))
    assert await died.leave(folder).replay(store) == SpoolReport(late=2, outdated=1)
    assert await died.title(store) == "newer"


async def test_content_of_before_a_failover_breaks_no_seal(
    store: SessionStore, raw: Any, folder: Path
) -> None:
    """It witnesses no turn: the record may have become another one since."""
    died = await Died.in_an_outage(store, raw)
    key = next(each for each in await raw.keys() if b":s:" in each)
    await raw.delete(key.replace(b":s:", b":t:"))
    await raw.hset(key, "seq", "0")
    await age(raw, store, "maria", died.joined.session.id, 5)
    successor = await store.join(died.joined.session.participant)
    recorder = Recorder(store, successor.lease)
    for number in range(11, 16):
        recorder.record(turn(number))
    assert await recorder.flush(5)
    assert await died.leave(folder).replay(store) == SpoolReport(late=2, contents=1)
    assert len(await died.stored(store)) == 7
    await recorder.aclose()


async def test_files_wait_while_redis_refuses(store: SessionStore, raw: Any, folder: Path) -> None:
    """A Redis that takes nothing leaves the file as it is, and gets it when it is well again."""
    died = await Died.in_an_outage(store, raw)
    spool = died.leave(folder)
    await away(raw)
    assert await spool.replay(store) == SpoolReport(kept=1)
    await back(raw)
    assert await spool.replay(store) == SpoolReport(appended=2, contents=1)


_REPLAY = """
import asyncio, json, sys
from dataclasses import asdict
from pathlib import Path
from session_store import SessionStore, StoreSettings
from session_store.writing.spool import Spool

async def main():
    store = SessionStore.from_settings(StoreSettings())
    await store.ping()
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(asdict(await Spool(Path(sys.argv[1])).replay(store))))
    await store.aclose()

asyncio.run(main())
"""


async def test_processes_that_replay_at_once_share_the_work(
    store: SessionStore, redis_url: str, key_file: Path, folder: Path
) -> None:
    """Two of them take forty files between them: each file one of them, each turn once."""
    spool = Spool(folder)
    joined = [await store.join(store.pseudonym(f"who-{n}")) for n in range(40)]
    for each in joined:
        spool.write(each.lease.ref, [store.seal(each.lease, turn(n)) for n in (1, 2)])
    environment = {**os.environ, "REJOIN_REDIS_URL": redis_url, "REJOIN_KEY_FILE": str(key_file)}
    replayers = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _REPLAY, str(folder)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
        )
        for _ in range(2)
    ]
    for replayer in replayers:
        assert replayer.stdout is not None
        assert await replayer.stdout.readline() == b"ready\n"
    outputs = await asyncio.gather(*(replayer.communicate(b"go\n") for replayer in replayers))
    one, other = (SpoolReport(**json.loads(output)) for output, _ in outputs)
    assert one + other == SpoolReport(appended=80)
    for each in joined:
        loaded = await store.load(each.session.participant, each.session.id)
        assert loaded is not None
        assert [each.turn.id for each in loaded.turns] == ["t1", "t2"]


async def test_the_main_process_of_a_worker_replays(
    store: SessionStore, redis_url: str, key_file: Path, folder: Path
) -> None:
    """From its start on, and once more at its end: its last jobs ended a moment before."""
    settings = StoreSettings(redis_url=SecretStr(redis_url), key_file=key_file)
    spool = Spool(folder)
    joined = await store.join(store.pseudonym("maria"))
    spool.write(joined.lease.ref, [store.seal(joined.lease, turn(1))])
    replaying = asyncio.create_task(replay_spool(settings, folder, NO_METER))
    async with asyncio.timeout(10):
        while list(folder.glob("*.spool")):  # noqa: ASYNC240 (a test's own folder)
            await asyncio.sleep(0.01)
    spool.write(joined.lease.ref, [store.seal(joined.lease, turn(2))])
    await stop(replaying)
    loaded = await store.load(joined.session.participant, joined.session.id)
    assert loaded is not None
    assert [each.turn.id for each in loaded.turns] == ["t1", "t2"]
    assert list(folder.iterdir()) == []  # noqa: ASYNC240 (the same)
