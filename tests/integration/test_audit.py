"""The audit stream: entries that were changed, forged, moved or removed are found."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from dev.rig.key_file import write_key_file
from session_store import InvalidValue, SessionStore, StoreRefused, StoreUnavailable
from session_store.backends.values import AuditEntry
from session_store.keys import KeySpace
from session_store.upkeep import audit
from session_store.upkeep.audit import AuditAction, AuditLog, AuditReport, Missing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

AUDIT = KeySpace().audit


def log_of(store: SessionStore, actor: str) -> AuditLog:
    """Make the audit log of a store."""
    return AuditLog(store.side, store.keyring, actor=actor)


@pytest.fixture
def log(store: SessionStore) -> AuditLog:
    """Return the audit log of one process."""
    return log_of(store, "cli:root")


async def filled(log: AuditLog, count: int = 6, detail: str = "on request") -> list[str]:
    """Write entries; return their ids."""
    return [
        await log.log(AuditAction.EXPORT, participant=f"p{number}", detail=detail)
        for number in range(count)
    ]


async def rewrite(raw: Any, change: Callable[[list[AuditEntry]], list[AuditEntry]]) -> None:
    """Replace the whole stream, with ids chosen at will: all that an attacker could do."""
    entries = [
        AuditEntry(entry_id.decode(), {k.decode(): v.decode() for k, v in fields.items()})
        for entry_id, fields in await raw.xrange(AUDIT)
    ]
    await raw.delete(AUDIT)
    for entry in change(entries):
        await raw.xadd(AUDIT, dict(entry.fields), id=entry.id)


async def test_entries_say_who_did_what_to_whom(log: AuditLog) -> None:
    """An entry holds actor, action, participant, session and detail, in the order of writing."""
    await log.log(AuditAction.ERASE, participant="p", detail="on request")
    await log.log("reveal", participant="p", session_id="s")
    first, second = [entry.fields async for entry in log.entries()]
    assert {name: first[name] for name in ("actor", "action", "participant", "detail")} == {
        "actor": "cli:root",
        "action": "erase",
        "participant": "p",
        "detail": "on request",
    }
    assert (second["action"], second["session"], second["n"]) == ("reveal", "s", "2")
    assert await log.verify() == AuditReport(entries=2)


async def test_an_empty_stream_is_intact(log: AuditLog) -> None:
    """Where nothing was audited there is nothing to find."""
    report = await log.verify()
    assert report.intact
    assert report.entries == 0


async def test_entries_of_many_writers_are_verified_together(
    make_store: Callable[..., SessionStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes write side by side, each with its own numbers; reading is paged."""
    monkeypatch.setattr(audit, "PAGE", 7)
    logs = [log_of(make_store(), f"process {number}") for number in range(4)]
    await asyncio.gather(
        *(filled(log, 10) for log in logs), filled(logs[0], 10, "at the same time")
    )
    report = await logs[0].verify()
    assert report.intact
    assert report.entries == 50


def altered(name: str, value: str) -> Callable[[Mapping[str, str]], dict[str, str]]:
    """Make a change of one field."""
    return lambda fields: {**fields, name: value}


def shifted(fields: Mapping[str, str]) -> dict[str, str]:
    """Move a letter from one field to the next, so that their text together stays the same."""
    return {**fields, "actor": "cli:roo", "action": "t" + fields["action"]}


@pytest.mark.parametrize(
    "change",
    [
        altered("actor", "cli:somebody"),
        altered("action", "list"),
        altered("participant", "p9"),
        altered("session", "s"),
        altered("detail", ""),
        altered("at", "1"),
        altered("writer", "0" * 16),
        altered("n", "4"),
        altered("before", "0-0"),
        altered("mac", "0" * 64),
        altered("mac", ""),
        altered("mac", "ü"),
        altered("more", "x"),
        shifted,
        lambda fields: {name: value for name, value in fields.items() if name != "mac"},
        lambda fields: {name: value for name, value in fields.items() if name != "detail"},
        lambda _: {"actor": "forged"},
    ],
)
async def test_an_entry_that_was_changed_is_found(
    log: AuditLog, raw: Any, change: Callable[[Mapping[str, str]], dict[str, str]]
) -> None:
    """Every field counts, and so does where it ends: the entry is named by its id."""
    ids = await filled(log)
    await rewrite(
        raw,
        lambda entries: [
            AuditEntry(entry.id, change(entry.fields)) if entry.id == ids[2] else entry
            for entry in entries
        ],
    )
    report = await log.verify()
    assert report.changed == (ids[2],)
    assert report.entries == 6


async def test_an_entry_that_was_removed_is_found(log: AuditLog, raw: Any) -> None:
    """A hole in a writer's numbers is named, wherever it is but at the end."""
    ids = await filled(log)
    writer = log._writer
    await raw.xdel(AUDIT, ids[2], ids[3])
    assert (await log.verify()).missing == (Missing(writer, 3, 4),)
    await raw.xdel(AUDIT, ids[0])
    assert (await log.verify()).missing == (Missing(writer, 1, 1), Missing(writer, 3, 4))


async def test_removing_the_newest_shows_as_soon_as_its_writer_goes_on(
    log: AuditLog, raw: Any
) -> None:
    """The newest entry's removal is not seen at once, but by what comes after."""
    ids = await filled(log)
    await raw.xdel(AUDIT, ids[-1])
    assert (await log.verify()).intact
    await log.log("export")
    assert (await log.verify()).missing == (Missing(log._writer, 6, 6),)


async def test_an_entry_that_was_moved_is_found(log: AuditLog, raw: Any) -> None:
    """Genuine entries in another order are out of place."""
    await filled(log)

    def reordered(entries: list[AuditEntry]) -> list[AuditEntry]:
        fields = [entry.fields for entry in entries]
        fields[1], fields[3] = fields[3], fields[1]
        return [AuditEntry(e.id, f) for e, f in zip(entries, fields, strict=True)]

    await rewrite(raw, reordered)
    report = await log.verify()
    assert not report.intact
    assert len(report.misplaced) == 2


async def test_an_entry_that_was_replayed_is_found(log: AuditLog, raw: Any) -> None:
    """An old entry written once more, as if it had happened again, is out of place."""
    await filled(log)
    (_, fields), *_ = await raw.xrange(AUDIT)
    again = await raw.xadd(AUDIT, fields)
    assert (await log.verify()).misplaced == (again.decode(),)


async def test_an_entry_that_was_sent_twice_is_one(log: AuditLog, raw: Any) -> None:
    """After a lost answer an entry may be there twice, right behind itself; that is no attack."""
    await filled(log)
    await raw.xadd(AUDIT, (await raw.xrevrange(AUDIT, count=1))[0][1])
    await log.log("export")
    assert (await log.verify()).intact


async def test_others_keys_cannot_forge(
    log: AuditLog, make_store: Callable[..., SessionStore], tmp_path: Path
) -> None:
    """An entry that a process with another keyring has written is not believed."""
    await filled(log, 1)
    other = log_of(make_store(key_file=write_key_file(tmp_path / "k")), "cli:root")
    forged = await other.log("export")
    assert (await log.verify()).changed == (forged,)


async def test_a_log_whose_write_failed_goes_on_as_another_writer(log: AuditLog, raw: Any) -> None:
    """It is unknown whether the entry is there: its number is neither used again nor a hole."""
    await filled(log, 2)
    stream = await raw.dump(AUDIT)
    await raw.delete(AUDIT)
    await raw.set(AUDIT, "no stream")
    with pytest.raises(StoreRefused):
        await log.log("export")
    await raw.restore(AUDIT, 0, stream, replace=True)
    await filled(log, 2)
    report = await log.verify()
    assert report == AuditReport(entries=4)


async def test_a_log_whose_answer_was_lost_goes_on_as_another_writer(
    log: AuditLog, store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is there a second entry of a number whose entry had been written after all."""
    write = store.side.audit

    async def unanswered(fields: Mapping[str, str]) -> str:
        await write(fields)
        raise StoreUnavailable

    await filled(log, 2)
    monkeypatch.setattr(store.side, "audit", unanswered)
    with pytest.raises(StoreUnavailable):
        await log.log("export")
    monkeypatch.undo()
    await filled(log, 2)
    assert await log.verify() == AuditReport(entries=5)


@pytest.mark.parametrize("field", ["action", "participant", "session_id", "detail"])
@pytest.mark.parametrize("value", ["x" * 257, "\ud800"])
async def test_what_does_not_fit_is_refused(log: AuditLog, field: str, value: str) -> None:
    """A field that is too long, or no text, is an error, and no entry is written."""
    fields = {"action": "export"} | {field: value}
    with pytest.raises(InvalidValue, match=field):
        await log.log(fields.pop("action"), **fields)
    assert (await log.verify()).entries == 0


class FullStream:
    """A side channel whose stream has reached its length: the oldest entries are gone."""

    def __init__(self, entries: list[AuditEntry]) -> None:
        self._entries = entries
        self._at = {entry.id: place for place, entry in enumerate(entries)}

    async def audited(self, after: str, limit: int) -> list[AuditEntry]:
        """Read entries behind one."""
        first = 0 if after == "0" else self._at[after] + 1
        return self._entries[first : first + limit]


KEPT = 1_000


@pytest.fixture
async def long_stream(store: SessionStore, monkeypatch: pytest.MonkeyPatch) -> list[AuditEntry]:
    """Make as many entries as a stream keeps, and some more, by two writers in turn."""
    monkeypatch.setattr(audit, "MAX_AUDIT_ENTRIES", KEPT)
    made: list[AuditEntry] = []

    async def keep(fields: Mapping[str, str]) -> str:
        made.append(AuditEntry(f"{len(made) + 1}-0", dict(fields)))
        return made[-1].id

    store.side.audit = keep  # type: ignore[method-assign]
    logs = [
        log_of(store, "a"),
        log_of(store, "b"),
    ]
    for number in range(KEPT + 100):
        await logs[number % 2].log("export")
    return made


async def verified(store: SessionStore, entries: list[AuditEntry]) -> AuditReport:
    """Verify these entries as the store's stream."""
    store.side.audited = FullStream(entries).audited  # type: ignore[method-assign]
    return await log_of(store, "auditor").verify()


async def test_what_the_store_trims_is_not_missing(
    store: SessionStore, long_stream: list[AuditEntry]
) -> None:
    """A full stream begins in the middle of its writers' numbers, but without a hole from there.

    One that is not full, or lacks what is newer than its oldest entry, was tampered with.
    """
    trimmed = long_stream[100:]
    assert len(trimmed) == KEPT
    assert (await verified(store, trimmed)).intact

    # The oldest entry of one writer is gone, an older one of the other is there.
    removed = long_stream[100]
    report = await verified(store, [long_stream[99], *long_stream[101:]])
    assert report.missing == (Missing(removed.fields["writer"], 1, int(removed.fields["n"])),)

    assert len((await verified(store, trimmed[1:])).missing) == 2, "too short to have been trimmed"
