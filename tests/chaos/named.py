"""A worker that names its participants by its dispatch: ``python -m tests.chaos.named``.

The agent is the project's own. ``{"customer": NAME}`` in the metadata of the dispatch is the name;
without it the participant is anonymous.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from livekit.agents.__main__ import main

from agent import worker
from session_store.livekit import persist

if TYPE_CHECKING:
    from livekit.agents import JobContext, JobProcess

    from session_store.livekit import Conversation


async def _persist(ctx: JobContext, *args: Any, **kwargs: Any) -> Conversation:
    customer = json.loads(ctx.job.metadata or "{}").get("customer", "")
    return await persist(ctx, *args, **kwargs, identity=customer)


def prewarm(process: JobProcess) -> None:
    """Build what is slow, and name participants."""
    worker.prewarm(process)
    vars(worker)["persist"] = _persist


server = worker.server
server.setup_fnc = prewarm

if __name__ == "__main__":
    sys.exit(main(["start", str(Path(__file__))]))
