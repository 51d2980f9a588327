"""Which participants have left, and which only seem to."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from livekit import rtc

from session_store.livekit.job import presence
from session_store.livekit.job.presence import Presence

pytestmark = pytest.mark.virtual_time


class Room(rtc.EventEmitter[Any]):
    """A room that one person enters and leaves at will."""

    def __init__(self) -> None:
        super().__init__()
        self.remote_participants: dict[str, Any] = {}

    def come(self, load_id: str) -> None:
        """Let the person in."""
        who = SimpleNamespace(identity="maria", attributes={"rj.load": load_id}, joined_at=None)
        self.remote_participants["maria"] = who
        self.emit("participant_connected", who)

    def active(self) -> None:
        """Let the person's connection stand."""
        self.emit("participant_active", self.remote_participants["maria"])

    def go(self) -> None:
        """Let the person out."""
        self.emit("participant_disconnected", self.remote_participants.pop("maria"))


class Watched:
    """An presence, and what it has told."""

    def __init__(self) -> None:
        self.room = Room()
        self.told: list[str] = []
        watched: Any = self.room
        self.presence = Presence(
            watched,
            "maria",
            on_came=lambda coming: self.told.append(coming.load_id),
            on_left=lambda: self.told.append("left"),
        )
        self.room.come("load-1")
        self.presence.start()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a departure settle in 20 ms, and in 200 ms where our own connection was lost."""
    monkeypatch.setattr(presence, "SETTLES_S", 0.02)
    monkeypatch.setattr(presence, "RECONNECTS_S", 0.2)


async def test_whoever_stays_away_has_left() -> None:
    """A departure counts once the participant has stayed away."""
    watched = Watched()
    watched.room.go()
    assert watched.presence.is_here
    await asyncio.sleep(0.1)
    assert watched.told == ["left"]
    assert not watched.presence.is_here


async def test_whoever_is_back_at_once_has_not_left() -> None:
    """A reload looks like a departure and an arrival."""
    watched = Watched()
    watched.room.go()
    watched.room.come("load-2")
    await asyncio.sleep(0.1)
    assert watched.told == ["load-2"]


@pytest.mark.parametrize("order", ["before", "behind"])
async def test_a_restart_of_livekit_is_no_departure(order: str) -> None:
    """All seem to leave when our own connection is lost, and come back as their pages reconnect."""
    watched = Watched()
    if order == "before":
        watched.room.emit("reconnecting")
    watched.room.go()
    if order == "behind":
        watched.room.emit("reconnected")
    await asyncio.sleep(0.1)
    watched.room.come("load-1")
    await asyncio.sleep(0.3)
    assert watched.told == ["load-1"]


async def test_whoever_does_not_come_back_after_a_restart_has_left() -> None:
    """After the longest time that a page tries, the departure counts."""
    watched = Watched()
    watched.room.emit("reconnecting")
    watched.room.go()
    await asyncio.sleep(0.1)
    assert watched.told == []
    await asyncio.sleep(0.2)
    assert watched.told == ["left"]


async def test_nothing_is_told_after_the_end() -> None:
    """A departure that has not settled when the job ends is left to the end itself."""
    watched = Watched()
    watched.room.go()
    watched.presence.stop()
    watched.room.come("load-2")
    await asyncio.sleep(0.1)
    assert watched.told == []


@pytest.mark.parametrize(("after_s", "told"), [(0.5, []), (3, ["load-1"])], ids=["soon", "late"])
async def test_a_participant_whose_connection_stands_late_is_received_again(
    after_s: float, told: list[str]
) -> None:
    """LiveKit has dropped by then what was sent at the arrival."""
    watched = Watched()
    await asyncio.sleep(after_s)
    watched.room.active()
    assert watched.told == told
    watched.presence.stop()
