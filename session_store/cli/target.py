"""Which participant a command is about, and asking before something is done to them."""

from __future__ import annotations

import getpass
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from session_store.cli.connect import opened_backend, opened_store
from session_store.cli.exits import Ended, Exit, not_found, usage
from session_store.cli.index import participant_of
from session_store.errors import InvalidValue
from session_store.keys import ParticipantKeys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from session_store.backends.redis.backend import RedisBackend
    from session_store.settings import StoreSettings
    from session_store.store import SessionStore


@dataclass(frozen=True, slots=True)
class Who:
    """A participant by pseudonym or by identity; or nobody."""

    pseudonym: str | None = None
    identity: str | None = None

    def __bool__(self) -> bool:
        return self.pseudonym is not None or self.identity is not None

    def of(self, store: SessionStore) -> str:
        """Return the pseudonym.

        Raises:
            InvalidValue: the identity is none.
        """
        if self.identity is not None:
            return store.pseudonym(self.identity)
        if self.pseudonym is None:
            raise usage("name the participant: --participant, --identity or --identity-stdin")
        return self.pseudonym


def named(participant: str | None, identity: str | None, *, stdin: bool) -> Who:
    """Read the three options that name a participant, of which one at most may be given."""
    if sum((participant is not None, identity is not None, stdin)) > 1:
        raise usage("name one participant: --participant, --identity or --identity-stdin")
    if stdin:
        return Who(identity=_first_line())
    if participant is None:
        return Who(identity=identity)
    pseudonym = participant.lower()
    try:
        ParticipantKeys.of(pseudonym)
    except InvalidValue:
        raise usage(
            "that is no pseudonym: it has 26 characters, as list shows it; for an identity there "
            "are --identity and --identity-stdin"
        ) from None
    return Who(pseudonym=pseudonym)


def somebody(participant: str | None, identity: str | None, *, stdin: bool) -> Who:
    """Read these options where one must be given."""
    who = named(participant, identity, stdin=stdin)
    if not who:
        raise usage("name the participant: --participant, --identity or --identity-stdin")
    return who


@asynccontextmanager
async def looking_at(
    settings: StoreSettings, who: Who
) -> AsyncIterator[tuple[RedisBackend, str | None]]:
    """Reach Redis and name the participant; keys are needed only where an identity is given."""
    if who.identity is None:
        async with opened_backend(settings) as backend:
            yield backend, who.pseudonym
    else:
        async with opened_store(settings) as (backend, store):
            yield backend, who.of(store)


async def owner_of(backend: RedisBackend, participant: str | None, session_id: str) -> str:
    """Return whose session it is: as it was said, or else as a search finds it."""
    found = participant or await participant_of(backend.transport, session_id)
    if found is None:
        raise not_found(f"there is no session {session_id}")
    return found


def confirm(question: str, *, yes: bool) -> None:
    """Ask on the terminal, unless it was said before.

    Raises:
        Ended: it was not confirmed, or there is nobody to ask.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise usage("this cannot be undone, and there is nobody to ask: say --yes")
    sys.stderr.write(f"{question} Type yes: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() != "yes":
        raise Ended(Exit.PROBLEM, "not confirmed; nothing was done")


def _first_line() -> str:
    if sys.stdin.isatty():
        return getpass.getpass("Identity (not shown): ", stream=sys.stderr)
    return sys.stdin.readline().rstrip("\r\n")
