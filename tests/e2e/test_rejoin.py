"""Rejoin in every way: whatever is taken away, the conversation goes on."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import TimeoutError as PlaywrightTimeoutError
from playwright.async_api import expect
from redis.asyncio import Redis

from dev.rig.browser.page import WAIT_MS, TalkPage
from dev.rig.network import why_not
from dev.rig.programs import until
from dev.rig.servers.users import TESTER, as_user
from tests.e2e.place import NOTICED_S
from tests.integration.test_store import age

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from playwright.async_api import Locator

    from dev.rig.network import Island
    from dev.rig.worker import Job
    from session_store import Session
    from tests.e2e.place import Place

    Come = Callable[..., Awaitable[TalkPage]]

# The browser lives in one event loop, for all tests.
pytestmark = pytest.mark.asyncio(loop_scope="session")

LONG = bool(os.environ.get("REJOIN_LONG"))
SCREEN_S = 1.0
"""Longer than anything that happens at once takes to be on the screen."""
SPEAKS_WITHIN_MS = 5_000
"""An answer that is not spoken by then was given in writing alone."""


@pytest.fixture
def network(place: Place) -> Island:
    """Return the browser's own network."""
    if place.network is None:
        pytest.skip(f"the browser's network cannot be taken away: {why_not()}")
    return place.network


async def introduced(come: Come) -> TalkPage:
    """Visit for the first time, and say a name."""
    tab = await come()
    await tab.type("my name is Maria")
    await tab.says("Nice to meet you, Maria")
    return tab


async def goes_on(tab: TalkPage) -> None:
    """Have the assistant answer from what it knows; there is no greeting, and nothing twice."""
    await tab.type("what is my name?")
    await tab.says("Your name is Maria")
    assert await tab.texts("user") == ["my name is Maria", "what is my name?"]
    assert not any("Welcome back" in text for text in await tab.texts("assistant"))


async def session_of(place: Place, tab: TalkPage) -> Session:
    """Return the newest session of the page's participant."""
    store = place.stand.store
    sessions = await store.sessions(store.pseudonym(await tab.identity()))
    return sessions.sessions[0]


async def job_of(place: Place, tab: TalkPage) -> Job:
    """Return the job that holds the page's conversation."""
    session_id = (await session_of(place, tab)).id
    job = place.stand.workers[0].job_of(session_id)
    assert job is not None
    return job


@pytest.mark.parametrize("gone_s", [10, *([60] if LONG else [])])
async def test_the_network_may_be_gone(
    come: Come, place: Place, network: Island, gone_s: int
) -> None:
    """What is typed meanwhile waits where it is seen, and is answered once when it is back."""
    tab = await introduced(come)
    before = await session_of(place, tab)
    network.livekit.cut()
    cut_at = time.monotonic()
    try:
        await tab.state("reconnecting")
        await tab.type("what is my name?")
        await tab.noted("what is my name?", "Waiting to be sent")
        await asyncio.sleep(cut_at + gone_s - time.monotonic())
    finally:
        network.livekit.heal()
    await tab.state("connected")
    await tab.says("Your name is Maria")
    await tab.says("what is my name?", role="user")
    assert await tab.texts("user") == ["my name is Maria", "what is my name?"]
    after = await session_of(place, tab)
    assert after.id == before.id
    if not LONG:
        assert after.reconnect_count == before.reconnect_count == 0


async def test_another_address_is_no_other_visit(come: Come, place: Place, network: Island) -> None:
    """From another network the page joins anew by itself, long before LiveKit finds out."""
    tab = await introduced(come)
    network.livekit.move()
    await tab.state("reconnecting")
    await tab.state("connected")
    await goes_on(tab)
    assert (await session_of(place, tab)).reconnect_count == 0


@pytest.mark.parametrize("asleep_s", [5, *([60] if LONG else [])])
async def test_a_laptop_that_slept_goes_on(come: Come, place: Place, asleep_s: int) -> None:
    """It wakes into the same conversation; after a long sleep the agent welcomes back."""
    tab = await introduced(come)
    with place.asleep():
        await asyncio.sleep(asleep_s)
    await tab.type("what is my name?")
    await tab.says("Your name is Maria")
    await tab.state("connected")
    assert await tab.texts("user") == ["my name is Maria", "what is my name?"]


async def test_a_page_that_the_browser_froze_comes_back_by_itself(come: Come) -> None:
    """Frozen, it lets the room go; resumed, it is in the conversation without a click."""
    tab = await introduced(come)
    await tab.page.evaluate("dispatchEvent(new Event('freeze'))")
    await tab.aside("paused this conversation")
    await tab.page.evaluate("document.dispatchEvent(new Event('resume'))")
    await tab.state("connected")
    await tab.type("what is my name?")
    await tab.says("Your name is Maria")


async def test_a_restart_of_livekit_is_no_visit(come: Come, place: Place) -> None:
    """All connections are new then, but it is no visit: no greeting, and nothing is counted."""
    tab = await introduced(come)
    before = await session_of(place, tab)
    await place.stand.restart_livekit()
    await tab.state("reconnecting")
    await tab.state("connected")
    await goes_on(tab)
    after = await session_of(place, tab)
    assert (after.id, after.reconnect_count) == (before.id, before.reconnect_count)


async def test_the_newer_tab_takes_over(come: Come) -> None:
    """The older one says where the conversation is, and can have it back."""
    older = await introduced(come)
    newer = await come(like=older)
    await newer.says("Welcome back, Maria! This is visit number 2.")
    await older.aside("in another tab or window")
    await newer.type("what is my name?")
    await newer.says("Your name is Maria")

    await older.press("continue")

    await older.says("Welcome back, Maria! This is visit number 3.")
    await newer.aside("in another tab or window")
    assert await older.texts("user") == ["my name is Maria", "what is my name?"]
    await asyncio.sleep(SCREEN_S)
    await older.state("connected")


async def test_the_newer_device_takes_over(come: Come, place: Place) -> None:
    """A page of another browser with the same identity is not fought; the older one yields."""
    older = await introduced(come)
    newer = await come()
    await newer.page.evaluate(
        "identity => localStorage.setItem('rejoin.identity', identity)", await older.identity()
    )
    await newer.reload()
    await newer.press("start")
    await newer.says("Welcome back, Maria! This is visit number 2.")
    await older.aside("on another device")
    assert (await session_of(place, newer)).reconnect_count == 1

    await older.press("continue")

    await older.says("Welcome back, Maria! This is visit number 3.")
    await newer.aside("on another device")
    assert (await session_of(place, older)).reconnect_count == 2


async def test_what_is_not_saved_yet_says_so(come: Come, place: Place) -> None:
    """While Redis is away the conversation goes on, a reload too; then all of it is saved, once."""
    tab = await introduced(come)
    place.stand.redis.pause()
    try:
        await tab.type("remember that my cat is called Tom")
        await tab.noted("remember that my cat", "Not saved yet")
        await tab.notice("Not saved yet")
        await tab.reload()
        await tab.state("connected")
        await tab.notice("Not saved yet")
        await tab.type("what is my name?")
        await tab.noted("what is my name?", "Not saved yet")
    finally:
        place.stand.redis.resume()
    await tab.noted("what is my name?", "Saved")
    await tab.notice("Everything is saved")
    await tab.no_notice()
    await tab.says("remember that my cat is called Tom", role="user")
    await tab.says("Your name is Maria")
    said = ["my name is Maria", "remember that my cat is called Tom", "what is my name?"]
    assert await tab.texts("user") == said
    session = await session_of(place, tab)
    loaded = await place.stand.store.load(session.participant, session.id)
    assert loaded is not None
    assert [each.turn.text for each in loaded.turns if each.turn.role == "user"] == said


async def test_a_conversation_may_begin_without_redis(come: Come, place: Place) -> None:
    """A new participant is admitted and answered; when Redis is back everything is saved."""
    place.stand.redis.pause()
    try:
        tab = await come()
        await tab.type("my name is Maria")
        await tab.noted("my name is Maria", "Not saved yet")
        await tab.page.get_by_text("Nice to meet you, Maria").wait_for()
    finally:
        place.stand.redis.resume()
    await tab.says("my name is Maria", role="user")
    await tab.says("Nice to meet you, Maria")
    await goes_on(tab)
    await tab.reload()
    await tab.says("Welcome back, Maria! This is visit number 2.")


async def in_mid_sentence(come: Come) -> tuple[TalkPage, Locator]:
    """Come as a new participant, and wait until the agent is in the middle of a long sentence.

    On a busy machine an agent now and then answers in writing alone: then another one comes.
    """
    for _ in range(6):
        tab = await introduced(come)
        await tab.is_listening()
        await asyncio.sleep(SCREEN_S)
        draft = tab.page.locator("[data-testid=turn][data-role=assistant][data-draft=true]")
        await tab.type("Remember that my cat sleeps on the warm stones until the evening comes")
        with suppress(PlaywrightTimeoutError):
            await draft.first.wait_for(timeout=SPEAKS_WITHIN_MS)
            return tab, draft
    raise AssertionError("no answer was seen as it was spoken")


async def test_half_a_sentence_is_shown_once_as_it_is_kept(come: Come, place: Place) -> None:
    """After the agent died while it spoke, the page has the record of it, and no bubble twice."""
    tab, draft = await in_mid_sentence(come)
    (await job_of(place, tab)).kill()
    await tab.notice("Your assistant is back.")
    await expect(draft).to_have_count(0, timeout=WAIT_MS)
    await tab.type("what is my name?")
    await tab.says("Your name is Maria")
    shown = await tab.texts("assistant")
    assert len(shown) == len(set(shown))
    session = await session_of(place, tab)
    loaded = await place.stand.store.load(session.participant, session.id)
    assert loaded is not None
    kept = [each.turn.text for each in loaded.turns if each.turn.role == "assistant"]
    assert shown == kept


async def test_a_message_to_a_dying_agent_is_answered_by_the_next(come: Come, place: Place) -> None:
    """It has no record, so it is sent again, and recorded and answered once."""
    tab = await introduced(come)
    job = await job_of(place, tab)
    job.pause()
    await tab.type("what is my name?")
    await tab.noted("what is my name?", "Waiting to be sent")
    job.kill()
    await tab.says("Your name is Maria", within_ms=2 * WAIT_MS)
    await goes_on_once(tab)


async def goes_on_once(tab: TalkPage) -> None:
    """See each message, and its answer, once."""
    assert await tab.texts("user") == ["my name is Maria", "what is my name?"]
    answers = [text for text in await tab.texts("assistant") if "Your name is Maria" in text]
    assert len(answers) == 1


async def test_what_is_typed_while_no_worker_runs_is_answered(come: Come, place: Place) -> None:
    """It waits where it is seen until there is a worker again, which answers it once."""
    tab = await introduced(come)
    worker = place.stand.workers[0]
    worker.kill()
    await tab.type("what is my name?")
    await tab.noted("what is my name?", "Waiting to be sent")
    worker.start()
    await worker.ready()
    await tab.says("Your name is Maria", within_ms=2 * WAIT_MS)
    await goes_on_once(tab)


async def test_where_agents_keep_failing_there_is_a_way_on(come: Come, place: Place) -> None:
    """The page says so at once, keeps what it shows, and begins a new conversation when told to."""
    tab = await introduced(come)
    before = await tab.bubbles()
    session = await session_of(place, tab)
    failed = tab.page.locator("[data-testid=status][data-state=Failed]")
    async with asyncio.timeout(WAIT_MS / 1000):
        while not await failed.count():
            job = place.stand.workers[0].job_of(session.id)
            if job is not None:
                job.kill()
            await asyncio.sleep(0.2)
    await tab.notice("The assistant stopped several times in this conversation.")
    assert await tab.bubbles() == before

    await tab.press("retry")
    await tab.notice("The assistant stopped several times in this conversation.")
    assert await tab.bubbles() == before
    await tab.press("start-new")

    await tab.says("Hello! I am your assistant.")
    assert (await session_of(place, tab)).id != session.id


async def test_who_is_back_while_the_room_waits_finds_the_same_agent(
    come: Come, place: Place
) -> None:
    """After a moment, 21 seconds or 45: the job is there still, and welcomes back."""
    tab = await introduced(come)
    before = await session_of(place, tab)
    job = await job_of(place, tab)
    await tab.press("end")
    await asyncio.sleep(NOTICED_S)
    await tab.press("continue")
    await tab.says("Welcome back, Maria! This is visit number 2.")
    assert (await session_of(place, tab)).id == before.id
    assert (await job_of(place, tab)).pid == job.pid


async def test_who_is_back_within_the_window_goes_on(come: Come, place: Place) -> None:
    """After four minutes the room is gone, and a new agent goes on in the same session."""
    tab = await gone_for(come, place, 4 * 60)
    before = await session_of(place, tab)
    await tab.press("continue")
    await tab.says("Welcome back, Maria! This is visit number 2.")
    assert (await session_of(place, tab)).id == before.id


async def test_who_is_back_after_the_window_begins_anew(come: Come, place: Place) -> None:
    """After six minutes another session begins, with nothing of the one before in it."""
    tab = await gone_for(come, place, 6 * 60)
    before = await session_of(place, tab)
    await tab.press("continue")
    await tab.says("Hello! I am your assistant.")
    assert (await session_of(place, tab)).id != before.id
    assert all("Maria" not in bubble.text for bubble in await tab.bubbles())


async def gone_for(come: Come, place: Place, gone_s: float) -> TalkPage:
    """Visit, and leave for this long: the job ends really, then the store's clock is set on."""
    tab = await introduced(come)
    session = await session_of(place, tab)
    job = await job_of(place, tab)
    await tab.press("end")
    await until(lambda: not job.runs, "the job has ended", within_s=WAIT_MS / 1000)
    async with Redis.from_url(as_user(f"redis://{place.stand.redis.name}/0", TESTER)) as raw:
        await age(raw, place.stand.store, await tab.identity(), session.id, gone_s)
    return tab
