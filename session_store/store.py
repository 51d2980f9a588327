"""``SessionStore``: the entry point of this library.

It adds keys, seals and models to a backend, which must not know them.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Self

from session_store.backends.choice import backend_of
from session_store.backends.values import (
    DRAFT_ROLES,
    Candidate,
    JoinAttempt,
    LateTurn,
    LeaseRef,
    OpenMode,
    SealedDraft,
    SealedWork,
    SessionRef,
    SettleOutcome,
    StoredSession,
)
from session_store.errors import (
    InvalidValue,
    LeaseLost,
    SequenceGap,
    SessionGone,
    SessionStoreError,
    WriteConflict,
)
from session_store.event_stream import read_events
from session_store.events import turn_appended
from session_store.models import SessionContent, Witness
from session_store.sealing.data_key import NO_TAG, tag_of
from session_store.sealing.keyring import keyring_of
from session_store.sealing.opening import (
    UNREADABLE,
    check_witness,
    content_of,
    newest_tag,
    session_of,
    time_of,
)
from session_store.sealing.schema import write_content
from session_store.sealing.turn_codec import plain_of
from session_store.store_calls import StoreCalls, session_id_of
from session_store.values import (
    Arrival,
    Joined,
    Lease,
    Loaded,
    Opened,
    Replayed,
    SealedTurn,
    SessionPage,
    batches,
    newest_work,
    refuse_large,
    settled_by,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from session_store.backends.values import Erased, FoundSession
    from session_store.events import Event, EventHook, EventsMissed
    from session_store.models import Session, Turn
    from session_store.sealing.data_key import DataKey
    from session_store.sealing.opening import Contents
    from session_store.settings import StoreSettings


MAX_IDENTITY_CHARS: Final = 512
MAX_TITLE_CHARS: Final = 200
MAX_PAGE: Final = 200
MAX_UPDATE_TRIES: Final = 5


class SessionStore(StoreCalls):
    """Encrypted, fenced, atomic session state.

    A participant is named by its pseudonym: ``store.pseudonym(identity)``. Identities themselves
    never reach the backend.
    """

    @classmethod
    def from_settings(cls, settings: StoreSettings, *, hooks: Sequence[EventHook] = ()) -> Self:
        """Build the store that the settings describe; connects at the first call.

        A store in memory (``memory://``) without keys gets a key of this process.

        Raises:
            KeyringMissing: no keys are configured. There is no plaintext mode.
        """
        keyring = keyring_of(settings)
        return cls(backend_of(settings), keyring, hooks=hooks)

    def events(self) -> AsyncGenerator[Event | EventsMissed, None]:
        """Yield the events of all processes; see ``event_stream.read_events``."""
        return read_events(self.side)

    async def check(self) -> None:
        """Reach the backend, and make sure that it was written with these keys.

        Raises:
            StoreUnavailable: no answer.
            WrongKey: it was written with other keys. They would find no participant.
        """
        mine = self.keyring.check_values()
        self.keyring.verify_check_values(await self._backend.check_values(mine))

    async def aclose(self) -> None:
        """Close connections that this store made, and forget unwrapped keys."""
        self._opener.clear()
        await self._backend.aclose()

    def pseudonym(self, identity: str) -> str:
        """Derive the pseudonym of an identity: 26 characters of base32.

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
        self,
        participant: str,
        *,
        session_id: str | None = None,
        expect_agent: bool = False,
        scope: str | None = None,
    ) -> Opened:
        """Find the participant's session that can resume, or create one. Takes no lease.

        Args:
            participant: the pseudonym.
            session_id: the session that the caller expects; a right guess saves a round trip.
            expect_agent: claim the right to dispatch an agent if there is none. ``Opened.agent``
                is ``WANTED`` for one caller, until an agent came or the claim expired.
            scope: what the participant's conversations are kept apart by, such as the agent's
                name. ``None`` finds those of every scope.
        """
        return await self._open(
            participant, session_id, OpenMode.RESUME, expect_agent=expect_agent, scope=scope
        )

    async def open_new(
        self,
        participant: str,
        *,
        expect_agent: bool = False,
        session_id: str | None = None,
        scope: str | None = None,
    ) -> Opened:
        """Begin another session; the previous one stays, and ends at its own time.

        A participant can go on this way if the newest session has a broken seal.

        Args:
            participant: the pseudonym.
            expect_agent: as in ``open``.
            session_id: the id of the new session, from ``Keyring.new_session_id`` for this
                participant. If there is such a session already, it is returned.
            scope: as in ``open``; the new session is in it.

        Raises:
            InvalidValue: the id was not made for this participant.
            SealBroken, UnknownKey: the data key cannot be opened; nothing was created.
        """
        offered = session_id_of(session_id)
        if offered is not None and not self.keyring.owns(participant, offered):
            raise InvalidValue("a session id is made by Keyring.new_session_id, per participant")
        with self._hooks.noting_broken(participant, None):
            known = await self._backend.participant(participant)
            if known is not None:
                # Without a data key each try would create an empty session and evict a kept one.
                self._opener.key_of(participant, known.wrapped)
        return await self._open(
            participant,
            None,
            OpenMode.NEW,
            expect_agent=expect_agent,
            offered=offered,
            scope=scope,
        )

    async def switch(
        self,
        participant: str,
        session_id: str,
        *,
        expect_agent: bool = False,
        scope: str | None = None,
    ) -> Opened:
        """Continue an older session, even an ended one; other arguments as in ``open``.

        Raises:
            SessionGone: there is none.
        """
        return await self._open(
            participant, session_id, OpenMode.SWITCH, expect_agent=expect_agent, scope=scope
        )

    async def join(  # noqa: PLR0913 (most have a default)
        self,
        participant: str,
        *,
        session_id: str | None = None,
        exact: bool = False,
        load_id: str = "",
        owner: str | None = None,
        room: str = "",
        came_ms: int = 0,
        scope: str | None = None,
    ) -> Joined:
        """Take the lease of a session, load it, and count the arrival: one round trip.

        Args:
            participant: the pseudonym.
            session_id: the session that the caller expects.
            exact: only this session will do; else one that can resume, or a new one.
            load_id: names this page load or call. A new one is a return; empty means unknown.
            owner: the nonce that names the holder of the lease; random by default. A repeated
                join with the same owner gets the same answer.
            room: the room of the job. A job in another room than the holder's takes even a live
                lease, if the participant has left that room, or came to this one later.
            came_ms: when the participant came to the room, by LiveKit's clock, in Unix
                milliseconds; 0 if that is not known.
            scope: as in ``open``.

        Raises:
            LeaseHeld: another job's lease is live.
            SessionGone: with ``exact``, it was erased. SessionEnded: its window has passed.
            SealBroken, UnknownKey, UnknownSchema: the session cannot be opened. The lease is given
                back, and the session's window is not prolonged.
        """
        with self._hooks.noting_broken(participant, session_id):
            found, outcome = await self._backend.join(
                participant,
                session_id_of(session_id),
                self._candidate(participant),
                JoinAttempt(
                    owner=owner or secrets.token_hex(16),
                    load=self.mac_of("load", load_id),
                    exact=exact,
                    room=self.mac_of("room", room),
                    came_ms=came_ms,
                    scope=self._scope_name(scope),
                ),
            )
        stored = found.session
        data_key_id = stored.wrapped.data_key_id
        ref = LeaseRef(participant, stored.id, stored.owner, stored.fence, data_key_id)
        try:
            with self._hooks.noting_broken(participant, stored.id):
                session, turns, drafts, work = self._read_found(participant, found)
        except Exception:
            with suppress(SessionStoreError):
                await self._backend.put_back(ref)
            raise
        key = self._opener.key_of(participant, stored.wrapped)
        lease = Lease.of(ref, stored, key, session.content, work)
        gap = timedelta(milliseconds=stored.gap_ms)
        return Joined(
            session, turns, outcome, lease, gap, drafts=drafts, work=work, mark=found.mark
        )

    async def arrive(
        self, lease: Lease, *, load_id: str = "", idempotency_key: str = "", came_ms: int = 0
    ) -> Arrival:
        """Note that the participant came while the job runs.

        It is a return if the participant was away, or if ``load_id`` is new. Anything else is a
        restored connection. A repeated call with the same ``idempotency_key`` counts once.
        ``came_ms`` as in ``join``.
        """
        arrived = await self._backend.arrive(
            lease.ref_or_raise(),
            idempotency_key or secrets.token_hex(8),
            self.mac_of("load", load_id),
            came_ms=came_ms,
        )
        self.tell(arrived.events)
        return Arrival(arrived.counted, arrived.reconnect_count)

    async def leave(self, lease: Lease) -> datetime:
        """Begin the resume window and return its end. A second call is a no-op."""
        left = await self._backend.leave(lease.ref_or_raise())
        self.tell(left.events)
        return time_of(left.window_until)

    def seal(
        self, lease: Lease, turn: Turn, settles: int = 0, *, work: bytes | None = None
    ) -> SealedTurn:
        """Number and seal a turn, chained to the previous one. Writes nothing.

        Args:
            lease: of the session.
            turn: the turn.
            settles: number of the turn's newest draft; 0 for none. The append of the turn deletes
                that draft and older ones.
            work: what the program works on now, if that has changed since the turn before.

        Raises:
            InvalidValue: the turn is larger than 256 KiB, or not Unicode; or the work is larger
                than 64 KiB.
        """
        plain = plain_of(turn)
        if work is not None:
            refuse_large(work)
        seq, tag_before = lease.last_seq + 1, lease.last_tag
        sealed = lease.data_key.seal_turn(lease.session_id, seq, tag_before, plain)
        lease.last_seq, lease.last_tag = seq, tag_of(sealed)
        sealed_work = None if work is None else self.seal_work(lease, seq, work)
        return SealedTurn(seq, tag_before, sealed, turn, settles, sealed_work)

    def seal_work(
        self, lease: Lease, seq: int, work: bytes, *, keeps: int | None = None, since: int = 0
    ) -> SealedWork:
        """Seal what the program works on, as the work of turn ``seq``. Writes nothing.

        ``keeps`` and ``since`` as in ``SealedWork``.
        """
        sealed = lease.data_key.seal_work(lease.session_id, seq, work)
        return SealedWork(seq, sealed, keeps, since)

    async def append(self, lease: Lease, turns: Sequence[SealedTurn]) -> int:
        """Append sealed turns, in order; return the newest seq that the store has.

        Of their works, only the newest one is sent. Turns that the store already has are no error,
        so that a lost answer can be retried.

        Raises:
            SequenceGap: earlier turns are missing; resend from ``current + 1``.
            LeaseLost, SessionGone, WriteConflict: nothing was written; do not retry.
        """
        if not turns:
            return lease.last_seq
        first, last = turns[0], turns[-1]
        clock = asyncio.get_running_loop().time
        begun = clock()
        newest = await self._backend.append(
            lease.ref_or_raise(),
            first.seq,
            first.tag_before,
            [turn.sealed for turn in turns],
            settled_by(turns),
            work=newest_work(turns),
        )
        self.meter.appended(clock() - begun)
        if last.seq > lease.saved_seq:
            new = last.seq - lease.saved_seq
            lease.saved_seq, lease.saved_tag = last.seq, tag_of(last.sealed)
            if self._hooks.hear_events:
                self.tell([turn_appended(lease.participant, lease.session_id, last.seq, turns=new)])
        return newest

    def seal_draft(self, lease: Lease, turn: Turn) -> SealedDraft:
        """Number and seal the words that are being said. Writes nothing.

        Raises:
            InvalidValue: the turn has another role, is larger than 256 KiB, or not Unicode.
            NotGranted: the lease was not granted yet, so there are no drafts.
        """
        if turn.role not in DRAFT_ROLES:
            raise InvalidValue(f"a draft is of one of these roles: {', '.join(DRAFT_ROLES)}")
        plain, ref = plain_of(turn), lease.ref_or_raise()
        lease.draft_number += 1
        number = lease.draft_number
        sealed = lease.data_key.seal_draft(ref.session_id, turn.role, number, plain)
        return SealedDraft(turn.role, number, sealed)

    async def keep_draft(self, lease: Lease, sealed: SealedDraft) -> None:
        """Replace the draft of this role, so that a successor finds it. May be repeated.

        A no-op if a newer draft is kept, or a turn has settled this one.

        Raises:
            LeaseLost, SessionGone: nothing was written; do not retry.
        """
        await self._backend.draft(lease.ref_or_raise(), sealed)

    async def update(
        self, lease: Lease, change: Callable[[SessionContent], SessionContent]
    ) -> SessionContent:
        """Change the sealed content by compare-and-set on its version.

        ``change`` may be called again, on newer content, after a conflicting write.

        Raises:
            WriteConflict: five tries met conflicting writes.
            SequenceGap: a failover undid acknowledged turns. Resend them first: the content
                names the newest turn.
            InvalidValue: the content is not valid Unicode; nothing was written.
        """
        for _ in range(MAX_UPDATE_TRIES):
            seen = lease.version
            witness = Witness(seq=lease.saved_seq, tag=lease.saved_tag.hex())
            content = change(lease.content).model_copy(update={"witness": witness})
            sealed = lease.data_key.seal_content(lease.session_id, seen + 1, write_content(content))
            try:
                lease.version = await self._backend.update(
                    lease.ref_or_raise(), seen, sealed, witness_seq=witness.seq
                )
            except WriteConflict:
                await self._reload_content(lease)
                continue
            lease.content = content
            return content
        raise WriteConflict(lease.session_id, lease.version)

    async def renew(self, lease: Lease | LeaseRef) -> None:
        """Extend the lease, even one that ran out, unless another job has taken it."""
        await self._backend.renew(lease.ref_or_raise() if isinstance(lease, Lease) else lease)

    async def release(self, lease: Lease) -> None:
        """Release the lease, so that a successor need not wait for its end."""
        await self._backend.release(lease.ref_or_raise())

    async def load(
        self, participant: str, session_id: str, *, last: int | None = None
    ) -> Loaded | None:
        """Read a session without a lease; ``None`` if there is none.

        Args:
            participant: the pseudonym.
            session_id: the session.
            last: read only this many of its newest turns.

        Raises:
            SealBroken, UnknownKey: it cannot be opened. It is never shown as empty.
        """
        if last is not None and last < 0:
            raise InvalidValue("a number of turns is 0 or more")
        with self._hooks.noting_broken(participant, session_id):
            stored = await self._stored(participant, session_id, last=last, work=True)
            if stored is None:
                return None
            session, turns, drafts, work = self._opener.open(participant, stored)
            before = self._opener.works_before(participant, stored)
            return Loaded(session, turns, drafts=drafts, work=work, works_before=before)

    async def sessions(self, participant: str, *, offset: int = 0, limit: int = 20) -> SessionPage:
        """List a participant's sessions, newest first, without their turns.

        A session that cannot be opened is listed as not ``readable``; ``load`` says why.
        """
        if not 0 <= limit <= MAX_PAGE or offset < 0:
            raise InvalidValue(f"a page begins at 0 or later and has at most {MAX_PAGE} sessions")
        page = await self._backend.sessions(participant, offset=offset, limit=limit)
        found = tuple(self._read_listed(participant, stored) for stored in page.sessions)
        return SessionPage(page.total, found)

    async def exists(self, participant: str, session_id: str) -> bool:
        """Return whether there is such a session, without opening it."""
        return await self._stored(participant, session_id, last=0) is not None

    async def is_owned(self, participant: str, session_id: str, owner: str) -> bool:
        """Return whether the session's newest lease was granted to this ``owner``; see ``join``."""
        stored = await self._stored(participant, session_id, last=0)
        return stored is not None and stored.owner == owner

    async def set_title(
        self, participant: str, session_id: str, title: str | None
    ) -> SessionContent:
        """Name a session without its lease; the holder's next write keeps the name.

        Raises:
            SessionGone: there is none.
            InvalidValue: the title is longer than 200 characters, or not Unicode.
            SealBroken, UnknownKey: the content cannot be opened; nothing was written.
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
        """Change the content without the lease; the holder's next write keeps the change.

        ``change`` may be called again, on newer content, after a conflicting write.

        Raises:
            SessionGone: there is none.
            InvalidValue: the content is not valid Unicode, or too large; nothing was written.
            SealBroken, UnknownKey: the content cannot be opened; nothing was written.
            WriteConflict: five tries met conflicting writes.
        """
        version = 0
        for _ in range(MAX_UPDATE_TRIES):
            with self._hooks.noting_broken(participant, session_id):
                stored = await self._stored(participant, session_id, last=1)
                if stored is None:
                    raise SessionGone(session_id)
                key, before = self._content_to_change(participant, stored)
            version = stored.version
            witness = Witness(seq=stored.seq, tag=newest_tag(stored).hex())
            content = change(before).model_copy(update={"witness": witness})
            sealed = key.seal_content(session_id, version + 1, write_content(content))
            ref = LeaseRef(participant, session_id, "", "", stored.wrapped.data_key_id)
            if await self._edit(ref, version, sealed, witness_seq=stored.seq):
                return content
        raise WriteConflict(session_id, version)

    async def bring_in(
        self,
        participant: str,
        session_id: str,
        epoch: int,
        turns: Sequence[Turn],
        work: bytes | None = None,
    ) -> None:
        """Keep turns that were said without a lease, beside the record, ordered by time.

        May be repeated; no turn is kept twice.

        Args:
            participant: the pseudonym.
            session_id: the session.
            epoch: when that conversation began, in Unix milliseconds. It names the conversation
                in place of a fencing token.
            turns: all turns of the conversation, in order.
            work: what the program worked on at its end. It is kept if the session has no turn of
                its own: else a job has gone on from another one.

        Raises:
            SessionGone: there is none.
        """
        with self._hooks.noting_broken(participant, session_id):
            stored = await self._stored(participant, session_id, last=0)
            if stored is None:
                raise SessionGone(session_id)
            key = self._opener.key_of(participant, stored.wrapped)
        ref = LeaseRef(participant, session_id, "", "", stored.wrapped.data_key_id)
        sealed_work = b"" if work is None else key.seal_work(session_id, 0, work)
        for batch in batches(_sealed_apart(key, session_id, epoch, turns)):
            last = sealed_work if batch[-1].seq == len(turns) else b""
            await self._backend.append_late(ref, batch, apart=True, work=last)

    async def close(self, participant: str, session_id: str, *, fence: str = "") -> bool:
        """End a session now. A job that holds it loses its lease; the record stays.

        Returns False if it had ended before, is gone, or another job has taken the lease since the
        one with the token ``fence``.
        """
        known = session_id_of(session_id) or ""
        events = await self._backend.close(participant, known, fence=fence)
        self.tell(events)
        return bool(events)

    async def delete(self, participant: str, session_id: str) -> bool:
        """Erase one session; return whether it existed."""
        events = await self._backend.delete(participant, session_id_of(session_id) or "")
        self.tell(events)
        return bool(events)

    async def erase(self, participant: str, *, known: Sequence[str] = ()) -> Erased:
        """Erase everything about a participant: the data key first, then every key.

        Writes that arrive later raise ``SessionGone``. ``known`` session ids save a round trip.
        """
        known = [session_id_of(session_id) or "" for session_id in known]
        erased = await self._backend.erase(participant, self.keyring.primary, known)
        # Only now: a concurrent load may have cached it again until here.
        self._opener.forget(participant)
        if not erased.events:
            # The participant's hash had expired, and it names the list.
            await self._forget_wrapped(participant)
        self.tell(erased.events)
        return erased

    async def settle(self, session: SessionRef) -> SettleOutcome:
        """End a session, erase it, or look again later, as its deadlines say.

        Safe in many processes: one of them makes each change and publishes its event.
        """
        settled = await self._backend.settle(*session)
        self.tell(settled.events)
        if settled.outcome is SettleOutcome.GONE:
            await self._forget_wrapped(session.participant)
        return settled.outcome

    async def replay(
        self,
        lease: LeaseRef,
        turns: Sequence[SealedTurn],
        settles: Mapping[str, int] | None = None,
    ) -> Replayed:
        """Write what a dead job left: under its lease if that is free, else as late turns.

        May be repeated; no turn is kept twice. Late turns bring no work with them: a successor
        has gone on from an earlier one.

        Args:
            lease: the dead job's lease.
            turns: the turns that were not acknowledged, in order, without gaps.
            settles: by role, the newest draft that these turns replace; by default as they say.
        """
        if not turns:
            return Replayed.APPENDED
        sealed = [turn.sealed for turn in turns]
        try:
            await self._backend.append(
                lease,
                turns[0].seq,
                turns[0].tag_before,
                sealed,
                settles or settled_by(turns),
                work=newest_work(turns),
            )
        except SessionGone:
            return Replayed.ERASED
        except (LeaseLost, WriteConflict, SequenceGap):
            late = [
                LateTurn(int(lease.fence), turn.seq, turn.tag_before, turn.sealed) for turn in turns
            ]
            try:
                await self._backend.append_late(lease, late)
            except SessionGone:
                return Replayed.ERASED
            return Replayed.LATE
        return Replayed.APPENDED

    async def replay_content(self, lease: LeaseRef, version: int, sealed: bytes) -> bool:
        """Write the content that a dead job left, unless the store has a newer one.

        Args:
            lease: the dead job's lease. It is not compared: a successor may hold the session.
            version: the version that the job had read last.
            sealed: the content, sealed as the next version.

        Returns:
            Whether it was written.
        """
        try:
            return await self._edit(lease, version, sealed, witness_seq=0)
        except SessionGone:
            return False

    async def _edit(self, ref: LeaseRef, version: int, sealed: bytes, *, witness_seq: int) -> bool:
        """Replace the content without its lease; return False after a conflicting write."""
        try:
            await self._backend.edit(
                ref.participant,
                ref.session_id,
                ref.data_key_id,
                version,
                sealed,
                witness_seq=witness_seq,
            )
        except (WriteConflict, SequenceGap):
            return False
        return True

    def _content_to_change(
        self, participant: str, stored: StoredSession
    ) -> tuple[DataKey, SessionContent]:
        key = self._opener.key_of(participant, stored.wrapped)
        content = content_of(key, stored)
        check_witness(content.witness, stored)
        return key, content

    async def _open(  # noqa: PLR0913 (what the public calls share)
        self,
        participant: str,
        session_id: str | None,
        mode: OpenMode,
        *,
        expect_agent: bool,
        offered: str | None = None,
        scope: str | None = None,
    ) -> Opened:
        with self._hooks.noting_broken(participant, session_id):
            found, agent = await self._backend.open(
                participant,
                session_id_of(session_id),
                self._candidate(participant, offered),
                mode=mode,
                expect_agent=expect_agent,
                scope=self._scope_name(scope),
            )
            session, turns, drafts, _ = self._read_found(participant, found)
        return Opened(session, turns, resumed=not found.created, agent=agent, drafts=drafts)

    def _candidate(self, participant: str, session_id: str | None = None) -> Candidate:
        return Candidate(
            session_id or self.keyring.new_session_id(participant),
            self.keyring.new_data_key(participant),
        )

    def is_in_scope(self, session: Session, scope: str) -> bool:
        """Return whether a caller with this scope finds a session."""
        return session.scope in {"", self._scope_name(scope)}

    def _scope_name(self, scope: str | None) -> str:
        # An agent without a name has a scope, too.
        return "" if scope is None else self.mac_of("scope", f"scope:{scope}")

    def _read_found(self, participant: str, found: FoundSession) -> Contents:
        """Open the answer of ``open`` or ``join``, and tell its events even if that fails."""
        self.tell(found.events)
        return self._opener.open(participant, found.session)

    def _read_listed(self, participant: str, stored: StoredSession) -> Session:
        try:
            with self._hooks.noting_broken(participant, stored.id):
                return self._opener.open_listed(participant, stored)
        except UNREADABLE:
            return session_of(participant, stored, SessionContent(), readable=False)

    async def _stored(
        self, participant: str, session_id: str, *, last: int | None, work: bool = False
    ) -> StoredSession | None:
        wanted = session_id_of(session_id) or ""
        return await self._backend.load(participant, wanted, last=last, work=work)

    async def _forget_wrapped(self, participant: str) -> None:
        """Remove an expired participant from the lists of all keys: no hash names its list."""
        for key_id in self.keyring.ids:
            await self._backend.forget_wrapped(participant, key_id)

    async def _reload_content(self, lease: Lease) -> None:
        stored = await self._stored(lease.participant, lease.session_id, last=0)
        if stored is not None:
            lease.content = content_of(lease.data_key, stored)
            lease.version = stored.version


def _sealed_apart(
    key: DataKey, session_id: str, epoch: int, turns: Iterable[Turn]
) -> Iterator[LateTurn]:
    """Seal turns that were said without a lease, as a chain of their own."""
    tag = NO_TAG
    for seq, turn in enumerate(turns, 1):
        sealed = key.seal_turn(session_id, seq, tag, plain_of(turn))
        yield LateTurn(epoch, seq, tag, sealed)
        tag = tag_of(sealed)
