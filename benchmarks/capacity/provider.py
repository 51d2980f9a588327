"""A provider whose answers cost this machine nothing: it stands for a hosted one.

Its plugin, the HTTP and the sound are real; TLS is not there, and the models are elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web

from benchmarks.capacity.talk import QUESTION
from dev.rig.providers.fake_openai import FakeOpenAI, tone

if TYPE_CHECKING:
    from collections.abc import Mapping

_ANSWER: Final = tone(2.0)
_MORE_THAN_ARE_ASKED: Final = 10_000


class Provider(FakeOpenAI):
    """Hears the same question always, and speaks for two seconds."""

    first_port = 9700

    def __init__(self) -> None:
        super().__init__()
        self.heard = [QUESTION] * _MORE_THAN_ARE_ASKED

    @property
    def settings(self) -> Mapping[str, str]:
        """What an agent needs, to use it."""
        return {
            "AGENT_PIPELINE": "openai",
            "OPENAI_BASE_URL": self.url,
            "OPENAI_API_KEY": "none is asked for",
        }

    async def _speak(self, request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=_ANSWER, content_type="audio/pcm")
