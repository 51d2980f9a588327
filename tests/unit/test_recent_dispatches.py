"""Rooms that were sent an agent without a claim, in virtual time."""

from __future__ import annotations

import asyncio

from session_store.livekit.rooms.recent_dispatches import RecentDispatches
from tests.unit.virtual_time import in_virtual_time


def test_a_room_is_remembered_for_its_time() -> None:
    """Each room has its own time, and another room is not affected."""

    async def scene() -> None:
        recent = RecentDispatches()
        recent.add("short", for_s=5)
        recent.add("long", for_s=50)
        assert "other" not in recent
        await asyncio.sleep(4)
        assert "short" in recent
        await asyncio.sleep(2)
        assert "short" not in recent
        assert "long" in recent

    in_virtual_time(scene())


def test_a_room_can_be_forgotten_earlier() -> None:
    """A dispatch that failed may be repeated at once; forgetting twice does no harm."""

    async def scene() -> None:
        recent = RecentDispatches()
        recent.add("room", for_s=50)
        recent.discard("room")
        recent.discard("room")
        assert "room" not in recent

    in_virtual_time(scene())
