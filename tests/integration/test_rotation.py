"""Rotation of key-encryption keys, while conversations go on."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from session_store import UnknownKey, Work, WrongKey
from session_store.keys import SHARDS, KeySpace, shard_of
from session_store.upkeep.rotation import RotationProgress, RotationReport, rotate_keys
from session_store.upkeep.sweeper import Sweeper
from tests.integration.keeping import WORK, dump, pass_time, talk, talk_and_go, turn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from session_store import SessionStore

MANY = 500


async def rotate(
    store: SessionStore, *, progress: Callable[[RotationProgress], None] | None = None
) -> RotationReport:
    """Rotate the keys of the processes that this store stands for."""
    return await rotate_keys(store._backend, store.keyring, progress=progress)


class Processes:
    """Makes stores, each of a process with its own keyring."""

    def __init__(self, make_store: Callable[..., SessionStore], folder: Path) -> None:
        self._make_store = make_store
        self._folder = folder
        self._keys = {key_id: _random() for key_id in ("old", "new", "third")}
        self._pseudonym_key = _random()

    def store(self, *ids: str, primary: str, **changed: str) -> SessionStore:
        """Make the store of a process whose keyring has these keys."""
        keys = {key_id: self._keys[key_id] for key_id in ids} | changed
        path = self._folder / f"keys-{secrets.token_hex(4)}.json"
        path.write_text(
            json.dumps({"keys": keys, "primary": primary, "pseudonym_key": self._pseudonym_key})
        )
        return self._make_store(key_file=path)


def _random() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


@pytest.fixture
def processes(make_store: Callable[..., SessionStore], tmp_path: Path) -> Processes:
    """Return a maker of stores with different keyrings."""
    return Processes(make_store, tmp_path)


async def wrapped_by(store: SessionStore, key_id: str) -> set[str]:
    """Return the participants whose data keys a key wraps."""
    return set(await store._backend.wrapped_by(key_id, range(SHARDS)))


async def newest_turns(store: SessionStore, people: Sequence[str]) -> list[str]:
    """Open the one session of each; return the ids of the newest turns, where there are some."""
    newest = []
    for who in people:
        (session,) = (await store.sessions(who)).sessions
        loaded = await store.load(who, session.id)
        assert loaded is not None
        assert len(loaded.turns) == min(loaded.session.seq, 100)
        newest += [each.turn.id for each in loaded.turns[-1:]]
    return newest


async def test_keys_rotate_while_conversations_go_on(processes: Processes) -> None:
    """Killed in the middle and run again under load, a rotation loses nothing and no one."""
    before = processes.store("old", "new", primary="old")
    during = processes.store("old", "new", primary="new")
    for store in (before, during):
        await store.check()
    people = [before.pseudonym(f"person {number}") for number in range(MANY)]
    await asyncio.gather(*(before.open(who) for who in people))
    talking = [await talk(before, who, turns=1) for who in people[:5]]
    stopping = asyncio.Event()

    async def go_on_talking(store: SessionStore, who: str) -> None:
        """Append under a lease, and data key, that were there before the rotation."""
        lease = next(each.lease for each in talking if each.lease.participant == who)
        while not stopping.is_set():
            await store.append(lease, [store.seal(lease, turn(lease.last_seq + 1))])
            await asyncio.sleep(0)

    async def come_and_go() -> None:
        """Join with each of both keyrings, as old and new processes do side by side."""
        for number, who in enumerate(people[5:205]):
            await talk_and_go(before if number % 2 else during, who, turns=1)
            if stopping.is_set():
                break

    load = [asyncio.create_task(go_on_talking(before, who)) for who in people[:5]]
    load.append(asyncio.create_task(come_and_go()))

    def kill_in_the_middle(progress: RotationProgress) -> None:
        if progress.shards_done >= SHARDS / 2:
            rotation.cancel()

    rotation = asyncio.create_task(rotate(during, progress=kill_in_the_middle))
    with pytest.raises(asyncio.CancelledError):
        await rotation
    left = await wrapped_by(during, "old")
    assert 0 < len(left) < MANY
    report = await rotate(during)
    stopping.set()
    await asyncio.gather(*load)

    assert report.rewrapped == len(left)
    assert report.removable == ("old",)
    assert not report.broken
    assert not report.unknown
    after = processes.store("new", primary="new")
    await after.check()
    assert await newest_turns(after, people)
    for each in talking:
        said = await newest_turns(after, [each.lease.participant])
        assert said == [f"turn-{each.lease.last_seq}"] != ["turn-1"]


async def test_rotation_touches_no_sealed_record(processes: Processes, raw: Any) -> None:
    """Sessions and turns stay what they are, byte by byte: only data keys are wrapped anew."""
    before = processes.store("old", "new", primary="old")
    for number in range(5):
        await talk_and_go(before, before.pseudonym(f"person {number}"))
    sealed = [key for key in await raw.keys() if b":s:" in key or b":t:" in key]
    dumps = {key: await raw.dump(key) for key in sealed}

    await rotate(processes.store("old", "new", primary="new"))

    assert len(sealed) == 10
    assert {key: await raw.dump(key) for key in sealed} == dumps
    after = processes.store("new", primary="new")
    who = after.pseudonym("person 1")
    [session] = (await after.sessions(who)).sessions
    loaded = await after.load(who, session.id)
    assert loaded is not None
    assert loaded.work == Work(3, WORK)


async def test_who_came_by_an_old_process_is_found_by_the_next_pass(processes: Processes) -> None:
    """A participant made during rotation, by a process with the old primary, is not missed."""
    before = processes.store("old", "new", primary="old")
    during = processes.store("old", "new", primary="new")
    await before.open(before.pseudonym("maria"))
    newcomer = next(
        who
        for number in range(1000)
        if shard_of(who := before.pseudonym(f"person {number}")) < SHARDS / 2
    )
    passes: list[int] = []
    wrapped_by_ = during._backend.wrapped_by

    async def noted(kek_id: str, shards: Sequence[int]) -> Sequence[str]:
        if kek_id == "old" and shards[-1] == SHARDS - 1:
            passes.append(len(passes) + 1)
            if len(passes) == 1:
                await before.open(newcomer)  # behind the back of the first pass
        return await wrapped_by_(kek_id, shards)

    during._backend.wrapped_by = noted  # type: ignore[method-assign]
    (key,) = (await rotate(during)).keys

    assert (key.key_id, key.rewrapped, key.passes, key.removable) == ("old", 2, 4, True)
    assert await wrapped_by(during, "new") == {before.pseudonym("maria"), newcomer}


async def test_two_rotations_at_once_share_the_work(processes: Processes) -> None:
    """Two processes that rotate at the same time wrap each data key once between them."""
    before = processes.store("old", "new", primary="old")
    people = [before.pseudonym(f"person {number}") for number in range(50)]
    await asyncio.gather(*(before.open(who) for who in people))
    both = [processes.store("old", "new", primary="new") for _ in range(2)]

    reports = await asyncio.gather(*map(rotate, both))

    assert sum(report.rewrapped for report in reports) == len(people)
    assert [report.removable for report in reports] == [("old",), ("old",)]
    assert await wrapped_by(both[0], "new") == set(people)


async def test_a_second_rotation_finds_nothing(processes: Processes, raw: Any) -> None:
    """What is rotated stays rotated: another run looks twice, and changes nothing."""
    before = processes.store("old", "new", primary="old")
    await before.open(before.pseudonym("maria"))
    during = processes.store("old", "new", primary="new")
    await rotate(during)
    dumped = await dump(raw)

    (key,) = (await rotate(during)).keys

    assert (key.rewrapped, key.stale, key.passes, key.removable) == (0, 0, 2, True)
    assert await dump(raw) == dumped


async def test_several_old_keys_rotate_in_one_run(processes: Processes) -> None:
    """Each key of the keyring that is not the primary is emptied, and reported by itself."""
    for primary in ("old", "third"):
        store = processes.store("old", "third", "new", primary=primary)
        for number in range(3):
            await store.open(store.pseudonym(f"{primary} {number}"))

    report = await rotate(processes.store("old", "third", "new", primary="new"))

    assert [(key.key_id, key.rewrapped) for key in report.keys] == [("old", 3), ("third", 3)]
    assert report.rewrapped == 6
    assert report.removable == ("old", "third")


async def test_a_key_removed_too_early_is_an_error_and_no_loss(
    processes: Processes, raw: Any
) -> None:
    """Without its key a participant is unreadable, named, and unchanged until it is put back."""
    before = processes.store("old", "new", primary="old")
    await before.check()
    who = before.pseudonym("maria")
    joined = await talk_and_go(before, who)
    early = processes.store("new", primary="new")
    dumped = await dump(raw)

    await early.check()
    with pytest.raises(UnknownKey, match="'old' is not in the keyring"):
        await early.load(who, joined.session.id)
    (listed,) = (await early.sessions(who)).sessions
    report = await rotate(early)

    assert not listed.readable
    assert report.unknown == {"old": (who,)}
    assert not report.keys
    assert {key: value for key, value in (await dump(raw)).items() if b"check" not in key} == {
        key: value for key, value in dumped.items() if b"check" not in key
    }
    with pytest.raises(UnknownKey):
        await early.join(who)
    back = processes.store("old", "new", primary="new")
    assert (await rotate(back)).rewrapped == 1
    rejoined = await back.join(who)
    assert [each.turn for each in rejoined.turns] == [turn(1), turn(2), turn(3)]


async def test_a_key_id_is_not_used_for_another_key(processes: Processes) -> None:
    """A key that was rotated out keeps its name: another key of that name is refused."""
    before = processes.store("old", "new", primary="old")
    await before.check()
    impostor = processes.store("new", primary="new", old=_random())
    with pytest.raises(WrongKey, match="'old'"):
        await impostor.check()


async def test_a_broken_data_key_stops_nobody_else(processes: Processes, raw: Any) -> None:
    """One that does not open is reported and left as it is, and its key is not removable."""
    before = processes.store("old", "new", primary="old")
    people = [before.pseudonym(f"person {number}") for number in range(10)]
    await asyncio.gather(*(before.open(who) for who in people))
    changed, cut, bare = (KeySpace().participant(who).data_key for who in people[:3])
    wrapped = bytearray(await raw.hget(changed, "wrapped"))
    wrapped[20] ^= 1
    await raw.hset(changed, "wrapped", bytes(wrapped))
    await raw.hset(cut, "wrapped", b"")
    await raw.hdel(bare, "wrapped")
    dumps = [await raw.dump(key) for key in (changed, cut, bare)]

    report = await rotate(processes.store("old", "new", primary="new"))

    assert report.broken == tuple(sorted(people[:3]))
    assert report.rewrapped == 7
    assert not report.removable
    assert [await raw.dump(key) for key in (changed, cut, bare)] == dumps


async def test_a_data_key_moved_to_somebody_else_is_not_wrapped_anew(
    processes: Processes, raw: Any
) -> None:
    """Rotation does not launder a wrapped key that was copied from another participant."""
    before = processes.store("old", "new", primary="old")
    victim, thief = before.pseudonym("maria"), before.pseudonym("mallory")
    for who in (victim, thief):
        await before.open(who)
    stolen = await raw.hgetall(KeySpace().participant(victim).data_key)
    await raw.hset(KeySpace().participant(thief).data_key, mapping=stolen)

    report = await rotate(processes.store("old", "new", primary="new"))

    assert report.broken == (thief,)
    assert report.rewrapped == 1


async def test_stale_entries_are_removed(processes: Processes, raw: Any) -> None:
    """A participant who is gone, or wrapped by another key, is taken off an old key's list."""
    before = processes.store("old", "new", primary="old")
    during = processes.store("old", "new", primary="new")
    gone, newer = before.pseudonym("nobody"), before.pseudonym("tom")
    await during.open(newer)
    for who in (gone, newer):
        await raw.sadd(KeySpace().kek(shard_of(who), "old"), who)

    (key,) = (await rotate(during)).keys

    assert (key.rewrapped, key.stale, key.removable) == (0, 2, True)
    assert await wrapped_by(during, "old") == set()
    assert await wrapped_by(during, "new") == {newer}


async def test_who_is_erased_during_rotation_stays_erased(processes: Processes) -> None:
    """A participant that goes between look and write is not brought back by it."""
    before = processes.store("old", "new", primary="old")
    during = processes.store("old", "new", primary="new")
    who = before.pseudonym("maria")
    await before.open(who)
    look = during._backend.participant

    async def seen_and_then_erased(participant: str) -> Any:
        stored = await look(participant)
        await before.erase(participant)
        return stored

    during._backend.participant = seen_and_then_erased  # type: ignore[method-assign]
    report = await rotate(during)

    assert report.rewrapped == 0
    assert await look(who) is None
    assert await wrapped_by(during, "new") == set()


async def test_progress_is_told(processes: Processes) -> None:
    """The caller hears how far a rotation is: by key, pass, shards and data keys."""
    before = processes.store("old", "new", primary="old")
    await before.open(before.pseudonym("maria"))
    told: list[RotationProgress] = []

    await rotate(processes.store("old", "new", primary="new"), progress=told.append)

    assert told[-1] == RotationProgress("old", number=3, shards_done=SHARDS, rewrapped=1)
    assert [each.shards_done for each in told if each.number == 1][:2] == [64, 128]


async def test_who_talks_for_more_than_a_week_is_not_missed(processes: Processes, raw: Any) -> None:
    """The list of wrapped keys outlives the longest conversation, or its data would be lost."""
    before = processes.store("old", "new", primary="old")
    who = before.pseudonym("maria")
    joined = await talk(before, who)
    for _ in range(18):
        await pass_time(raw, 12 * 3600)
        await before.renew(joined.lease.ref)
        await Sweeper(before).sweep()

    report = await rotate(processes.store("old", "new", primary="new"))

    assert report.rewrapped == 1
    after = processes.store("new", primary="new")
    assert await after.load(who, joined.session.id) is not None
