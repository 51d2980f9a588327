"""The format of a spool file.

A file is one line of JSON behind one that names the format; bytes are in base64::

    rejoin-spool 1 <SHA-256 of the line that follows, in hex>
    {"lease": {...}, "turns": [[seq, tag before, sealed], ...], "content": [version, sealed],
     "settles": {role: number of the newest draft that these turns replace},
     "works": [[seq, sealed, keeps, since], ...], as in ``SealedWork``,
     "finished": whether the program ended the session}

Version 2 holds a conversation that never reached the store (``writing.offline_start``)::

    {"beginning": {...}, "turns": [sealed, ...], "content": sealed, "into": session id,
     "work": [seq, sealed]}
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from session_store.backends.values import LeaseRef, SealedWork
from session_store.sealing.data_key import WrappedKey
from session_store.values import SealedTurn
from session_store.writing.content_writer import SealedContent
from session_store.writing.offline_start import OfflineStart, SpooledStart

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION: Final = 1
"""Of what a job left that held a lease."""
VERSION_OF_START: Final = 2
"""Of a conversation that never reached the store."""

_FIRST_LINE: Final = re.compile(rb"rejoin-spool ([0-9]{1,9}) ([0-9a-f]{64})\n")
_START: Final = ("participant", "session_id", "exact", "begun_ms", "scope")


@dataclass(frozen=True, slots=True)
class SpooledJob:
    """What one job left that the store did not take."""

    lease: LeaseRef
    turns: tuple[SealedTurn, ...]
    content: SealedContent | None
    settles: Mapping[str, int]
    """By role, the number of the newest draft that these turns replace."""
    finished: bool = False
    """Whether the program ended the session, which the store does not know."""


class DamagedFileError(Exception):
    """A file does not hold what was written."""


class NewerFileError(Exception):
    """A file has a version that is not known here."""


def packed_job(job: SpooledJob) -> bytes:
    """Return the file of what a job left."""
    content = job.content
    line = orjson.dumps(
        {
            "lease": asdict(job.lease),
            "turns": [[turn.seq, _text(turn.tag_before), _text(turn.sealed)] for turn in job.turns],
            "content": content and [content.version, _text(content.sealed)],
            "settles": job.settles,
            "works": [
                [work.seq, _text(work.sealed), work.keeps, work.since]
                for turn in job.turns
                if (work := turn.work) is not None
            ],
            "finished": job.finished,
        }
    )
    return _labelled(VERSION, line)


def packed_start(spooled: SpooledStart) -> bytes:
    """Return the file of a conversation that never reached the store."""
    start = spooled.start
    wrapped = start.wrapped
    line = orjson.dumps(
        {
            "beginning": {
                **{name: getattr(start, name) for name in _START},
                "wrapped": [wrapped.data_key_id, wrapped.kek_id, _text(wrapped.wrapped)],
            },
            "turns": [_text(sealed) for sealed in spooled.turns],
            "content": spooled.content and _text(spooled.content),
            "into": spooled.into,
            "work": spooled.work and [spooled.work.seq, _text(spooled.work.sealed)],
        }
    )
    return _labelled(VERSION_OF_START, line)


def unpacked(data: bytes) -> SpooledJob | SpooledStart:
    """Read what ``packed_job`` or ``packed_start`` wrote.

    Raises:
        DamagedFileError: it is something else.
        NewerFileError: a later version of this library has written it.
    """
    first = _FIRST_LINE.match(data)
    if first is None:
        raise DamagedFileError
    version = int(first[1])
    if version not in {VERSION, VERSION_OF_START}:
        raise NewerFileError
    line = data[first.end() :]
    if hashlib.sha256(line).hexdigest().encode() != first[2]:
        raise DamagedFileError
    try:
        held = orjson.loads(line)
        return _start_in(held) if version == VERSION_OF_START else _job_in(held)
    except (ValueError, TypeError, KeyError, IndexError):
        raise DamagedFileError from None


def _labelled(version: int, line: bytes) -> bytes:
    return f"rejoin-spool {version} {hashlib.sha256(line).hexdigest()}\n".encode() + line


def _job_in(held: dict[str, Any]) -> SpooledJob:
    content = held["content"]
    # Earlier versions of this library wrote neither works nor drafts.
    works = {
        int(seq): SealedWork(int(seq), _bytes(sealed), keeps, int(since))
        for seq, sealed, keeps, since in held.get("works", ())
    }
    return SpooledJob(
        LeaseRef(**held["lease"]),
        tuple(
            SealedTurn(int(seq), _bytes(tag_before), _bytes(sealed), work=works.get(int(seq)))
            for seq, tag_before, sealed in held["turns"]
        ),
        content and SealedContent(int(content[0]), _bytes(content[1])),
        {role: int(number) for role, number in held.get("settles", {}).items()},
        bool(held.get("finished")),
    )


def _start_in(held: dict[str, Any]) -> SpooledStart:
    start, content, work = held["beginning"], held["content"], held.get("work")
    data_key_id, kek_id, wrapped = start.pop("wrapped")
    return SpooledStart(
        OfflineStart(**start, wrapped=WrappedKey(data_key_id, kek_id, _bytes(wrapped))),
        tuple(map(_bytes, held["turns"])),
        content and _bytes(content),
        held["into"],
        work and SealedWork(int(work[0]), _bytes(work[1])),
    )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: Any) -> bytes:
    return base64.b64decode(text, validate=True)
