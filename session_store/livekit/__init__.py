"""The binding: any LiveKit agent's conversation, kept.

::

    conversation = await persist(ctx, agent_session, store)
    agent = Assistant(chat_ctx=conversation.chat_ctx)
    await agent_session.start(agent, **conversation.start_args)
    await conversation.greet()
"""

from session_store.livekit.conversation import Conversation
from session_store.livekit.greeting import Visit, words_of_welcome
from session_store.livekit.persistence import NobodyCame, persist

__all__ = ["Conversation", "NobodyCame", "Visit", "persist", "words_of_welcome"]
