"""The gateway over HTTP, with a real Redis and a real livekit-server."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx2 as httpx
import pytest
from livekit import api, rtc
from pydantic import SecretStr

from dev.rig.servers.process import standalone
from gateway.app import create_app
from gateway.settings import GatewaySettings
from session_store import AgentPresence, SessionStore, StoreSettings, Turn, TurnKind
from session_store.keys import KeySpace
from session_store.livekit.rooms.pings import HERE, PING
from session_store.values import Replayed
from tests.integration.keeping import talk_and_go, turn
from tests.integration.livekit import LiveKit, running_livekit
from tests.integration.test_store import age

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def livekit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveKit]:
    """Run one livekit-server for this file."""
    with running_livekit(tmp_path_factory.mktemp("livekit")) as server:
        yield server


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Return a folder that stands for the built page."""
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>page</title>")
    (folder / "assets" / "a-1.js").write_text("1")
    return folder


@pytest.fixture
def gateway_settings(livekit: LiveKit, page: Path) -> GatewaySettings:
    """Return settings that point at the test's LiveKit."""
    return GatewaySettings(
        livekit_url=livekit.url,
        livekit_api_key=livekit.key,
        livekit_api_secret=livekit.secret,
        gateway_page=page,
    )


@asynccontextmanager
async def serving(
    settings: GatewaySettings, store_settings: StoreSettings
) -> AsyncIterator[httpx.AsyncClient]:
    """Run the application, and give a client that speaks to it."""
    app = create_app(settings, store_settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://page.test") as client:
            yield client


@pytest.fixture
async def client(
    gateway_settings: GatewaySettings, settings: StoreSettings
) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of a gateway with default settings."""
    async with serving(gateway_settings, settings) as client:
        yield client


@pytest.fixture
async def livekit_api(livekit: LiveKit) -> AsyncIterator[api.LiveKitAPI]:
    """Return LiveKit's own API, to look at what the gateway did there."""
    async with api.LiveKitAPI(livekit.url, livekit.key, livekit.secret) as client:
        yield client


def secret_id() -> str:
    """Make an id as a page does."""
    return secrets.token_urlsafe(16)


async def ask(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    """Ask for a token."""
    return await client.post("/api/token", json=fields)


async def test_a_page_gets_a_token_for_its_own_room(
    client: httpx.AsyncClient, livekit: LiveKit, livekit_api: api.LiveKitAPI
) -> None:
    """The token names the pseudonym and one room, which exists and waits longer than retries do."""
    mine = secret_id()
    response = await ask(
        client, participant_identity=mine, participant_attributes={"rj.load": "x" * 22}
    )
    answer = response.json()
    claims = api.TokenVerifier(livekit.key, livekit.secret).verify(answer["participant_token"])

    assert response.status_code == 201
    assert mine not in response.text
    assert claims.identity == answer["participant_identity"]
    assert claims.attributes == {"rj.load": "x" * 22}
    assert claims.video is not None
    assert claims.video.room == answer["room_name"] == answer["session_id"]
    assert claims.video.can_publish_sources == ["microphone"]
    assert not claims.video.room_admin
    assert not claims.video.can_update_own_metadata
    rooms = (await livekit_api.room.list_rooms(api.ListRoomsRequest())).rooms
    room = next(each for each in rooms if each.name == answer["room_name"])
    assert room.departure_timeout > 44
    assert (answer["resumed"], answer["last_seq"], answer["turns"]) == (False, 0, [])
    assert answer["server_url"] == livekit.url


async def test_the_same_page_gets_the_same_session_and_others_do_not(
    client: httpx.AsyncClient,
) -> None:
    """A reload finds the session, with the page's hint or without; another page finds its own."""
    mine = secret_id()
    first = (await ask(client, participant_identity=mine)).json()
    again = (await ask(client, participant_identity=mine)).json()
    hinted = (await ask(client, participant_identity=mine, session_id=first["session_id"])).json()
    other = (
        await ask(client, participant_identity=secret_id(), session_id=first["session_id"])
    ).json()
    assert again["session_id"] == hinted["session_id"] == first["session_id"]
    assert again["resumed"]
    assert other["session_id"] != first["session_id"]
    assert other["participant_identity"] != first["participant_identity"]


async def test_the_answer_has_the_turns_that_the_page_lacks(
    client: httpx.AsyncClient, store: SessionStore
) -> None:
    """What people and agents said comes with its number; tools stay inside."""
    mine = secret_id()
    session_id = (await ask(client, participant_identity=mine)).json()["session_id"]
    joined = await store.join(store.pseudonym(mine), session_id=session_id, exact=True)
    turns = [
        Turn(id="1", role="user", text="my name is Maria", created_at=1.5),
        Turn(id="2", kind=TurnKind.TOOL_CALL, created_at=2, details={"arguments": "hidden"}),
        Turn(id="3", role="assistant", text="Hello Maria", created_at=3, interrupted=True),
    ]
    await store.append(joined.lease, [store.seal(joined.lease, turn) for turn in turns])

    everything = (await ask(client, participant_identity=mine)).json()
    newer = (
        await ask(client, participant_identity=mine, session_id=session_id, after_seq=1)
    ).json()

    assert everything["turns"] == [
        {
            "id": "1",
            "seq": 1,
            "role": "user",
            "text": "my name is Maria",
            "created_at": 1.5,
            "interrupted": False,
        },
        {
            "id": "3",
            "seq": 3,
            "role": "assistant",
            "text": "Hello Maria",
            "created_at": 3.0,
            "interrupted": True,
        },
    ]
    assert [turn["id"] for turn in newer["turns"]] == ["3"]
    assert newer["last_seq"] == 3


async def test_turns_that_came_late_are_in_their_place(
    client: httpx.AsyncClient, store: SessionStore
) -> None:
    """They name the turn that they follow, are marked, and come whatever the page has already."""
    mine = secret_id()
    session_id = (await ask(client, participant_identity=mine)).json()["session_id"]
    dead = await store.join(store.pseudonym(mine), session_id=session_id, exact=True)
    await store.append(dead.lease, [store.seal(dead.lease, turn(10))])
    unsaved = [
        turn(20),
        Turn(id="tool", kind=TurnKind.TOOL_CALL, created_at=turn(21).created_at),
        turn(22),
        turn(40),
    ]
    left = [store.seal(dead.lease, each) for each in unsaved]
    await store.release(dead.lease)
    successor = await store.join(store.pseudonym(mine), session_id=session_id, exact=True)
    await store.append(successor.lease, [store.seal(successor.lease, turn(30))])
    assert await store.replay(dead.lease.ref, left) is Replayed.LATE

    everything = (await ask(client, participant_identity=mine)).json()
    newer = (
        await ask(client, participant_identity=mine, session_id=session_id, after_seq=2)
    ).json()

    assert [(each["id"], each["seq"], each.get("late")) for each in everything["turns"]] == [
        ("turn-10", 1, None),
        ("turn-20", 1, True),
        ("turn-22", 1, True),
        ("turn-30", 2, None),
        ("turn-40", 2, True),
    ]
    late = [each for each in everything["turns"] if "late" in each]
    assert newer["turns"] == late
    assert newer["last_seq"] == everything["last_seq"] == 2


async def break_content(raw: Any, participant: str, session_id: str) -> None:
    """Change a byte of the sealed content."""
    key = KeySpace().participant(participant).session(session_id)
    await raw.hset(key, "content", flipped(await raw.hget(key, "content")))


async def break_turn(raw: Any, participant: str, session_id: str) -> None:
    """Change a byte of a sealed turn."""
    key = KeySpace().participant(participant).turns(session_id)
    await raw.lset(key, 0, flipped(await raw.lindex(key, 0)))


async def seal_by_a_later_version(raw: Any, participant: str, session_id: str) -> None:
    """Replace the content by one that a version yet to come has sealed."""
    key = KeySpace().participant(participant).session(session_id)
    await raw.hset(key, "content", b"\xff" + secrets.token_bytes(60))


def flipped(sealed: bytes) -> bytes:
    """Return a record with a bit changed between its nonce and its tag."""
    return sealed[:14] + bytes((sealed[14] ^ 1,)) + sealed[15:]


@pytest.mark.parametrize("spoil", [break_content, break_turn, seal_by_a_later_version])
async def test_who_cannot_go_on_is_told_so_and_may_begin_anew(
    client: httpx.AsyncClient,
    store: SessionStore,
    raw: Any,
    spoil: Callable[[Any, str, str], Awaitable[None]],
) -> None:
    """A session that does not open locks no one out: it is kept, and another one can begin."""
    mine = secret_id()
    participant = store.pseudonym(mine)
    old = (await talk_and_go(store, participant)).session.id
    await spoil(raw, participant, old)

    for _ in range(2):
        locked = await ask(client, participant_identity=mine, session_id=old, after_seq=3)
        error = locked.json()["error"]
        assert (locked.status_code, error["code"]) == (409, "conversation_unreadable")
        assert "kept" in error["message"]
        assert "start a new one" in error["message"]
        assert old not in locked.text
    assert (await store.sessions(participant)).total == 1
    begun = await ask(client, participant_identity=mine, session_id=old, new_session=True)
    again = await ask(client, participant_identity=mine, session_id=old)

    assert begun.status_code == again.status_code == 201
    assert begun.json()["session_id"] == again.json()["session_id"] != old
    assert (begun.json()["resumed"], begun.json()["turns"]) == (False, [])
    assert again.json()["resumed"]
    kept = (await store.sessions(participant)).sessions
    assert {each.id for each in kept} == {old, begun.json()["session_id"]}


async def test_a_new_session_is_begun_only_for_who_asks(client: httpx.AsyncClient) -> None:
    """A conversation that could go on is left for another one by those words alone."""
    mine = secret_id()
    first = (await ask(client, participant_identity=mine, new_session=False)).json()
    second = (await ask(client, participant_identity=mine, new_session=True)).json()
    third = (
        await ask(
            client,
            participant_identity=mine,
            session_id=second["session_id"],
            new_session=False,
        )
    ).json()
    assert first["session_id"] != second["session_id"] == third["session_id"]


async def break_data_key(raw: Any, participant: str) -> None:
    """Change a byte of the wrapped data key."""
    key = KeySpace().participant(participant).data_key
    await raw.hset(key, "wrapped", flipped(await raw.hget(key, "wrapped")))


async def lose_key(raw: Any, participant: str) -> None:
    """Let the data key be wrapped by one that the keyring lacks."""
    await raw.hset(KeySpace().participant(participant).data_key, "kek", "lost")


@pytest.mark.parametrize("spoil", [break_data_key, lose_key])
async def test_whose_key_does_not_open_is_sent_to_an_operator(
    client: httpx.AsyncClient,
    store: SessionStore,
    raw: Any,
    spoil: Callable[[Any, str], Awaitable[None]],
) -> None:
    """A new session would not open either, so none is offered, and the page need not try again."""
    mine = secret_id()
    participant = store.pseudonym(mine)
    await talk_and_go(store, participant)
    await spoil(raw, participant)
    for new_session in (False, True):
        response = await ask(client, participant_identity=mine, new_session=new_session)
        error = response.json()["error"]
        assert (response.status_code, error["code"]) == (409, "operator_needed")
        assert "kept" in error["message"]
        assert "operator of this service" in error["message"]


async def dispatches(livekit_api: api.LiveKitAPI, room: str) -> int:
    """Return how many agents were dispatched to a room by name.

    LiveKit adds a dispatch of its own, without a name, to every room: for agents that are not
    dispatched explicitly.
    """
    everything = await livekit_api.agent_dispatch.list_dispatch(room)
    return sum(each.agent_name == "assistant" for each in everything)


async def until(condition: Callable[[], Any], within_s: float = 10) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(within_s):
        while not await condition():
            await asyncio.sleep(0.05)


async def test_many_requests_dispatch_one_agent(
    client: httpx.AsyncClient, livekit_api: api.LiveKitAPI
) -> None:
    """However often a page asks, its room gets one agent."""
    mine = secret_id()
    answers = await asyncio.gather(*(ask(client, participant_identity=mine) for _ in range(8)))
    (room,) = {answer.json()["room_name"] for answer in answers}

    async def dispatched() -> bool:
        return await dispatches(livekit_api, room) > 0

    await until(dispatched)
    await asyncio.sleep(1)
    assert await dispatches(livekit_api, room) == 1


async def test_who_asks_too_often_waits(
    gateway_settings: GatewaySettings, settings: StoreSettings
) -> None:
    """A loop takes no agents from others: it is refused, and told when to ask again."""
    mine = secret_id()
    few = gateway_settings.model_copy(
        update={"gateway_asks_per_minute": 2, "gateway_asks_per_minute_address": 30}
    )
    async with serving(few, settings) as client:
        answers = [await ask(client, participant_identity=mine) for _ in range(22)]
        other = await ask(client, participant_identity=secret_id())
        many = [await ask(client, participant_identity=secret_id()) for _ in range(40)]
    assert [answer.status_code for answer in answers[:20]] == [201] * 20
    refused = answers[-1]
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "too_many_requests"
    assert "Try again in" in refused.json()["error"]["message"]
    assert int(refused.headers["retry-after"]) > 1
    assert other.status_code == 201
    assert many[-1].status_code == 429, "one address with many identities"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "participant_identity"),
        ({"participant_identity": "short"}, "participant_identity"),
        ({"participant_identity": "x" * 65}, "participant_identity"),
        ({"participant_identity": "x" * 21 + "/"}, "participant_identity"),
        ({"participant_identity": 7}, "participant_identity"),
        ({"participant_identity": None}, "participant_identity"),
        ({"unknown": 1}, "unknown"),
        ({"room_name": "somebody-elses"}, "room_name"),
        ({"participant_name": "Maria"}, "participant_name"),
        ({"participant_metadata": "x"}, "participant_metadata"),
        ({"room_config": {"agents": [{"agent_name": "other"}]}}, "room_config"),
        ({"participant_attributes": {"lk.agent.state": "speaking"}}, "lk.agent.state"),
        ({"participant_attributes": {"rj.load": "x"}}, "rj.load"),
        ({"session_id": "../../etc/passwd"}, "session_id"),
        ({"after_seq": -1}, "after_seq"),
        ({"after_seq": 1.5}, "after_seq"),
        ({"new_session": "yes"}, "new_session"),
        ({"new_session": 1}, "new_session"),
        ({"without_store": "yes"}, "without_store"),
        ({"unless_elsewhere": 1}, "unless_elsewhere"),
    ],
)
async def test_a_malformed_request_is_refused_by_field(
    client: httpx.AsyncClient, fields: dict[str, Any], named: str
) -> None:
    """The error names the field, does not repeat its value, and changes nothing."""
    valid = (
        {}
        if not fields or "participant_identity" in fields
        else {"participant_identity": secret_id()}
    )
    response = await ask(client, **valid, **fields)
    error = response.json()["error"]
    assert response.status_code == 422
    assert error["code"] == "malformed_request"
    assert named in error["message"]
    assert "passwd" not in response.text
    assert "Traceback" not in response.text


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[]", b"null", b'{"a": NaN}'])
async def test_a_body_that_is_no_object_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    """Whatever is sent, the answer is a sentence."""
    response = await client.post(
        "/api/token", content=body, headers={"content-type": "application/json"}
    )
    assert response.status_code in {400, 422}
    assert response.json()["error"]["message"]


async def test_an_identity_of_a_megabyte_is_refused(client: httpx.AsyncClient) -> None:
    """A body is read no further than it may be long, whether its length is announced or not."""
    huge = b'{"participant_identity": "' + b"x" * 1_000_000 + b'"}'

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(huge), 10_000):
            yield huge[start : start + 10_000]

    for content in (huge, chunks()):
        response = await client.post("/api/token", content=content)
        assert response.status_code == 413
        assert response.json()["error"]["code"] == "body_too_large"


async def test_another_sites_page_is_refused(client: httpx.AsyncClient) -> None:
    """A foreign page that makes a browser ask gets nothing."""
    response = await client.post(
        "/api/token",
        json={"participant_identity": secret_id()},
        headers={"sec-fetch-site": "cross-site"},
    )
    assert response.status_code == 403


async def test_the_page_is_served_under_a_strict_policy(
    client: httpx.AsyncClient, livekit: LiveKit
) -> None:
    """Scripts come from here alone, connections go here and to LiveKit alone, framing is denied."""
    response = await client.get("/")
    policy = response.headers["content-security-policy"]
    assert response.status_code == 200
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert f"connect-src 'self' {livekit.url} " in policy
    assert "frame-ancestors 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "unsafe" not in policy
    assert response.headers["cache-control"] == "no-cache"
    assert "immutable" in (await client.get("/assets/a-1.js")).headers["cache-control"]
    tokens = await ask(client, participant_identity=secret_id())
    assert tokens.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/nothing", "/api/nothing", "/..%2f..%2fetc/passwd", "/docs"])
async def test_an_unknown_address_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    """There is the page and the API, and nothing else."""
    response = await client.get(path)
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"


async def test_health_says_what_is_reached(client: httpx.AsyncClient) -> None:
    """With Redis and LiveKit there, the gateway is alive and ready."""
    assert (await client.get("/healthz")).status_code == 200
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"redis": "ok", "livekit": "ok"})


async def test_a_redis_that_is_away_is_named(
    gateway_settings: GatewaySettings, settings: StoreSettings
) -> None:
    """Without Redis the gateway serves the page and is not ready, without a word on where it is."""
    async with serving(gateway_settings, without_redis(settings)) as client:
        ready = await client.get("/readyz")
        assert (await client.get("/")).status_code == 200
    assert ready.status_code == 503
    assert ready.json()["redis"].startswith("Redis does not answer")
    assert "127.0.0.1" not in ready.text


def without_redis(settings: StoreSettings) -> StoreSettings:
    """Return the same settings, at an address without a listener."""
    return StoreSettings.model_validate(
        {**settings.model_dump(), "redis_url": "redis://127.0.0.1:1/0"}
    )


async def test_while_redis_is_away_people_are_let_in(
    gateway_settings: GatewaySettings,
    settings: StoreSettings,
    livekit: LiveKit,
    livekit_api: api.LiveKitAPI,
) -> None:
    """The session that the page shows goes on, or one begins, in a room that gets one agent."""
    mine = secret_id()
    async with serving(gateway_settings, without_redis(settings)) as client:
        begun = await ask(
            client, participant_identity=mine, participant_attributes={"rj.load": "x" * 22}
        )
        room = begun.json()["session_id"]

        async def dispatched() -> bool:
            return await dispatches(livekit_api, room) > 0

        await until(dispatched)
        again = await asyncio.gather(
            *(
                ask(
                    client,
                    participant_identity=mine,
                    session_id=room,
                    after_seq=7,
                    without_store=True,
                )
                for _ in range(4)
            )
        )
        await asyncio.sleep(0.5)
    token = api.TokenVerifier(livekit.key, livekit.secret).verify(begun.json()["participant_token"])

    answer = begun.json()
    assert begun.status_code == 201
    assert (answer["saved"], answer["resumed"], answer["last_seq"]) == (False, False, 0)
    assert token.identity == answer["participant_identity"]
    assert token.attributes == {"rj.load": "x" * 22}
    assert token.video is not None
    assert token.video.room == answer["room_name"] == room
    for response in again:
        answer = response.json()
        assert (answer["session_id"], answer["turns"]) == (room, [])
        assert (answer["saved"], answer["resumed"], answer["last_seq"]) == (False, True, 7)
    assert await dispatches(livekit_api, room) == 1


async def test_while_redis_is_full_people_are_let_in(
    gateway_settings: GatewaySettings, settings: StoreSettings, tmp_path: Path
) -> None:
    """Nothing can be written until it has room, but an agent can talk, and saves later."""
    with standalone(tmp_path / "full", "--maxmemory", "1") as full:
        url = SecretStr(f"redis://{full.name}/0")
        full_one = settings.model_copy(update={"redis_url": url})
        async with serving(gateway_settings, full_one) as client:
            begun = await ask(client, participant_identity=secret_id())
    assert begun.status_code == 201
    assert (begun.json()["saved"], begun.json()["resumed"]) == (False, False)


async def test_while_redis_is_away_nobody_gets_into_the_room_of_another(
    gateway_settings: GatewaySettings, settings: StoreSettings, store: SessionStore
) -> None:
    """A session id that was not made for this participant opens a new session, not that one."""
    theirs = (await store.open(store.pseudonym(secret_id()))).session.id
    async with serving(gateway_settings, without_redis(settings)) as client:
        for named in (theirs, "a" * 26):
            answer = (
                await ask(client, participant_identity=secret_id(), session_id=named, after_seq=3)
            ).json()
            assert answer["session_id"] != named
            assert (answer["resumed"], answer["last_seq"]) == (False, 0)


async def test_who_asks_for_a_new_session_gets_one_without_redis_too(
    gateway_settings: GatewaySettings, settings: StoreSettings
) -> None:
    """It is another one than the page shows, each time it is asked for."""
    mine = secret_id()
    async with serving(gateway_settings, without_redis(settings)) as client:
        first = (await ask(client, participant_identity=mine)).json()["session_id"]
        second = (await ask(client, participant_identity=mine, new_session=True)).json()
    assert second["session_id"] != first
    assert not second["resumed"]


async def test_an_agent_that_is_there_is_left_alone_while_redis_is_away(
    gateway_settings: GatewaySettings,
    settings: StoreSettings,
    livekit: LiveKit,
    livekit_api: api.LiveKitAPI,
    store: SessionStore,
) -> None:
    """No claim is possible, so what LiveKit shows decides: no second agent joins a working one."""
    mine = secret_id()
    participant = store.pseudonym(mine)
    room = store.keyring.new_session_id(participant)
    async with (
        agent_in(livekit, room),
        serving(gateway_settings, without_redis(settings)) as client,
    ):
        answer = (await ask(client, participant_identity=mine, session_id=room)).json()
        await asyncio.sleep(0.5)
        assert answer["session_id"] == room
        assert await dispatches(livekit_api, room) == 0
        there = await livekit_api.room.list_participants(api.ListParticipantsRequest(room=room))
        assert [each.identity for each in there.participants] == ["agent"]


@asynccontextmanager
async def agent_in(livekit: LiveKit, room: str) -> AsyncIterator[rtc.Room]:
    """Let an agent be in a room that answers when it is asked whether it lives."""
    token = api.AccessToken(livekit.key, livekit.secret).with_identity("agent").with_kind("agent")
    token = token.with_attributes({"lk.agent.name": "assistant"})
    async with there(livekit, token, room) as agent:

        async def answer(_: rtc.RpcInvocationData) -> str:
            return HERE

        agent.local_participant.register_rpc_method(PING, answer)
        yield agent


@asynccontextmanager
async def there(livekit: LiveKit, token: api.AccessToken, name: str) -> AsyncIterator[rtc.Room]:
    """Let a participant be in a room."""
    room = rtc.Room()
    grants = api.VideoGrants(room_join=True, room=name)
    await room.connect(livekit.url, token.with_grants(grants).to_jwt())
    try:
        yield room
    finally:
        await room.disconnect()


async def test_a_session_begun_without_redis_is_in_the_store_afterwards(
    client: httpx.AsyncClient, store: SessionStore
) -> None:
    """The page that was let into it goes on in it, whether its agent has made it or not."""
    mine = secret_id()
    participant = store.pseudonym(mine)
    for made_by_agent in (False, True):
        begun = store.keyring.new_session_id(participant)
        if made_by_agent:
            await store.open_new(participant, session_id=begun)
        answer = (
            await ask(client, participant_identity=mine, session_id=begun, without_store=True)
        ).json()
        plain = (await ask(client, participant_identity=mine, session_id=begun)).json()
        assert answer["session_id"] == plain["session_id"] == begun
        assert answer["saved"]
        assert answer["resumed"] is made_by_agent
        assert plain["resumed"]


async def test_a_session_that_ended_meanwhile_goes_on_for_who_was_let_into_it(
    client: httpx.AsyncClient, store: SessionStore, raw: Any
) -> None:
    """The page was told that it goes on, and said more in it since; no other page is admitted."""
    mine = secret_id()
    ended = (await talk_and_go(store, store.pseudonym(mine))).session.id
    await age(raw, store, mine, ended, 400)
    plain = (await ask(client, participant_identity=mine, session_id=ended)).json()
    assert plain["session_id"] != ended

    goes_on = (
        await ask(client, participant_identity=mine, session_id=ended, without_store=True)
    ).json()
    other = (
        await ask(client, participant_identity=secret_id(), session_id=ended, without_store=True)
    ).json()

    assert goes_on["session_id"] == ended
    assert goes_on["resumed"]
    assert goes_on["turns"]
    assert other["session_id"] != ended


async def test_where_agents_keep_failing_a_new_conversation_is_offered(
    gateway_settings: GatewaySettings,
    settings: StoreSettings,
    make_store: Callable[..., SessionStore],
) -> None:
    """The page is told so instead of waiting; a new session is never refused by it."""
    mine = secret_id()
    store = make_store(lease_s=0.4, lease_renew_s=0.1)
    participant = store.pseudonym(mine)
    session_id = (await store.open(participant, expect_agent=True)).session.id
    while await store.claim_orphan(participant, session_id) is not AgentPresence.GAVE_UP:
        joined = await store.join(participant, session_id=session_id, exact=True)
        await store.release(joined.lease)

    async with serving(gateway_settings, settings) as client:
        refused = await ask(client, participant_identity=mine, session_id=session_id)
        begun = await ask(
            client, participant_identity=mine, session_id=session_id, new_session=True
        )

    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (409, "agent_keeps_failing")
    assert "stopped several times" in error["message"]
    assert "start a new conversation" in error["message"]
    assert begun.status_code == 201
    assert begun.json()["session_id"] != session_id


async def test_a_page_that_was_thrown_out_yields_to_another_device(
    client: httpx.AsyncClient, livekit: LiveKit
) -> None:
    """It is let in unless the same participant is there by another load; then it is told so."""
    mine, load = secret_id(), "l" * 22
    first = (
        await ask(client, participant_identity=mine, participant_attributes={"rj.load": load})
    ).json()
    asked = {
        "participant_identity": mine,
        "participant_attributes": {"rj.load": load},
        "session_id": first["session_id"],
        "unless_elsewhere": True,
    }
    assert (await ask(client, **asked)).status_code == 201

    for other_load, status in (("l" * 22, 201), ("m" * 22, 409), ("", 409)):
        token = api.AccessToken(livekit.key, livekit.secret)
        token = token.with_identity(first["participant_identity"])
        token = token.with_attributes({"rj.load": other_load} if other_load else {})
        async with there(livekit, token, first["room_name"]):
            answer = await ask(client, **asked)
            taken_over = await ask(client, **{**asked, "unless_elsewhere": False})
        assert answer.status_code == status
        assert taken_over.status_code == 201
        if status == 409:
            assert answer.json()["error"]["code"] == "goes_on_elsewhere"


async def test_a_livekit_that_is_away_is_named(
    gateway_settings: GatewaySettings, settings: StoreSettings
) -> None:
    """Without LiveKit the gateway is not ready, and tells a person to try again."""
    away = gateway_settings.model_copy(update={"livekit_url": "ws://127.0.0.1:1"})
    async with serving(away, settings) as client:
        ready = await client.get("/readyz")
        tokens = await ask(client, participant_identity=secret_id())
    assert ready.status_code == 503
    assert ready.json()["livekit"].startswith("LiveKit does not answer")
    assert tokens.status_code == 503
    assert tokens.json()["error"]["code"] == "livekit_unavailable"
