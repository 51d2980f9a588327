"""The newest words are in sight, at any size of the window, and the page never scrolls away."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from playwright.async_api import Route

    from dev.rig.browser.page import TalkPage
    from tests.e2e.place import Place

    Come = Callable[..., Awaitable[TalkPage]]

# The browser lives in one event loop, for all tests.
pytestmark = pytest.mark.asyncio(loop_scope="session")

SIZES: Final = [(1440, 900), (1024, 768), (390, 844), (360, 640)]
ON_ITS_SIDE: Final = (640, 360)
"""A phone on its side: too low for a whole turn beside all the rest, but nothing scrolls away."""
EARLIER_TURNS: Final = 30
TALL: Final = "\n".join(f"line {number}" for number in range(12))
SETTLES_S: Final = 1.0
"""Within this time the page has its final layout."""
SCREEN_S: Final = 0.3
"""Longer than a scroll by wheel or key takes to begin."""

_LAYOUT = """
() => {
  const box = element => element.getBoundingClientRect();
  const talk = document.getElementById('talk');
  const turns = document.querySelectorAll('[data-testid=turn]');
  const newest = turns[turns.length - 1];
  return {
    documentPx: document.scrollingElement.scrollHeight,
    viewportPx: innerHeight,
    scrolledPx: scrollY,
    headerTop: box(document.querySelector('header')).top,
    dockBottom: box(document.getElementById('dock')).bottom,
    talkTop: box(talk).top,
    talkBottom: box(talk).bottom,
    newestTop: box(newest).top,
    newestBottom: box(newest).bottom,
    newest: newest.querySelector('[data-testid=turn-text]').textContent,
    latest: !document.getElementById('latest').hidden,
  };
}
"""


async def long_conversation(come: Come) -> TalkPage:
    """Visit as a participant who has said much already."""
    tab = await come()
    await tab.page.route("**/api/token", _with_earlier_turns)
    await tab.type("my name is Maria")
    await tab.says("Nice to meet you, Maria")
    assert len(await tab.bubbles()) > EARLIER_TURNS
    return tab


async def _with_earlier_turns(route: Route) -> None:
    """Answer as the gateway does, with turns from before in front of what it has."""
    answer = await route.fetch()
    admission: dict[str, Any] = await answer.json()
    earlier = [
        {
            "id": f"earlier-{number}",
            "seq": 0,
            "late": True,
            "role": "user" if number % 2 else "assistant",
            "text": f"Sentence {number} of a long conversation. " * 3,
            "created_at": 1_700_000_000 + number,
            "interrupted": False,
        }
        for number in range(EARLIER_TURNS)
    ]
    admission["turns"] = [*earlier, *admission["turns"]]
    await route.fulfill(response=answer, body=json.dumps(admission))


async def layout(tab: TalkPage) -> dict[str, Any]:
    """Return where things are on the page."""
    found: dict[str, Any] = await tab.page.evaluate(_LAYOUT)
    return found


async def in_place(tab: TalkPage) -> None:
    """See that nothing but the conversation can scroll: header and dock are where they belong."""
    at = await layout(tab)
    assert at["documentPx"] <= at["viewportPx"], at
    assert (at["scrolledPx"], at["headerTop"]) == (0, 0), at
    assert at["dockBottom"] <= at["viewportPx"], at


async def newest_in_sight(tab: TalkPage, text: str = "") -> None:
    """Wait until the newest turn is this, and all of it is between header and dock."""
    deadline = time.monotonic() + SETTLES_S
    while True:
        at = await layout(tab)
        is_seen = at["talkTop"] <= at["newestTop"] and at["newestBottom"] <= at["talkBottom"]
        if text in at["newest"] and is_seen and not at["latest"]:
            return
        assert time.monotonic() < deadline, at
        await asyncio.sleep(0.05)


async def scrolled_by_all_means(tab: TalkPage) -> None:
    """Turn the wheel over header and dock, and press End and Page Down with the page in focus."""
    mouse, keyboard = tab.page.mouse, tab.page.keyboard
    at = await layout(tab)
    for y in (at["headerTop"] + 10, at["dockBottom"] - 10):
        await mouse.move(20, y)
        await mouse.wheel(0, 3000)
        await asyncio.sleep(SCREEN_S)
    await tab.page.evaluate("document.activeElement.blur()")
    for key in ("End", "PageDown", "Space"):
        await keyboard.press(key)
        await asyncio.sleep(SCREEN_S)


async def test_the_newest_words_are_in_sight_at_any_size(come: Come, place: Place) -> None:
    """At each size an answer comes with a notice, while a long message is being typed."""
    tab = await long_conversation(come)
    for width, height in SIZES:
        await tab.page.set_viewport_size({"width": width, "height": height})
        await newest_in_sight(tab)
        await in_place(tab)
        place.stand.redis.pause()
        try:
            await answered_above_notice_and_composer(tab)
        finally:
            place.stand.redis.resume()
        await tab.page.get_by_test_id("message-input").fill("")
        await tab.no_notice()
        await newest_in_sight(tab)
    width, height = ON_ITS_SIDE
    await tab.page.set_viewport_size({"width": width, "height": height})
    await tab.page.get_by_test_id("message-input").fill(TALL)
    await in_place(tab)
    at = await layout(tab)
    assert at["talkBottom"] > at["talkTop"], at


async def answered_above_notice_and_composer(tab: TalkPage) -> None:
    """Ask something while Redis is stopped, and see the answer wherever the dock ends."""
    answers = tab.page.get_by_text("Your name is Maria")
    before = await answers.count()
    await tab.type("what is my name?")
    await answers.nth(before).wait_for()
    await tab.notice("Not saved yet")
    await newest_in_sight(tab, "Your name is Maria")
    await tab.page.get_by_test_id("message-input").fill(TALL)
    await newest_in_sight(tab, "Your name is Maria")
    await in_place(tab)
    await scrolled_by_all_means(tab)
    await in_place(tab)
    await newest_in_sight(tab, "Your name is Maria")


async def test_a_person_who_reads_further_up_is_left_there(come: Come) -> None:
    """New words do not move what is read; "Latest" leads back to them, and they are followed."""
    tab = await long_conversation(come)
    await tab.page.mouse.move(640, 300)
    await tab.page.mouse.wheel(0, -1000)
    await asyncio.sleep(SETTLES_S)
    before = (await layout(tab))["newestTop"]
    await tab.type("what is my name?")
    latest = tab.page.get_by_role("button", name="Latest")
    await latest.wait_for()
    at = await layout(tab)
    assert at["newestTop"] > at["talkBottom"]
    assert at["newestTop"] > before
    await latest.click()
    await tab.says("Your name is Maria")
    await newest_in_sight(tab, "Your name is Maria")
