"""After any reload, every word that is spoken is on the screen within a second."""

from __future__ import annotations

import asyncio
import os
import random
import re
import secrets
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pytest
from playwright.async_api import Error as PlaywrightError

from session_store.tasks import stop
from tests.e2e.witness import Witness

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from dev.rig.browser.demo import Demo
    from dev.rig.browser.page import TalkPage
    from tests.e2e.witness import Speech

# The browser lives in one event loop, for all tests.
pytestmark = pytest.mark.asyncio(loop_scope="session")

RELOADS: Final = 20 if os.environ.get("REJOIN_LONG") else 4
SCREEN_S: Final = 1.0
"""Within this time, spoken words are on the screen."""
LONGEST_S: Final = 5.0
"""At most this long after one reload comes the next: in the middle of what is spoken."""
ASKED: Final = 0.7
"""The share of page loads that ask something."""
LOOK_EVERY_S: Final = 0.1

_READ = """
() => ({
  state: document.getElementById('status').dataset.state,
  said: [...document.querySelectorAll('[data-role=assistant] [data-testid=turn-text]')]
    .map(element => element.textContent),
})
"""


@dataclass
class Screen:
    """Compares what is on the screen with what the witness hears."""

    tab: TalkPage
    witness: Witness
    missing: list[str] = field(default_factory=list)
    """What was spoken and not on the screen in time."""
    compared: int = 0
    """How often there were words to compare."""
    _there_since: float | None = None

    async def watch(self) -> None:
        """Compare again and again, until cancelled."""
        while True:
            asked_at = time.monotonic()
            try:
                seen = await self.tab.page.evaluate(_READ)
            except PlaywrightError:
                seen = {"state": "reloading", "said": []}
            self._compare(asked_at, seen["state"], seen["said"])
            await asyncio.sleep(LOOK_EVERY_S)

    def _compare(self, moment: float, state: str, said: list[str]) -> None:
        if state != "Connected":
            self._there_since = None
            return
        self._there_since = self._there_since or moment
        speech = self.witness.speeches[-1] if self.witness.speeches else None
        # A speech that began before this page load has no draft here, only a record.
        if speech is None or speech.began < self._there_since:
            return
        spoken = words(speech.until(moment - SCREEN_S))
        if spoken:
            self.compared += 1
            # The screen may be ahead of the witness, and show what is spoken after this speech.
            shown = [words(text) for text in said[-2 if speech.over else -1 :]]
            if not any(_is_shown(spoken, each, speech) for each in shown):
                heard_s = moment - speech.heard[-1][0]
                self.missing.append(
                    f"spoken: {spoken!r} (the last word {heard_s:.1f} s ago, over: {speech.over}), "
                    f"on the screen: {said[-2:]}"
                )


def _is_shown(spoken: str, shown: str, speech: Speech) -> bool:
    # The record of a speech that was interrupted may be shorter than what was spoken.
    return shown.startswith(spoken) or (speech.over and shown != "" and spoken.startswith(shown))


def words(text: str) -> str:
    """Return the words of a text alone, without marks and capitals."""
    return " ".join(re.findall(r"[^\W_]+", text.lower()))


@asynccontextmanager
async def watched(tab: TalkPage, witness: Witness) -> AsyncIterator[Screen]:
    """Compare screen and sound until the block ends."""
    screen = Screen(tab, witness)
    watching = asyncio.create_task(screen.watch())
    try:
        yield screen
    finally:
        await stop(watching)


async def test_every_spoken_word_is_on_the_screen_whenever_the_page_is_reloaded(
    visit: Callable[[], Awaitable[TalkPage]], demo: Demo
) -> None:
    """The page is reloaded in the middle of a long answer, or of the welcome before it."""
    seed = secrets.randbelow(1_000_000)
    moments = random.Random(seed)  # noqa: S311 (no secret)
    tab = await visit()
    async with tab.page.expect_response("**/api/token") as answered:
        await tab.type("my name is Maria")
    room = (await (await answered.value).json())["room_name"]
    await tab.says("Nice to meet you, Maria")
    async with (
        Witness(demo.livekit_url, demo.livekit_config, room) as witness,
        watched(tab, witness) as screen,
    ):
        await tab.type("What can you do?")
        for _ in range(RELOADS):
            await asyncio.sleep(moments.uniform(0, LONGEST_S))
            await tab.reload()
            await tab.state("connected")
            # A typed message interrupts; without one, the welcome is spoken.
            if moments.random() < ASKED:
                await tab.type("What can you do?")
        await asyncio.sleep(LONGEST_S)
    assert screen.missing == [], f"seed {seed}"
    assert screen.compared > RELOADS
