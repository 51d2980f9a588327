"""The recorder and the content writer, on a real Redis that goes away and comes back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from session_store import LeaseKeeper, LeaseLost, Recorder, SessionGone, Turn
from session_store.content_writer import ContentWriter
from tests.integration.test_store import age

if TYPE_CHECKING:
    from collections.abc import Sequence

    from session_store import SealedTurn, SessionContent, SessionStore, SessionStoreError


class Heard:
    """What a recorder called back."""

    def __init__(self) -> None:
        self.saved: list[int] = []
        self.lost: list[SessionStoreError] = []

    def on_saved(self, turns: Sequence[SealedTurn]) -> None:
        """Note acknowledged turns."""
        self.saved.extend(each.seq for each in turns)

    def on_lost(self, error: SessionStoreError) -> None:
        """Note the end."""
        self.lost.append(error)


def turn(number: int) -> Turn:
    """Make the user's turn number ``number``."""
    return Turn(id=f"t{number}", role="user", text=f"sentence {number}", created_at=number)


async def away(raw: Any) -> None:
    """Make Redis refuse all clients for now, as a Redis that is loading does."""
    await raw.config_set("maxmemory-policy", "noeviction")
    await raw.config_set("maxmemory", "1")


async def back(raw: Any) -> None:
    """Undo ``away``."""
    await raw.config_set("maxmemory", "0")


async def test_turns_are_saved_in_order_and_acknowledged(store: SessionStore) -> None:
    """Every turn gets its number at once, and its acknowledgement when it is in."""
    who = store.pseudonym("maria")
    joined, heard = await store.join(who), Heard()
    recorder = Recorder(store, joined.lease, on_saved=heard.on_saved, on_lost=heard.on_lost)
    assert [recorder.record(turn(n)).seq for n in range(1, 151)] == list(range(1, 151))
    assert await recorder.flush(5)
    assert heard.saved == list(range(1, 151))
    loaded = await store.load(who, joined.session.id)
    assert loaded is not None
    assert [each.turn.id for each in loaded.turns] == [f"t{n}" for n in range(51, 151)]
    await recorder.aclose()


async def test_turns_wait_for_a_store_that_is_away(store: SessionStore, raw: Any) -> None:
    """While Redis refuses, recording goes on; when it is back, all turns arrive once, in order."""
    who = store.pseudonym("maria")
    joined, heard = await store.join(who), Heard()
    recorder = Recorder(store, joined.lease, on_saved=heard.on_saved, on_lost=heard.on_lost)
    content = ContentWriter(store, joined.lease)
    await away(raw)
    for number in range(1, 6):
        recorder.record(turn(number))
    content.change(lambda before: before.model_copy(update={"language": "fr"}))
    assert not await recorder.flush(0.3)
    assert recorder.waiting == 5
    assert heard.saved == []
    assert content.content.language == "fr"

    await back(raw)

    assert await recorder.flush(5)
    assert await content.flush(5)
    loaded = await store.load(who, joined.session.id)
    assert loaded is not None
    assert [each.turn for each in loaded.turns] == [turn(n) for n in range(1, 6)]
    assert loaded.session.content.language == "fr"
    await recorder.aclose()


async def test_turns_that_a_failover_lost_are_sent_again(store: SessionStore, raw: Any) -> None:
    """When the store has gone back in time, what is missing is resent before what is new."""
    who = store.pseudonym("maria")
    joined, heard = await store.join(who), Heard()
    recorder = Recorder(store, joined.lease, on_saved=heard.on_saved, on_lost=heard.on_lost)
    recorder.record(turn(1))
    assert await recorder.flush(5)
    earlier = {key: await raw.dump(key) for key in await raw.keys()}
    for number in (2, 3):
        recorder.record(turn(number))
    assert await recorder.flush(5)
    for key, value in earlier.items():
        await raw.restore(key, 60_000, value, replace=True)

    recorder.record(turn(4))

    assert await recorder.flush(5)
    loaded = await store.load(who, joined.session.id)
    assert loaded is not None
    assert [each.turn.id for each in loaded.turns] == ["t1", "t2", "t3", "t4"]
    await recorder.aclose()


async def test_a_recorder_stops_when_its_lease_is_lost(store: SessionStore, raw: Any) -> None:
    """After a takeover nothing more is written, and who must know is told once."""
    who = store.pseudonym("maria")
    joined, heard = await store.join(who), Heard()
    recorder = Recorder(store, joined.lease, on_saved=heard.on_saved, on_lost=heard.on_lost)
    await age(raw, store, "maria", joined.session.id, 5)
    successor = await store.join(who)
    recorder.record(turn(1))
    assert not await recorder.flush(5)
    recorder.record(turn(2))
    assert [type(error) for error in heard.lost] == [LeaseLost]
    assert (await store.load(who, successor.session.id)).turns == ()  # type: ignore[union-attr]
    await recorder.aclose()


async def test_a_lease_is_kept_as_long_as_nobody_takes_it(store: SessionStore, raw: Any) -> None:
    """The keeper renews an expired lease too, and tells when it was taken or erased."""
    who = store.pseudonym("maria")
    joined, heard = await store.join(who), Heard()
    keeper = LeaseKeeper(store, joined.lease.ref, every_s=0.02, on_lost=heard.on_lost)
    keeper.start()
    await age(raw, store, "maria", joined.session.id, 60)
    await asyncio.sleep(0.1)
    assert heard.lost == []
    await store.erase(who)
    async with asyncio.timeout(5):
        while not heard.lost:
            await asyncio.sleep(0.01)
    assert isinstance(heard.lost[0], SessionGone)
    await keeper.aclose()


async def test_the_newest_content_wins(store: SessionStore) -> None:
    """Many changes at once become few writes, and the last one is kept."""
    who = store.pseudonym("maria")
    joined = await store.join(who)
    content = ContentWriter(store, joined.lease)

    def titled(title: str) -> Any:
        def change(before: SessionContent) -> SessionContent:
            return before.model_copy(update={"title": title})

        return change

    for number in range(50):
        content.change(titled(str(number)))
    assert await content.flush(5)
    loaded = await store.load(who, joined.session.id)
    assert loaded is not None
    assert loaded.session.content.title == "49"
    assert loaded.session.version < 10
