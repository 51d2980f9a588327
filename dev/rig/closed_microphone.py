"""A microphone that is opened, and closed at once."""

from __future__ import annotations

from livekit import rtc

from dev.rig.microphone import RATE, publish_microphone


class ClosedMicrophone:
    """Publishes a track, and takes it back.

    LiveKit announces a participant who never publishes up to 3 s late. But the agent listens to
    an open microphone, even to silence: about two thirds of its processor time.
    """

    def __init__(self) -> None:
        self._source = rtc.AudioSource(RATE, 1)

    async def publish(self, room: rtc.Room) -> None:
        """Publish it in a room, and take it back."""
        published = await publish_microphone(room, self._source)
        await room.local_participant.unpublish_track(published.sid)

    async def aclose(self) -> None:
        """Let it go."""
        await self._source.aclose()
