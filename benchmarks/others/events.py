"""What happens to a person and an agent, and what is measured of it."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from livekit import api

from benchmarks.others.visitor import Visitor
from dev.rig.programs import signal_process

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.others.agents import OtherAgent
    from dev.rig.stand import Stand

LONG_S: Final = 40.0
"""A net for the beginning of a conversation."""
PATIENCE_S: Final = 8.0
"""How long a person waits in silence before they speak themselves."""
ANSWER_S: Final = 15.0
"""A person who speaks and is not answered within this time is met by silence."""
INTO_IT_S: Final = 1.5
"""How long a story or a tool has lasted when its job is killed, or its person leaves."""
HUMAN: Final = "human-agent-sip"
"""Under which identity LiveKit's warm transfer calls a human."""


@dataclass
class Measured:
    """One event."""

    agent: str
    event: str
    number: int
    silence_s: float | None = None
    """From the kill to the first sound of a successor, or from the return to the first sound."""
    listens_s: float | None = None
    """From the kill until a successor listens."""
    answer_s: float | None = None
    """From the next words of the person to the answer's first sound; ``None`` if not asked."""
    tools_twice: int = 0
    greetings: int = 0
    """Greetings that the event brought: one is due at a return of an agent that greets."""
    due: int = 0
    met_by_silence: bool = False
    remembers: bool = True
    failed: str = ""
    told: list[str] = field(default_factory=list)
    """What the model was asked, and tools did, after the event."""

    @property
    def second_greetings(self) -> int:
        """Greetings beyond the one that is due."""
        return max(0, self.greetings - self.due)


class Act:
    """One person with one agent, for one event after another."""

    def __init__(  # noqa: PLR0913 (each is needed)
        self, stand: Stand, folder: Path, name: str, agent: OtherAgent, *, types: bool, number: int
    ) -> None:
        self.stand = stand
        self.name = name
        self.agent = agent
        self.number = number
        self.spoken = folder / "spoken"
        self._noted_in = folder / "notes"
        self.room = self.new_room()
        identity = f"+1555{secrets.randbelow(10**7):07}"
        self.person = Visitor(
            stand.livekit, self.spoken, identity, types=types, is_call=bool(agent.dials)
        )
        self.lasting = ""

    @staticmethod
    def new_room() -> str:
        """Return a name that no room had."""
        return f"room-{secrets.token_hex(4)}"

    def noted(self, kind: str, *, after: float = 0.0, **fields: str) -> list[dict[str, Any]]:
        """Return what the agent's processes have noted in these rooms since (Unix time)."""
        notes = []
        if self._noted_in.exists():
            for line in self._noted_in.read_text().splitlines():
                with suppress(ValueError):
                    notes.append(json.loads(line))
        return [
            note
            for note in notes
            if note["room"] == self.room
            and note["at"] > after
            and (not kind or note["kind"] == kind)
            and all(note.get(name) == value for name, value in fields.items())
        ]

    async def until(self, condition: Callable[[], object], what: str, within_s: float) -> None:
        """Return when a condition holds."""
        try:
            async with asyncio.timeout(within_s):
                while not condition():  # noqa: ASYNC110 (other processes write it)
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"in {within_s:g} s it did not happen that {what}") from None

    async def call(self) -> float:
        """Have the person and an agent in the room; return since when (monotonic)."""
        if self.agent.dials != "caller":
            return await self.person.come(self.room, agent_name=self.agent.name)
        began = time.time()
        livekit = self.stand.api
        await livekit.room.create_room(api.CreateRoomRequest(name=self.room, departure_timeout=6))
        whom = {"phone_number": self.person.identity, "transfer_to": "+15550000000"}
        await livekit.agent_dispatch.create_dispatch(
            api.CreateAgentDispatchRequest(
                agent_name=self.agent.name, room=self.room, metadata=json.dumps(whom)
            )
        )
        await self.until(lambda: self.noted("dialled", after=began), "it dials", LONG_S)
        return await self.pick_up()

    async def pick_up(self) -> float:
        """Answer the phone."""
        at = await self.person.come(self.room, agent_name=None)
        answered = self.spoken / f"answered-{self.room}"
        answered.touch()
        began = time.time() - 5
        await self.until(lambda: self.noted("answered", after=began), "it is answered", LONG_S)
        answered.unlink()
        return at

    async def begin(self) -> None:
        """Call, be greeted, and talk a little."""
        at = await self.call()
        if self.agent.greets:
            heard = await self.person.sound(after=at, not_from="", within_s=LONG_S)
            assert heard is not None, "nobody greets"
            await self.person.silence()
        else:
            # What is said to nobody is lost, with Rejoin as without it.
            await self.until(lambda: self.person.is_listened_to, "it listens", LONG_S)
        await self.tell("my cat is called Tom")

    async def tell(self, words: str, *, within_s: float = LONG_S) -> None:
        """Say something, and wait until an agent has repeated it."""
        said = await self.person.say(words)
        repeated = await self.person.hears(f"I heard {words}", after=said, within_s=within_s)
        assert repeated, f"nobody has heard {words!r}, but: {self.person.heard(said)}"
        await self.person.silence()

    def kill(self) -> float:
        """Kill the job that serves the person; return when (monotonic)."""
        newest = [note for note in self.noted("") if note["kind"] != "dialled"][-1]
        return signal_process(newest["pid"], signal.SIGKILL)

    async def run_tool(self) -> None:
        """Have the tool called, and return when it runs."""
        began = time.time()
        await self.person.say(f"run {self.agent.tool} {self.agent.arguments}")
        await self.until(
            lambda: self.noted("tool", after=began, name=self.agent.tool), "a tool runs", LONG_S
        )

    async def after_kill(self, event: str, killed: float, *, tool: str = "") -> Measured:
        """Wait for what a successor says, speak to it, and measure."""
        measured = Measured(self.name, event, self.number)
        since = time.time() - (time.monotonic() - killed)
        dead = self.person.agents[0] if self.person.agents else ""
        heard = await self.person.sound(after=killed + 0.1, not_from=dead, within_s=PATIENCE_S)
        if heard is not None:
            measured.silence_s = heard.at - killed
            await self.person.silence()
        listens = self.person.listens_since(after=killed, not_from=dead)
        measured.listens_s = None if listens is None else listens - killed
        await self._speak(measured)
        if tool:
            measured.tools_twice = len(self.noted("tool", name=tool)) - 1
        if self.agent.dials == "caller":
            measured.tools_twice += len(self.noted("dialled", after=since))
        self._count(measured, since)
        return measured

    async def after_return(self, event: str, at: float) -> Measured:
        """Wait for what an agent says to a person who is back, speak to it, and measure."""
        measured = Measured(self.name, event, self.number, due=int(self.agent.greets))
        since = time.time() - (time.monotonic() - at)
        patience_s = LONG_S if self.agent.greets else 2.0
        heard = await self.person.sound(after=at, not_from="", within_s=patience_s)
        if heard is not None:
            measured.silence_s = heard.at - at
            await self.person.silence()
        measured.met_by_silence = heard is None and self.agent.greets
        await self._speak(measured)
        self._count(measured, since)
        return measured

    async def _speak(self, measured: Measured) -> None:
        """Say something as a person does who hears nothing, or has heard enough."""
        said = await self.person.say("are you there")
        heard = await self.person.sound(after=said, not_from="", within_s=ANSWER_S)
        if heard is None:
            measured.met_by_silence = True
            return
        measured.answer_s = heard.at - said
        await self.person.silence()
        said = await self.person.say("what have I said")
        measured.remembers = await self.person.hears("called Tom", after=said, within_s=ANSWER_S)
        await self.person.silence()

    def _count(self, measured: Measured, since: float) -> None:
        for note in self.noted("", after=since):
            what = note.get("as_what") or note.get("name") or note.get("words", "")
            measured.told.append(f"{note['at'] - since:.2f} {note['kind']} {what}")
        asked = self.noted("asked", after=since)
        measured.greetings = sum(note["as_what"] in {"greeting", "welcome"} for note in asked)


async def killed_in_tool(act: Act) -> list[Measured]:
    """The job dies while its tool runs."""
    await act.begin()
    await act.run_tool()
    await asyncio.sleep(INTO_IT_S)
    return [await act.after_kill("killed in mid-tool", act.kill(), tool=act.agent.tool)]


async def killed_in_speech(act: Act) -> list[Measured]:
    """The job dies while its agent speaks."""
    await act.begin()
    said = await act.person.say("tell me a story")
    assert await act.person.hears("Once", after=said, within_s=LONG_S)
    await asyncio.sleep(INTO_IT_S)
    return [await act.after_kill("killed in mid-speech", act.kill())]


async def killed_in_greeting(act: Act) -> list[Measured]:
    """The job dies before it has greeted to the end: one more greeting is due."""
    at = await act.call()
    assert await act.person.sound(after=at, not_from="", within_s=LONG_S), "nobody greets"
    await asyncio.sleep(INTO_IT_S / 3)
    measured = await act.after_kill("killed in its greeting", act.kill())
    measured.due = 1
    measured.remembers = True
    return [measured]


async def killed_after_transfer(act: Act) -> list[Measured]:
    """The job dies after one agent has handed over to another, which goes on."""
    await act.begin()
    began = time.time()
    said = await act.person.say(f"run {act.agent.transfer}")
    await act.until(
        lambda: act.noted("tool_end", after=began, name=act.agent.transfer), "it hands over", LONG_S
    )
    assert await act.person.sound(after=said, not_from="", within_s=LONG_S)
    await act.person.silence()
    await act.tell("my dog is called Rex")
    measured = await act.after_kill("killed after a transfer", act.kill(), tool=act.agent.transfer)
    began = time.time()
    await act.person.say(f"run {act.agent.then_tool} {act.agent.then_arguments}")
    await act.until(
        lambda: act.noted("tool_end", after=began, name=act.agent.then_tool),
        "the agent of the transfer is there",
        LONG_S,
    )
    return [measured]


async def killed_in_consultation(act: Act) -> list[Measured]:
    """The job dies while it talks to a human in another room, and its person is on hold."""
    await act.begin()
    await act.run_tool()
    await act.until(lambda: act.noted("dialled"), "it dials the human", LONG_S)
    async with Visitor(act.stand.livekit, act.spoken, HUMAN, types=True, is_call=True) as human:
        at = await human.come(f"{act.room}-human-agent", agent_name=None)
        (act.spoken / f"answered-{act.room}-human-agent").touch()
        await act.until(lambda: act.noted("answered"), "the human answers", LONG_S)
        await asyncio.sleep(INTO_IT_S)
        said = await human.say("who is it")
        assert await human.hears("I heard who is it", after=said, within_s=LONG_S), human.heard(at)
        killed = act.kill()
        measured = await act.after_kill("killed after a transfer", killed, tool=act.agent.tool)
        measured.tools_twice += len(act.noted("dialled")) - 1
        left = not human.agents
        measured.told.append(f"the human is left by the agent: {left}")
    return [measured]


async def left_and_returned(act: Act) -> list[Measured]:
    """The person leaves and comes back: to the job, to a new job, from another room."""
    await act.begin()
    measured = []
    await _leave(act)
    await asyncio.sleep(2)
    at = await act.person.come(act.room, agent_name=None)
    measured.append(await act.after_return("back in the same job", at))
    await _leave(act)
    await _until_closed(act)
    at = await act.call()
    measured.append(await act.after_return("back after the job", at))
    await _leave(act)
    act.room = act.new_room()
    at = await act.call()
    measured.append(await act.after_return("from another room", at))
    return measured


async def _leave(act: Act) -> None:
    """Leave in the quiet, in mid-speech, or in mid-tool."""
    way = (act.number - 1) % 3
    if way == 1:
        said = await act.person.say("tell me a story")
        assert await act.person.hears("Once", after=said, within_s=LONG_S)
        await asyncio.sleep(INTO_IT_S)
    elif way == 2 and act.agent.tool and not act.agent.changes_agents:  # noqa: PLR2004 (the third)
        await act.run_tool()
        await asyncio.sleep(0.5)
    await act.person.leave()


async def _until_closed(act: Act) -> None:
    """Wait until the room has closed, and its job with it."""

    async def rooms() -> int:
        found = await act.stand.api.room.list_rooms(api.ListRoomsRequest(names=[act.room]))
        return len(found.rooms)

    async with asyncio.timeout(LONG_S):
        while await rooms():  # noqa: ASYNC110 (LiveKit raises no event)
            await asyncio.sleep(0.2)
    await asyncio.sleep(1)
