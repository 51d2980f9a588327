"""The recorder and the content writer against a store in memory that misbehaves on purpose."""

from __future__ import annotations

import asyncio
import copy
import logging
import secrets
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dev.rig.net import NET_S
from session_store import Keyring, LeaseKeeper, Recorder, SessionStore, StoreSettings, Turn
from session_store.backends.memory.backend import MemoryBackend
from session_store.backends.values import LeaseRef
from session_store.errors import (
    LeaseLost,
    RecorderFull,
    SequenceGap,
    SessionGone,
    SessionStoreError,
    StoreUnavailable,
    WriteConflict,
)
from session_store.tasks import stop
from session_store.values import MAX_CALL_BYTES, MAX_CALL_TURNS, SealedTurn, batches
from session_store.writing import recorder as recorder_module
from session_store.writing.content_writer import ContentWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from session_store import Lease, SessionContent

EVERY_TURN = StoreSettings(max_turns=10_000)


class Faulty(SessionStore):
    """A store in memory: each append and update asks ``faults`` what is to happen with it."""

    def __init__(self, faults: Iterable[str] = ()) -> None:
        keys = {"k": secrets.token_bytes(32)}
        keyring = Keyring(keys, primary="k", pseudonym_key=secrets.token_bytes(32))
        self.memory = MemoryBackend.from_settings(EVERY_TURN)
        super().__init__(self.memory, keyring)
        self.faults = iter(faults)
        self.appended: list[list[int]] = []
        self.earlier: list[Any] = []

    async def append(self, lease: Lease, turns: Sequence[SealedTurn]) -> int:
        """Append, with a fault."""
        await asyncio.sleep(0)
        fault = self._before()
        self.appended.append([turn.seq for turn in turns])
        newest = await super().append(lease, turns)
        self._after(fault)
        return newest

    async def update(self, lease: Lease, change: Any) -> SessionContent:
        """Update, with a fault."""
        await asyncio.sleep(0)
        fault = self._before()
        content = await super().update(lease, change)
        self._after(fault)
        return content

    def note(self) -> None:
        """Remember the state, for a fault that goes back to it."""
        self.earlier.append(copy.deepcopy(self.memory.memory))

    def go_back(self, to: int) -> None:
        """Return to a state that was noted, as a failover to a replica that lags."""
        self.memory.memory = copy.deepcopy(self.earlier[to])

    def _before(self) -> str:
        fault = next(self.faults, "none")
        if fault == "refused":
            raise StoreUnavailable("refused")
        if fault.startswith("back") and self.earlier:
            self.go_back(int(fault[4:]) % len(self.earlier))
        self.note()
        return fault

    def _after(self, fault: str) -> None:
        self.note()
        if fault == "lost reply":
            raise StoreUnavailable("the reply was lost")


def turn(number: int, text: str = "") -> Turn:
    """Make the user's turn number ``number``."""
    return Turn(id=f"t{number}", role="user", text=text or f"sentence {number}", created_at=number)


async def begun(store: Faulty, **options: Any) -> tuple[Recorder, Lease]:
    """Join, and make a recorder."""
    joined = await store.join(store.pseudonym("maria"))
    store.note()
    return Recorder(store, joined.lease, **options), joined.lease


async def stored(store: SessionStore, lease: Lease) -> list[str]:
    """Return the ids of the turns that the store has."""
    loaded = await store.load(lease.participant, lease.session_id)
    assert loaded is not None
    return [each.turn.id for each in loaded.turns]


def titled(title: str) -> Any:
    """Make a change that sets the title."""
    return lambda old: old.model_copy(update={"title": title})


def spoken(language: str) -> Any:
    """Make a change that sets the language."""
    return lambda old: old.model_copy(update={"language": language})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once."""
    monkeypatch.setattr("session_store.tasks.FIRST_RETRY_S", 0.0001)
    monkeypatch.setattr("session_store.tasks.LONGEST_RETRY_S", 0.001)


FAULTS = st.sampled_from(["none", "none", "refused", "lost reply", *(f"back{n}" for n in range(6))])


@settings(deadline=None, max_examples=150, derandomize=True, database=None)
@given(
    faults=st.lists(FAULTS, max_size=40),
    bursts=st.lists(st.integers(1, 7), min_size=1, max_size=12),
    pauses=st.lists(st.integers(0, 4), min_size=12, max_size=12),
)
def test_every_turn_arrives_once_in_order(
    faults: list[str], bursts: list[int], pauses: list[int]
) -> None:
    """Through refusals, lost replies and failovers that go back and forth, nothing else happens."""

    async def talk() -> None:
        store = Faulty(faults)
        lost: list[SessionStoreError] = []
        recorder, lease = await begun(store, on_lost=lost.append)
        content = ContentWriter(store, lease, recorder)
        count = 0
        for burst, pause in zip(bursts, pauses, strict=False):
            for _ in range(burst):
                count += 1
                recorder.record(turn(count))
            content.change(titled(str(count)))
            for _ in range(pause):
                await asyncio.sleep(0)
        assert await recorder.flush(10)
        assert await content.flush(10)
        # A failover in the middle of the last flush may have taken something back unheard.
        store.faults = iter(())
        count += 1
        recorder.record(turn(count))
        assert await recorder.saved(count, 10)
        assert lost == []
        assert await stored(store, lease) == [f"t{n}" for n in range(1, count + 1)]
        await recorder.aclose()
        await content.aclose()

    asyncio.run(talk())


async def test_what_is_recorded_in_one_tick_is_one_append() -> None:
    """Sixteen tasks that record and wait, again and again, share their round trips."""
    store = Faulty()
    recorder, lease = await begun(store)

    async def speak(who: int) -> None:
        for number in range(20):
            assert await recorder.saved(recorder.record(turn(who * 100 + number)).seq)

    await asyncio.gather(*map(speak, range(16)))
    assert [len(batch) for batch in store.appended] == [16] * 20
    assert len(await stored(store, lease)) == 320
    await recorder.aclose()


async def test_tasks_that_have_drifted_apart_find_together_again() -> None:
    """Turns that are recorded while an append is under way share the next one."""
    store = Faulty()
    recorder, _ = await begun(store)

    async def speak(who: int) -> None:
        for _ in range(who):
            await asyncio.sleep(0)
        for number in range(20):
            assert await recorder.saved(recorder.record(turn(who * 100 + number)).seq)

    await asyncio.gather(*map(speak, range(16)))
    assert len(store.appended) < 40
    await recorder.aclose()


async def test_each_turn_is_acknowledged_by_its_number() -> None:
    """A caller waits for the turn that it asked for, and not at all if that is saved."""
    store = Faulty(["none", "refused", "refused"])
    recorder, _ = await begun(store)
    first = recorder.record(turn(1))
    assert await recorder.saved(first.seq, 5)
    second = recorder.record(turn(2))
    assert not await recorder.saved(second.seq, 0)
    assert await asyncio.gather(*(recorder.saved(seq, 5) for seq in (0, 1, 2, 2))) == [True] * 4
    await recorder.aclose()


async def test_an_answer_that_never_comes_is_no() -> None:
    """A waiting caller is told when the lease is lost, and when the recorder is closed."""
    store = Faulty(["refused"] * 10_000)
    recorder, lease = await begun(store)
    seq = recorder.record(turn(1)).seq
    asked = [asyncio.create_task(recorder.saved(seq)) for _ in range(2)]
    await asyncio.sleep(0.01)
    asked[1].cancel()
    await recorder.aclose()
    async with asyncio.timeout(NET_S):
        assert await asked[0] is False
    assert not await recorder.saved(1)
    assert [each.seq for each in recorder.unsaved()] == [1]
    assert lease.saved_seq == 0
    await stop(asked[1])


async def test_nothing_is_forgotten_about_who_stopped_waiting() -> None:
    """Answers without a waiting caller do not pile up during a long outage."""
    store = Faulty(["refused"] * 10_000)
    recorder, _ = await begun(store)
    seq = recorder.record(turn(1)).seq
    for _ in range(5):
        assert not await recorder.saved(seq, 0)
    assert recorder._asking == {seq: []}
    await recorder.aclose()


async def test_a_full_recorder_refuses_before_a_turn_has_a_number() -> None:
    """What did not fit leaves no gap, and there is room again once the store is back."""
    store = Faulty(["refused"] * 20)
    recorder, lease = await begun(store, max_bytes=3000)
    text = "x" * 970
    for number in (1, 2, 3):
        assert recorder.record(turn(number, text)).seq == number
    with pytest.raises(RecorderFull) as full:
        recorder.record(turn(4, text))
    assert (full.value.waiting, lease.last_seq) == (3, 3)
    assert await recorder.flush(5)
    assert recorder.record(turn(5)).seq == 4
    assert await recorder.flush(5)
    assert await stored(store, lease) == ["t1", "t2", "t3", "t5"]
    await recorder.aclose()


async def test_an_outage_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Its beginning and its end are told, with numbers and an id, and no word of what was said."""
    caplog.set_level(logging.INFO)
    store = Faulty(["refused"] * 20)
    recorder, lease = await begun(store)
    recorder.record(turn(1, "a secret"))
    assert await recorder.flush(5)
    told = [vars(record) for record in caplog.records if record.name == recorder_module.__name__]
    assert [(each["msg"], each["what"], each["session_id"], each["waiting"]) for each in told] == [
        ("waiting for the store", "turns", lease.session_id, 1),
        ("the store is back", "turns", lease.session_id, 1),
    ]
    assert "secret" not in str(told)
    await recorder.aclose()


async def test_a_bug_below_loses_no_turn() -> None:
    """An unforeseen error is one more reason to try again."""
    store = Faulty()
    recorder, lease = await begun(store)
    append = store.append
    errors = iter([RuntimeError("unforeseen")])

    async def stumbles(*args: Any) -> int:
        for error in errors:
            raise error
        return await append(*args)

    store.append = stumbles  # type: ignore[method-assign,assignment]
    recorder.record(turn(1))
    assert await recorder.flush(5)
    assert await stored(store, lease) == ["t1"]
    await recorder.aclose()


async def test_a_loss_that_cannot_be_mended_ends_the_recorder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A failover that takes back more than is kept is told once; what waits can come in late."""
    monkeypatch.setattr(recorder_module, "KEPT_SENT", 2)
    store, lost = Faulty(), list[SessionStoreError]()
    recorder, _ = await begun(store, on_lost=lost.append)
    for number in (1, 2, 3, 4):
        recorder.record(turn(number))
    assert await recorder.flush(5)
    store.go_back(0)
    recorder.record(turn(5))
    assert not await recorder.flush(5)
    assert [type(error) for error in lost] == [SequenceGap]
    assert [each.seq for each in recorder.unsaved()] == [3, 4, 5]
    assert not recorder.resend_after(0)
    recorder.record(turn(6))
    assert [each.seq for each in recorder.unsaved()] == [3, 4, 5]
    assert len(lost) == 1
    await recorder.aclose()


async def test_what_a_failover_took_back_is_not_saved_any_more() -> None:
    """An acknowledgement that is not true any more is not repeated, until it is true again."""
    store, saved = Faulty(), list[int]()
    recorder, _ = await begun(store, on_saved=lambda turns: saved.extend(t.seq for t in turns))
    for number in (1, 2):
        recorder.record(turn(number))
    assert await recorder.saved(2, 5)
    store.go_back(0)
    assert recorder.resend_after(0)
    assert not await recorder.saved(1, 0)
    assert await recorder.saved(2, 5)
    assert saved == [1, 2, 1, 2]
    await recorder.aclose()


async def test_a_loss_is_told_once() -> None:
    """Found out by the content writer and by an append at the same time, it is one loss."""
    store, lost = Faulty(), list[SessionStoreError]()
    recorder, lease = await begun(store, on_lost=lost.append)
    answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def hangs(*_: Any) -> int:
        return await answer

    store.append = hangs  # type: ignore[method-assign,assignment]
    recorder.record(turn(1))
    await asyncio.sleep(0.01)
    assert not recorder.resend_after(-1)
    answer.set_exception(LeaseLost(lease.session_id, 1))
    await asyncio.sleep(0.01)
    assert [type(error) for error in lost] == [SequenceGap]
    await recorder.aclose()


@pytest.mark.parametrize(
    ("error", "left"),
    [(LeaseLost("s", 1), [1, 2]), (WriteConflict("s", 1), [1, 2]), (SessionGone("s"), [])],
)
async def test_what_waits_outlives_a_lost_lease(error: SessionStoreError, left: list[int]) -> None:
    """The turns that a lost lease kept out are still there, to come in late; not erased ones."""
    store, lost = Faulty(), list[SessionStoreError]()
    recorder, _ = await begun(store, on_lost=lost.append)

    async def refuses(*_: Any) -> int:
        raise error

    store.append = refuses  # type: ignore[method-assign,assignment]
    for number in (1, 2):
        recorder.record(turn(number))
    assert not await recorder.flush(5)
    assert lost == [error]
    assert [each.seq for each in recorder.unsaved()] == left
    assert not await recorder.saved(1)
    await recorder.aclose()


def test_an_append_is_bounded_in_turns_and_in_bytes() -> None:
    """Batches keep the order, lose nothing, and grow neither too long nor too large."""
    sizes = [100] * 250 + [200_000] * 12 + [MAX_CALL_BYTES, 1, 1]
    turns = [SealedTurn(n, b"", bytes(size), None) for n, size in enumerate(sizes)]
    made = list(batches(turns))
    assert [each for batch in made for each in batch] == turns
    assert [len(batch) for batch in made] == [100, 100, 50 + 5, 5, 2, 1, 2]
    assert max(len(batch) for batch in made) == MAX_CALL_TURNS
    assert max(sum(len(each.sealed) for each in batch) for batch in made) <= MAX_CALL_BYTES
    assert list(batches([])) == []


async def test_changes_by_two_hands_both_survive() -> None:
    """A title that was set meanwhile is kept, and so are changes that waited, and new ones."""
    store = Faulty(["refused", "refused"])
    recorder, lease = await begun(store)
    content = ContentWriter(store, lease, recorder)
    content.change(spoken("fr"))
    await store.set_title(lease.participant, lease.session_id, "Named meanwhile")
    content.change(lambda old: old.model_copy(update={"summary": "short"}))
    assert content.waiting == 2
    assert await content.flush(5)
    loaded = await store.load(lease.participant, lease.session_id)
    assert loaded is not None
    for seen in (loaded.session.content, content.content):
        assert (seen.language, seen.summary, seen.title) == ("fr", "short", "Named meanwhile")
    await content.aclose()


async def test_only_the_change_that_cannot_be_kept_is_undone() -> None:
    """A broken character among many changes costs its own change, and none of the others."""
    store = Faulty(["refused"] * 3)
    recorder, lease = await begun(store)
    content = ContentWriter(store, lease, recorder)
    for change in (
        spoken("de"),
        titled("\ud83d"),
        lambda old: old.model_copy(update={"summary": "s"}),
    ):
        content.change(change)
    assert await content.flush(5)
    loaded = await store.load(lease.participant, lease.session_id)
    assert loaded is not None
    for seen in (loaded.session.content, content.content):
        assert (seen.language, seen.summary, seen.title) == ("de", "s", None)
    await content.aclose()


async def test_content_waits_for_turns_that_a_failover_took_back() -> None:
    """The content witnesses the newest turn, so the turns are sent again first."""
    store = Faulty()
    recorder, lease = await begun(store)
    content = ContentWriter(store, lease, recorder)
    for number in (1, 2, 3):
        recorder.record(turn(number))
    assert await recorder.flush(5)
    store.go_back(0)
    content.change(titled("After it"))
    assert await content.flush(5)
    loaded = await store.load(lease.participant, lease.session_id)
    assert loaded is not None
    assert [each.turn.id for each in loaded.turns] == ["t1", "t2", "t3"]
    assert loaded.session.content.title == "After it"
    await content.aclose()
    await recorder.aclose()


async def test_content_of_a_lost_session_is_not_saved() -> None:
    """The answer of a flush is honest, and later changes ask no one."""
    store = Faulty()
    recorder, lease = await begun(store)
    content = ContentWriter(store, lease, recorder)
    await store.erase(lease.participant)
    content.change(titled("Too late"))
    assert not await content.flush(5)
    store.faults = iter(["asked"])
    content.change(titled("Later still"))
    assert not await content.flush(5)
    assert next(store.faults) == "asked"
    await content.aclose()


async def test_unsaved_content_is_sealed_for_the_spool() -> None:
    """It replaces just the version that it was made from, and is nothing where all is saved."""
    store = Faulty(["none", *["refused"] * 10_000])
    recorder, lease = await begun(store)
    content = ContentWriter(store, lease, recorder)
    content.change(spoken("fr"))
    assert await content.flush(5)
    assert content.unsaved() is None
    content.change(titled("Unsaved"))
    left = content.unsaved()
    assert left is not None
    assert left.version == lease.version == 1
    plain = lease.data_key.open_content(lease.session_id, 2, left.sealed)
    assert b"Unsaved" in plain
    assert b"witness" not in plain
    await content.aclose()


async def test_unsaved_content_keeps_what_others_wrote() -> None:
    """A title that a failing write has met on its way is in what goes to the spool."""
    store = Faulty()
    recorder, lease = await begun(store)
    content = ContentWriter(store, lease, recorder)
    await store.set_title(lease.participant, lease.session_id, "Named meanwhile")
    update, asked = store._backend.update, []

    async def fails_later(*args: Any, **options: Any) -> int:
        asked.append(args)
        if len(asked) > 1:
            raise StoreUnavailable("away")
        return await update(*args, **options)

    store._backend.update = fails_later  # type: ignore[method-assign]
    content.change(spoken("fr"))
    assert not await content.flush(0.05)
    left = content.unsaved()
    assert left is not None
    assert (left.version, len(asked) > 1) == (1, True)
    plain = lease.data_key.open_content(lease.session_id, 2, left.sealed)
    assert b"Named meanwhile" in plain
    assert b'"fr"' in plain
    await content.aclose()


class Renewals:
    """Renewals that fail as they are told to."""

    def __init__(self, *errors: Exception | None) -> None:
        self.left = list(errors)

    async def renew(self, _: Lease | LeaseRef) -> None:
        """Fail or not; and go on as the last time for ever."""
        error = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        if error is not None:
            raise error


async def test_a_lease_that_cannot_be_renewed_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """However long Redis is away, the log has its beginning and its end."""
    caplog.set_level(logging.INFO)
    away = StoreUnavailable("away")
    renewals, lost = Renewals(None, away, away, away, TimeoutError(), None), list[Exception]()
    lease = LeaseRef("p", "the-session", "owner", "1", "key")
    keeper = LeaseKeeper(renewals, lease, every_s=0.001, on_lost=lost.append)
    keeper.start()
    async with asyncio.timeout(NET_S):
        while len(renewals.left) > 1:
            await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)
    await keeper.aclose()
    told = [
        vars(record) for record in caplog.records if record.name == "session_store.writing.lease"
    ]
    assert [(each["msg"], each["session_id"]) for each in told] == [
        ("the lease cannot be renewed; trying again", "the-session"),
        ("the lease is renewed again", "the-session"),
    ]
    assert lost == []
