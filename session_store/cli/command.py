"""A command: a coroutine with a name on the command line, which runs to its end."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec

from session_store.cli.exit_codes import Exit
from session_store.cli.output import close_quietly

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    import typer

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Command:
    """One command of the program."""

    name: str
    epilog: str
    """Examples, shown at the end of its help."""
    run: Callable[..., int]
    """Runs the coroutine to its end. Its signature is the command's options."""

    def add_to(self, app: typer.Typer) -> None:
        """Register the command, behind those that the program already has."""
        app.command(self.name, epilog=self.epilog)(self.run)


def command(
    name: str, *, epilog: str
) -> Callable[[Callable[P, Coroutine[None, None, int]]], Command]:
    """Make a coroutine function a command.

    Its parameters become the options, its docstring the help, its result the exit code.
    """

    def make(function: Callable[P, Coroutine[None, None, int]]) -> Command:
        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> int:
            return _run(function(*args, **kwargs))

        return Command(name, epilog, run)

    return make


async def until_stopped(work: Coroutine[None, None, int]) -> int:
    """Run work that has no end of its own until SIGINT or SIGTERM, which are a good end.

    The library's log lines (that Redis is unreachable, for example) go to standard error.
    """
    _log_to_stderr()
    task = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return Exit.OK


def _run(work: Coroutine[None, None, int]) -> int:
    try:
        return asyncio.run(work)
    except BrokenPipeError:
        # As with "| head": the reader of the output has seen enough.
        close_quietly()
        return Exit.OK


def _log_to_stderr() -> None:
    logger = logging.getLogger("session_store")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("session-store: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
