"""What the page tells of its connection reaches the operator."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from dev.rig.browser.page import WAIT_MS, TalkPage

if TYPE_CHECKING:
    from playwright.async_api import Browser

    from dev.rig.browser.demo import Demo

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def reports(metrics_port: int) -> tuple[float, float]:
    """Return how many round trips and how many losses were reported to the worker."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{metrics_port}/metrics") as answer,
    ):
        families = text_string_to_metric_families(await answer.text())
        found = {each.name: each.value for family in families for each in family.samples}
    return (
        found["rejoin_client_round_trip_seconds_count"],
        found["rejoin_client_loss_ratio_count"],
    )


async def test_a_page_tells_how_good_its_connection_is_without_a_microphone_too(
    browser: Browser, demo: Demo, metrics_port: int
) -> None:
    """Round trip and loss come from the sound that it hears, where it sends none."""
    before = await reports(metrics_port)
    context = await browser.new_context()
    tab = await TalkPage.open(context, demo.page)
    await tab.type("my name is Maria")
    await tab.says("Nice to meet you, Maria")
    deadline = time.monotonic() + WAIT_MS / 1000
    while not all(
        now > then for now, then in zip(await reports(metrics_port), before, strict=True)
    ):
        assert time.monotonic() < deadline, "nothing was reported"
        await asyncio.sleep(0.2)
    assert tab.problems == []
    await context.close()
