"""A place where anything can be taken away: each part by itself, and the browser's network."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from dev import chromium, web
from dev.paths import ROOT
from dev.rig.browser.launch import TRUSTED, launched
from dev.rig.browser.page import TalkPage
from dev.rig.network import island, why_not
from dev.rig.stand import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from playwright.async_api import Browser, BrowserContext, Playwright

    from dev.rig.network import Island
    from dev.rig.stand import Stand

DEPARTURE_S = 8
"""How long a room waits for its participant: the minute of the default."""
NOTICED_S = 4.5
"""After this an agent knows of a departure: without sound, LiveKit tells it each 3 s."""


@dataclass(frozen=True)
class Place:
    """Redis, LiveKit, gateway and a worker, and a browser that reaches them."""

    stand: Stand
    browser: Browser
    page: str
    network: Island | None
    """The browser's own; ``None`` where this machine permits none."""

    async def visit(self, context: BrowserContext | None = None) -> TalkPage:
        """Open the page as a new participant, or in a browser profile that was there before."""
        if context is None:
            context = await self.browser.new_context(permissions=["microphone"])
        return await TalkPage.open(context, self.page)

    @contextmanager
    def asleep(self) -> Iterator[None]:
        """Stop every process of the browser until the block ends, as a laptop that sleeps does."""
        processes = self._browser_processes()
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                process.resume()

    def _browser_processes(self) -> list[psutil.Process]:
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                if any(TRUSTED in each and self.page in each for each in process.cmdline()):
                    return [process, *process.children(recursive=True)]
        raise AssertionError("the browser does not run")


@asynccontextmanager
async def prepared(folder: Path, playwright: Playwright) -> AsyncIterator[Place]:
    """Run everything until the block ends."""
    web.build()
    async with AsyncExitStack() as at_the_end:
        network = None
        if why_not() is None:
            network = at_the_end.enter_context(island())
            # LiveKit offers every address of this machine; the browser is to have one way only.
            network.redis.cut()
        stand = await at_the_end.enter_async_context(
            running(
                folder / "stand",
                workers=1,
                islands=[network] if network else [],
                GATEWAY_PAGE=str(ROOT / "web" / "dist"),
                GATEWAY_HOST="0.0.0.0",  # noqa: S104 (the browser's network is another one)
                GATEWAY_DEPARTURE_TIMEOUT_S=str(DEPARTURE_S),
                AGENT_MAX_JOBS="50",
                AGENT_IDLE_PROCESSES="2",
            )
        )
        page, program = stand.address, None
        if network is not None:
            page, program = await _reached_from(network, stand, folder)
        browser = await at_the_end.enter_async_context(
            launched(playwright, program=program, trusted=page)
        )
        yield Place(stand, browser, page, network)


async def _reached_from(network: Island, stand: Stand, folder: Path) -> tuple[str, Path]:
    """Lead a browser there to gateway and LiveKit; return the page, and what starts it."""
    address = network.livekit.address
    gateway = stand.gateway
    gateway.settings["LIVEKIT_PUBLIC_URL"] = stand.livekit.url_at(address)
    gateway.kill()
    gateway.start()
    await gateway.until_ready(f"{stand.address}/readyz")
    program = folder / "browser"
    command = " ".join([*network.prefix, str(chromium.find_or_install())])
    program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    program.chmod(0o700)
    return f"http://{address}:{gateway.settings['GATEWAY_PORT']}", program
