"""Running a command's coroutine: to its end, until it is stopped, or until nobody reads it."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from typing import TYPE_CHECKING

from session_store.cli.exits import Exit
from session_store.cli.output import close_quietly

if TYPE_CHECKING:
    from collections.abc import Coroutine


def run(work: Coroutine[None, None, int]) -> int:
    """Run a command to its end."""
    try:
        return asyncio.run(work)
    except BrokenPipeError:
        # As with "| head": whoever wanted the output has seen enough.
        close_quietly()
        return Exit.OK


def run_until_stopped(work: Coroutine[None, None, int]) -> int:
    """Run a command that has no end of its own: SIGINT and SIGTERM are its end, and a good one.

    What the library logs meanwhile (that Redis is away, say) goes to standard error.
    """
    logger = logging.getLogger("session_store")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("session-store: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    return run(_until_stopped(work))


async def _until_stopped(work: Coroutine[None, None, int]) -> int:
    task = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return Exit.OK
