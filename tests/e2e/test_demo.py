"""The demo as a whole: it stops without a trace, and remembers across its own restarts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
import pytest

from dev.rig.browser.demo import running_demo
from dev.rig.browser.page import TalkPage
from dev.rig.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import Browser

pytestmark = pytest.mark.asyncio(loop_scope="session")


def lives(process: psutil.Process) -> bool:
    """Return whether a process still does anything; dead ones that no parent reaps stay."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


async def test_a_restarted_demo_remembers(browser: Browser, tmp_path: Path) -> None:
    """After Ctrl-C nothing runs any more; the next start welcomes back by name."""
    # The same address both times, since a browser keeps its identity by address.
    port = str(free_port())
    context = await browser.new_context()
    with running_demo(tmp_path, GATEWAY_PORT=port) as demo:
        started = psutil.Process(demo.pid).children(recursive=True)
        tab = await TalkPage.open(context, demo.page)
        await tab.type("my name is Maria")
        await tab.says("Nice to meet you, Maria")
        await tab.page.close()

    assert demo.exit_codes == [0]
    assert len(started) >= 5
    assert [process for process in started if lives(process)] == []

    with running_demo(tmp_path, GATEWAY_PORT=port) as again:
        tab = await TalkPage.open(context, again.page)
        await tab.says("Welcome back, Maria! This is visit number 2.")
        await tab.type("what is my name?")
        await tab.says("Your name is Maria")
    await context.close()
