"""What sends an agent into a room, and what the gateway tells the agent's job by it."""

from __future__ import annotations

import json
from typing import Final, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

SUCCESSOR: Final = "rj.successor"
"""Attribute of a dispatch, "1": a watcher has sent the agent, in place of one that is gone."""


class Dispatch(NamedTuple):
    """Where an agent is sent, and with which metadata."""

    room: str
    agent_name: str
    metadata: str

    @classmethod
    def for_session(
        cls, participant: str, session_id: str, agent_name: str, *, admitted_at_ms: int = 0
    ) -> Self:
        """Return the dispatch of a session that the gateway opened: its room has its id.

        Args:
            participant: the pseudonym.
            session_id: the session.
            agent_name: name of the agent to send.
            admitted_at_ms: see ``JobMetadata.admitted_at_ms``.
        """
        metadata: dict[str, str | int] = {"participant": participant, "session_id": session_id}
        if admitted_at_ms:
            metadata["let_in_ms"] = admitted_at_ms
        return cls(session_id, agent_name, json.dumps(metadata))


class JobMetadata(BaseModel):
    """What the gateway writes into a dispatch: the participant and the session of the job.

    A writer needs the API key of the LiveKit server, so the job trusts it.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    participant: str
    """The pseudonym, which is also the LiveKit identity."""
    session_id: str
    admitted_at_ms: int = Field(default=0, alias="let_in_ms")
    """When the gateway admitted the participant without the store, in Unix milliseconds. The
    session may not exist yet then. 0: the store has opened it."""

    @classmethod
    def parse(cls, metadata: str) -> Self | None:
        """Read a job's metadata; ``None`` if the gateway did not write it."""
        try:
            return cls.model_validate_json(metadata)
        except ValidationError:
            return None
