"""What goes to the page, and on which topic."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from session_store.livekit.job.page_channel import PageChannel

pytestmark = pytest.mark.virtual_time


async def sent(*refusals: tuple[str, str]) -> list[tuple[str, str, list[str]]]:
    """Refuse messages; return topics, texts and receivers."""
    noted: list[tuple[str, str, list[str]]] = []

    async def send_text(text: str, *, topic: str, destination_identities: list[str]) -> None:
        noted.append((topic, text, destination_identities))

    room: Any = SimpleNamespace(local_participant=SimpleNamespace(send_text=send_text))
    channel = PageChannel(room, "maria")
    for message_id, reason in refusals:
        channel.refused(message_id, reason)
    await channel.aclose()
    return noted


async def test_a_refusal_names_the_message() -> None:
    """Our page shows it beside what was typed."""
    ((topic, text, receivers),) = await sent(("m1", "It is too long."))
    assert (topic, receivers) == ("rj.record", ["maria"])
    expected = {"v": 1, "type": "refused", "id": "m1", "message": "It is too long."}
    assert json.loads(text) == expected


async def test_a_front_end_without_ids_is_told_in_its_chat() -> None:
    """It does not read the record: without this it would hear nothing at all."""
    assert await sent(("", "It is too long.")) == [("lk.chat", "It is too long.", ["maria"])]
