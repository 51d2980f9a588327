"""What sends an agent into a room, and what tells the agent's job for whom it is sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from session_store.models import Place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from livekit.protocol.agent import Job

OURS: Final = "rj."
"""How the names of our attributes begin."""
PARTICIPANT: Final = "rj.participant"
IDENTITY: Final = "rj.identity"
SESSION: Final = "rj.session"
CALL: Final = "rj.call"
SUCCESSOR: Final = "rj.successor"
"""Attribute of a dispatch, "1": the agent takes the place of one that is gone."""


class Dispatch(NamedTuple):
    """Where an agent is sent, and all that LiveKit hands to its job.

    A successor gets what the job before had. For whom it is sent stands in attributes of ours,
    because the metadata are the program's; only those that our gateway wrote name the participant.
    """

    room: str
    agent_name: str
    metadata: str
    attributes: Mapping[str, str] = {}
    deployment: str = ""

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

    @classmethod
    def of_job(cls, job: Job) -> Self:
        """Return what sent a job."""
        return cls(
            job.room.name, job.agent_name, job.metadata, dict(job.attributes), job.deployment
        )

    @classmethod
    def of_place(cls, place: Place) -> Self:
        """Return what sends a successor to a place."""
        dispatch = cls(
            place.room, place.agent_name, place.metadata, place.attributes, place.deployment
        )
        ours = JobMetadata.parse(place.metadata)
        if ours is None:
            return dispatch
        # The session exists by now, whenever its participant was admitted.
        again = cls.for_session(ours.participant, ours.session_id, place.agent_name)
        return dispatch._replace(metadata=again.metadata)

    def place(self, identity: str, call: str = "") -> Place:
        """Return where this sends a job, for the participant whom LiveKit knows by this name.

        ``call`` as in ``Place``.
        """
        attributes = {
            name: value for name, value in self.attributes.items() if not name.startswith(OURS)
        }
        return Place(
            room=self.room,
            agent_name=self.agent_name,
            metadata=self.metadata,
            attributes=attributes,
            deployment=self.deployment,
            identity=identity,
            call=call,
        )

    def on(self, errand: Errand) -> Self:
        """Return this dispatch for a successor: it serves this participant, and nobody else."""
        if JobMetadata.parse(self.metadata) is not None:
            return self  # Its metadata says so.
        ours = {
            PARTICIPANT: errand.participant,
            IDENTITY: errand.identity,
            SESSION: errand.session_id,
            CALL: errand.call,
        }
        return self._replace(attributes={**self.attributes, **ours})

    def as_successor(self) -> Self:
        """Return this dispatch for a job that takes the place of another one."""
        return self._replace(attributes={**self.attributes, SUCCESSOR: "1"})


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


class Errand(NamedTuple):
    """For whom a job was sent."""

    participant: str
    """The pseudonym."""
    session_id: str
    identity: str
    """The name under which LiveKit knows the participant."""
    call: str = ""
    """The phone call of an anonymous participant, whose identity others have too; else empty."""
    is_opened: bool = False
    """Whether the gateway has opened this very session; else it is the one that most likely goes
    on."""
    admitted_at_ms: int = 0
    """See ``JobMetadata.admitted_at_ms``."""

    @classmethod
    def of(cls, dispatch: Dispatch) -> Self | None:
        """Read it from a dispatch of ours; ``None`` if nobody of ours sent the job."""
        ours = JobMetadata.parse(dispatch.metadata)
        if ours is not None:
            return cls(
                ours.participant,
                ours.session_id,
                identity=ours.participant,
                is_opened=True,
                admitted_at_ms=ours.admitted_at_ms,
            )
        named = dispatch.attributes
        if not {PARTICIPANT, IDENTITY, SESSION} <= named.keys():
            return None
        return cls(named[PARTICIPANT], named[SESSION], named[IDENTITY], named.get(CALL, ""))
