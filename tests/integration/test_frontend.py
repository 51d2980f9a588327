"""A front end of one's own: the example in a real browser, with the starter and a token server."""

from __future__ import annotations

import os
import re
import secrets
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest_asyncio
from livekit import api
from playwright.async_api import async_playwright, expect

from dev import chromium, web
from dev.paths import ROOT
from dev.rig.browser.launch import launched
from dev.rig.net import NET_S
from dev.rig.ports import free_port
from dev.rig.programs import Program, until
from dev.rig.stand import Stand, running
from examples.frontend import server
from tests.snippets import blocks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest
    from playwright.async_api import Page

FRONTEND = ROOT / "examples" / "frontend"
CLIENT = "livekit-client"
WAIT_MS = NET_S * 1000


@pytest_asyncio.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    """Run the starter as a worker."""
    async with running(tmp_path, workers=0, LIVEKIT_AGENT_NAME="assistant") as stand:
        # Without --dev, processes for jobs get ready while the browser starts.
        command = ("livekit.agents", "start", str(ROOT / "examples" / "starter.py"))
        worker = await stand.add_worker(module=command, ready=False)
        await until(lambda: "registered worker" in worker.last_words(100_000), "it is known")
        yield stand


@asynccontextmanager
async def served(stand: Stand) -> AsyncIterator[str]:
    """Run the token server; return the address of its page."""
    port = free_port()
    settings = {
        "LIVEKIT_URL": stand.livekit.url,
        "LIVEKIT_API_KEY": stand.livekit.key,
        "LIVEKIT_API_SECRET": stand.livekit.secret,
        "LIVEKIT_AGENT_NAME": "assistant",
        "LIVEKIT_CLIENT": str(web.packages() / CLIENT),
        "COOKIE_SECRET": secrets.token_hex(),
        "PORT": str(port),
    }
    command = [sys.executable, str(FRONTEND / "server.py")]
    program = Program("frontend", command, stand.folder, settings)
    program.start()
    try:
        page = f"http://127.0.0.1:{port}/"
        await program.until_ready(page)
        yield page
    finally:
        await program.aclose(grace_s=0)


@asynccontextmanager
async def opened(page: str) -> AsyncIterator[Page]:
    """Open the page in a browser; what it does not catch fails the test."""
    problems: list[str] = []
    chromium.find_or_install()
    async with async_playwright() as driver, launched(driver) as browser:
        context = await browser.new_context()
        tab = await context.new_page()
        tab.on("pageerror", lambda error: problems.append(str(error)))
        await tab.goto(page)
        yield tab
    assert problems == []


async def test_a_page_of_ones_own_goes_on_after_a_reload(stand: Stand) -> None:
    """What is typed before the agent is there is answered, and known after a reload."""
    async with served(stand) as page, opened(page) as tab:
        await ask(tab, "my cat is called Tom")
        await said(tab, "user", "my cat is called Tom")
        await said(tab, "assistant", "I heard: my cat is called Tom.")
        await tab.reload()
        await said(tab, "user", "my cat is called Tom")
        await ask(tab, "what have I said?")
        await said(tab, "assistant", "You said: my cat is called Tom.")


async def ask(tab: Page, text: str) -> None:
    """Type a text."""
    await tab.get_by_label("Your message").fill(text)
    await tab.get_by_role("button", name="Send").click()


async def said(tab: Page, role: str, text: str) -> None:
    """Wait until a turn is shown once, and is saved."""
    turns = tab.locator(f"[data-role={role}][data-saved=true]").get_by_text(text, exact=True)
    await expect(turns).to_have_count(1, timeout=WAIT_MS)


def test_the_page_shows_what_the_example_has() -> None:
    """What stands under "Your own token server", "Your own front end" and "Run it"."""
    page, source = "docs/binding.md", (FRONTEND / "server.py").read_text()
    (shown,) = blocks(page, "Your own token server", "python")
    assert shown in source
    tokens, _ = blocks(page, "Run it", "python")
    assert tokens.partition("\n\n\n")[2] in source
    (line,) = blocks(page, "Your own front end", "js")
    assert line in (FRONTEND / "index.html").read_text()
    (command,) = blocks(page, "Your own front end", "sh")
    settings = set(re.findall(r"(\w+)=", command))
    assert settings - {"LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"} <= {
        *re.findall(r"[A-Z_]{5,}", source)
    }


class Request:
    """A request with a cookie."""

    def __init__(self, cookie: str) -> None:
        self.cookies = {server.COOKIE: cookie}


def test_a_token_says_nothing_that_its_client_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    """One user, one room that nobody can guess, one agent, no rights over others."""
    key, secret = "key", secrets.token_hex()
    settings = {"LIVEKIT_API_KEY": key, "LIVEKIT_API_SECRET": secret, "LIVEKIT_AGENT_NAME": "sales"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    first, second = (api.TokenVerifier(key, secret).verify(server.token_for("maria")) for _ in "12")
    assert first.video is not None
    assert second.video is not None
    assert (first.identity, first.attributes, first.metadata) == ("maria", {}, "")
    assert first.video.room != second.video.room
    rights = {name for name, value in vars(first.video).items() if value is True}
    assert rights == {"room_join", "can_publish", "can_subscribe", "can_publish_data"}
    assert first.video.can_update_own_metadata is False
    assert first.room_config is not None
    assert [agent.agent_name for agent in first.room_config.agents] == ["sales"]


def test_only_a_signed_cookie_names_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cookie that a client made up is nobody's."""
    monkeypatch.setenv("COOKIE_SECRET", "one")
    cookie = server.signed("maria")
    request: Any = Request(cookie)
    assert server.user_of(request) == "maria"
    for forged in ("", "maria", cookie.replace("maria", "tom"), f"{cookie}0", "maria.ä"):
        request = Request(forged)
        assert server.user_of(request) is None
    assert "COOKIE_SECRET" in os.environ
