"""The binding: any LiveKit agent's conversation, kept.

::

    conversation = await persist(ctx, agent_session, store)
    agent = Assistant(chat_ctx=conversation.chat_ctx)
    await agent_session.start(agent, **conversation.start_args)
    await conversation.greet()

and beside it, once in a worker, ``watch_over(server, settings, agent_name=...)``: whose agent
dies gets another.

What is named here is loaded when it is first used: the gateway has to do with LiveKit's rooms
(``session_store.livekit.rooms.rooms``), and must not load livekit-agents for that.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from session_store.livekit.job.conversation import Conversation
    from session_store.livekit.job.entry_point import NobodyCame, persist
    from session_store.livekit.job.greeting import Visit, words_of_welcome
    from session_store.livekit.worker.watch import watch_over

__all__ = ["Conversation", "NobodyCame", "Visit", "persist", "watch_over", "words_of_welcome"]

_WHERE: Final = {
    "Conversation": "job.conversation",
    "NobodyCame": "job.entry_point",
    "Visit": "job.greeting",
    "persist": "job.entry_point",
    "watch_over": "worker.watch",
    "words_of_welcome": "job.greeting",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for (PEP 562)."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    """List what can be asked for."""
    return __all__
