"""LiveKit Inference, as far as it can be asked without an account."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from livekit.agents import APIConnectionError, APIConnectOptions

from agent.pipelines.cloud.livekit import HearsAgain


async def test_a_connection_that_is_reset_is_one_that_can_be_begun_again() -> None:
    """An agent session goes on hearing after that error, and after no other."""

    async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    server = await asyncio.start_server(reset, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, aiohttp.ClientSession() as http:
        stt = HearsAgain(
            "deepgram/nova-3",
            language="en",
            base_url=f"http://127.0.0.1:{port}",
            api_key="key",
            api_secret="secret" * 6,
            http_session=http,
        )
        async with stt.stream(conn_options=APIConnectOptions(max_retry=0)) as stream:
            with pytest.raises(APIConnectionError, match="was lost"):
                async for _ in stream:
                    pass
        await stt.aclose()
