"""The participant that a command acts on, and the question before it acts."""

from __future__ import annotations

import getpass
import signal
import sys
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from session_store.cli.connect import connected_backend, connected_store
from session_store.cli.exit_codes import CommandFailed, Exit, not_found_error, usage_error
from session_store.cli.session_index import find_participant
from session_store.errors import InvalidValue
from session_store.keys import shard_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from session_store.backends.redis.backend import RedisBackend
    from session_store.settings import StoreSettings
    from session_store.store import SessionStore


NAME_ONE: Final = "name the participant: --participant, --identity or --identity-stdin"


@dataclass(frozen=True, slots=True)
class Target:
    """A participant, named by pseudonym or by identity. It is false if none is named."""

    pseudonym: str | None = None
    identity: str | None = None

    def __bool__(self) -> bool:
        return self.pseudonym is not None or self.identity is not None

    def pseudonym_in(self, store: SessionStore) -> str:
        """Return the pseudonym.

        Raises:
            InvalidValue: the identity is not valid.
            CommandFailed: no participant is named.
        """
        if self.identity is not None:
            return store.pseudonym(self.identity)
        if self.pseudonym is None:
            raise usage_error(NAME_ONE)
        return self.pseudonym


def parse_target(participant: str | None, identity: str | None, *, stdin: bool) -> Target:
    """Read the three options that name a participant. At most one may be given."""
    if sum((participant is not None, identity is not None, stdin)) > 1:
        raise usage_error(
            "name only one participant: --participant, --identity or --identity-stdin"
        )
    if stdin:
        return Target(identity=_first_line())
    if participant is None:
        return Target(identity=identity)
    pseudonym = participant.lower()
    try:
        shard_of(pseudonym)
    except InvalidValue:
        raise usage_error(
            "this is not a pseudonym, which has 26 characters; for an identity use --identity or "
            "--identity-stdin"
        ) from None
    return Target(pseudonym=pseudonym)


def require_target(participant: str | None, identity: str | None, *, stdin: bool) -> Target:
    """Read the same options, of which one must be given."""
    target = parse_target(participant, identity, stdin=stdin)
    if not target:
        raise usage_error(NAME_ONE)
    return target


@asynccontextmanager
async def connect_to(
    settings: StoreSettings, target: Target
) -> AsyncIterator[tuple[RedisBackend, str | None]]:
    """Connect to Redis, and yield the participant's pseudonym. Only an identity needs keys."""
    if target.identity is None:
        async with connected_backend(settings) as backend:
            yield backend, target.pseudonym
    else:
        async with connected_store(settings) as (backend, store):
            yield backend, target.pseudonym_in(store)


async def participant_of_session(
    backend: RedisBackend, participant: str | None, session_id: str
) -> str:
    """Return the session's participant: the one that was named, or else what a search finds."""
    found = participant or await find_participant(backend, session_id)
    if found is None:
        raise not_found_error(f"there is no session {session_id}")
    return found


def confirm(question: str, *, yes: bool) -> None:
    """Ask for confirmation on the terminal, unless it was given as an option.

    Raises:
        CommandFailed: it was not confirmed, or standard input is not a terminal.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise usage_error("this cannot be undone and needs a terminal to confirm it; or give --yes")
    with _stopped_by_one_interrupt():
        sys.stderr.write(f"{question} Type yes: ")
        sys.stderr.flush()
        answer = sys.stdin.readline()
    if answer.strip().lower() != "yes":
        raise CommandFailed(Exit.PROBLEM, "not confirmed; nothing was done")


def _first_line() -> str:
    with _stopped_by_one_interrupt():
        if sys.stdin.isatty():
            return getpass.getpass("Identity (not shown): ", stream=sys.stderr)
        return sys.stdin.readline().rstrip("\r\n")


@contextmanager
def _stopped_by_one_interrupt() -> Iterator[None]:
    """Let the first Ctrl-C end a read. asyncio's handler only cancels the task, which waits."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
