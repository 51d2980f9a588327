"""``SessionStore``: what users of this library call.

It adds to a backend what the backend must not know: keys, seals, and models.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Self

from session_store.backends.choice import backend_of
from session_store.backends.values import (
    DRAFT_ROLES,
    AgentPresence,
    Candidate,
    JoinAttempt,
    LateTurn,
    LeaseRef,
    OpenMode,
    SealedDraft,
    StoredSession,
)
from session_store.errors import (
    InvalidValue,
    LeaseLost,
    SealBroken,
    SequenceGap,
    SessionGone,
    SessionStoreError,
    UnknownKey,
    UnknownSchema,
    WriteConflict,
)
from session_store.event_stream import read_events
from session_store.events import Event, EventType, SealFailure
from session_store.meter import NO_METER
from session_store.models import MAX_TURN_BYTES, SessionContent, Witness
from session_store.sealing.crypto import NO_TAG, Keyring, tag_of
from session_store.sealing.opening import (
    check_witness,
    content_of,
    drafts_of,
    session_of,
    time_of,
    turns_of,
)
from session_store.sealing.schema import write_content
from session_store.sealing.turn_codec import encode_turn
from session_store.values import (
    Arrival,
    Joined,
    Lease,
    Loaded,
    Opened,
    Replayed,
    SealedTurn,
    SessionPage,
    settled_by,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from session_store.backends.contract import Backend, SideChannel
    from session_store.backends.values import Erased, Found
    from session_store.events import EventHook, EventsMissed, SealHook
    from session_store.meter import Meter
    from session_store.models import Draft, RecordedTurn, Session, Turn
    from session_store.sealing.crypto import DataKey, WrappedKey
    from session_store.settings import StoreSettings

    _Read = tuple[Session, tuple[RecordedTurn, ...], tuple[Draft, ...]]

logger = logging.getLogger(__name__)

MAX_IDENTITY_CHARS: Final = 512
MAX_TITLE_CHARS: Final = 200
MAX_PAGE: Final = 200
MAX_CALL_BYTES: Final = 1024 * 1024
"""Sealed turns that are sent in one call, so that it ends within its time-out."""
MAX_UPDATE_TRIES: Final = 5
_CACHED_KEYS: Final = 10_000
_ID_CHARS: Final = 26
_UNREADABLE: Final = (SealBroken, UnknownKey, UnknownSchema)


class SessionStore:
    """Encrypted, fenced, atomic session state.

    A participant is named by its pseudonym: ``store.pseudonym(identity)``. Identities themselves
    never reach the backend.
    """

    def __init__(
        self, backend: Backend, keyring: Keyring, *, hooks: Sequence[EventHook] = ()
    ) -> None:
        self.backend: Final = backend
        self.keyring: Final = keyring
        self.meter = NO_METER
        """Hears how often and how long; see ``measure``."""
        self._hooks = list(hooks)
        self._seal_hooks: list[SealHook] = []
        # By participant too: a wrapped key that was copied to somebody else must not open.
        self._data_keys: dict[tuple[str, WrappedKey], DataKey] = {}

    @classmethod
    def from_settings(cls, settings: StoreSettings, *, hooks: Sequence[EventHook] = ()) -> Self:
        """Build the store that the settings describe; connects at the first call.

        Raises:
            KeyringMissing: no keys are configured. There is no plaintext mode.
        """
        keyring = Keyring.from_settings(settings)
        return cls(backend_of(settings), keyring, hooks=hooks)

    @property
    def side(self) -> SideChannel:
        """Events, counts by day and the audit stream of this store."""
        return self.backend.side

    def add_hook(self, hook: EventHook) -> None:
        """Tell a hook what this process does from now on."""
        self._hooks.append(hook)

    def add_seal_hook(self, hook: SealHook) -> None:
        """Tell a hook, from now on, of what does not open."""
        self._seal_hooks.append(hook)

    def measure(self, meter: Meter) -> None:
        """Tell a meter, instead of the one before, how often and how long; and as a hook."""
        self.meter = meter
        self.backend.measure(meter)
        if meter is not NO_METER:
            self.add_hook(meter)
            self.add_seal_hook(meter)

    def tell(self, events: Iterable[Event]) -> None:
        """Tell the hooks what happened."""
        for event in events:
            for hook in self._hooks:
                try:
                    hook.on_event(event)
                except Exception as error:  # noqa: BLE001 (what happened has happened; the next hook hears of it)
                    logger.error(  # noqa: TRY400 (its text may hold anything)
                        "a hook failed",
                        extra={"hook": type(hook).__name__, "error": type(error).__name__},
                    )

    def events(self) -> AsyncGenerator[Event | EventsMissed, None]:
        """Listen to what all processes do; see ``event_stream.read_events``."""
        return read_events(self.side)

    async def check(self) -> None:
        """Reach the backend, and make sure that it was written with these keys.

        Raises:
            StoreUnavailable: no answer.
            WrongKey: it was written with others. Without this check, everybody would be new.
        """
        mine = self.keyring.check_values()
        self.keyring.verify_check_values(await self.backend.check_values(mine))

    async def ping(self) -> None:
        """Reach the backend, or raise ``StoreUnavailable``."""
        await self.backend.ping()

    async def aclose(self) -> None:
        """Close connections that this store made, and forget unwrapped keys."""
        self._data_keys.clear()
        await self.backend.aclose()

    def pseudonym(self, identity: str) -> str:
        """Derive the name under which a participant is kept: 26 characters of base32.

        Raises:
            InvalidValue: the identity is empty, longer than 512 characters, or not Unicode.
        """
        if not 1 <= len(identity) <= MAX_IDENTITY_CHARS:
            raise InvalidValue(f"an identity has 1 to {MAX_IDENTITY_CHARS} characters")
        try:
            return self.keyring.pseudonym(identity)
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
        return await self._open(participant, session_id, OpenMode.RESUME, expect_agent=expect_agent)

    async def open_new(
        self, participant: str, *, expect_agent: bool = False, session_id: str | None = None
    ) -> Opened:
        """Begin another session; the one before stays, and ends by its own time.

        Also the way on for somebody whose newest session has a broken seal.

        Args:
            participant: the pseudonym.
            expect_agent: as in ``open``.
            session_id: the id that it is to have, made by ``Keyring.new_session_id`` for this
                participant while the store was away, say. A session that has it already is found.

        Raises:
            InvalidValue: the id was not made for this participant.
            SealBroken, UnknownKey: the participant's data key does not open; nothing was begun.
        """
        offered = _session_id(session_id)
        if offered is not None and not self.keyring.owns(participant, offered):
            raise InvalidValue("a session id is made by Keyring.new_session_id, per participant")
        with self._noting_broken(participant, None):
            known = await self.backend.participant(participant)
            if known is not None:
                # If nothing can be sealed for this participant, nothing is begun either: each try
                # would leave an empty session, and push out one that is kept.
                self._data_key(participant, known.wrapped)
        return await self._open(
            participant, None, OpenMode.NEW, expect_agent=expect_agent, offered=offered
        )

    async def switch(
        self, participant: str, session_id: str, *, expect_agent: bool = False
    ) -> Opened:
        """Go on with an older session, also one that has ended. ``expect_agent`` as in ``open``.

        Raises:
            SessionGone: there is none.
        """
        return await self._open(participant, session_id, OpenMode.SWITCH, expect_agent=expect_agent)

    async def join(
        self,
        participant: str,
        *,
        session_id: str | None = None,
        exact: bool = False,
        load_id: str = "",
        owner: str | None = None,
    ) -> Joined:
        """Take the lease of a session, load it, and count the arrival: one round trip.

        Args:
            participant: the pseudonym.
            session_id: the session that the caller believes current.
            exact: this session or none; else the one that may resume, or a new one.
            load_id: names this page load or call; a new one is a return, an empty one is unknown.
            owner: the nonce that names the holder of the lease; random by default. The same one
                again repeats the answer of a join whose answer was lost.

        Raises:
            LeaseHeld: another job's lease is live.
            SessionGone: with ``exact``, it was erased. SessionEnded: its window has passed.
            SealBroken, UnknownKey: what is stored cannot be opened; the lease is given back.
        """
        with self._noting_broken(participant, session_id):
            found, outcome = await self.backend.join(
                participant,
                _session_id(session_id),
                self._candidate(participant),
                JoinAttempt(
                    owner=owner or secrets.token_hex(16),
                    load=self._load_name(load_id),
                    exact=exact,
                ),
            )
        stored = found.session
        data_key_id = stored.wrapped.data_key_id
        ref = LeaseRef(participant, stored.id, stored.owner, stored.fence, data_key_id)
        try:
            with self._noting_broken(participant, stored.id):
                session, turns, drafts = self._read_found(participant, found)
        except Exception:
            with suppress(SessionStoreError):
                await self.backend.release(ref)
            raise
        tag = tag_of(stored.turns[-1]) if stored.turns else NO_TAG
        lease = Lease(
            ref=ref,
            data_key=self._data_key(participant, stored.wrapped),
            last_seq=stored.seq,
            last_tag=tag,
            saved_seq=stored.seq,
            saved_tag=tag,
            version=stored.version,
            content=session.content,
            draft_number=stored.draft_number,
        )
        return Joined(session, turns, outcome, lease, drafts=drafts)

    async def arrive(
        self, lease: Lease, *, load_id: str = "", idempotency_key: str = ""
    ) -> Arrival:
        """Note that the participant came while the job lives.

        It is a return if the participant was away, or if ``load_id`` is a new one; anything else
        is a connection that was restored. The same ``idempotency_key`` again repeats the
        answer of a call whose answer was lost.
        """
        arrived = await self.backend.arrive(
            lease.ref_or_raise(), idempotency_key or secrets.token_hex(8), self._load_name(load_id)
        )
        self.tell(arrived.events)
        return Arrival(arrived.counted, arrived.reconnect_count)

    async def leave(self, lease: Lease) -> datetime:
        """Begin the resume window; answer when it ends. Leaving twice is a no-op."""
        left = await self.backend.leave(lease.ref_or_raise())
        self.tell(left.events)
        return time_of(left.window_until)

    def seal(self, lease: Lease, turn: Turn, settles: int = 0) -> SealedTurn:
        """Give a turn its number and seal it, chained to the one before. Writes nothing.

        ``settles`` is the number of the newest draft of what was said; 0 for none. The draft of
        the turn's role goes with the append of the turn, unless it is a newer one.

        Raises:
            InvalidValue: the turn is larger than 256 KiB, or not Unicode.
        """
        plain = _plain(turn)
        seq, tag_before = lease.last_seq + 1, lease.last_tag
        sealed = lease.data_key.seal_turn(lease.session_id, seq, tag_before, plain)
        lease.last_seq, lease.last_tag = seq, tag_of(sealed)
        return SealedTurn(seq, tag_before, sealed, turn, settles)

    async def append(self, lease: Lease, turns: Sequence[SealedTurn]) -> int:
        """Append sealed turns, in order; answer the newest seq that the store has.

        Turns that are there already are no error, so an append whose answer was lost is repeated.

        Raises:
            SequenceGap: the store lacks turns before the first; resend from ``current + 1``.
            LeaseLost, SessionGone, WriteConflict: give up; nothing was written.
        """
        if not turns:
            return lease.last_seq
        first, last = turns[0], turns[-1]
        clock = asyncio.get_running_loop().time
        begun = clock()
        newest = await self.backend.append(
            lease.ref_or_raise(),
            first.seq,
            first.tag_before,
            [turn.sealed for turn in turns],
            settled_by(turns),
        )
        self.meter.appended(clock() - begun)
        if last.seq > lease.saved_seq:
            new = last.seq - lease.saved_seq
            lease.saved_seq, lease.saved_tag = last.seq, tag_of(last.sealed)
            if self._hooks:
                self.tell([_appended(lease, new)])
        return newest

    def seal_draft(self, lease: Lease, turn: Turn) -> SealedDraft:
        """Number and seal what is being said, as far as it is said. Writes nothing.

        Raises:
            InvalidValue: the turn is nobody's, larger than 256 KiB, or not Unicode.
            NotGranted: the store is away since before the join; there are no drafts then.
        """
        if turn.role not in DRAFT_ROLES:
            raise InvalidValue(f"a draft is of one of these roles: {', '.join(DRAFT_ROLES)}")
        plain, ref = _plain(turn), lease.ref_or_raise()
        lease.draft_number += 1
        number = lease.draft_number
        sealed = lease.data_key.seal_draft(ref.session_id, turn.role, number, plain)
        return SealedDraft(turn.role, number, sealed)

    async def keep_draft(self, lease: Lease, sealed: SealedDraft) -> None:
        """Keep a draft instead of the one before of its role, so that a successor knows it.

        A no-op where a newer one is kept, or a turn has settled it. May be repeated.

        Raises:
            LeaseLost, SessionGone: give up; nothing was written.
        """
        await self.backend.draft(lease.ref_or_raise(), sealed)

    async def update(
        self, lease: Lease, change: Callable[[SessionContent], SessionContent]
    ) -> SessionContent:
        """Change the sealed content by compare-and-set on its version.

        ``change`` may be called again, on the newer content, where another write came between.

        Raises:
            WriteConflict: it still came between after five tries.
            SequenceGap: the store has fewer turns than it had acknowledged (a failover took them
                back); resend those first, since the content witnesses them.
            InvalidValue: the content is not valid Unicode; nothing was written.
        """
        for _ in range(MAX_UPDATE_TRIES):
            seen = lease.version
            witness = Witness(seq=lease.saved_seq, tag=lease.saved_tag.hex())
            content = change(lease.content).model_copy(update={"witness": witness})
            sealed = lease.data_key.seal_content(lease.session_id, seen + 1, write_content(content))
            try:
                lease.version = await self.backend.update(
                    lease.ref_or_raise(), seen, sealed, witness_seq=witness.seq
                )
            except WriteConflict:
                await self._reload_content(lease)
                continue
            lease.content = content
            return content
        raise WriteConflict(lease.session_id, lease.version)

    async def renew(self, lease: Lease | LeaseRef) -> None:
        """Extend the lease; also one that ran out, as long as nobody took it."""
        await self.backend.renew(lease.ref_or_raise() if isinstance(lease, Lease) else lease)

    async def release(self, lease: Lease) -> None:
        """Give the lease back, so that a successor need not wait for its end."""
        await self.backend.release(lease.ref_or_raise())

    async def expect_agent(
        self, participant: str, session_id: str, *, claim: bool = True
    ) -> AgentPresence:
        """Tell whether the session has an agent; ``claim`` as ``expect_agent`` in ``open``."""
        wanted = _session_id(session_id) or ""
        return await self.backend.expect_agent(participant, wanted, claim=claim)

    def owner_of(self, worker_id: str, job_id: str) -> str:
        """Return the ``owner`` under which a job joins, so that its worker can name it too."""
        return self.keyring.owner_of(worker_id, job_id)

    async def claim_orphan(
        self,
        participant: str,
        session_id: str,
        *,
        owner: str | None = None,
        absent: bool = False,
        idempotency_key: str | None = None,
    ) -> AgentPresence:
        """Claim the right to dispatch a successor for a job that is gone.

        Args:
            participant: the pseudonym.
            session_id: which one may lack its agent.
            owner: see ``owner_of``: this job is known to be dead, so its lease is broken even if
                it still runs. Without it, only a lease that has run out is.
            absent: nobody is there who would need one, so none is to be dispatched: the
                participant counts as having left when it was last seen.
            idempotency_key: the same value again repeats the answer of a claim whose answer was
                lost.

        Returns:
            ``WANTED`` (this caller, and no other, dispatches; the job before writes nothing any
            more), ``PRESENT`` (somebody holds the lease), ``EXPECTED`` (somebody else dispatched
            a moment ago), ``GAVE_UP`` (too many died in a row), ``ENDED`` or ``GONE``; with
            ``absent`` also ``ABSENT``, and ``WANTED`` only where somebody was let in a moment ago.
        """
        presence, events = await self.backend.claim_orphan(
            participant,
            _session_id(session_id) or "",
            owner=owner or "",
            idempotency_key=idempotency_key or secrets.token_hex(8),
            absent=absent,
        )
        self.tell(events)
        return presence

    async def give_back_claim(
        self, participant: str, session_id: str, *, absent: bool = False
    ) -> None:
        """Say that no agent was dispatched after all: the next one to ask may do it.

        Args:
            participant: the pseudonym.
            session_id: whose agent.
            absent: none is needed, since nobody is there. The participant counts as having left
                when it was last seen, unless a job holds the lease, or somebody was let in a
                moment ago.
        """
        wanted = _session_id(session_id) or ""
        self.tell(await self.backend.give_back_claim(participant, wanted, absent=absent))

    async def load(
        self, participant: str, session_id: str, *, last: int | None = None
    ) -> Loaded | None:
        """Read a session without a lease; ``None`` where there is none.

        Args:
            participant: the pseudonym.
            session_id: which one.
            last: only this many of its newest turns.

        Raises:
            SealBroken, UnknownKey: it is there but cannot be opened. It is never shown as empty.
        """
        wanted = _session_id(session_id) or ""
        if last is not None and last < 0:
            raise InvalidValue("a number of turns is 0 or more")
        with self._noting_broken(participant, session_id):
            stored = await self.backend.load(participant, wanted, last=last)
            if stored is None:
                return None
            session, turns, drafts = self._read(participant, stored)
            return Loaded(session, turns, drafts=drafts)

    async def sessions(self, participant: str, *, offset: int = 0, limit: int = 20) -> SessionPage:
        """List a participant's sessions, newest first, without their turns.

        One whose content does not open is listed as not ``readable``; ``load`` says why.
        """
        if not 0 <= limit <= MAX_PAGE or offset < 0:
            raise InvalidValue(f"a page begins at 0 or later and has at most {MAX_PAGE} sessions")
        page = await self.backend.sessions(participant, offset=offset, limit=limit)
        found = tuple(self._read_listed(participant, stored) for stored in page.sessions)
        return SessionPage(page.total, found)

    async def set_title(
        self, participant: str, session_id: str, title: str | None
    ) -> SessionContent:
        """Name a session, without its lease; a holder's next write keeps the name.

        Raises:
            SessionGone: there is none.
            InvalidValue: the title is longer than 200 characters, or not Unicode.
            SealBroken, UnknownKey: the content cannot be opened, so it is not replaced either.
        """
        if title is not None and len(title) > MAX_TITLE_CHARS:
            raise InvalidValue(f"a title has at most {MAX_TITLE_CHARS} characters")
        return await self.edit(
            participant, session_id, lambda content: content.model_copy(update={"title": title})
        )

    async def edit(
        self,
        participant: str,
        session_id: str,
        change: Callable[[SessionContent], SessionContent],
    ) -> SessionContent:
        """Change the content without the lease; a holder's next write keeps the change.

        ``change`` may be called again, on newer content, where another write came between.

        Raises:
            SessionGone: there is none.
            InvalidValue: the content is not valid Unicode, or too large; nothing was written.
            SealBroken, UnknownKey: the content cannot be opened, so it is not replaced either.
            WriteConflict: other writes still came between after five tries.
        """
        version = 0
        for _ in range(MAX_UPDATE_TRIES):
            with self._noting_broken(participant, session_id):
                stored = await self.backend.load(participant, _session_id(session_id) or "", last=1)
            if stored is None:
                raise SessionGone(session_id)
            version = stored.version
            with self._noting_broken(participant, session_id):
                key = self._data_key(participant, stored.wrapped)
                before = content_of(key, stored)
                check_witness(before.witness, stored)
            tag = tag_of(stored.turns[-1]) if stored.turns else NO_TAG
            witness = Witness(seq=stored.seq, tag=tag.hex())
            content = change(before).model_copy(update={"witness": witness})
            sealed = key.seal_content(session_id, stored.version + 1, write_content(content))
            try:
                await self.backend.edit(
                    participant,
                    session_id,
                    stored.wrapped.data_key_id,
                    stored.version,
                    sealed,
                    witness_seq=stored.seq,
                )
            except (WriteConflict, SequenceGap):
                continue
            return content
        raise WriteConflict(session_id, version)

    async def bring_in(
        self, participant: str, session_id: str, epoch: int, turns: Sequence[Turn]
    ) -> None:
        """Keep turns that were said under no lease: they lie beside the record, by their time.

        May be repeated; no turn is kept twice.

        Args:
            participant: the pseudonym.
            session_id: which session.
            epoch: when that conversation began, in Unix milliseconds: names it among those of
                the session, in the place of a fencing token.
            turns: all of it, in order.

        Raises:
            SessionGone: there is none.
        """
        with self._noting_broken(participant, session_id):
            stored = await self.backend.load(participant, _session_id(session_id) or "", last=0)
            if stored is None:
                raise SessionGone(session_id)
            key = self._data_key(participant, stored.wrapped)
        ref = LeaseRef(participant, session_id, "", "", stored.wrapped.data_key_id)
        late, size, tag = list[LateTurn](), 0, NO_TAG
        for seq, turn in enumerate(turns, 1):
            sealed = key.seal_turn(session_id, seq, tag, _plain(turn))
            if late and size + len(sealed) > MAX_CALL_BYTES:
                await self.backend.append_late(ref, late, apart=True)
                late, size = [], 0
            late.append(LateTurn(epoch, seq, tag, sealed))
            size += len(sealed)
            tag = tag_of(sealed)
        await self.backend.append_late(ref, late, apart=True)

    async def close(self, participant: str, session_id: str) -> bool:
        """End a session now; a job that holds it loses its lease. It stays for its retention.

        Answers False where it had ended before, or is gone.
        """
        events = await self.backend.close(participant, _session_id(session_id) or "")
        self.tell(events)
        return bool(events)

    async def delete(self, participant: str, session_id: str) -> bool:
        """Erase one session; answer whether it was there."""
        events = await self.backend.delete(participant, _session_id(session_id) or "")
        self.tell(events)
        return bool(events)

    async def erase(self, participant: str, *, known: Sequence[str] = ()) -> Erased:
        """Erase everything about a participant: the data key first, then every key.

        Writes that are still on their way answer ``SessionGone``. ``known`` session ids save a
        round trip. ``Erased.left_over`` counts what is still there after it: nothing.
        """
        known = [_session_id(session_id) or "" for session_id in known]
        erased = await self.backend.erase(participant, self.keyring.primary, known)
        # Only now: a load that was on its way has put it back before.
        for name in [name for name in self._data_keys if name[0] == participant]:
            del self._data_keys[name]
        if not erased.events:
            # Where the participant's hash had expired, nothing said which list it was in.
            for key_id in self.keyring.ids:
                await self.backend.forget_wrapped(participant, key_id)
        self.tell(erased.events)
        return erased

    async def erased_at(self, participant: str) -> int | None:
        """Tell when a participant was last erased, in Unix milliseconds of the store's clock.

        ``None`` where that was never, or longer ago than anything is kept.
        """
        return await self.backend.erased_at(participant)

    async def replay(
        self,
        lease: LeaseRef,
        turns: Sequence[SealedTurn],
        settles: Mapping[str, int] | None = None,
    ) -> Replayed:
        """Write what a dead job left: under its lease if nobody took it, else as late turns.

        May be repeated; no turn is kept twice.

        Args:
            lease: the dead job's.
            turns: those that it had not seen acknowledged, in order, without gaps.
            settles: by role, the newest draft whose words are in these turns, where they do not
                say so themselves.
        """
        if not turns:
            return Replayed.APPENDED
        sealed = [turn.sealed for turn in turns]
        try:
            await self.backend.append(
                lease, turns[0].seq, turns[0].tag_before, sealed, settles or settled_by(turns)
            )
        except SessionGone:
            return Replayed.ERASED
        except (LeaseLost, WriteConflict, SequenceGap):
            late = [
                LateTurn(int(lease.fence), turn.seq, turn.tag_before, turn.sealed) for turn in turns
            ]
            try:
                await self.backend.append_late(lease, late)
            except SessionGone:
                return Replayed.ERASED
            return Replayed.LATE
        return Replayed.APPENDED

    async def _open(
        self,
        participant: str,
        session_id: str | None,
        mode: OpenMode,
        *,
        expect_agent: bool,
        offered: str | None = None,
    ) -> Opened:
        with self._noting_broken(participant, session_id):
            found, agent = await self.backend.open(
                participant,
                _session_id(session_id),
                self._candidate(participant, offered),
                mode=mode,
                expect_agent=expect_agent,
            )
            session, turns, drafts = self._read_found(participant, found)
        return Opened(session, turns, resumed=not found.created, agent=agent, drafts=drafts)

    def _candidate(self, participant: str, session_id: str | None = None) -> Candidate:
        return Candidate(
            session_id or self.keyring.new_session_id(participant),
            self.keyring.new_data_key(participant),
        )

    def _load_name(self, load_id: str) -> str:
        try:
            return self.keyring.fingerprint("load", load_id) if load_id else ""
        except UnicodeEncodeError:
            raise InvalidValue("a load id must be valid Unicode text") from None

    def _data_key(self, participant: str, wrapped: WrappedKey) -> DataKey:
        name = (participant, wrapped)
        key = self._data_keys.get(name)
        if key is None:
            key = self.keyring.unwrap(participant, wrapped)
            if len(self._data_keys) >= _CACHED_KEYS:
                self._data_keys.pop(next(iter(self._data_keys)))
            self._data_keys[name] = key
        return key

    def _read_found(self, participant: str, found: Found) -> _Read:
        """Read the answer of ``open`` or ``join``; what it made happen has happened in any case."""
        self.tell(found.events)
        return self._read(participant, found.session)

    def _read(self, participant: str, stored: StoredSession) -> _Read:
        key = self._data_key(participant, stored.wrapped)
        self._check_id(participant, stored)
        content = content_of(key, stored)
        turns = turns_of(key, stored)
        check_witness(content.witness, stored)
        return session_of(participant, stored, content), turns, drafts_of(key, stored)

    def _check_id(self, participant: str, stored: StoredSession) -> None:
        """Refuse a session that holds nothing sealed, under an id that was made for another.

        What is sealed proves the id by itself.
        """
        proven = stored.content is not None or stored.turns or stored.late or stored.drafts
        if not proven and not self.keyring.owns(participant, stored.id):
            raise SealBroken("the id", stored.id)

    def _read_listed(self, participant: str, stored: StoredSession) -> Session:
        try:
            with self._noting_broken(participant, stored.id):
                key = self._data_key(participant, stored.wrapped)
                self._check_id(participant, stored)
                content = content_of(key, stored)
        except _UNREADABLE:
            return session_of(participant, stored, SessionContent(), readable=False)
        return session_of(participant, stored, content)

    @contextmanager
    def _noting_broken(self, participant: str, session_id: str | None) -> Iterator[None]:
        """Log, and tell the hooks, what does not open; the error goes on to the caller."""
        try:
            yield
        except _UNREADABLE as error:
            where = getattr(error, "session_id", None) or session_id or ""
            logger.warning(
                "something stored cannot be opened",
                extra={"session_id": where, "reason": type(error).__name__},
            )
            for hook in self._seal_hooks:
                hook.on_seal_failure(SealFailure(participant, where, error))
            raise

    async def _reload_content(self, lease: Lease) -> None:
        stored = await self.backend.load(lease.participant, lease.session_id, last=0)
        if stored is not None:
            lease.content = content_of(lease.data_key, stored)
            lease.version = stored.version


def _session_id(value: str | None) -> str | None:
    if value is None or (len(value) == _ID_CHARS and value.isascii() and value.isalnum()):
        return value
    raise InvalidValue("a session id has 26 letters and digits")


def _plain(turn: Turn) -> bytes:
    """Encode a turn to be sealed.

    Raises:
        InvalidValue: it is larger than 256 KiB, or not Unicode.
    """
    try:
        plain = encode_turn(turn)
    except ValueError:
        raise InvalidValue(
            f"turn {turn.id} is not valid: its words must be Unicode, its details JSON"
        ) from None
    if len(plain) > MAX_TURN_BYTES:
        raise InvalidValue(
            f"turn {turn.id} has {len(plain)} bytes; at most {MAX_TURN_BYTES} are kept"
        )
    return plain


def _appended(lease: Lease, turns: int) -> Event:
    """Make the event of an append. Its time is this machine's; only the script knows Redis's."""
    return Event(
        type=EventType.TURN_APPENDED,
        at=time.time_ns() // 1_000_000,
        participant=lease.participant,
        session_id=lease.session_id,
        seq=lease.saved_seq,
        turns=turns,
    )
