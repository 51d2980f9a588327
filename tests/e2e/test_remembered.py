"""Talk, reload, be remembered: in a real browser, on real parts."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from livekit import api
from playwright.async_api import expect
from redis.asyncio import Redis

from dev.rig.browser.launch import launched
from dev.rig.browser.page import WAIT_MS, TalkPage
from dev.rig.net import NET_S
from session_store import SessionState
from session_store.keys import KeySpace
from session_store.livekit.rooms.rooms import AGENT, ENDED
from tests.e2e.forms import found_in
from tests.e2e.speech import speech_file

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from playwright.async_api import Playwright, Request, Route

    from dev.rig.browser.demo import Demo
    from session_store import SessionStore

    Visit = Callable[[], Awaitable[TalkPage]]


# The browser lives in one event loop, for all tests.
pytestmark = pytest.mark.asyncio(loop_scope="session")

NICE = "Nice to meet you, "
"""What the demo's agent says before a name that it heard."""


async def introduced(visit: Visit, name: str = "Maria") -> TalkPage:
    """Visit for the first time, and say a name."""
    tab = await visit()
    await tab.type(f"my name is {name}")
    await tab.says(f"my name is {name}", role="user")
    await tab.says(f"Nice to meet you, {name}")
    return tab


async def test_a_reload_is_welcomed_by_name(visit: Visit) -> None:
    """The whole conversation is on the page again, and the agent says name and visit number."""
    tab = await introduced(visit)
    before = await tab.bubbles()

    await tab.reload()

    await tab.says("Welcome back, Maria! This is visit number 2.")
    after = await tab.bubbles()
    assert after[: len(before)] == before
    assert len(after) == len(before) + 1
    await tab.type("What is my name?")
    await tab.says("What is my name?", role="user")
    await tab.says("Your name is Maria")


async def test_the_conversation_is_shown_before_the_network_answers(visit: Visit) -> None:
    """With the gateway out of reach, a reload still shows what was said, as being restored."""
    tab = await introduced(visit)
    before = await tab.bubbles()
    answer = asyncio.Event()

    async def hold(route: Route) -> None:
        await answer.wait()
        await route.continue_()

    await tab.page.route("**/api/token", hold)
    await tab.reload()
    await tab.page.get_by_test_id("turn").first.wait_for()
    assert await tab.bubbles() == before
    answer.set()
    await tab.says("Welcome back, Maria! This is visit number 2.")


async def test_spoken_words_are_remembered(
    playwright: Playwright, demo: Demo, tmp_path: Path
) -> None:
    """A name that was said into the microphone is on the page, and known after a reload."""
    microphone = await speech_file(tmp_path / "speech.wav", "My name is Maria.", after_s=8)
    async with launched(playwright, microphone=microphone) as browser:
        context = await browser.new_context(permissions=["microphone"])
        tab = await TalkPage.open(context, demo.page)
        await tab.press("start")
        await tab.says("My name is Maria", role="user", within_ms=3 * WAIT_MS)
        await tab.says("Nice to meet you, Maria")
        # Whatever else is said would interrupt the welcome.
        await tab.press("mic")
        known = await last_name(tab)

        await tab.reload()

        await tab.says(f"Welcome back, {known}! This is visit number 2.")
        assert "My name is Maria" in await tab.texts("user")
        assert tab.problems == []


async def last_name(tab: TalkPage) -> str:
    """Return the name that the agent heard last: on a busy machine, another one perhaps.

    What it did not catch after that changes no name.
    """
    before: list[str] = []
    while (said := await tab.texts("assistant")) != before:
        before = said
        await asyncio.sleep(2)
    greeted = [words for words in said if words.startswith(NICE)]
    return greeted[-1].removeprefix(NICE).partition(".")[0]


async def test_a_conversation_that_the_agent_ended_is_over_on_the_page(
    visit: Visit, demo: Demo
) -> None:
    """The page says so, leaves the room, and waits for no other agent, not even after a reload."""
    tab = await introduced(visit)
    key, secret = next(iter(json.loads(demo.livekit_config.read_text())["keys"].items()))
    async with api.LiveKitAPI(demo.livekit_url, key, secret) as livekit:
        rooms = (await livekit.room.list_rooms(api.ListRoomsRequest())).rooms
        for room in (room.name for room in rooms):
            request = api.ListParticipantsRequest(room=room)
            for each in (await livekit.room.list_participants(request)).participants:
                if each.kind == api.ParticipantInfo.Kind.STANDARD:
                    await livekit.room.update_participant(
                        api.UpdateParticipantRequest(
                            room=room, identity=each.identity, attributes={AGENT: ENDED}
                        )
                    )
    over = tab.page.get_by_text("The assistant ended this conversation.")
    await expect(over).to_be_visible(timeout=WAIT_MS)
    assert "my name is Maria" in await tab.texts("user")
    await tab.reload()
    await expect(over).to_be_visible(timeout=WAIT_MS)
    assert tab.problems == []


async def test_a_page_that_was_closed_for_a_while_goes_on(visit: Visit, demo: Demo) -> None:
    """After four seconds without a page, the conversation continues as the second visit."""
    tab = await introduced(visit)
    context = tab.page.context
    await tab.page.close()
    await asyncio.sleep(4)
    again = await TalkPage.open(context, demo.page)
    await again.says("Welcome back, Maria! This is visit number 2.")
    assert "my name is Maria" in await again.texts("user")


async def test_after_the_resume_window_a_new_session_begins(visit: Visit, demo: Demo) -> None:
    """A participant who comes too late is greeted as new; the old conversation is not mixed in."""
    tab = await introduced(visit)
    async with demo.store() as store:
        participant = store.pseudonym(await tab.identity())
        first = (await store.open(participant)).session.id
        await tab.press("end")
        await tab.state("ended")
        await window_closes(store, participant, first)

        await tab.reload()
        await tab.press("continue")

        await tab.says("Hello! I am your assistant.")
        assert all("Maria" not in bubble.text for bubble in await tab.bubbles())
        second = (await store.open(participant)).session
        old = await store.load(participant, first)
    assert second.id != first
    assert second.reconnect_count == 0
    assert old is not None
    assert old.session.state is SessionState.ENDED
    assert "my name is Maria" in [each.turn.text for each in old.turns]


async def test_a_conversation_that_does_not_open_is_left_for_a_new_one(
    visit: Visit, demo: Demo, whole_redis: str
) -> None:
    """The page says so, keeps what it shows, asks no further, and begins anew when told to."""
    tab = await introduced(visit)
    before = await tab.bubbles()
    async with demo.store() as store:
        participant = store.pseudonym(await tab.identity())
        first = (await store.open(participant)).session.id
    await break_first_turn(whole_redis, participant, first)
    asked: list[dict[str, Any]] = []

    def note(request: Request) -> None:
        if request.url.endswith("/api/token"):
            asked.append(request.post_data_json or {})

    tab.page.on("request", note)
    await tab.reload()
    await tab.state("failed")
    button = tab.page.get_by_test_id("start-new")
    await expect(button).to_be_visible()
    await expect(tab.page.get_by_test_id("notice")).to_contain_text("it cannot be opened")
    await expect(tab.page.get_by_test_id("retry")).to_be_hidden()
    assert await tab.bubbles() == before
    assert len(asked) == 1
    # The browser itself notes each answer of this kind.
    assert [each for each in tab.problems if "409" not in each] == []
    tab.problems.clear()

    await button.focus()
    await button.press("Enter")

    await tab.says("Hello! I am your assistant.")
    await expect(button).to_be_hidden()
    await expect(tab.page.locator("#talk")).to_be_focused()
    assert all("Maria" not in bubble.text for bubble in await tab.bubbles())
    await tab.reload()
    await tab.says("Welcome back! This is visit number 2.")
    assert ["new_session" in each for each in asked][:2] == [False, True]
    assert not any("new_session" in each for each in asked[2:])


async def break_first_turn(whole_redis: str, participant: str, session_id: str) -> None:
    """Change a byte of what Redis holds of the first turn: its seal does not open any more."""
    turns = KeySpace().participant(participant).turns(session_id)
    async with Redis.from_url(whole_redis) as raw:
        client: Any = raw
        sealed = bytearray(await client.lindex(turns, 0))
        sealed[-20] ^= 1
        await client.lset(turns, 0, bytes(sealed))


async def window_closes(store: SessionStore, participant: str, session_id: str) -> None:
    """Wait until the agent has seen the participant leave, and the resume window has passed."""
    async with asyncio.timeout(NET_S):
        while True:
            loaded = await store.load(participant, session_id)
            assert loaded is not None
            until = loaded.session.resume_until
            # A sweeper may have ended the session already.
            has_ended = loaded.session.state is SessionState.ENDED
            if has_ended or (until is not None and datetime.now(UTC) > until):
                return
            await asyncio.sleep(0.2)


async def test_two_people_at_once_stay_apart(visit: Visit) -> None:
    """Each is known by their own name, and sees their own words alone."""
    maria, john = await asyncio.gather(introduced(visit, "Maria"), introduced(visit, "John"))
    await asyncio.gather(maria.reload(), john.reload())
    await asyncio.gather(
        maria.says("Welcome back, Maria! This is visit number 2."),
        john.says("Welcome back, John! This is visit number 2."),
    )
    assert all("John" not in bubble.text for bubble in await maria.bubbles())
    assert all("Maria" not in bubble.text for bubble in await john.bubbles())


async def test_the_first_fact_is_known_after_thirty_turns(visit: Visit) -> None:
    """What was remembered outlives the turns that the model is given, and a reload."""
    tab = await visit()
    await tab.type("Remember that my cat is called Tom")
    await tab.says("cat is called Tom")
    for number in range(30):
        await tab.type(f"This is sentence number {number}")
        await tab.says(f"This is sentence number {number}", role="user")
    await tab.reload()
    await tab.says("Welcome back!")
    shown = await tab.bubbles()
    assert (shown[-1].seq or 0) > 30
    await tab.type("What did I ask you to remember?")
    await tab.says("your cat is called Tom")


async def test_what_is_typed_before_the_agent_is_ready_is_answered_once(visit: Visit) -> None:
    """Three messages sent at once, before there is a connection, arrive in order, each once."""
    tab = await visit()
    words = ["my name is Maria", "remember that my dog is called Rex", "what is my name?"]
    for each in words:
        await tab.type(each)
    for each in words:
        await tab.says(each, role="user")
    await tab.says("Your name is Maria")
    assert await tab.texts("user") == words


async def test_a_language_stays(visit: Visit) -> None:
    """A participant who asked for German is welcomed in German."""
    tab = await introduced(visit)
    await tab.type("speak German")
    await tab.says("Deutsch")
    await tab.reload()
    await tab.says("Willkommen zurück, Maria! Das ist Besuch Nummer 2.")


async def test_who_asks_to_be_forgotten_is(visit: Visit, demo: Demo, whole_redis: str) -> None:
    """After a confirmation, Redis holds nothing but that it was so, and the page starts as new."""
    tab = await introduced(visit)
    identity = await tab.identity()
    async with demo.store() as store:
        participant = store.pseudonym(identity)
    await tab.type("forget me")
    await tab.says("Shall I forget everything about you?")
    await tab.type("yes")
    await tab.page.get_by_text("Everything about you was erased").wait_for()
    assert await keys_of(whole_redis, participant) == [KeySpace().participant(participant).erased]
    assert await tab.identity() != identity
    await tab.reload()
    assert await tab.bubbles() == []


async def keys_of(whole_redis: str, participant: str) -> list[str]:
    """Return the keys that belong to a participant."""
    async with Redis.from_url(whole_redis, decode_responses=True) as raw:
        return [key async for key in raw.scan_iter(match=f"*{participant}*")]


async def test_a_killed_job_is_replaced_when_the_person_comes_back(
    visit: Visit, demo: Demo
) -> None:
    """A reload after the agent's process was killed finds another one, that knows the name."""
    tab = await introduced(visit)
    psutil.Process(demo.pid_of_newest_job()).kill()
    await tab.reload()
    await tab.says("Welcome back, Maria! This is visit number 2.")
    await tab.type("what is my name?")
    await tab.says("Your name is Maria")


async def test_no_word_of_a_person_is_in_redis_in_a_log_or_in_a_metric(
    visit: Visit, demo: Demo, whole_redis: str, metrics_port: int
) -> None:
    """Not the name, not what was said or answered, not the page's id, in whatever form."""
    tab = await introduced(visit, "Philippa")
    await tab.type("Remember that my parrot is called Leonardo Ñandú")
    await tab.says("parrot is called Leonardo")
    await tab.reload()
    await tab.says("Welcome back, Philippa! This is visit number 2.")
    await tab.type("speak German")
    await tab.says("Deutsch")
    identity = await tab.identity()
    secrets = ["Philippa", "Leonardo", "Ñandú", "parrot", "nice to meet", "Deutsch"]
    # Parts of the id would do, too.
    secrets += [identity, identity[:10], identity[-10:]]

    held = await everything_in(whole_redis)
    logged = demo.log.read_bytes()
    measured = await asyncio.to_thread(scrape, metrics_port)

    # The sealed turns and contents were among what was read, and so was every part's log.
    assert b'"list"' in held
    assert b"\ncontent\n" in held
    assert b"RoomIO linked" in logged
    assert b"starting RTC session" in logged
    assert b"session_connections_total" in measured
    assert found_in(held, secrets) == []
    assert found_in(logged, secrets) == []
    assert found_in(measured, secrets) == []


def scrape(port: int) -> bytes:
    """Return what Prometheus reads of the worker."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        body: bytes = answer.read()
    return body


async def test_each_line_of_our_programs_is_json_and_names_its_conversation(
    visit: Visit, demo: Demo
) -> None:
    """A job's lines have its id and the session's, LiveKit's own lines too."""
    tab = await introduced(visit)
    async with demo.store() as store:
        session_id = (await store.open(store.pseudonym(await tab.identity()))).session.id
    await tab.reload()
    await tab.says("Welcome back, Maria! This is visit number 2.")

    records = {
        part: [json.loads(line) for line in demo.lines(part)] for part in ("worker", "gateway")
    }
    for each in (record for part in records.values() for record in part):
        assert {"message", "level", "name", "pid", "timestamp"} <= each.keys()
    ours = [each for each in records["worker"] if each.get("session_id") == session_id]
    jobs = {each["job_id"] for each in ours if "job_id" in each}
    assert {"joined", "the participant came"} <= {each["message"] for each in ours}
    assert len(jobs) == 1
    of_jobs = [each for each in records["worker"] if each.get("job_id") in jobs]
    assert len(of_jobs) > len([each for each in of_jobs if each["name"].startswith("session_")])
    assert [each for each in of_jobs if each.get("session_id") != session_id] == []
    [sent] = [each for each in records["gateway"] if each.get("session_id") == session_id]
    assert sent["message"] == "dispatching an agent"
    assert sent["request_id"]


async def everything_in(whole_redis: str) -> bytes:
    """Return every key and every value of the demo's Redis."""
    parts: list[bytes] = []
    async with Redis.from_url(whole_redis) as raw:
        client: Any = raw
        async for key in client.scan_iter():
            kind = (await client.type(key)).decode()
            read = {
                "hash": client.hgetall,
                "string": client.get,
                "stream": client.xrange,
                "set": client.smembers,
                "list": lambda name: client.lrange(name, 0, -1),
                "zset": lambda name: client.zrange(name, 0, -1, withscores=True),
            }[kind]
            value = await read(key)
            if isinstance(value, bytes):
                value = [value]
            items = value.items() if isinstance(value, dict) else value
            parts.append(key + json.dumps(kind).encode())
            parts += [part for item in items for part in _flat(item)]
    return b"\n".join(parts)


def _flat(item: Any) -> list[bytes]:
    each = item if isinstance(item, tuple) else (item,)
    return [part if isinstance(part, bytes) else str(part).encode() for part in each]


async def test_a_message_that_is_too_long_stays_in_the_box(visit: Visit) -> None:
    """10 000 characters are not sent; the page says why and keeps them to be shortened."""
    tab = await introduced(visit)
    before = len(await tab.bubbles())
    await tab.type("x" * 10_000)
    await tab.page.get_by_text("4,000").first.wait_for()
    assert len(await tab.page.get_by_test_id("message-input").input_value()) == 10_000
    assert len(await tab.bubbles()) == before
