"""Broken seals on a real Redis: refused by every reader, and nothing is changed by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dev.rig.key_file import write_key_file
from session_store import SealBroken, UnknownKey
from session_store.errors import UnknownSchema
from session_store.events import SealFailure
from session_store.keys import KeySpace
from session_store.upkeep.audit import AuditLog
from session_store.upkeep.seal_audit import SealAudit
from tests.integration.keeping import WORK, dump, keep_drafts, talk, talk_and_go, turn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from session_store import SessionStore


class Record:
    """A session's place in Redis, to be tampered with."""

    def __init__(self, raw: Any, participant: str, session_id: str) -> None:
        self.raw = raw
        keys = KeySpace().participant(participant)
        self.data_key = keys.data_key
        self.session = keys.session(session_id)
        self.turns = keys.turns(session_id)

    async def content(self) -> bytes:
        """Return the sealed content."""
        return bytes(await self.raw.hget(self.session, "content"))

    async def draft(self, role: str) -> bytes:
        """Return what is being said, with its number."""
        return bytes(await self.raw.hget(self.session, f"draft:{role}"))

    async def swap_turns(self, first: int, second: int) -> None:
        """Exchange two turns."""
        turns = await self.raw.lrange(self.turns, 0, -1)
        await self.raw.lset(self.turns, first, turns[second])
        await self.raw.lset(self.turns, second, turns[first])


async def with_wrong_key(record: Record, before: Record) -> None:
    """Wrap another data key, under the same name."""
    del before
    wrapped = bytearray(await record.raw.hget(record.data_key, "wrapped"))
    wrapped[13:45] = bytes(32)
    await record.raw.hset(record.data_key, "wrapped", bytes(wrapped))


async def moved_turn(record: Record, before: Record) -> None:
    """Put a turn of another session of the same participant in."""
    await record.raw.lset(record.turns, 1, await record.raw.lindex(before.turns, 1))


async def moved_content(record: Record, before: Record) -> None:
    """Put the content of another session of the same participant in, of the same version."""
    await record.raw.hset(record.session, "content", await before.content())


async def swapped(record: Record, before: Record) -> None:
    """Exchange two turns."""
    del before
    await record.swap_turns(0, 1)


async def repeated(record: Record, before: Record) -> None:
    """Let a turn stand twice."""
    del before
    await record.raw.lset(record.turns, 2, await record.raw.lindex(record.turns, 1))


async def replayed_content(record: Record, before: Record) -> None:
    """Claim that an older content is the newest."""
    del before
    await record.raw.hincrby(record.session, "version", 1)


async def removed_from_the_middle(record: Record, before: Record) -> None:
    """Take a turn out, and correct the number of turns."""
    del before
    await record.raw.lrem(record.turns, 1, await record.raw.lindex(record.turns, 1))
    await record.raw.hincrby(record.session, "seq", -1)


async def cut_at_the_end(record: Record, before: Record) -> None:
    """Take the newest turn off, and correct the number of turns: the witness knows it."""
    del before
    await record.raw.rpop(record.turns)
    await record.raw.hincrby(record.session, "seq", -1)


async def cut_at_the_head(record: Record, before: Record) -> None:
    """Take the oldest turn off, as if it had been trimmed."""
    del before
    await record.raw.lpop(record.turns)


async def without_content(record: Record, before: Record) -> None:
    """Take the content away."""
    del before
    await record.raw.hdel(record.session, "content")


async def truncated_turn(record: Record, before: Record) -> None:
    """Cut the last byte of a turn off."""
    del before
    await record.raw.lset(record.turns, 1, (await record.raw.lindex(record.turns, 1))[:-1])


async def truncated_content(record: Record, before: Record) -> None:
    """Leave nothing but the version byte."""
    del before
    await record.raw.hset(record.session, "content", (await record.content())[:1])


async def moved_draft(record: Record, before: Record) -> None:
    """Put what was being said in another session of the same participant in."""
    await record.raw.hset(record.session, "draft:user", await before.draft("user"))


async def moved_work(record: Record, before: Record) -> None:
    """Put what was worked on in another session of the same participant in."""
    await record.raw.hset(record.session, "work", await before.raw.hget(before.session, "work"))


async def renumbered_work(record: Record, before: Record) -> None:
    """Claim that an older work is of a later turn."""
    del before
    await record.raw.hset(record.session, "work_seq", 2)


async def draft_as_work(record: Record, before: Record) -> None:
    """Let the program work on what was being said."""
    del before
    _, _, sealed = (await record.draft("user")).partition(b":")
    await record.raw.hset(record.session, "work", sealed)


async def work_beyond_the_end(record: Record, before: Record) -> None:
    """Cut the record at its end, and put content of the time before to it."""
    del before
    await record.raw.rpop(record.turns)
    await record.raw.hincrby(record.session, "seq", -1)
    await record.raw.hdel(record.session, "content")
    await record.raw.hset(record.session, "version", 0)


async def draft_of_another(record: Record, before: Record) -> None:
    """Let one have said what the other did."""
    del before
    await record.raw.hset(record.session, "draft:user", await record.draft("assistant"))


async def renumbered_draft(record: Record, before: Record) -> None:
    """Claim that a draft is a newer one than it is."""
    del before
    number, _, sealed = (await record.draft("user")).partition(b":")
    await record.raw.hset(record.session, "draft:user", b"%d:%s" % (int(number) + 5, sealed))


async def turn_as_draft(record: Record, before: Record) -> None:
    """Let a turn be said again."""
    del before
    sealed = await record.raw.lindex(record.turns, 0)
    await record.raw.hset(record.session, "draft:user", b"1:" + sealed)


async def truncated_draft(record: Record, before: Record) -> None:
    """Cut the last byte of a draft off."""
    del before
    await record.raw.hset(record.session, "draft:user", (await record.draft("user"))[:-1])


@pytest.mark.parametrize(
    "tamper",
    [
        with_wrong_key,
        moved_turn,
        moved_content,
        swapped,
        repeated,
        replayed_content,
        removed_from_the_middle,
        cut_at_the_end,
        cut_at_the_head,
        without_content,
        truncated_turn,
        truncated_content,
        moved_draft,
        draft_of_another,
        renumbered_draft,
        turn_as_draft,
        truncated_draft,
        moved_work,
        renumbered_work,
        draft_as_work,
        work_beyond_the_end,
    ],
)
async def test_a_record_that_was_tampered_with_is_refused_and_left_as_it_is(
    make_store: Callable[..., SessionStore],
    raw: Any,
    tamper: Callable[[Record, Record], Awaitable[None]],
) -> None:
    """A reader gets SealBroken; it has changed nothing, so a repair is possible."""
    writer = make_store()
    who = writer.pseudonym("maria")
    first = await talk(writer, who)
    await keep_drafts(writer, first)
    await writer.leave(first.lease)
    await writer.release(first.lease)
    opened = await writer.open_new(who)
    second = await writer.join(who, session_id=opened.session.id)
    said = [writer.seal(second.lease, turn(number), work=WORK) for number in (1, 2, 3)]
    await writer.append(second.lease, said)
    await keep_drafts(writer, second)
    await writer.update(second.lease, lambda content: content)
    await writer.release(second.lease)
    ids = second.session.id, first.session.id
    await tamper(*(Record(raw, who, session_id) for session_id in ids))
    tampered = await dump(raw)

    # One process has the data key in its cache, the other has not.
    for reader in (writer, make_store()):
        with pytest.raises(SealBroken):
            await reader.load(who, second.session.id)
        await reader.sessions(who)

    assert await dump(raw) == tampered


async def test_who_joins_a_session_with_a_broken_draft_gives_the_lease_back(
    store: SessionStore, raw: Any
) -> None:
    """As with everything else that does not open; the draft stays for an operator."""
    who = store.pseudonym("maria")
    joined = await talk(store, who)
    await keep_drafts(store, joined)
    await store.release(joined.lease)
    record = Record(raw, who, joined.session.id)
    broken = (await record.draft("user"))[:-1]
    await raw.hset(record.session, "draft:user", broken)
    with pytest.raises(SealBroken, match="draft 1"):
        await store.join(who)
    assert await raw.hget(record.session, "owner") == b""
    assert await record.draft("user") == broken


async def test_no_bit_of_a_short_record_can_be_flipped(store: SessionStore, raw: Any) -> None:
    """Every byte of a turn, a draft and the wrapped key is authentic, or the record is refused."""
    who = store.pseudonym("maria")
    joined = await talk(store, who, turns=1)
    await keep_drafts(store, joined)
    record = Record(raw, who, joined.session.id)
    said = await record.draft("user")
    sealed = await raw.lindex(record.turns, 0)
    wrapped = await raw.hget(record.data_key, "wrapped")

    async def is_refused() -> bool:
        tampered = await dump(raw)
        with pytest.raises(SealBroken):
            await store.load(who, joined.session.id)
        return await dump(raw) == tampered

    for at in range(len(sealed)):
        await raw.lset(record.turns, 0, flipped(sealed, at))
        assert await is_refused(), f"byte {at} of the turn"
    await raw.lset(record.turns, 0, sealed)
    for at in range(len(said)):
        await raw.hset(record.session, "draft:user", flipped(said, at))
        assert await is_refused(), f"byte {at} of the draft"
    await raw.hset(record.session, "draft:user", said)
    for at in range(len(wrapped)):
        await raw.hset(record.data_key, "wrapped", flipped(wrapped, at))
        assert await is_refused(), f"byte {at} of the wrapped key"
    await raw.hset(record.data_key, "wrapped", wrapped)
    assert await store.load(who, joined.session.id) is not None


def flipped(sealed: bytes, at: int) -> bytes:
    """Flip one bit of a byte, each byte another one."""
    changed = bytearray(sealed)
    changed[at] ^= 1 << (at % 8)
    return bytes(changed)


async def test_a_wrong_keyring_reads_nothing_and_changes_nothing(
    make_store: Callable[..., SessionStore], raw: Any, tmp_path: Path
) -> None:
    """With another key under the same id, what is stored is refused: it is not taken for empty."""
    writer = make_store()
    who = writer.pseudonym("maria")
    joined = await talk_and_go(writer, who)
    written = await dump(raw)
    stranger = make_store(key_file=write_key_file(tmp_path / "others.json"))

    with pytest.raises(SealBroken):
        await stranger.load(who, joined.session.id)
    (listed,) = (await stranger.sessions(who)).sessions

    assert not listed.readable
    assert await dump(raw) == written


async def test_an_older_record_of_the_whole_session_shows(store: SessionStore, raw: Any) -> None:
    """Turns put back to an earlier state are refused, as long as the content is the newer one."""
    who = store.pseudonym("maria")
    joined = await talk_and_go(store, who)
    record = Record(raw, who, joined.session.id)
    older = await raw.dump(record.turns)
    again = await talk_and_go(store, who)
    assert again.session.id == joined.session.id
    await raw.restore(record.turns, 0, older, replace=True)
    await raw.hset(record.session, "seq", 3)
    tampered = await dump(raw)
    with pytest.raises(SealBroken, match="the end of the record"):
        await store.load(who, joined.session.id)
    assert await dump(raw) == tampered


async def test_each_broken_session_is_audited_once(store: SessionStore, raw: Any) -> None:
    """However often a page asks, what does not open leaves one entry: ids, and no content."""
    log = AuditLog(store.side, store.keyring, actor="gateway")
    hook = SealAudit(log)
    who, other = store.pseudonym("maria"), store.pseudonym("tom")
    for _ in range(100):
        hook.on_seal_failure(SealFailure(who, "one", SealBroken("turn 7", "one")))
        hook.on_seal_failure(SealFailure(who, "two", UnknownKey("k-0")))
        hook.on_seal_failure(SealFailure(other, "three", UnknownSchema(9)))
    await hook.aclose()

    entries = [entry.fields async for entry in log.entries()]

    assert sorted((each["participant"], each["session"]) for each in entries) == sorted(
        [(who, "one"), (who, "two"), (other, "three")]
    )
    assert {each["action"] for each in entries} == {"seal_failure"}
    assert "turn 7" in next(each["detail"] for each in entries if each["session"] == "one")
    assert (await log.verify()).intact
    assert await raw.xlen("rj1:audit") == 3


async def test_whoever_reads_a_broken_session_has_it_audited(store: SessionStore, raw: Any) -> None:
    """Loading and joining tell the hook, listing does too; a good session tells nothing."""
    told: list[SealFailure] = []

    class Heard:
        def on_seal_failure(self, failure: SealFailure) -> None:
            told.append(failure)

    store.add_seal_hook(Heard())
    who = store.pseudonym("maria")
    joined = await talk_and_go(store, who)
    await store.sessions(who)
    assert not told
    record = Record(raw, who, joined.session.id)
    await raw.hset(record.session, "content", flipped(await record.content(), 20))

    with pytest.raises(SealBroken):
        await store.load(who, joined.session.id)
    with pytest.raises(SealBroken):
        await store.join(who)
    await store.sessions(who)

    assert [(each.participant, each.session_id) for each in told] == [(who, joined.session.id)] * 3
    assert all(isinstance(each.error, SealBroken) for each in told)


async def test_a_failure_that_could_not_be_audited_is_audited_later(
    store: SessionStore, raw: Any
) -> None:
    """While the store refuses, nothing is noted; the next failure of the session is."""
    hook = SealAudit(AuditLog(store.side, store.keyring, actor="gateway"))
    failure = SealFailure(store.pseudonym("maria"), "one", SealBroken("turn 7", "one"))
    await raw.set("rj1:audit", "no stream")
    hook.on_seal_failure(failure)
    await hook.aclose()
    await raw.delete("rj1:audit")
    hook.on_seal_failure(failure)
    await hook.aclose()
    assert await raw.xlen("rj1:audit") == 1
