"""``SessionStore``: what users of this library call.

It adds to a backend what the backend must not know: keys, seals, and models.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

import orjson
from pydantic import ValidationError

from session_store.backends.base import (
    AgentPresence,
    Backend,
    Candidate,
    JoinAttempt,
    JoinOutcome,
    LeaseRef,
    StoredSession,
)
from session_store.backends.redis import RedisBackend
from session_store.crypto import NO_TAG, DataKey, Keyring, tag_of
from session_store.errors import InvalidValue, SealBroken, WriteConflict
from session_store.models import (
    MAX_TURN_BYTES,
    RecordedTurn,
    Session,
    SessionContent,
    SessionState,
    Turn,
    Witness,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from session_store.crypto import WrappedKey
    from session_store.settings import StoreSettings

MAX_IDENTITY_CHARS = 512
MAX_UPDATE_TRIES = 5
_CACHED_KEYS = 10_000
_ID_CHARS = 26


@dataclass(frozen=True, slots=True)
class Loaded:
    """A session and the turns that are kept of it, oldest first."""

    session: Session
    turns: tuple[RecordedTurn, ...]


@dataclass(frozen=True, slots=True)
class Opened(Loaded):
    """The answer of ``open``."""

    resumed: bool
    """Whether the session existed before."""
    agent: AgentPresence


@dataclass(slots=True)
class Lease:
    """The right to write one session: shown with every write, compared inside of it."""

    ref: LeaseRef
    data_key: DataKey = field(repr=False)
    last_seq: int
    """Number of the newest turn that was sealed under this lease or before it."""
    last_tag: bytes
    """Its tag: the next turn is chained to it."""
    saved_seq: int
    """Number of the newest turn that the store acknowledged."""
    saved_tag: bytes
    version: int
    """Version of ``content``."""
    content: SessionContent = field(repr=False)

    @property
    def participant(self) -> str:
        """The participant's pseudonym."""
        return self.ref.participant

    @property
    def session_id(self) -> str:
        """The session that may be written."""
        return self.ref.session_id

    @property
    def fencing_token(self) -> int:
        """Strictly increasing from holder to holder."""
        return int(self.ref.fence)


@dataclass(frozen=True, slots=True)
class Joined(Loaded):
    """The answer of ``join``."""

    outcome: JoinOutcome
    lease: Lease


@dataclass(frozen=True, slots=True)
class Arrival:
    """The answer of ``arrive``."""

    counted: bool
    """Whether it was a return, rather than a transport that was restored."""
    reconnect_count: int


@dataclass(frozen=True, slots=True)
class SealedTurn:
    """A turn as it is written: sealed once, and resent as these very bytes."""

    seq: int
    tag_before: bytes
    sealed: bytes
    turn: Turn = field(repr=False)


class SessionStore:
    """Encrypted, fenced, atomic session state.

    A participant is named by its pseudonym: ``store.pseudonym(identity)``. Identities themselves
    never reach the backend.
    """

    def __init__(self, backend: Backend, keyring: Keyring) -> None:
        self._backend = backend
        self._keyring = keyring
        # By participant too: a wrapped key that was copied to somebody else must not open.
        self._data_keys: dict[tuple[str, WrappedKey], DataKey] = {}

    @classmethod
    def from_settings(cls, settings: StoreSettings) -> Self:
        """Build the store that the settings describe; connects at the first call.

        Raises:
            KeyringMissing: no keys are configured. There is no plaintext mode.
        """
        keyring = Keyring.from_settings(settings)
        return cls(RedisBackend.from_settings(settings), keyring)

    async def check(self) -> None:
        """Reach the backend, and make sure that it was written with these keys.

        Raises:
            StoreUnavailable: no answer.
            WrongKey: it was written with others. Without this check, everybody would be new.
        """
        mine = self._keyring.check_values()
        self._keyring.verify_check_values(await self._backend.check_values(mine))

    async def ping(self) -> None:
        """Reach the backend, or raise ``StoreUnavailable``."""
        await self._backend.ping()

    async def aclose(self) -> None:
        """Close connections that this store made, and forget unwrapped keys."""
        self._data_keys.clear()
        await self._backend.aclose()

    def pseudonym(self, identity: str) -> str:
        """Derive the name under which a participant is kept: 26 characters of base32.

        Raises:
            InvalidValue: the identity is empty, longer than 512 characters, or not Unicode.
        """
        if not 1 <= len(identity) <= MAX_IDENTITY_CHARS:
            raise InvalidValue(f"an identity has 1 to {MAX_IDENTITY_CHARS} characters")
        try:
            return self._keyring.pseudonym(identity)
        except UnicodeEncodeError:
            raise InvalidValue("an identity must be valid Unicode text") from None

    async def open(
        self, participant: str, *, session_id: str | None = None, expect_agent: bool = False
    ) -> Opened:
        """Find the participant's session that may resume, or create one. Takes no lease.

        Args:
            participant: the pseudonym.
            session_id: the session that the caller believes current; right saves a round trip.
            expect_agent: claim the right to dispatch an agent where there is none
                (``Opened.agent`` is ``WANTED`` for one caller, until an agent came or time ran
                out).
        """
        candidate = self._candidate(participant)
        wanted = _session_id(session_id)
        stored, agent = await self._backend.open(
            participant, wanted, candidate, expect_agent=expect_agent
        )
        session, turns = self._read(participant, stored)
        return Opened(session, turns, resumed=stored.id != candidate.session_id, agent=agent)

    async def join(
        self,
        participant: str,
        *,
        session_id: str | None = None,
        exact: bool = False,
        load_id: str = "",
        attempt: str | None = None,
    ) -> Joined:
        """Take the lease of a session, load it, and count the arrival: one round trip.

        Args:
            participant: the pseudonym.
            session_id: the session that the caller believes current.
            exact: this session or none; else the one that may resume, or a new one.
            load_id: names this page load or call; a new one is a return, an empty one is unknown.
            attempt: the same value again repeats the answer of a join whose answer was lost.

        Raises:
            LeaseHeld: another job's lease is live.
            SessionGone: with ``exact``, it was erased. SessionEnded: its window has passed.
            SealBroken, UnknownKey: what is stored cannot be opened; the lease is given back.
        """
        stored, outcome = await self._backend.join(
            participant,
            _session_id(session_id),
            self._candidate(participant),
            JoinAttempt(
                owner=attempt or secrets.token_hex(16),
                load=self._load_name(load_id),
                exact=exact,
            ),
        )
        wrapped = stored.wrapped
        ref = LeaseRef(participant, stored.id, stored.owner, stored.fence, wrapped.data_key_id)
        try:
            session, turns = self._read(participant, stored)
        except Exception:
            await self._backend.release(ref)
            raise
        tag = tag_of(stored.turns[-1]) if stored.turns else NO_TAG
        lease = Lease(
            ref=ref,
            data_key=self._data_key(participant, stored),
            last_seq=stored.seq,
            last_tag=tag,
            saved_seq=stored.seq,
            saved_tag=tag,
            version=stored.version,
            content=session.content,
        )
        return Joined(session, turns, outcome, lease)

    async def arrive(self, lease: Lease, *, load_id: str = "", attempt: str = "") -> Arrival:
        """Note that the participant came while the job lives.

        It is a return if the participant was away, or if ``load_id`` is a new one; anything else
        is a connection that was restored. ``attempt`` as in ``join``.
        """
        counted, reconnect_count = await self._backend.arrive(
            lease.ref, attempt or secrets.token_hex(8), self._load_name(load_id)
        )
        return Arrival(counted, reconnect_count)

    async def leave(self, lease: Lease) -> datetime:
        """Begin the resume window; answer when it ends. Leaving twice is a no-op."""
        return _time(await self._backend.leave(lease.ref))

    def seal(self, lease: Lease, turn: Turn) -> SealedTurn:
        """Give a turn its number and seal it, chained to the one before. Writes nothing.

        Raises:
            InvalidValue: the turn is larger than 256 KiB, or not Unicode.
        """
        try:
            plain = turn.model_dump_json(exclude_defaults=True).encode()
        except (ValueError, UnicodeError):
            raise InvalidValue(f"turn {turn.id} is not valid Unicode text") from None
        if len(plain) > MAX_TURN_BYTES:
            raise InvalidValue(
                f"turn {turn.id} has {len(plain)} bytes; at most {MAX_TURN_BYTES} are kept"
            )
        seq, tag_before = lease.last_seq + 1, lease.last_tag
        sealed = lease.data_key.seal_turn(lease.session_id, seq, tag_before, plain)
        lease.last_seq, lease.last_tag = seq, tag_of(sealed)
        return SealedTurn(seq, tag_before, sealed, turn)

    async def append(self, lease: Lease, turns: Sequence[SealedTurn]) -> int:
        """Append sealed turns, in order; answer the newest seq that the store has.

        Turns that are there already are no error, so an append whose answer was lost is repeated.

        Raises:
            SequenceGap: the store lacks turns before the first; resend from ``current + 1``.
            LeaseLost, SessionGone, WriteConflict: give up; nothing was written.
        """
        if not turns:
            return lease.last_seq
        sealed = [turn.sealed for turn in turns]
        newest = await self._backend.append(lease.ref, turns[0].seq, turns[0].tag_before, sealed)
        if turns[-1].seq > lease.saved_seq:
            lease.saved_seq, lease.saved_tag = turns[-1].seq, tag_of(turns[-1].sealed)
        return newest

    async def update(
        self, lease: Lease, change: Callable[[SessionContent], SessionContent]
    ) -> SessionContent:
        """Change the sealed content by compare-and-set on its version.

        ``change`` may be called again, on the newer content, where another write came between.

        Raises:
            WriteConflict: it still came between after five tries.
            InvalidValue: the content is not valid Unicode; nothing was written.
        """
        for _ in range(MAX_UPDATE_TRIES):
            seen = lease.version
            witness = Witness(seq=lease.saved_seq, tag=lease.saved_tag.hex())
            content = change(lease.content).model_copy(update={"witness": witness})
            try:
                plain = content.model_dump_json(exclude_defaults=True).encode()
            except (ValueError, UnicodeError):
                raise InvalidValue("the content is not valid Unicode text") from None
            sealed = lease.data_key.seal_content(lease.session_id, seen + 1, plain)
            try:
                lease.version = await self._backend.update(lease.ref, seen, sealed)
            except WriteConflict:
                await self._reload_content(lease)
                continue
            lease.content = content
            return content
        raise WriteConflict(lease.session_id, lease.version)

    async def renew(self, lease: LeaseRef) -> None:
        """Extend the lease; also one that ran out, as long as nobody took it."""
        await self._backend.renew(lease)

    async def release(self, lease: Lease) -> None:
        """Give the lease back, so that a successor need not wait for its end."""
        await self._backend.release(lease.ref)

    async def expect_agent(
        self, participant: str, session_id: str, *, claim: bool = True
    ) -> AgentPresence:
        """Tell whether the session has an agent; ``claim`` as ``expect_agent`` in ``open``."""
        return await self._backend.expect_agent(participant, session_id, claim=claim)

    async def give_back_claim(self, participant: str, session_id: str) -> None:
        """Say that no agent was dispatched after all: the next one to ask may do it."""
        await self._backend.give_back_claim(participant, session_id)

    async def load(self, participant: str, session_id: str) -> Loaded | None:
        """Read a session without a lease; ``None`` where there is none.

        Raises:
            SealBroken, UnknownKey: it is there but cannot be opened. It is never shown as empty.
        """
        stored = await self._backend.load(participant, session_id)
        return None if stored is None else Loaded(*self._read(participant, stored))

    async def erase(self, participant: str, *, known: Sequence[str] = ()) -> int:
        """Erase everything about a participant; answer how many sessions went.

        Writes that are still on their way answer ``SessionGone``. ``known`` session ids save a
        round trip.
        """
        self._data_keys.clear()
        return await self._backend.erase(participant, self._keyring.primary, known)

    def _candidate(self, participant: str) -> Candidate:
        return Candidate(new_session_id(), self._keyring.new_data_key(participant))

    def _load_name(self, load_id: str) -> str:
        return self._keyring.fingerprint("load", load_id) if load_id else ""

    def _data_key(self, participant: str, stored: StoredSession) -> DataKey:
        name = (participant, stored.wrapped)
        key = self._data_keys.get(name)
        if key is None:
            key = self._keyring.unwrap(participant, stored.wrapped)
            if len(self._data_keys) >= _CACHED_KEYS:
                self._data_keys.pop(next(iter(self._data_keys)))
            self._data_keys[name] = key
        return key

    def _read(
        self, participant: str, stored: StoredSession
    ) -> tuple[Session, tuple[RecordedTurn, ...]]:
        key = self._data_key(participant, stored)
        content = _open_content(key, stored)
        turns = _open_turns(key, stored)
        _check_witness(content.witness, stored)
        session = Session(
            id=stored.id,
            participant=participant,
            state=SessionState(stored.state),
            joined_at=_time(stored.joined_at) if stored.joined_at else None,
            last_seen=_time(stored.last_seen),
            resume_until=_time(stored.window_until) if stored.state == "away" else None,
            reconnect_count=stored.reconnect_count,
            seq=stored.seq,
            version=stored.version,
            content=content,
        )
        return session, turns

    async def _reload_content(self, lease: Lease) -> None:
        stored = await self._backend.load(lease.participant, lease.session_id)
        if stored is not None:
            lease.content = _open_content(lease.data_key, stored)
            lease.version = stored.version


def new_session_id() -> str:
    """Make a session id: 128 random bits as 26 characters of base32."""
    return base64.b32encode(secrets.token_bytes(16)).decode().rstrip("=").lower()


def _session_id(value: str | None) -> str | None:
    if value is None or (len(value) == _ID_CHARS and value.isascii() and value.isalnum()):
        return value
    raise InvalidValue("a session id has 26 letters and digits")


def _time(unix_ms: int) -> datetime:
    return datetime.fromtimestamp(unix_ms / 1000, UTC)


def _open_content(key: DataKey, stored: StoredSession) -> SessionContent:
    if stored.content is None:
        if stored.version > 0:
            raise SealBroken("the content", stored.id)
        return SessionContent()
    plain = key.open_content(stored.id, stored.version, stored.content)
    try:
        return SessionContent.model_validate_json(plain)
    except ValidationError:
        raise SealBroken("the content", stored.id) from None


def _open_turns(key: DataKey, stored: StoredSession) -> tuple[RecordedTurn, ...]:
    """Open the chain of turns; the place of each follows from ``seq``, the number of the last."""
    turns = []
    tag = stored.head or NO_TAG
    first = stored.seq - len(stored.turns) + 1
    if first < 1 or (first > 1) != bool(stored.head):
        raise SealBroken("the turns", stored.id)
    for seq, sealed in enumerate(stored.turns, first):
        plain = key.open_turn(stored.id, seq, tag, sealed)
        try:
            turns.append(RecordedTurn(seq, Turn.model_validate(orjson.loads(plain))))
        except (ValidationError, orjson.JSONDecodeError):
            raise SealBroken(f"turn {seq}", stored.id) from None
        tag = tag_of(sealed)
    return tuple(turns)


def _check_witness(witness: Witness | None, stored: StoredSession) -> None:
    """Compare the record with the newest turn that the content was sealed after."""
    if witness is None or witness.seq == 0:
        return
    back = stored.seq - witness.seq
    if back < 0:
        raise SealBroken("the end of the record", stored.id)
    if back < len(stored.turns):
        tag = tag_of(stored.turns[len(stored.turns) - 1 - back])
    elif back == len(stored.turns):
        tag = stored.head
    else:
        return
    if tag.hex() != witness.tag:
        raise SealBroken(f"turn {witness.seq}", stored.id)
