"""The assistant, and its tools to remember and to forget."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, Literal

from livekit.agents import Agent, ToolError, function_tool

from agent.instructions import instructions
from session_store import SessionStoreError
from session_store.livekit.job.versions import update_instructions
from session_store.tasks import KeptTasks

if TYPE_CHECKING:
    from agent.pipelines import Pipeline
    from session_store import SessionContent
    from session_store.livekit import Conversation

logger = logging.getLogger(__name__)

MAX_NAME_CHARS: Final = 80
MAX_FACTS: Final = 30
MAX_FACT_CHARS: Final = 500


class Assistant(Agent):
    """Talks, remembers what the participant asks it to, and forgets everything on request."""

    def __init__(self, conversation: Conversation, pipeline: Pipeline) -> None:
        self._earlier = conversation.content.context
        super().__init__(
            instructions=instructions(conversation.content, conversation.visit, self._earlier),
        )
        self._conversation = conversation
        self._pipeline = pipeline
        self._updates = KeptTasks(logger)
        conversation.on_change(self._keep_instructions_current)

    @function_tool
    async def remember_name(self, name: str) -> str:
        """Remember what the person likes to be called.

        Args:
            name: the name, as they said it.
        """
        name = " ".join(name.split())
        if not 1 <= len(name) <= MAX_NAME_CHARS:
            raise ToolError(f"a name has 1 to {MAX_NAME_CHARS} characters")
        self._prefer(name=name)
        return "remembered"

    @function_tool
    async def remember_fact(self, fact: str) -> str:
        """Remember something that the person asked to have remembered.

        Args:
            fact: the fact in their own words, for instance "my cat is called Tom".
        """
        fact = " ".join(fact.split())
        if not 1 <= len(fact) <= MAX_FACT_CHARS:
            raise ToolError(f"a fact has 1 to {MAX_FACT_CHARS} characters")
        known = self._conversation.content.context.preferences.get("facts")
        facts = [each for each in known if each != fact] if isinstance(known, list) else []
        if len(facts) >= MAX_FACTS:
            raise ToolError(f"{MAX_FACTS} facts are remembered already; no more fit")
        self._prefer(facts=[*facts, fact])
        return "remembered"

    @function_tool
    async def set_language(self, language: Literal["en", "es", "de", "fr"]) -> str:
        """Speak another language from now on, also when the person comes back.

        Args:
            language: English, Spanish, German or French.
        """
        self._pipeline.set_language(language)
        self._conversation.change(lambda content: content.model_copy(update={"language": language}))
        return "changed"

    @function_tool
    async def forget_me(self, confirmed: bool) -> str:  # noqa: FBT001 (a model gives arguments by name)
        """Erase everything that is known about the person, for ever.

        Args:
            confirmed: true only if they have just said yes to being asked whether they are sure.
        """
        if not confirmed:
            return "not erased: ask the person to confirm first"
        try:
            await self._conversation.erase()
        except SessionStoreError as error:
            logger.warning("an erasure failed: the assistant says so", extra={"error": str(error)})
            raise ToolError("nothing was erased: ask the person to try again in a moment") from None
        return "erased"

    def _prefer(self, **preferences: Any) -> None:
        def change(content: SessionContent) -> SessionContent:
            merged = {**content.context.preferences, **preferences}
            context = content.context.model_copy(update={"preferences": merged})
            return content.model_copy(update={"context": context})

        self._conversation.change(change)

    def _keep_instructions_current(self) -> None:
        conversation = self._conversation
        current = instructions(conversation.content, conversation.visit, self._earlier)
        if current != self.instructions:
            self._updates.spawn(update_instructions(self, current))
