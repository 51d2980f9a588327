"""Any sequence of operations: each backend answers, and holds, what the model does."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from session_store import SessionStoreError, StoreSettings
from session_store.backends.values import (
    DRAFT_ROLES,
    LateTurn,
    LeaseRef,
    OpenMode,
    SealedDraft,
    SealedWork,
)
from session_store.keys import shard_of
from session_store.sealing.data_key import NO_TAG, tag_of
from tests.contract import model
from tests.contract.model import Model, Refused
from tests.contract.people import JOE, MARIA, candidate, join, nonce, open_session, sealed
from tests.contract.worlds import MemoryWorld, RedisWorld

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from dev.rig.servers.process import Server
    from session_store.backends.contract import Backend
    from session_store.backends.values import StoredSession
    from session_store.events import Event
    from tests.contract.model import Lease, Session, Told
    from tests.contract.worlds import World

LONG = bool(os.environ.get("REJOIN_LONG"))
STEP_S = 100
"""Time passes in steps of this; every lifetime is 20 s more than some of them, and sums of them
40 or 60 s more: so no deadline is nearer than 20 s, however slow the machine."""
SLACK_S = 20
ALIGN_S = 1.0
"""The model's time stands still while steps are taken, Redis's does not. So what they took is taken
back, as soon as it is more than this."""
MAX_STEP_S = SLACK_S / 4
"""Where one step took longer, because the machine stood still, a difference proves nothing."""
RUNS = 3
"""Of the same examples, where the machine stood still each time."""
MAX_UNSWEPT_S = 3000
"""Longer than that and keys expire, which is only the net below what a sweeper does."""
SETTINGS = {
    "lease_s": model.LEASE_S,
    "lease_renew_s": model.LEASE_S / 3,
    "agent_expected_s": model.EXPECT_S,
    "resume_window_first_s": model.WINDOWS_S[0],
    "resume_window_early_s": model.WINDOWS_S[1],
    "resume_window_regular_s": model.WINDOWS_S[2],
    "retention_s": model.RETENTION_S,
    "max_turns": model.MAX_TURNS,
    "max_sessions": model.MAX_SESSIONS,
}
PEOPLE = (MARIA, JOE)
WAYS_TO_GO = ("leave", "leave", "renew", "renew", "release", "go", "go", "finish", "put back")
HOUSEWORK = (
    *("settle", "settle", "settle", "claim", "claim", "look", "retain", "retain"),
    *("give back", "give back: nobody is there", "close", "delete", "erase"),
)

people = st.sampled_from([MARIA, MARIA, JOE])
places = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3])
"""Of a session or job, counted from the newest that ever was."""
loads = st.sampled_from(["", "a", "b"])
rooms = st.sampled_from(["", "a room", "a room", "another room"])
cames = st.sampled_from([0, 1, 1, 2, 3])
scopes = st.sampled_from(["", "", "", "sales", "support"])
small = st.integers(-1, 1)
roles = st.sampled_from(DRAFT_ROLES)
works = st.sampled_from([None, None, 0, 0, 1, 2])


@dataclass
class Job:
    """A job in every world: its fencing tokens differ from world to world."""

    lease: Lease
    refs: list[LeaseRef]
    arrival: tuple[str, str, int] = ("", "", 0)
    late: list[bytes] = field(default_factory=list)


def told(events: Sequence[Event]) -> list[Told]:
    """Read events as the model tells them."""
    return [
        (str(each.type), each.session_id, round(each.visit_ms / 1000 / STEP_S) * STEP_S)
        for each in events
    ]


def about(ms: int) -> int:
    """Make times comparable that were taken a moment apart."""
    return round(ms / 1000 / SLACK_S)


class StoreMachine(RuleBasedStateMachine):
    """Runs every operation on each backend and on the model, and compares."""

    url: ClassVar[str | None] = None
    """Of a Redis; none for the memory backend alone."""
    stood_still: ClassVar[bool] = False
    """Whether a step took too long to be compared with times that a Redis took."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.model = Model()
        self.worlds: list[World] = []
        self.jobs: list[Job] = []
        self.sessions: list[tuple[str, str]] = []
        self.unswept_s = 0
        self.aligned_at = time.time()
        """When Redis's time and the model's were the same, by the clock that Redis reads."""
        self.fences: dict[tuple[int, str], int] = {}
        self.run(self._begin(self.url))

    async def _begin(self, url: str | None) -> None:
        self.worlds.append(MemoryWorld(StoreSettings.model_validate(SETTINGS)))
        if url is not None:
            world = RedisWorld(StoreSettings.model_validate({**SETTINGS, "redis_url": url}))
            await world.raw.flushall()
            self.worlds.append(world)

    def teardown(self) -> None:
        """Close everything."""
        for world in self.worlds:
            self.runner.run(world.aclose())
        self.runner.close()

    def run(self, work: Awaitable[Any]) -> Any:
        """Wait for something; note whether the step has taken too long."""

        async def wait() -> Any:
            return await work

        answer = self.runner.run(wait())
        # A clock that was set counts as well.
        if self.url and not 0 <= time.time() - self.aligned_at < MAX_STEP_S:
            type(self).stood_still = True
        return answer

    def align(self) -> None:
        """Take back the time that the steps until now took in Redis."""
        spent_s = time.time() - self.aligned_at
        if self.url and spent_s > ALIGN_S:
            self.run(self.worlds[-1].pass_time(-spent_s))
            self.aligned_at += spent_s

    def compare(
        self,
        expect: Callable[[], Any],
        ask: Callable[[int, Backend], Awaitable[Any]],
    ) -> Any:
        """Ask the model and every backend; where it is refused, nothing may have changed.

        Returns:
            What the model answered, or ``None`` where it refused.
        """
        self.align()
        try:
            expected, refusal = expect(), None
        except Refused as refused:
            expected, refusal = None, refused.args
        for number, world in enumerate(self.worlds):
            before = self.run(world.dump()) if refusal else None
            try:
                answer, reason = self.run(ask(number, world.backend)), None
            except SessionStoreError as error:
                answer, reason = None, (type(error).__name__, getattr(error, "current", 0))
            assert (answer, reason) == (expected, refusal)
            assert before is None or self.run(world.dump()) == before
        return expected

    def one_of(self, place: int) -> Job:
        """Return a job, counted from the newest."""
        return self.jobs[-1 - place % len(self.jobs)]

    def session(self, place: int) -> tuple[str, str]:
        """Return participant and session, the newest first; an unknown session comes last."""
        known = [(MARIA, "never0000000000000000never"), *self.sessions]
        return known[-1 - place % len(known)]

    # Finding and creating.

    @rule(
        who=people,
        mode=st.sampled_from(OpenMode),
        place=places,
        expect=st.booleans(),
        twice=st.booleans(),
        scope=scopes,
    )
    def open(  # noqa: PLR0913 (what it draws)
        self, who: str, mode: OpenMode, place: int, scope: str, *, expect: bool, twice: bool
    ) -> None:
        """Open a session, perhaps sent twice because the answer was lost."""
        offered = candidate()
        wanted = self.session(place)[1]
        key = offered.wrapped.data_key_id

        async def ask(_: int, backend: Backend) -> Any:
            found, agent = await open_session(
                backend,
                who,
                wanted=wanted,
                mode=mode,
                expect_agent=expect,
                offered=offered,
                scope=scope,
            )
            return found.session.id, found.created, agent.value, told(found.events)

        for _ in range(1 + twice):
            self.compare(
                lambda: self.model.open(
                    who,
                    wanted,
                    offered.session_id,
                    key,
                    mode.value,
                    expect=expect,
                    scope=scope,
                ),
                ask,
            )
        if self.model.find(who, offered.session_id):
            self.sessions.append((who, offered.session_id))

    @rule(
        who=people,
        place=places,
        exact=st.booleans(),
        load=loads,
        times=st.sampled_from(["once", "twice", "anew"]),
        at=st.tuples(rooms, cames),
        scope=scopes,
    )
    def join(  # noqa: PLR0913 (what it draws)
        self,
        who: str,
        place: int,
        load: str,
        times: str,
        *,
        exact: bool,
        at: tuple[str, int] = ("", 0),
        scope: str = "",
    ) -> None:
        """Join, perhaps sent twice, or asked again with the same nonce."""
        offered, holder = candidate(), nonce()
        wanted = self.session(place)[1]
        refs: dict[int, LeaseRef] = {}

        async def ask(number: int, backend: Backend) -> Any:
            job = await join(
                backend,
                who,
                wanted=wanted,
                load=load,
                exact=exact,
                owner=holder,
                offered=offered,
                room=at[0],
                came_ms=at[1],
                scope=scope,
            )
            refs[number] = job.lease
            return (job.id, job.lease.data_key_id), job.outcome.value, told(job.found.events)

        def expect() -> Any:
            lease, outcome, events = self.model.join(
                who,
                wanted,
                offered.session_id,
                offered.wrapped.data_key_id,
                holder,
                load,
                "exact" if exact else "resume",
                at=at,
                scope=scope,
            )
            leases.append(lease)
            return (lease.session, lease.data_key), outcome, events

        leases: list[Lease] = []
        self.compare(expect, ask)
        if self.model.find(who, offered.session_id):
            self.sessions.append((who, offered.session_id))
        if not leases:
            return
        for number, ref in refs.items():
            name = (number, ref.session_id)
            assert int(ref.fence) > self.fences.get(name, 0)
            self.fences[name] = int(ref.fence)
        first = dict(refs)
        self.jobs.append(Job(leases[0], [refs[number] for number in sorted(refs)]))
        if times == "anew":
            offered = candidate()
        if times != "once":
            self.compare(expect, ask)
            assert refs == first

    @initialize()
    def begin(self) -> None:
        """Let there be a job, so that every rule has something to do."""
        self.join(MARIA, 0, "a", "once", exact=False)

    # What a job does. Old ones do it too.

    @rule(place=places, load=loads, again=st.booleans(), came=cames)
    def arrive(self, place: int, load: str, came: int, *, again: bool) -> None:
        """Arrive, perhaps sent again because the answer was lost."""
        job = self.one_of(place)
        if not again or not job.arrival[0]:
            job.arrival = nonce(), load, came
        key, load, came = job.arrival

        async def ask(number: int, backend: Backend) -> Any:
            arrived = await backend.arrive(job.refs[number], key, load, came_ms=came)
            return arrived.counted, arrived.reconnect_count, told(arrived.events)

        self.compare(lambda: self.model.arrive(job.lease, key, load, came), ask)

    @rule(place=places, load=loads, count=st.integers(1, 3))
    def go_on(self, place: int, load: str, count: int) -> None:
        """Let a job append and go, and another one go on; most likely all of it succeeds."""
        self.append(place, 0, 0, count, {}, follows=True)
        self.keep_or_go(place, "go")
        who, session = self.one_of(place).lease.who, self.one_of(place).lease.session
        wanted = [known for _, known in [("", ""), *self.sessions]][::-1].index(session)
        self.join(who, wanted, load, "once", exact=True)

    @rule(place=places, how=st.sampled_from(WAYS_TO_GO))
    def keep_or_go(self, place: int, how: str) -> None:
        """Leave, renew, release or put back, leave and release, or end it as the program does."""
        job = self.one_of(place)
        if how in ("leave", "go"):
            self._leave(job)
        if how == "renew":
            self.compare(lambda: self.model.renew(job.lease), lambda n, b: b.renew(job.refs[n]))
        if how in ("release", "go"):
            self.compare(lambda: self.model.release(job.lease), lambda n, b: b.release(job.refs[n]))

        if how == "put back":
            self.compare(
                lambda: self.model.put_back(job.lease), lambda n, b: b.put_back(job.refs[n])
            )
        if how == "finish":
            self._finish(job)

    def _finish(self, job: Job) -> None:
        who, session = job.lease.who, job.lease.session

        async def ask(number: int, backend: Backend) -> Any:
            return told(await backend.close(who, session, fence=job.refs[number].fence))

        self.compare(lambda: self.model.close(who, session, job.lease), ask)

    def _leave(self, job: Job) -> None:
        async def ask(number: int, backend: Backend) -> Any:
            return told((await backend.leave(job.refs[number])).events)

        self.compare(lambda: self.model.leave(job.lease), ask)

    @rule(
        place=places,
        begins=st.sampled_from([0, 0, 0, 0, -1, -2, -3, 1]),
        same=st.integers(0, 3),
        fresh=st.integers(0, 6),
        follows=st.sampled_from([True, True, True, False]),
        settles=st.dictionaries(roles, st.integers(1, 9), max_size=2),
        work=works,
        keeps=st.booleans(),
    )
    def append(  # noqa: PLR0913 (what append can be asked)
        self,
        place: int,
        begins: int,
        same: int,
        fresh: int,
        settles: dict[str, int],
        *,
        follows: bool,
        work: int | None = None,
        keeps: bool = False,
    ) -> None:
        """Append: new turns, turns that are there, both, others in their place, or with a gap.

        ``begins`` counts from the number that comes next, ``same`` of the turns are there.
        ``work`` counts from the last of the turns. ``keeps``: the work before was not loaded.
        """
        job = self.one_of(place)
        s = self.model.find(job.lease.who, job.lease.session)
        written = s.turns if s else []
        first = max(1, len(written) + 1 + begins)
        turns = written[first - 1 : first - 1 + same]
        turns += [sealed(f"turn {nonce()}") for _ in range(fresh)]
        if not turns:
            return
        behind = written[first - 2 : first - 1] if first > 1 else []
        tag = tag_of(behind[0]) if behind and follows else NO_TAG

        sent = None
        if work is not None:
            aside = s.work[0] if keeps and s and s.work else None
            of_turn = first + max(0, len(turns) - 1 - work)
            sent = SealedWork(of_turn, sealed(f"work {nonce()}"), aside)

        async def ask(number: int, backend: Backend) -> Any:
            return await backend.append(job.refs[number], first, tag, turns, settles, work=sent)

        answer = self.compare(
            lambda: self.model.append(
                job.lease, first, follows and bool(behind), turns, settles, sent and sent[:3]
            ),
            ask,
        )
        if answer is None:
            job.late = turns

    @rule(place=places, role=roles, number=st.integers(1, 9))
    def draft(self, place: int, role: str, number: int) -> None:
        """Keep what is being said, newer or older than what is kept."""
        job = self.one_of(place)
        words = sealed(f"draft {nonce()}")
        self.compare(
            lambda: self.model.draft(job.lease, role, number, words),
            lambda n, b: b.draft(job.refs[n], SealedDraft(role, number, words)),
        )

    @rule(
        place=places,
        back=st.integers(0, 7),
        own=st.booleans(),
        apart=st.booleans(),
        has_work=st.booleans(),
    )
    def append_late(self, place: int, back: int, *, own: bool, apart: bool, has_work: bool) -> None:
        """Bring in late what was refused, or what is in the record already."""
        job = self.one_of(place)
        s = self.model.find(job.lease.who, job.lease.session)
        written = s.turns if s else []
        first = max(1, len(written) + 1 - back)
        turns = job.late if own else written[first - 1 :]
        if not turns:
            return
        tags = [NO_TAG, *map(tag_of, turns)]
        work = sealed(f"work {nonce()}") if has_work else b""

        async def ask(number: int, backend: Backend) -> Any:
            ref = job.refs[number]
            late = [
                LateTurn(int(ref.fence), first + i, tags[i], turn) for i, turn in enumerate(turns)
            ]
            return await backend.append_late(ref, late, apart=apart, work=work)

        self.compare(
            lambda: self.model.append_late(job.lease, first, turns, work, apart=apart), ask
        )

    @rule(
        place=places,
        seen=st.sampled_from([0, 0, 0, -1, 1]),
        again=st.booleans(),
        witness=st.sampled_from([0, 0, -1, 1]),
        edits=st.booleans(),
    )
    def write(self, place: int, seen: int, witness: int, *, again: bool, edits: bool) -> None:
        """Replace the content, with the lease or without, from what version and turn ever."""
        job = self.one_of(place)
        lease = job.lease
        s = self.model.find(lease.who, lease.session)
        version = (s.version if s else 0) + seen
        content = (s and s.content) if again else None
        content = content or sealed(f"content {nonce()}")
        seq = max(0, (len(s.turns) if s else 0) + witness)

        async def ask(number: int, backend: Backend) -> Any:
            ref = job.refs[number]
            if not edits:
                return await backend.update(ref, version, content, witness_seq=seq)
            return await backend.edit(
                ref.participant,
                ref.session_id,
                ref.data_key_id,
                version,
                content,
                witness_seq=seq,
            )

        how = self.model.edit if edits else self.model.update
        self.compare(lambda: how(lease, version, content, seq), ask)

    # What others do.

    @rule(
        place=places,
        what=st.sampled_from(HOUSEWORK),
        keeps_s=st.sampled_from([None, 60, 520, 6020]),
    )
    def keep_house(self, place: int, what: str, keeps_s: int | None) -> None:
        """Do what jobs do not: settle, claim, set a retention, end a session, or erase."""
        who, session = self.session(place)
        match what:
            case "settle":
                self._settle(who, session)
            case "retain":
                self._set_retention(who, keeps_s)
            case "erase":
                self._erase(who, known=[session])
            case "close" | "delete":
                self._end(who, session, what)
            case _:
                self._expect_agent(who, session, what)

    def _expect_agent(self, who: str, session: str, what: str) -> None:
        absent = what.endswith("nobody is there")

        async def ask(_: int, backend: Backend) -> Any:
            if what.startswith("give back"):
                return told(await backend.give_back_claim(who, session, absent=absent))
            return (await backend.expect_agent(who, session, claim=what == "claim")).value

        def expect() -> Any:
            if what.startswith("give back"):
                return self.model.give_back_claim(who, session, absent=absent)
            return self.model.expect_agent(who, session, claim=what == "claim")

        self.compare(expect, ask)

    @rule(
        place=places,
        is_dead=st.booleans(),
        absent=st.booleans(),
        twice=st.booleans(),
        room=rooms,
        then=st.sampled_from(["", "", "give back", "give back: nobody is there"]),
    )
    def claim_orphan(  # noqa: PLR0913 (what it draws)
        self, place: int, then: str, *, is_dead: bool, absent: bool, twice: bool, room: str = ""
    ) -> None:
        """Claim the place of a job, dead or not, perhaps sent twice, or given back."""
        lease, key = self.one_of(place).lease, nonce()
        who, session, dead = lease.who, lease.session, lease.holder if is_dead else ""

        async def ask(_: int, backend: Backend) -> Any:
            answer, events = await backend.claim_orphan(
                who, session, owner=dead, idempotency_key=key, absent=absent, room=room
            )
            return answer.value, told(events)

        for _ in range(1 + twice):
            self.compare(
                lambda: self.model.claim_orphan(who, session, dead, key, absent=absent, room=room),
                ask,
            )
        if then:
            self._expect_agent(who, session, then)

    @rule(times=st.sampled_from([1, 2, 5]))
    def crash(self, times: int) -> None:
        """Let the newest job, and its successors, die."""
        for _ in range(times):
            self.claim_orphan(0, "", is_dead=True, absent=False, twice=False)
            session = self.one_of(0).lease.session
            wanted = [known for _, known in [("", ""), *self.sessions]][::-1].index(session)
            self.join(self.one_of(0).lease.who, wanted, "", "once", exact=True)

    def _end(self, who: str, session: str, what: str) -> None:
        async def ask(_: int, backend: Backend) -> Any:
            how = backend.close if what == "close" else backend.delete
            return told(await how(who, session))

        how = self.model.close if what == "close" else self.model.delete
        self.compare(lambda: how(who, session), ask)

    def _erase(self, who: str, known: Sequence[str]) -> None:
        async def ask(_: int, backend: Backend) -> Any:
            erased = await backend.erase(who, "k-1", known)
            assert erased.left_over == 0
            return erased.sessions, told(erased.events)

        self.compare(lambda: self.model.erase(who), ask)
        for world in self.worlds:
            assert not any(who in name for name in self.run(world.lifetimes()))
            assert self.run(world.due(who)) == {}

    def _set_retention(self, who: str, keeps_s: int | None) -> None:
        async def ask(_: int, backend: Backend) -> Any:
            return await backend.set_retention(who, keeps_s and keeps_s * 1000)

        self.compare(lambda: self.model.set_retention(who, keeps_s), ask)

    def _settle(self, who: str, session: str) -> str:
        async def ask(_: int, backend: Backend) -> Any:
            settled = await backend.settle(who, session)
            assert (settled.deadline == 0) == (settled.outcome in ("GONE", "ERASED"))
            return settled.outcome.value, told(settled.events)

        outcome: str = self.compare(lambda: self.model.settle(who, session), ask)[0]
        return outcome

    @rule(steps=st.sampled_from([1, 1, 1, 2, 3, 4, 12]))
    def time_passes(self, steps: int) -> None:
        """Let time pass, up to an hour without a sweeper."""
        if self.unswept_s + steps * STEP_S > MAX_UNSWEPT_S:
            self.sweep()
        self.unswept_s += steps * STEP_S
        self.model.now += steps * STEP_S
        self.align()
        for world in self.worlds:
            self.run(world.pass_time(steps * STEP_S))

    @rule()
    def sweep(self) -> None:
        """Do what a sweeper does, until nothing is due."""
        self.unswept_s = 0
        shards = sorted({shard_of(who) for who in PEOPLE})
        for _ in range(10):
            due = {
                tuple(each)
                for world in self.worlds
                for each in self.run(world.backend.due(shards, 100))
            }
            if not due:
                break
            for who, session in sorted(due):
                self._settle(who, session)
        else:
            raise AssertionError("something is due for ever")
        for who, person in self.model.people.items():
            for s in person.sessions.values():
                assert self.model.deadline(who, s) > self.model.now

    # What always holds.

    @invariant()
    def the_same_is_held(self) -> None:
        """Every backend lists the sessions of the model, in its order and state."""
        self.align()
        for who in PEOPLE:
            person = self.model.people.get(who)
            expected = person.newest_first() if person else []
            held = [self.run(self._held(world, who)) for world in self.worlds]
            for stored in held:
                assert [each[0].id for each in stored] == [s.id for s in expected]
                for (each, turns), s in zip(stored, expected, strict=True):
                    assert (each.state, each.reconnect_count, each.seq, each.version) == (
                        s.state,
                        s.returns,
                        len(s.turns),
                        s.version,
                    )
                    assert (each.owner, each.content, turns) == (s.holder, s.content, s.kept)
                    trimmed = s.turns[: -model.MAX_TURNS]
                    assert each.head == (tag_of(trimmed[-1]) if trimmed else b"")
                    assert [late.sealed for late in each.late] == list(s.late.values())
                    self._compare_drafts(each, s)
                    self._compare_works(each, s)
            first = [self._comparable(each) for each, _ in held[0]]
            for stored in held[1:]:
                assert [self._comparable(each) for each, _ in stored] == first

    @staticmethod
    def _compare_drafts(stored: StoredSession, s: Session) -> None:
        kept = sorted((number, role, words) for role, (number, words) in s.drafts.items())
        # Of two with the same number, which no store gives out, either may be first.
        found = sorted((each.number, each.role, each.sealed) for each in stored.drafts)
        assert found == [each for each in kept if each[2]]
        assert stored.draft_number == max((each[0] for each in kept), default=0)

    @staticmethod
    def _compare_works(stored: StoredSession, s: Session) -> None:
        assert (stored.work and (stored.work.seq, stored.work.sealed)) == s.work
        assert [(work.seq, work.sealed) for work in stored.works_before] == s.works_before
        assert s.work is None or s.work[0] <= stored.seq

    @staticmethod
    async def _held(world: World, who: str) -> list[tuple[StoredSession, list[bytes]]]:
        page = await world.backend.sessions(who, offset=0, limit=10)
        loaded = [await world.backend.load(who, each.id, last=None) for each in page.sessions]
        assert page.total == len(page.sessions)
        return [(each, list(each.turns)) for each in loaded if each is not None]

    @staticmethod
    def _comparable(s: StoredSession) -> tuple[Any, ...]:
        """Everything about a session that must be the same on every backend."""
        times = (s.joined_at, s.last_seen, s.lease_until, s.window_until, s.ended_at)
        ages = [about(at - s.now) if at else None for at in times]
        late = [(each.seq, each.tag_before) for each in s.late]
        return (s.id, s.wrapped, about(s.talk_ms), late, *ages)

    @invariant()
    def deadlines_are_known_in_time(self) -> None:
        """What is due is a lower bound of when there is something to do; nothing else is listed."""
        self.align()
        for who in PEOPLE:
            person = self.model.people.get(who)
            for world in self.worlds:
                due = self.run(world.due(who))
                # A participant without sessions is due under an empty id.
                assert due.keys() <= {"", *(person.sessions if person else ())}
                for s in person.sessions.values() if person else ():
                    left_s = self.model.deadline(who, s) - self.model.now
                    assert due[s.id] / 1000 <= max(0, left_s) + SLACK_S / 2

    @invariant()
    def wrapped_keys_are_listed(self) -> None:
        """A key lists the participants whose data keys it wraps, and no others."""
        shards = [shard_of(who) for who in PEOPLE]
        for world in self.worlds:
            wrapped = self.run(world.backend.wrapped_by("k-1", shards))
            assert set(wrapped) == self.model.people.keys()

    @invariant()
    def everything_has_a_lifetime(self) -> None:
        """No key stays for ever."""
        for world in self.worlds:
            lives = self.run(world.lifetimes())
            assert {name: left for name, left in lives.items() if left <= 0} == {}


def profile(examples: int, steps: int) -> settings:
    """Run the same examples each time, or, with ``REJOIN_LONG``, many others.

    Only then is a failure made small, which takes minutes.
    """
    return settings(
        max_examples=examples * 50 if LONG else examples,
        stateful_step_count=steps * 2 if LONG else steps,
        derandomize=not LONG,
        database=None,
        deadline=None,
        print_blob=True,
        phases=[Phase.generate, Phase.shrink] if LONG else [Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def test_the_memory_backend_does_what_the_model_does() -> None:
    """In any order of operations, by any job, old or new."""
    run_state_machine_as_test(StoreMachine, settings=profile(150, 50))


def test_redis_and_memory_do_what_the_model_does(redis_server: Server) -> None:
    """The same on a real Redis, beside the memory backend."""

    class OnRedis(StoreMachine):
        url = f"redis://127.0.0.1:{redis_server.port}/0"

    for still_to_come in reversed(range(RUNS)):
        OnRedis.stood_still = False
        try:
            run_state_machine_as_test(OnRedis, settings=profile(60, 50))
            break
        except (AssertionError, Flaky):
            if not (OnRedis.stood_still and still_to_come):
                raise
