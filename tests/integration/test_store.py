"""The store on a real Redis: sessions, leases, turns, windows, erasure."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from dev.rig.key_file import write_key_file
from session_store import (
    AgentPresence,
    InvalidValue,
    JoinOutcome,
    KeyringMissing,
    LeaseHeld,
    LeaseLost,
    SealBroken,
    SequenceGap,
    SessionContent,
    SessionGone,
    SessionState,
    SessionStore,
    StoreRefused,
    StoreSettings,
    StoreUnavailable,
    Turn,
    UnknownKey,
    WrongKey,
)
from session_store.events import Event, EventType
from session_store.keys import KeySpace
from session_store.page_turns import shown_after
from session_store.values import Replayed
from tests.integration.keeping import left_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from session_store import Joined


def turn(number: int, text: str | None = None) -> Turn:
    """Make the user's turn number ``number``."""
    said = f"sentence {number}" if text is None else text
    return Turn(id=f"turn-{number}", role="user", text=said, created_at=1_700_000_000.25 + number)


async def append(store: SessionStore, joined: Joined, *turns: Turn) -> int:
    """Seal and append turns under a join's lease."""
    return await store.append(joined.lease, [store.seal(joined.lease, each) for each in turns])


async def commands(raw: Any, name: str) -> int:
    """Return how often Redis has run a command."""
    stats = await raw.info("commandstats")
    return int(stats.get(f"cmdstat_{name}", {}).get("calls", 0))


async def age(raw: Any, store: SessionStore, identity: str, session_id: str, by_s: float) -> None:
    """Let time pass for one session: move its times back."""
    key = KeySpace().participant(store.pseudonym(identity)).session(session_id)
    for name in ("last_seen", "lease_until", "window_until", "agent_by"):
        value = int(await raw.hget(key, name) or 0)
        if value:
            await raw.hset(key, name, str(value - round(by_s * 1000)))


async def dump(raw: Any) -> dict[bytes, bytes]:
    """Return everything that Redis holds."""
    return {key: await raw.dump(key) for key in sorted(await raw.keys())}


async def test_what_was_said_is_there_after_a_new_join(store: SessionStore) -> None:
    """A job that joins finds the session of the job before, word by word."""
    who = store.pseudonym("maria")
    first = await store.join(who)
    said = [
        turn(1, "my name is María 🌸"),
        Turn(
            id="call",
            kind="tool_call",
            created_at=1.5,
            details={"name": "remember", "arguments": '{"fact": "x"}'},
        ),
        turn(2).model_copy(update={"role": "assistant", "interrupted": True}),
    ]
    await append(store, first, *said)
    await store.update(
        first.lease, lambda content: content.model_copy(update={"language": "es", "title": "Hola"})
    )
    await store.leave(first.lease)
    await store.release(first.lease)

    second = await store.join(who)

    assert first.outcome is JoinOutcome.CREATED
    assert second.outcome is JoinOutcome.REJOINED
    assert [recorded.turn for recorded in second.turns] == said
    assert [recorded.seq for recorded in second.turns] == [1, 2, 3]
    assert second.session.content.language == "es"
    assert second.session.content.title == "Hola"
    assert second.session.reconnect_count == 1
    assert second.session.joined_at == first.session.joined_at
    assert second.lease.fencing_token > first.lease.fencing_token


async def test_each_operation_is_one_round_trip(store: SessionStore, raw: Any) -> None:
    """Join, append, draft, update, claim, leave, erase and the others each send one command."""
    who = store.pseudonym("maria")
    await store.open(who)
    warm = await store.join(who)
    await append(store, warm, turn(1))
    await store.keep_draft(warm.lease, store.seal_draft(warm.lease, turn(2)))
    await store.claim_orphan(who, warm.session.id)
    await store.give_back_claim(who, warm.session.id)
    await store.update(warm.lease, lambda content: content)
    await store.renew(warm.lease.ref)
    await store.arrive(warm.lease)
    await store.leave(warm.lease)
    await store.release(warm.lease)
    await store.load(who, warm.session.id)
    await store.erase(who)
    await raw.config_resetstat()

    session_id = (await store.open(who)).session.id
    joined = await store.join(who, session_id=session_id, exact=True)
    draft = store.seal_draft(joined.lease, turn(2))
    await store.keep_draft(joined.lease, draft)
    said = [store.seal(joined.lease, turn(1)), store.seal(joined.lease, turn(2), draft.number)]
    await store.append(joined.lease, said)
    await store.claim_orphan(who, session_id)
    await store.give_back_claim(who, session_id)
    await store.update(joined.lease, lambda content: content)
    await store.renew(joined.lease.ref)
    await store.arrive(joined.lease, load_id="a")
    await store.load(who, session_id)
    await store.leave(joined.lease)
    await store.release(joined.lease)
    await store.erase(who, known=[session_id])

    assert await commands(raw, "evalsha") == 13
    assert await commands(raw, "eval") == 0


@pytest.mark.parametrize(
    ("returns", "window_s"), [(0, 300), (1, 600), (2, 600), (3, 1800), (4, 1800)]
)
async def test_the_resume_window_grows_with_the_returns(
    store: SessionStore, raw: Any, returns: int, window_s: int
) -> None:
    """A rejoin within the window of its tier goes on, and begins it anew; a later one is new."""
    who = store.pseudonym("maria")
    joined = await store.join(who)
    for number in range(returns):
        await store.arrive(joined.lease, load_id=f"load {number}")
    until = await store.leave(joined.lease)
    await store.release(joined.lease)
    left = await store.load(who, joined.session.id)
    assert left is not None
    assert (until - left.session.last_seen).total_seconds() == window_s

    await age(raw, store, "maria", joined.session.id, window_s - 1)
    within = await store.open(who)
    await age(raw, store, "maria", joined.session.id, window_s + 0.5)
    after = await store.open(who)

    assert within.resumed
    assert within.session.id == joined.session.id
    assert not after.resumed
    assert after.session.id != joined.session.id
    assert after.turns == ()
    ended = await store.load(who, joined.session.id)
    assert ended is not None
    assert ended.session.state is SessionState.ENDED


async def test_a_session_whose_job_died_can_be_resumed(store: SessionStore, raw: Any) -> None:
    """Without a departure, the window runs from the end of the dead job's lease."""
    who = store.pseudonym("maria")
    joined = await store.join(who, load_id="a")
    await age(raw, store, "maria", joined.session.id, 290)

    taken = await store.join(who, load_id="a")

    assert taken.session.id == joined.session.id
    assert taken.outcome is JoinOutcome.TAKEN_OVER
    assert taken.session.reconnect_count == 0


async def test_a_new_load_is_a_return_and_a_restored_connection_is_not(store: SessionStore) -> None:
    """Only a new load id, or coming back from away, is counted."""
    who = store.pseudonym("maria")
    joined = await store.join(who, load_id="a")

    same = await store.arrive(joined.lease, load_id="a")
    reload = await store.arrive(joined.lease, load_id="b")
    await store.leave(joined.lease)
    back = await store.arrive(joined.lease, load_id="b")
    unknown = await store.arrive(joined.lease)

    assert [same.counted, reload.counted, back.counted, unknown.counted] == [
        False,
        True,
        True,
        False,
    ]
    assert unknown.reconnect_count == 2


async def test_an_answer_that_was_lost_counts_nothing_twice(store: SessionStore) -> None:
    """The same attempt again gets the same answer, for a join and for an arrival."""
    who = store.pseudonym("maria")
    first = await store.join(who, owner="one", load_id="a")
    again = await store.join(who, owner="one", load_id="a")
    assert (again.outcome, again.lease.ref) == (first.outcome, first.lease.ref)

    arrivals = [await store.arrive(first.lease, load_id="b", idempotency_key="x") for _ in range(2)]
    assert arrivals[0] == arrivals[1]
    assert arrivals[1].reconnect_count == 1


async def test_a_held_lease_is_refused(store: SessionStore) -> None:
    """A second job must wait for the end of the lease, and is told how long."""
    who = store.pseudonym("maria")
    await store.join(who)
    with pytest.raises(LeaseHeld) as held:
        await store.join(who)
    assert 0 < held.value.wait_ms <= 3000


async def test_a_stale_fencing_token_is_refused_and_changes_nothing(
    store: SessionStore, raw: Any
) -> None:
    """After a takeover, no write of the job before gets through."""
    who = store.pseudonym("maria")
    stale = await store.join(who)
    await append(store, stale, turn(1))
    await age(raw, store, "maria", stale.session.id, 5)
    await store.join(who)
    before = await dump(raw)

    with pytest.raises(LeaseLost):
        await append(store, stale, turn(2))
    with pytest.raises(LeaseLost):
        await store.update(stale.lease, lambda content: content)
    with pytest.raises(LeaseLost):
        await store.leave(stale.lease)
    with pytest.raises(LeaseLost):
        await store.renew(stale.lease.ref)
    with pytest.raises(LeaseLost):
        await store.release(stale.lease)
    with pytest.raises(LeaseLost):
        await store.arrive(stale.lease)

    assert await dump(raw) == before


async def test_an_expired_lease_that_nobody_took_is_renewed(store: SessionStore, raw: Any) -> None:
    """A stall of Redis longer than the lease costs its holder nothing."""
    who = store.pseudonym("maria")
    joined = await store.join(who)
    await age(raw, store, "maria", joined.session.id, 60)
    await append(store, joined, turn(1))
    await store.renew(joined.lease.ref)
    with pytest.raises(LeaseHeld):
        await store.join(who)


async def test_turns_sent_again_are_stored_once(store: SessionStore) -> None:
    """An append whose answer was lost is repeated, alone or with new turns behind it."""
    who = store.pseudonym("maria")
    joined = await store.join(who)
    sealed = [store.seal(joined.lease, turn(number)) for number in (1, 2, 3)]
    await store.append(joined.lease, sealed[:2])
    assert await store.append(joined.lease, sealed[:2]) == 2
    assert await store.append(joined.lease, sealed) == 3
    loaded = await store.load(who, joined.session.id)
    assert loaded is not None
    assert [recorded.turn.id for recorded in loaded.turns] == ["turn-1", "turn-2", "turn-3"]


async def test_a_missing_turn_is_noticed(store: SessionStore) -> None:
    """An append that would leave a gap is refused, and says where to begin."""
    joined = await store.join(store.pseudonym("maria"))
    sealed = [store.seal(joined.lease, turn(number)) for number in (1, 2, 3)]
    await store.append(joined.lease, sealed[:1])
    with pytest.raises(SequenceGap) as gap:
        await store.append(joined.lease, sealed[2:])
    assert gap.value.current == 1


async def test_only_the_newest_hundred_turns_are_kept(store: SessionStore) -> None:
    """Older turns are trimmed, and the rest still opens, also for the next job."""
    who = store.pseudonym("maria")
    joined = await store.join(who)
    for number in range(1, 131):
        await append(store, joined, turn(number))
    await store.release(joined.lease)

    again = await store.join(who)
    await append(store, again, turn(131))
    loaded = await store.load(who, joined.session.id)

    assert loaded is not None
    assert [recorded.seq for recorded in loaded.turns] == list(range(32, 132))
    assert loaded.turns[0].turn == turn(32)
    assert loaded.session.seq == 131


async def test_one_caller_is_asked_to_dispatch_an_agent(store: SessionStore, raw: Any) -> None:
    """Of many that open a session without an agent, exactly one dispatches; later one more may."""
    who = store.pseudonym("maria")
    session_id = (await store.open(who)).session.id
    opened = await asyncio.gather(
        *(store.open(who, session_id=session_id, expect_agent=True) for _ in range(8))
    )
    assert sorted(each.agent for each in opened) == ["EXPECTED"] * 7 + ["WANTED"]

    await store.give_back_claim(who, session_id)
    again = await asyncio.gather(*(store.expect_agent(who, session_id) for _ in range(4)))
    assert sorted(again) == ["EXPECTED"] * 3 + ["WANTED"]
    await age(raw, store, "maria", session_id, 11)
    assert await store.expect_agent(who, session_id) is AgentPresence.WANTED
    joined = await store.join(who, session_id=session_id, exact=True)
    assert await store.expect_agent(who, session_id) is AgentPresence.PRESENT
    await store.release(joined.lease)
    assert await store.expect_agent(who, session_id, claim=False) is AgentPresence.ABSENT


async def test_concurrent_opens_make_one_session(make_store: Callable[..., SessionStore]) -> None:
    """Two tabs that come at once share the session."""
    stores = [make_store() for _ in range(4)]
    who = stores[0].pseudonym("maria")
    opened = await asyncio.gather(*(each.open(who) for each in stores))
    assert len({each.session.id for each in opened}) == 1
    assert sum(not each.resumed for each in opened) == 1


async def test_erasure_leaves_nothing_and_nothing_comes_back(store: SessionStore, raw: Any) -> None:
    """After an erasure no key of the participant exists, and late writes do not bring one back."""
    who = store.pseudonym("maria")
    joined = await store.join(who)
    await append(store, joined, turn(1))
    late = store.seal(joined.lease, turn(2))
    other = await store.join(store.pseudonym("joe"))
    await append(store, other, turn(1))

    erased = await store.erase(who)

    assert (erased.sessions, erased.left_over) == (1, 0)

    for attempt in (
        lambda: store.append(joined.lease, [late]),
        lambda: store.update(joined.lease, lambda content: content),
        lambda: store.renew(joined.lease.ref),
        lambda: store.leave(joined.lease),
    ):
        with pytest.raises(SessionGone):
            await attempt()
    left = [key.decode() for key in await raw.keys() if who.encode() in key]
    assert left == [KeySpace().participant(who).erased]
    assert await store.load(who, joined.session.id) is None
    kept = await store.load(store.pseudonym("joe"), other.session.id)
    assert kept is not None
    assert len(kept.turns) == 1
    with pytest.raises(SessionGone):
        await store.join(who, session_id=joined.session.id, exact=True)


async def test_every_key_has_a_lifetime(store: SessionStore, raw: Any) -> None:
    """Nothing stays for ever, even if every sweeper dies."""
    await store.check()
    joined = await store.join(store.pseudonym("maria"))
    await append(store, joined, turn(1))
    await store.update(joined.lease, lambda content: content)
    await store.leave(joined.lease)
    keys = await raw.keys()
    assert len(keys) == 8
    assert {key: await raw.ttl(key) > 0 for key in keys} == dict.fromkeys(keys, True)


async def test_redis_holds_no_word_of_a_person(store: SessionStore, raw: Any) -> None:
    """Neither identity nor words nor load id are in any key or value."""
    joined = await store.join(store.pseudonym("maria@example.org"), load_id="load-of-the-page")
    await append(store, joined, turn(1, "the secret of the blue cupboard"))
    being_said = store.seal_draft(joined.lease, turn(2, "which is in the cellar"))
    await store.keep_draft(joined.lease, being_said)
    await store.update(
        joined.lease,
        lambda content: content.model_copy(update={"identity": "maria@example.org"}),
    )
    everything = b"".join(key + value for key, value in (await dump(raw)).items())
    for word in (b"maria", b"secret", b"cupboard", b"cellar", b"load-of-the-page"):
        assert word not in everything


async def swap(raw: Any, key: str) -> None:
    """Exchange two turns."""
    first = await raw.lindex(key, 0)
    second = await raw.lindex(key, 1)
    await raw.lset(key, 0, second)
    await raw.lset(key, 1, first)


async def flip(raw: Any, key: str) -> None:
    """Change one bit."""
    sealed = bytearray(await raw.lindex(key, 1))
    sealed[20] ^= 1
    await raw.lset(key, 1, bytes(sealed))


async def replay(raw: Any, key: str) -> None:
    """Write a turn over the next."""
    await raw.lset(key, 2, await raw.lindex(key, 1))


async def cut_the_middle(raw: Any, key: str) -> None:
    """Remove a turn between others."""
    await raw.lrem(key, 1, await raw.lindex(key, 1))


async def cut_the_head(raw: Any, key: str) -> None:
    """Remove the oldest turn."""
    await raw.lpop(key)


async def cut_the_tail(raw: Any, key: str) -> None:
    """Remove the newest turn, and count one less."""
    await raw.rpop(key)
    await raw.hincrby(key.replace("}:t:", "}:s:"), "seq", -1)


async def empty(raw: Any, key: str) -> None:
    """Remove all turns."""
    await raw.delete(key)


@pytest.mark.parametrize(
    "attack", [swap, flip, replay, cut_the_middle, cut_the_head, cut_the_tail, empty]
)
async def test_a_changed_record_is_never_believed(
    store: SessionStore, raw: Any, attack: Callable[[Any, str], Any]
) -> None:
    """Swapped, flipped, replayed, removed turns break the seal; the session is not shown as empty.

    Nor is it changed, and the lease that was taken to read it is given back.
    """
    who = store.pseudonym("maria")
    joined = await store.join(who)
    await append(store, joined, *(turn(number) for number in range(1, 5)))
    await store.update(joined.lease, lambda content: content)
    await store.release(joined.lease)

    await attack(raw, KeySpace().participant(who).turns(joined.session.id))

    for _ in range(2):
        with pytest.raises(SealBroken):
            await store.join(who)
    with pytest.raises(SealBroken):
        await store.load(who, joined.session.id)


async def test_content_cannot_be_moved_to_another_person(store: SessionStore, raw: Any) -> None:
    """A participant's sealed content does not open in another's session."""
    mine, theirs = store.pseudonym("maria"), store.pseudonym("joe")
    joined = [await store.join(who) for who in (mine, theirs)]
    for each in joined:
        await store.update(each.lease, lambda content: content)
    keys = [
        KeySpace().participant(who).session(each.session.id)
        for who, each in zip((mine, theirs), joined, strict=True)
    ]
    await raw.hset(keys[1], "content", await raw.hget(keys[0], "content"))
    with pytest.raises(SealBroken):
        await store.load(theirs, joined[1].session.id)


async def test_a_copied_conversation_does_not_open_for_who_copied_it(
    store: SessionStore, raw: Any
) -> None:
    """An attacker with Redis and a page cannot read others, even where keys are cached."""
    victim, thief = store.pseudonym("maria"), store.pseudonym("mallory")
    joined = await store.join(victim)
    await append(store, joined, turn(1, "my PIN is 1234"))
    mine, theirs = KeySpace().participant(victim), KeySpace().participant(thief)
    for source, copy in (
        (mine.data_key, theirs.data_key),
        (mine.sessions, theirs.sessions),
        (mine.session(joined.session.id), theirs.session(joined.session.id)),
        (mine.turns(joined.session.id), theirs.turns(joined.session.id)),
    ):
        await raw.restore(copy, 60_000, await raw.dump(source))
    with pytest.raises(SealBroken):
        await store.open(thief)
    with pytest.raises(SealBroken):
        await store.load(thief, joined.session.id)


async def test_the_list_of_wrapped_keys_lives_as_long_as_they_do(
    store: SessionStore, settings: StoreSettings, raw: Any, tmp_path: Path
) -> None:
    """After a change of the primary key, visits still renew the list of the old one."""
    who = store.pseudonym("maria")
    await store.release((await store.join(who)).lease)
    keys = json.loads((settings.key_file or tmp_path).read_text())
    keys["keys"]["k-2"] = base64.b64encode(bytes(32)).decode()
    rotated = tmp_path / "rotated.json"
    rotated.write_text(json.dumps({**keys, "primary": "k-2"}))
    newer = SessionStore.from_settings(settings.model_copy(update={"key_file": rotated}))
    listed = KeySpace().participant(who).kek("k-1")
    await raw.expire(listed, 100)

    await newer.join(who)

    assert await raw.ttl(listed) > 10_000
    assert await raw.exists(KeySpace().participant(who).kek("k-2")) == 0
    await newer.aclose()


async def test_another_keyring_is_an_error_at_start(
    store: SessionStore, make_store: Callable[..., SessionStore], tmp_path: Path
) -> None:
    """With other keys no participant is taken for new: the start is refused, nothing is lost."""
    await store.check()
    await store.check()
    other = make_store(key_file=write_key_file(tmp_path / "other.json"))
    with pytest.raises(WrongKey, match="put the earlier key back"):
        await other.check()
    await store.check()


async def test_without_a_key_there_is_no_store(redis_url: str) -> None:
    """There is no plaintext mode, and the error names the settings."""
    settings = StoreSettings.model_validate({"redis_url": redis_url})
    with pytest.raises(KeyringMissing, match="REJOIN_KEY_FILE"):
        SessionStore.from_settings(settings)


async def test_a_redis_that_is_away_has_an_error_of_its_own(
    make_store: Callable[..., SessionStore],
) -> None:
    """The error says where Redis was looked for and what to do."""
    away = make_store(redis_url="redis://127.0.0.1:1/0")
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1 does not answer; start it"):
        await away.check()


async def test_a_wrong_password_is_not_repeated_in_the_error(
    make_store: Callable[..., SessionStore], raw: Any
) -> None:
    """A refused password is named as such, and not shown."""
    await raw.execute_command("ACL", "SETUSER", "someone", "on", ">right", "~*", "+@all")
    locked = make_store(
        redis_url=str(raw.connection_pool.connection_kwargs["port"]).join(
            ("redis://someone:hush@127.0.0.1:", "/0")
        )
    )
    with pytest.raises(StoreRefused, match="user or password") as refused:
        await locked.ping()
    assert "hush" not in str(refused.value)


async def test_a_connection_that_redis_closed_is_replaced(store: SessionStore, raw: Any) -> None:
    """After a restart of Redis the next call succeeds."""
    who = store.pseudonym("maria")
    joined = await store.join(who)
    await raw.client_kill_filter(_type="normal", skipme=True)
    await append(store, joined, turn(1))


@pytest.mark.parametrize("identity", ["", "x" * 513, "\ud800"])
async def test_a_bad_identity_is_refused(store: SessionStore, identity: str) -> None:
    """Empty, over-long and malformed identities are refused before anything is sent."""
    with pytest.raises(InvalidValue):
        store.pseudonym(identity)


@pytest.mark.parametrize("session_id", ["", "x", "../../etc", "a" * 25 + "*", "é" * 26])
async def test_a_bad_session_id_is_refused(store: SessionStore, session_id: str) -> None:
    """A session id is never put into a key unchecked."""
    with pytest.raises(InvalidValue):
        await store.open(store.pseudonym("maria"), session_id=session_id)


async def test_an_overlong_turn_is_refused_and_the_chain_goes_on(store: SessionStore) -> None:
    """A turn of 1 MB is refused by name; the next one is stored."""
    joined = await store.join(store.pseudonym("maria"))
    with pytest.raises(InvalidValue, match="at most"):
        store.seal(joined.lease, turn(1, "x" * 1_000_000))
    assert await append(store, joined, turn(2)) == 1


async def test_content_survives_a_write_of_another_process(store: SessionStore) -> None:
    """Two changes of the content from what both saw first are both kept."""
    who = store.pseudonym("maria")
    one = (await store.join(who, owner="same")).lease
    two = (await store.join(who, owner="same")).lease

    def speak_german(content: SessionContent) -> SessionContent:
        return content.model_copy(update={"language": "de"})

    def name_it(content: SessionContent) -> SessionContent:
        return content.model_copy(update={"title": "Title"})

    await store.update(one, speak_german)
    merged = await store.update(two, name_it)
    assert (merged.language, merged.title) == ("de", "Title")


async def test_a_session_of_somebody_else_is_not_taken_over(store: SessionStore, raw: Any) -> None:
    """A writer to Redis cannot give a participant the id, and so the room, of another one."""
    joe, maria = store.pseudonym("joe"), store.pseudonym("maria")
    mine, theirs = await store.open(joe), await store.join(maria)
    keys = KeySpace().participant(joe)
    for key in (keys.session(mine.session.id), keys.sessions):
        assert await raw.exists(key)
    await raw.rename(keys.session(mine.session.id), keys.session(theirs.session.id))
    await raw.zadd(keys.sessions, {theirs.session.id: 9e12})
    with pytest.raises(SealBroken, match="the id"):
        await store.open(joe)
    with pytest.raises(SealBroken, match="the id"):
        await store.join(joe)
    listed = (await store.sessions(joe)).sessions
    assert [each.readable for each in listed] == [False]


async def test_a_new_session_gets_past_a_broken_one(store: SessionStore, raw: Any) -> None:
    """A newest session that does not open is kept, and another one begins."""
    who = store.pseudonym("maria")
    broken = await store.join(who)
    await append(store, broken, turn(1))
    await store.release(broken.lease)
    key = KeySpace().participant(who).turns(broken.session.id)
    sealed = await raw.lindex(key, 0)
    await raw.lset(key, 0, sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(SealBroken):
        await store.open(who)

    opened = await store.open_new(who)

    assert not opened.resumed
    assert (await store.open(who)).session.id == opened.session.id
    assert [each.id for each in (await store.sessions(who)).sessions] == [
        opened.session.id,
        broken.session.id,
    ]
    with pytest.raises(SealBroken):
        await store.load(who, broken.session.id)


async def test_without_a_data_key_nothing_is_begun(store: SessionStore, raw: Any) -> None:
    """Where nothing can be sealed, tries to begin anew do not push out what is kept."""
    who = store.pseudonym("maria")
    kept = await store.open(who)
    await raw.hset(KeySpace().participant(who).data_key, "kek", "lost")
    for _ in range(60):
        with pytest.raises(UnknownKey):
            await store.open_new(who)
    assert await raw.zrange(KeySpace().participant(who).sessions, 0, -1) == [
        kept.session.id.encode()
    ]


async def test_a_turn_that_came_late_twice_is_read_once(store: SessionStore, raw: Any) -> None:
    """Two dead jobs that had the same typed message leave it once, in its place by time."""
    who = store.pseudonym("maria")
    first = await store.join(who)
    left = []
    for job in (first, None):
        joined = job or await store.join(who)
        left.append((joined.lease.ref, store.seal(joined.lease, turn(7))))
        await age(raw, store, "maria", joined.session.id, 5)
    last = await store.join(who)
    await append(store, last, turn(5), turn(9))

    outcomes = [await store.replay(lease, [sealed]) for lease, sealed in left]

    assert outcomes == [Replayed.LATE, Replayed.LATE]
    loaded = await store.load(who, last.session.id)
    assert loaded is not None
    assert [each.turn.id for each in loaded.turns] == ["turn-5", "turn-7", "turn-9"]
    assert [each["seq"] for each in shown_after(0, loaded.turns)] == [1, 1, 2]
    assert [each["id"] for each in shown_after(2, loaded.turns)] == ["turn-7"]


async def test_a_lost_data_key_is_a_new_beginning(store: SessionStore, raw: Any) -> None:
    """After Redis lost the participant's hash, a new session begins; an erasure finds the old."""
    who = store.pseudonym("maria")
    old = await store.join(who)
    await append(store, old, turn(1))
    await raw.delete(KeySpace().participant(who).data_key)

    opened = await store.open(who)

    assert not opened.resumed
    assert (await store.open(who)).session.id == opened.session.id
    await store.erase(who)
    assert [key for key in await left_in(raw) if who.encode() in key] == []


async def test_an_erased_key_is_forgotten_by_its_eraser(store: SessionStore) -> None:
    """The process that erases a participant keeps no key that would open a backup."""
    who, other = store.pseudonym("maria"), store.pseudonym("joe")
    await store.join(who)
    await store.join(other)
    await store.erase(who)
    assert {participant for participant, _ in store._opener._keys} == {other}


async def test_the_limit_spares_a_live_session(make_store: Callable[..., SessionStore]) -> None:
    """One session more erases the oldest that has ended, not one that is in use."""
    store = make_store(max_sessions=2)
    who = store.pseudonym("maria")
    live = await store.join(who)
    ended = await store.open_new(who)
    await store.close(who, ended.session.id)
    await store.open_new(who)
    assert await append(store, live, turn(1)) == 1
    assert await store.load(who, ended.session.id) is None


async def test_many_begin_at_the_limit_at_once(make_store: Callable[..., SessionStore]) -> None:
    """Twenty new sessions of one participant at the same moment all begin; the limit holds."""
    store = make_store(max_sessions=2)
    who = store.pseudonym("maria")
    opened = await asyncio.gather(*(store.open_new(who) for _ in range(20)))
    assert len({each.session.id for each in opened}) == 20
    assert (await store.sessions(who)).total == 2


async def test_a_hook_that_fails_harms_nobody(store: SessionStore) -> None:
    """What happened has happened, and the other hooks hear of it."""
    heard: list[EventType] = []

    class Failing:
        def on_event(self, event: Event) -> None:
            raise ValueError(event.participant)

    class Hearing:
        def on_event(self, event: Event) -> None:
            heard.append(event.type)

    store.add_hook(Failing())
    store.add_hook(Hearing())
    joined = await store.join(store.pseudonym("maria"))
    await append(store, joined, turn(1))
    await store.leave(joined.lease)
    assert heard == [
        EventType.SESSION_CREATED,
        EventType.TURN_APPENDED,
        EventType.PARTICIPANT_LEFT,
    ]


async def test_nothing_printed_shows_what_was_said(store: SessionStore) -> None:
    """Neither an answer nor an error of a wrong turn quotes content."""
    joined = await store.join(store.pseudonym("maria"))
    await append(store, joined, turn(1, "swordfish"))
    draft = store.seal_draft(joined.lease, turn(2, "swordfish"))
    await store.keep_draft(joined.lease, draft)
    await store.update(
        joined.lease, lambda content: content.model_copy(update={"title": "swordfish"})
    )
    loaded = await store.load(joined.session.participant, joined.session.id)
    with pytest.raises(ValidationError) as refused:
        Turn.model_validate({"id": "1", "created_at": 1, "text": ["swordfish"]})
    assert "swordfish" not in f"{joined!r}{joined.lease!r}{loaded!r}{draft!r}{refused.value}"


async def test_a_content_has_a_bound(store: SessionStore) -> None:
    """More than 256 KiB of it is refused, and the content stays as it was."""
    joined = await store.join(store.pseudonym("maria"))
    with pytest.raises(InvalidValue, match="at most"):
        await store.update(
            joined.lease,
            lambda content: content.model_copy(update={"summary": "x" * 300_000}),
        )
    assert joined.lease.version == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seq", "abc"),
        ("state", "dancing"),
        ("last_seen", "9" * 30),
        ("draft:user", "hello"),
        ("draft:assistant", "-1:" + "x" * 60),
        ("draft:assistant", "7:x"),
    ],
)
async def test_an_odd_record_is_a_broken_one(
    store: SessionStore, raw: Any, name: str, value: str
) -> None:
    """A foreign field in a session's hash is no error of an unknown kind."""
    who = store.pseudonym("maria")
    joined = await store.join(who)
    await raw.hset(KeySpace().participant(who).session(joined.session.id), name, value)
    with pytest.raises(SealBroken):
        await store.load(who, joined.session.id)
    # A list opens no draft, as it opens no turn.
    readable = value == "7:x"
    assert [each.readable for each in (await store.sessions(who)).sessions] == [readable]


async def test_a_closed_store_stays_closed(make_store: Callable[..., SessionStore]) -> None:
    """A recorder or keeper that outlives its store makes no new connections."""
    store = make_store()
    await store.ping()
    await store.aclose()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.ping()
