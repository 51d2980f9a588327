"""A worker whose agents die of a word: ``python -m tests.chaos.poisoned``.

The agent is the project's own. Each of its processes gets a language model that ends the process
when it is asked about the word.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from livekit.agents.__main__ import main

from agent import worker
from demo_models.llm import RuleStream
from tests.chaos.poison import POISON

if TYPE_CHECKING:
    from livekit.agents import JobProcess

_DIES_AFTER_S: Final = 0.4
"""Long enough for the word to be in the record: each successor finds it there."""

_answers = RuleStream._run


async def _answer_or_die(stream: RuleStream) -> None:
    if POISON in str(stream.chat_ctx.items[-1]):
        await asyncio.sleep(_DIES_AFTER_S)
        os.kill(os.getpid(), signal.SIGKILL)
    await _answers(stream)


def prewarm(process: JobProcess) -> None:
    """Build what is slow, and take the poison."""
    worker.prewarm(process)
    RuleStream._run = _answer_or_die  # type: ignore[assignment, method-assign]


server = worker.server
server.setup_fnc = prewarm

if __name__ == "__main__":
    sys.exit(main(["start", str(Path(__file__))]))
