"""Every operation of a backend once, with all that it needs: for tests that disturb it.

Each case prepares the store, and then calls one operation, with the same arguments each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from session_store.backends.values import Candidate, OpenMode, SealedDraft, SealedWork
from session_store.keys import shard_of
from session_store.sealing.data_key import NO_TAG, WrappedKey
from tests.contract.people import MARIA, Job, join, open_session, sealed, sealed_turns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from session_store.backends.contract import Backend
    from session_store.backends.values import AgentPresence
    from tests.contract.worlds import World


@dataclass(frozen=True)
class Case:
    """One operation."""

    act: Callable[[Backend, Any], Awaitable[Any]]
    """Calls it with what ``prepare`` returned."""
    prepare: Callable[[World], Awaitable[Any]]
    answers_again: bool = True
    """Whether, repeated, it answers as the first time; else only the state is the same."""
    writes: bool = True


def offer(number: int) -> Candidate:
    """Make the same candidate each time."""
    wrapped = WrappedKey(f"{number:032x}", "k-1", f"wrapped {number}".encode())
    return Candidate(f"case{number:022d}", wrapped)


async def sweeper_names(backend: Backend, _: object) -> list[str]:
    """Report as a sweeper, and forget when it was."""
    return list((await backend.sweepers("me", 1_000_000)).names)


async def nobody(_: World) -> None:
    """Prepare nothing."""


async def a_job(world: World) -> Job:
    """Let a job hold a session with a few turns and a title."""
    job = await join(world.backend, owner="1" * 32, load="a", offered=offer(1))
    await job.append(*sealed_turns(3))
    await world.backend.update(job.lease, 0, b"content", witness_seq=3)
    await world.pass_time(100)  # So that whatever is written now shows.
    return job


async def a_session_left(world: World) -> Job:
    """Let the participant be away, and no job be there."""
    job = await a_job(world)
    await job.away()
    await world.pass_time(100)
    return job


async def a_claim(world: World) -> Job:
    """Record that an agent is on its way."""
    job = await a_session_left(world)
    await world.backend.expect_agent(MARIA, job.id, claim=True)
    return job


async def a_session_past_its_window(world: World) -> Job:
    """Let the window of a session have passed, without anybody having noticed."""
    job = await a_session_left(world)
    await world.pass_time(1000)
    return job


async def a_session_that_ended(world: World) -> Job:
    """Let a session have ended."""
    job = await a_session_left(world)
    await world.backend.close(MARIA, job.id)
    return job


async def a_session_past_its_retention(world: World) -> Job:
    """Let an ended session be due for erasure."""
    job = await a_session_that_ended(world)
    await world.pass_time(24 * 3600 + 1000)
    return job


async def a_lost_lease(world: World) -> Job:
    """Let a job have died."""
    job = await a_job(world)
    await world.pass_time(100)
    return job


async def a_session_let_in(world: World) -> Job:
    """Admit a participant to a session whose job has died."""
    job = await a_lost_lease(world)
    await open_session(world.backend, expect_agent=True)
    await world.pass_time(40)
    return job


async def three_deaths(world: World) -> Job:
    """Let three jobs have died in a row, and a fourth live; return it."""
    job = await a_job(world)
    for number in range(2, 5):
        await world.backend.claim_orphan(
            MARIA, job.id, owner=job.lease.owner, idempotency_key="before"
        )
        job = await join(world.backend, owner=str(number) * 32, load="a")
    return job


async def a_draft(world: World) -> Job:
    """Let both be heard in the middle of a sentence."""
    job = await a_job(world)
    await world.backend.draft(job.lease, SealedDraft("user", 1, sealed("user 1")))
    await world.backend.draft(job.lease, SealedDraft("assistant", 2, sealed("assistant 2")))
    return job


async def a_new_job(world: World) -> Job:
    """Let a job have joined, and nothing have been recorded yet."""
    job = await join(world.backend, owner="1" * 32, load="a", offered=offer(1))
    await world.pass_time(100)
    return job


async def a_work(world: World) -> Job:
    """Let a job work on something."""
    job = await a_job(world)
    work = SealedWork(3, sealed("work 3"))
    await world.backend.append(job.lease, 1, NO_TAG, sealed_turns(3), work=work)
    await world.pass_time(100)
    return job


async def fifty_sessions(world: World) -> str:
    """Let a participant have as many sessions as may be; return the oldest."""
    for number in range(1, 51):
        await open_session(world.backend, mode=OpenMode.NEW, offered=offer(number))
    return offer(1).session_id


async def a_taken_over_job(world: World) -> Job:
    """Let a job have lost its lease to another one; return the loser."""
    job = await a_lost_lease(world)
    await join(world.backend, owner="2" * 32, load="a")
    return job


def _found(answer: tuple[Any, Any]) -> Any:
    found, how = answer
    session = found.session
    return session.id, session.owner, session.seq, session.wrapped, found.created, how


async def _open(backend: Backend, mode: OpenMode, wanted: str | None = None) -> Any:
    return _found(await open_session(backend, wanted=wanted, mode=mode, offered=offer(99)))


async def _join(backend: Backend, wanted: str | None = None, *, exact: bool = False) -> Any:
    job = await join(
        backend, owner="9" * 32, load="b", wanted=wanted, exact=exact, offered=offer(99)
    )
    return _found((job.found, job.outcome))


async def _arrive(backend: Backend, job: Job) -> Any:
    arrived = await backend.arrive(job.lease, "9" * 16, "b")
    return arrived.counted, arrived.reconnect_count


async def _open_expecting(backend: Backend, job: Job) -> Any:
    return _found(await open_session(backend, wanted=job.id, expect_agent=True, offered=offer(99)))


async def _claim(
    backend: Backend, job: Job, *, is_dead: bool = False, absent: bool = False
) -> AgentPresence:
    owner = job.lease.owner if is_dead else ""
    answer, _ = await backend.claim_orphan(
        MARIA, job.id, owner=owner, idempotency_key="9" * 16, absent=absent
    )
    return answer


async def _rewrap(backend: Backend, job: Job) -> Any:
    before = job.session.wrapped
    return await backend.rewrap(MARIA, before, before._replace(kek_id="k-2", wrapped=b"anew"))


CASES: dict[str, Case] = {
    "open creates": Case(lambda b, _: _open(b, OpenMode.RESUME), nobody),
    "open resumes": Case(lambda b, _: _open(b, OpenMode.RESUME), a_session_left),
    "open ends and creates": Case(
        lambda b, _: _open(b, OpenMode.RESUME), a_session_past_its_window
    ),
    "open new": Case(lambda b, _: _open(b, OpenMode.NEW), a_job),
    "open new at the limit": Case(lambda b, _: _open(b, OpenMode.NEW), fifty_sessions),
    "open expecting an agent": Case(_open_expecting, a_lost_lease, answers_again=False),
    "switch": Case(lambda b, job: _open(b, OpenMode.SWITCH, job.id), a_session_past_its_window),
    "join creates": Case(lambda b, _: _join(b), nobody),
    "join returns": Case(lambda b, _: _join(b), a_session_left),
    "join takes over": Case(lambda b, job: _join(b, job.id, exact=True), a_lost_lease),
    "join ends and creates": Case(lambda b, _: _join(b), a_session_past_its_window),
    "arrive": Case(_arrive, a_job),
    "leave": Case(
        # The second one has no events, but the same window.
        lambda b, job: b.leave(job.lease),
        a_job,
        answers_again=False,
    ),
    "append": Case(
        lambda b, job: b.append(job.lease, 4, job.tag, sealed_turns(3, 4)),
        a_job,
    ),
    "append partly": Case(
        lambda b, job: b.append(job.lease, 2, sealed("turn 1")[-16:], sealed_turns(5, 2)),
        a_job,
    ),
    "append what was being said": Case(
        lambda b, job: b.append(
            job.lease, 4, job.tag, sealed_turns(2, 4), {"user": 1, "assistant": 2}
        ),
        a_draft,
    ),
    "append what it works on": Case(
        lambda b, job: b.append(
            job.lease, 4, job.tag, sealed_turns(2, 4), work=SealedWork(5, sealed("work 5"), keeps=3)
        ),
        a_work,
    ),
    "append again with newer work": Case(
        lambda b, job: b.append(
            job.lease, 1, NO_TAG, sealed_turns(3), work=SealedWork(3, sealed("work 3"))
        ),
        a_job,
    ),
    "draft": Case(
        lambda b, job: b.draft(job.lease, SealedDraft("user", 3, sealed("user 3"))), a_draft
    ),
    "append much": Case(
        lambda b, job: b.append(job.lease, 4, job.tag, sealed_turns(120, 4)),
        a_job,
    ),
    "append late": Case(
        lambda b, job: b.append_late(job.lease, job.late(sealed("late 1"), sealed("late 2"))),
        a_taken_over_job,
        answers_again=False,
    ),
    "update": Case(lambda b, job: b.update(job.lease, 1, b"again", witness_seq=3), a_job),
    "edit": Case(
        lambda b, job: b.edit(MARIA, job.id, job.lease.data_key_id, 1, b"again", witness_seq=3),
        a_session_that_ended,
    ),
    "renew": Case(lambda b, job: b.renew(job.lease), a_lost_lease),
    "release": Case(
        # Given back twice, it is held by no job: the second answer is that it is lost.
        lambda b, job: b.release(job.lease),
        a_job,
        answers_again=False,
    ),
    "put back": Case(
        # As for release.
        lambda b, job: b.put_back(job.lease),
        a_job,
        answers_again=False,
    ),
    "expect an agent": Case(
        lambda b, job: b.expect_agent(MARIA, job.id, claim=True),
        a_session_left,
        answers_again=False,
    ),
    "claim an orphan": Case(_claim, a_lost_lease),
    "claim a dead job's place": Case(lambda b, job: _claim(b, job, is_dead=True), a_job),
    "claim for who is let in": Case(_claim, a_session_let_in),
    "claim once too often": Case(lambda b, job: _claim(b, job, is_dead=True), three_deaths),
    "claim where nobody is": Case(lambda b, job: _claim(b, job, absent=True), a_session_let_in),
    "give back the claim": Case(lambda b, job: b.give_back_claim(MARIA, job.id), a_claim),
    "give back: nobody is there": Case(
        # The second one has no events.
        lambda b, job: b.give_back_claim(MARIA, job.id, absent=True),
        a_session_let_in,
        answers_again=False,
    ),
    "load": Case(
        lambda b, job: b.load(MARIA, job.id, last=2),
        a_session_that_ended,
        answers_again=False,
        writes=False,
    ),
    "sessions": Case(
        lambda b, _: b.sessions(MARIA, offset=10, limit=10),
        fifty_sessions,
        answers_again=False,
        writes=False,
    ),
    "close": Case(lambda b, job: b.close(MARIA, job.id), a_job, answers_again=False),
    "delete": Case(lambda b, job: b.delete(MARIA, job.id), a_job, answers_again=False),
    "erase": Case(lambda b, job: b.erase(MARIA, "k-1", [job.id]), a_job, answers_again=False),
    "erase, guessing wrong": Case(
        lambda b, _: b.erase(MARIA, "k-9", []), a_job, answers_again=False
    ),
    "set consent": Case(
        lambda b, _: b.set_consent(MARIA, given=True, version="1"),
        a_job,
        answers_again=False,
    ),
    "set retention": Case(lambda b, _: b.set_retention(MARIA, 7_200_000), a_job),
    "settle: end": Case(
        lambda b, job: b.settle(MARIA, job.id), a_session_past_its_window, answers_again=False
    ),
    "settle: erase": Case(
        lambda b, job: b.settle(MARIA, job.id), a_session_past_its_retention, answers_again=False
    ),
    "settle: lost": Case(lambda b, job: b.settle(MARIA, job.id), a_lost_lease, answers_again=False),
    "settle: let in": Case(
        lambda b, job: b.settle(MARIA, job.id), a_session_let_in, answers_again=False
    ),
    "settle: later": Case(
        lambda b, job: b.settle(MARIA, job.id), a_session_left, answers_again=False
    ),
    "rewrap": Case(_rewrap, a_job, answers_again=False),
    "wrapped by": Case(lambda b, _: b.wrapped_by("k-1", [shard_of(MARIA)]), a_job, writes=False),
    "erased at": Case(lambda b, _: b.erased_at(MARIA), a_job, writes=False),
    "append apart": Case(
        lambda b, job: b.append_late(job.lease, job.late(sealed("late 1")), apart=True),
        a_taken_over_job,
        answers_again=False,
    ),
    "append apart with what it worked on": Case(
        lambda b, job: b.append_late(
            job.lease, job.late(sealed("late 1")), apart=True, work=sealed("work 0")
        ),
        a_new_job,
        answers_again=False,
    ),
    "participant": Case(
        lambda b, _: b.participant(MARIA), a_job, answers_again=False, writes=False
    ),
    "due": Case(lambda b, _: b.due([shard_of(MARIA)], 10), a_session_past_its_window, writes=False),
    "sweepers": Case(sweeper_names, nobody),
    "make all due": Case(lambda b, _: b.make_all_due([shard_of(MARIA)]), a_session_left),
    "mark": Case(lambda b, _: b.mark(MARIA), a_job, answers_again=False, writes=False),
    "check values": Case(lambda b, _: b.check_values({"a": b"1"}), nobody),
}
