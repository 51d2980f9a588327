"""One demo and one browser for all end-to-end tests; each person has a profile of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from playwright.async_api import async_playwright

from dev import chromium
from dev.rig.browser.demo import RESUME_WINDOW_S, Demo, running_demo
from dev.rig.browser.launch import launched
from dev.rig.browser.page import TalkPage
from dev.rig.ports import free_port
from dev.rig.servers.process import standalone
from dev.rig.servers.users import LOOKS_AT_ALL, TESTER, WORKER, as_user, guarded_by_users
from tests.e2e.place import Place, prepared

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from playwright.async_api import Browser, Playwright

    from dev.rig.servers.process import Server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a Redis with the shipped users; at the end, none of them was refused anything."""
    folder = tmp_path_factory.mktemp("redis")
    with standalone(folder, *guarded_by_users(folder), login=LOOKS_AT_ALL) as server:
        yield server
        with server.client() as client:
            assert [(each["username"], each["object"]) for each in client.acl_log()] == []


@pytest.fixture
def whole_redis(redis_server: Server) -> str:
    """Return the address of the demo's Redis, with a login that may read everything."""
    return as_user(f"redis://{redis_server.name}/0", TESTER)


@pytest.fixture(scope="session")
def metrics_port() -> int:
    """Return where the demo's worker shows its metrics."""
    return free_port()


@pytest.fixture(scope="session")
def demo(
    tmp_path_factory: pytest.TempPathFactory, redis_server: Server, metrics_port: int
) -> Iterator[Demo]:
    """Run the demo once, as the user that is shipped for its programs."""
    with running_demo(
        tmp_path_factory.mktemp("demo"),
        REJOIN_REDIS_URL=as_user(f"redis://{redis_server.name}/0", WORKER),
        REJOIN_RESUME_WINDOW_FIRST_S=str(RESUME_WINDOW_S),
        # What LiveKit logs is searched for words of the conversation.
        DEMO_LIVEKIT_LOG="info",
        # As in production, where programs read the log.
        REJOIN_LOG_FORMAT="json",
        # Jobs of earlier tests wait for people who will not come back.
        AGENT_MAX_JOBS="50",
        AGENT_METRICS_PORT=str(metrics_port),
    ) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def playwright() -> AsyncIterator[Playwright]:
    """Run playwright's driver once."""
    chromium.find_or_install()
    async with async_playwright() as driver:
        yield driver


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(playwright: Playwright) -> AsyncIterator[Browser]:
    """Run a browser without a microphone's sound."""
    async with launched(playwright) as chrome:
        yield chrome


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, demo: Demo) -> AsyncIterator[Callable[[], Awaitable[TalkPage]]]:
    """Open the page as a new participant; whatever goes wrong in it fails the test."""
    opened: list[TalkPage] = []

    async def open_as_new() -> TalkPage:
        context = await browser.new_context(permissions=["microphone"])
        tab = await TalkPage.open(context, demo.page)
        opened.append(tab)
        return tab

    yield open_as_new
    for tab in opened:
        await tab.page.context.close()
    assert [problem for tab in opened for problem in tab.problems] == []


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def place(
    playwright: Playwright, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Place]:
    """Run all parts once, so that each can be taken away, and a browser in its own network."""
    async with prepared(tmp_path_factory.mktemp("place"), playwright) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def come(place: Place) -> AsyncIterator[Callable[..., Awaitable[TalkPage]]]:
    """Visit that place as a new participant; what the page does not catch fails the test."""
    opened: list[TalkPage] = []

    async def visit(*, like: TalkPage | None = None) -> TalkPage:
        tab = await place.visit(like.page.context if like else None)
        opened.append(tab)
        return tab

    yield visit
    for context in {tab.page.context for tab in opened}:
        await context.close()
    assert [crash for tab in opened for crash in tab.crashes] == []
