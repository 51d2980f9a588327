"""A scripted caller: a participant as LiveKit's SIP service brings one into a room."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from livekit import api
from livekit.protocol.agent_dispatch import RoomAgentDispatch
from livekit.protocol.room import RoomConfiguration
from typing_extensions import override

from dev.rig.notes import Kind
from dev.rig.person import Person

if TYPE_CHECKING:
    from dev.rig.stand import Stand

ROOM_CLOSES_S = 1
"""How long a room outlives its caller: until then its job holds the conversation."""


class Caller(Person):
    """One phone call. The room gets an agent when the call makes it; there is no gateway."""

    def __init__(
        self,
        stand: Stand,
        identity: str,
        *,
        room: str = "",
        metadata: str = "",
        is_call: bool = True,
    ) -> None:
        """Make a caller; ``come`` is the call.

        Args:
            stand: the servers.
            identity: in LiveKit.
            room: its name; another one for each call by default.
            metadata: of the agent's dispatch.
            is_call: whether it comes by phone; else it is a page with a token server of its own.
        """
        super().__init__(stand.address)
        self._livekit = stand.livekit
        self.participant = identity
        self.room_name = room or f"call-{secrets.token_hex(6)}"
        self._metadata = metadata
        self._attributes = {"sip.callID": f"SCL_{secrets.token_hex(6)}"} if is_call else {}

    async def greeted(self, *, after: float = 0.0) -> dict[str, Any]:
        """Wait for an agent's hello; return what it says of the conversation."""
        hello = await self.notes.first(Kind.HELLO, after=after)
        self.session_id = str(hello.fields["session_id"])
        return hello.fields

    @override
    async def _token(self, wishes: dict[str, Any]) -> dict[str, Any]:
        agent = RoomAgentDispatch(agent_name="rejoin", metadata=self._metadata)
        token = (
            api.AccessToken(self._livekit.key, self._livekit.secret)
            .with_identity(self.participant)
            .with_kind("sip" if self._attributes else "standard")
            .with_attributes(self._attributes)
            .with_grants(api.VideoGrants(room_join=True, room=self.room_name))
            .with_room_config(RoomConfiguration(agents=[agent], departure_timeout=ROOM_CLOSES_S))
        )
        return {"server_url": self._livekit.url, "participant_token": token.to_jwt()}
