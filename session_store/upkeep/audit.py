"""The audit stream: what each actor saw, exported, erased or rotated. Changes to it are found.

Each entry carries an HMAC over all its fields, under a key derived from the keyring. Entries of one
writer (a process) are numbered, and each names the stream id of that writer's previous entry. So
``verify`` finds entries that were changed, forged, moved, or removed from the middle. It cannot
find that a writer's newest entries, or all its entries, were removed. If that matters, copy the
stream elsewhere.

Entries hold ids and an operator's words, in clear. They outlive an erasure: the stream keeps the
fact that data were erased. So ``detail`` must name no person.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from session_store.errors import InvalidValue
from session_store.keys import MAX_AUDIT_ENTRIES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from session_store.backends.contract import SideChannel
    from session_store.backends.values import AuditEntry
    from session_store.sealing.keyring import Keyring

MAX_FIELD_CHARS: Final = 256
PAGE: Final = 1_000
_FIELDS: Final = (
    "actor",
    "action",
    "participant",
    "session",
    "detail",
    "at",
    "writer",
    "n",
    "before",
)


class AuditAction(StrEnum):
    """Actions that this library audits. You may use other words too."""

    ERASE = "erase"
    """An erasure begins, of a participant or of one session."""
    ERASED = "erased"
    """The erasure is done, and checked."""
    EXPORT = "export"
    REVEAL = "reveal"
    """An operator saw content."""
    REPLAY = "replay"
    """The erasure journal was replayed."""
    ROTATE = "rotate"
    SEAL_FAILURE = "seal_failure"
    """A stored record cannot be opened."""


class Missing(NamedTuple):
    """Entries of a writer that are missing."""

    writer: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What ``verify`` found. All fields but ``entries`` are empty when all is well."""

    entries: int
    changed: tuple[str, ...] = ()
    """Ids of entries with a wrong HMAC: changed, forged, or made with other keys."""
    misplaced: tuple[str, ...] = ()
    """Ids of genuine entries that stand after a newer one of the same writer."""
    missing: tuple[Missing, ...] = ()
    """Entries that were removed, by writer and number."""

    @property
    def intact(self) -> bool:
        """Whether all is well."""
        return not (self.changed or self.misplaced or self.missing)


class AuditLog:
    """Writes entries as one actor, and verifies those of all actors.

    Args:
        side: holds the audit stream; ``store.side``, say.
        keyring: authenticates entries; ``store.keyring``.
        actor: the name of the user or process that acts, e.g. ``"cli:root"`` or ``"gateway"``.
    """

    def __init__(self, side: SideChannel, keyring: Keyring, *, actor: str) -> None:
        self._side = side
        self._keyring = keyring
        self._actor = _bounded("actor", actor)
        self._lock = asyncio.Lock()
        self._writer, self._written, self._before = secrets.token_hex(8), 0, ""

    async def log(
        self, action: str, *, participant: str = "", session_id: str = "", detail: str = ""
    ) -> str:
        """Add an entry; return its id once the store has it.

        Raises:
            InvalidValue: a field is longer than 256 characters, or not Unicode.
            StoreUnavailable, StoreRefused: it is unknown whether the entry is there.
        """
        fields = {
            "actor": self._actor,
            "action": _bounded("action", action),
            "participant": _bounded("participant", participant),
            "session": _bounded("session_id", session_id),
            "detail": _bounded("detail", detail),
        }
        async with self._lock:
            fields |= {
                "at": str(time.time_ns() // 1_000_000),
                "writer": self._writer,
                "n": str(self._written + 1),
                "before": self._before,
            }
            try:
                entry_id = await self._side.audit(fields | {"mac": _mac(self._keyring, fields)})
            except BaseException:
                # This number may be taken, so that it must not be used again.
                self._begin_anew()
                raise
            self._written += 1
            self._before = entry_id
        return entry_id

    async def entries(self) -> AsyncIterator[AuditEntry]:
        """Yield all entries, oldest first, as they are stored."""
        after = "0"
        while page := await self._side.audited(after, PAGE):
            for entry in page:
                yield entry
            after = page[-1].id

    async def verify(self) -> AuditReport:
        """Check the HMAC and the place of every entry."""
        check = _Check(self._keyring)
        async for entry in self.entries():
            check.see(entry)
        return check.report()

    def _begin_anew(self) -> None:
        """Become a new writer."""
        self._writer, self._written, self._before = secrets.token_hex(8), 0, ""


@dataclass(slots=True)
class _Writer:
    last: int = 0
    mac: str = ""


@dataclass(slots=True)
class _Check:
    """Reads the stream, oldest entry first.

    The store drops the oldest entries of a full stream. So a writer's run may begin with a number
    above 1, but only in a full stream, and only if the previous entry was older than the oldest one
    there. ``before`` names that entry.
    """

    keyring: Keyring
    count: int = 0
    oldest: str = ""
    writers: dict[str, _Writer] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    misplaced: list[str] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    cut: list[tuple[Missing, str]] = field(default_factory=list)
    """Runs that do not begin with 1, and the id of the previous entry."""

    def see(self, entry: AuditEntry) -> None:
        self.count += 1
        self.oldest = self.oldest or entry.id
        fields, mac = entry.fields, entry.fields.get("mac", "")
        genuine = set(fields) == {*_FIELDS, "mac"} and hmac.compare_digest(
            _mac(self.keyring, fields).encode(), mac.encode(errors="replace")
        )
        if not genuine:
            self.changed.append(entry.id)
            return
        name, n = fields["writer"], int(fields["n"])
        writer = self.writers.get(name)
        if writer is None:
            writer = self.writers[name] = _Writer()
            if n > 1:
                self.cut.append((Missing(name, 1, n - 1), fields["before"]))
        elif n == writer.last and mac == writer.mac:
            return  # The same entry again: the transport resent it after a lost answer.
        elif n <= writer.last:
            self.misplaced.append(entry.id)
            return
        elif n > writer.last + 1:
            self.missing.append(Missing(name, writer.last + 1, n - 1))
        writer.last, writer.mac = n, mac

    def report(self) -> AuditReport:
        trimmed = self.count >= MAX_AUDIT_ENTRIES
        missing = [
            gap for gap, before in self.cut if not trimmed or _place(before) >= _place(self.oldest)
        ]
        return AuditReport(
            self.count,
            tuple(self.changed),
            tuple(self.misplaced),
            tuple(sorted(missing + self.missing)),
        )


def _mac(keyring: Keyring, fields: Mapping[str, str]) -> str:
    """Authenticate the fields. Each follows its length, so that their borders are fixed."""
    message = bytearray()
    for name in _FIELDS:
        value = fields[name].encode(errors="surrogatepass")
        message += len(value).to_bytes(4) + value
    return keyring.audit_mac(bytes(message)).hex()


def _place(entry_id: str) -> tuple[int, int]:
    at_ms, _, n = entry_id.partition("-")
    return int(at_ms), int(n or 0)


def _bounded(name: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidValue(f"{name} must be valid Unicode text") from None
    if len(value) > MAX_FIELD_CHARS:
        raise InvalidValue(f"{name} has {len(value)} characters; at most {MAX_FIELD_CHARS} fit")
    return value
