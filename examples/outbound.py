"""An agent that calls people: the dispatch's metadata says whom. It dials once per call.

The metadata is JSON: ``{"phone_number": "+15105550123", "trunk_id": "ST_..."}``.
"""

import json

from dotenv import load_dotenv
from livekit import api
from livekit.agents import Agent, AgentServer, AgentSession, JobContext, cli

from examples.local import load_by_jobs, speech_and_model
from session_store.livekit import is_takeover, persist, watch_over

load_dotenv(".env.local")


class Caller(Agent):
    """Reminds people of their appointments."""

    def __init__(self) -> None:
        super().__init__(instructions="Remind the person of their appointment tomorrow at nine.")


server = AgentServer(load_fnc=load_by_jobs)
watch_over(server)


async def dial(ctx: JobContext, phone_number: str, trunk_id: str) -> None:
    """Call a number, and wait until somebody answers."""
    await ctx.api.sip.create_sip_participant(
        api.CreateSIPParticipantRequest(
            room_name=ctx.room.name,
            sip_trunk_id=trunk_id,
            sip_call_to=phone_number,
            participant_identity=phone_number,
            wait_until_answered=True,
        )
    )


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    """Make one call."""
    whom = json.loads(ctx.job.metadata)
    # If nothing answers that, this raises, and nobody is called a second time.
    is_successor = await is_takeover(ctx)
    await ctx.connect()
    # The job before may have died before it dialled, or in mid-call.
    if not (is_successor and whom["phone_number"] in ctx.room.remote_participants):
        await dial(ctx, whom["phone_number"], whom["trunk_id"])
    session = AgentSession(**speech_and_model())
    conversation = await persist(ctx, session)
    await session.start(await conversation.resume(Caller()), **conversation.start_args)
    await conversation.greet(instructions="Say who you are, and why you call.")


if __name__ == "__main__":
    cli.run_app(server)
