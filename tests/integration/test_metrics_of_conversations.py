"""What is counted of a conversation from its beginning in a job to its end there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.counted import Counted
from tests.integration.test_recorder import away, back
from tests.integration.test_store import age

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from session_store import SessionStore
    from tests.integration.stage import Stage

KINDS = ("new", "return", "takeover")
LOST = "rejoin_turns_lost_total"
SPOOLED = "rejoin_turns_spooled_total"


@pytest.fixture
def counted(store: SessionStore) -> Counted:
    """Count what the jobs' store does."""
    counted = Counted()
    store.measure(counted.sink)
    return counted


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder to leave turns in, of jobs that do not wait for long."""
    monkeypatch.setattr("session_store.livekit.job.lease_writers.FLUSH_S", 0.2)
    return tmp_path / "spool"


def resumed(counted: Counted) -> dict[str, float]:
    """Return how often an agent listened to somebody, by how they came."""
    name = "rejoin_resume_seconds_count"
    values = {kind: counted.value(name, kind=kind) for kind in KINDS}
    return {kind: value for kind, value in values.items() if value}


async def test_a_conversation_is_held_until_its_job_ends(
    stage: Callable[..., Stage], counted: Counted
) -> None:
    """Somebody new, and the same one again after having left: one at a time, and then none."""
    assert counted.value("active_sessions") == 0
    first = await (await stage().join()).start()
    assert counted.value("active_sessions") == 1
    assert resumed(counted) == {"new": 1}
    first.job.room.go(first.participant)
    await first.until(lambda: counted.value("session_duration_seconds_count") == 1)
    await first.end()
    assert counted.value("active_sessions") == 0
    second = await (await stage().join("load-2")).start()
    assert counted.value("active_sessions") == 1
    assert resumed(counted) == {"new": 1, "return": 1}
    await second.end()
    await second.end()
    assert counted.value("active_sessions") == 0


async def test_a_successor_resumes_by_takeover(
    stage: Callable[..., Stage], counted: Counted, raw: Any
) -> None:
    """The participant never went; the lease of the job before had run out."""
    first = await (await stage().join()).start()
    session_id = first.conversation.session_id
    await first.die()
    await age(raw, first.store, "maria", session_id, 4)
    await (await stage().join()).start()
    assert resumed(counted) == {"new": 1, "takeover": 1}
    assert counted.value("rejoin_takeovers_total") == 1
    assert counted.value("rejoin_takeover_seconds_count") == 1


async def test_a_beginning_without_the_store_resumes_nothing(
    stage: Callable[..., Stage], counted: Counted, raw: Any
) -> None:
    """It is a conversation that is held; its join is counted when Redis is back."""
    await away(raw)
    first = await stage().begin().start()
    assert counted.value("active_sessions") == 1
    await back(raw)
    await first.until(lambda: bool(counted.value("rejoin_joins_total", outcome="created")))
    assert resumed(counted) == {}


@pytest.mark.parametrize("has_spool", [True, False], ids=["with a spool", "without"])
async def test_what_a_job_cannot_save_is_counted_as_spooled_or_lost(
    stage: Callable[..., Stage], counted: Counted, raw: Any, spool: Path, *, has_spool: bool
) -> None:
    """Either way no recorder has it any more."""
    first = await (await stage(spool_dir=spool if has_spool else None).join()).start()
    await first.until(lambda: len(first.said()) == 1)
    assert await first.conversation._writers.recorder.flush(5)
    await away(raw)
    await first.agent_session.generate_reply(user_input="my name is Maria")
    await first.until(lambda: (counted.value("rejoin_unsaved_turns") or 0) >= 2)
    unsaved = counted.value("rejoin_unsaved_turns")
    await first.end()
    assert counted.value(SPOOLED if has_spool else LOST) == unsaved
    assert counted.value(LOST if has_spool else SPOOLED) == 0
    assert counted.value("rejoin_unsaved_turns") == 0
    assert counted.value("rejoin_unsaved_bytes") == 0
    await back(raw)


async def test_what_is_said_is_in_no_label(stage: Callable[..., Stage], counted: Counted) -> None:
    """A whole conversation with an erasure adds no label that was not there before it."""
    counted.sink.show_all()
    before = counted.samples()
    first = await (await stage().join()).start()
    await first.agent_session.generate_reply(user_input="my name is Maria")
    await first.conversation.erase()
    assert counted.value("rejoin_erasures_total", what="participant") == 1
    assert counted.samples() == before
