"""What a participant may ask for: to see everything, to be forgotten, to agree, to be kept less."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from dev.rig.key_file import write_key_file
from session_store import (
    InvalidValue,
    Recorder,
    SealBroken,
    SessionGone,
    SessionState,
    SessionStore,
    StoreRefused,
)
from session_store.backends.values import Erased
from session_store.keys import KeySpace
from session_store.upkeep import privacy
from session_store.upkeep.audit import AuditLog
from session_store.upkeep.journal import ErasureJournal
from session_store.upkeep.privacy import NotErased
from session_store.upkeep.sweeper import Sweeper
from tests.integration.keeping import dump, keep_drafts, left_in, pass_time, talk, talk_and_go, turn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


async def exported(store: SessionStore, participant: str) -> dict[str, Any]:
    """Export a participant, by way of JSON and back."""
    answer = await privacy.export(store, participant)
    assert answer is not None
    back: dict[str, Any] = json.loads(json.dumps(answer, allow_nan=False))
    assert back == answer
    return back


async def audited(store: SessionStore) -> list[tuple[str, str, str]]:
    """Return action, participant and session of all audit entries."""
    log = AuditLog(store.side, store.keyring, actor="test")
    names = ("action", "participant", "session")
    entries = [entry.fields async for entry in log.entries()]
    return [(e[names[0]], e[names[1]], e[names[2]]) for e in entries]


async def test_an_export_holds_everything(store: SessionStore) -> None:
    """Each session, each turn, the content, the consent and the retention are in it."""
    who = store.pseudonym("maria")
    first = await talk(store, who)
    await store.update(
        first.lease,
        lambda content: content.model_copy(
            update={
                "identity": "maria",
                "language": "es",
                "metadata": {"plan": [1, None, "x"]},
                "summary": "Se presentó 🌸",
            }
        ),
    )
    await keep_drafts(store, first)
    second = await store.open_new(who)
    await privacy.set_consent(store, who, given=True, version="2026-01")
    await privacy.set_retention(store, who, timedelta(hours=2))

    said = await exported(store, who)

    assert (said["format"], said["version"]) == ("rejoin-export", 1)
    assert datetime.fromisoformat(said["exported_at"]).tzinfo == UTC
    person = said["participant"]
    assert person["pseudonym"] == who
    assert (person["consent"]["given"], person["consent"]["version"]) == (True, "2026-01")
    assert person["retention_s"] == 7200
    assert {session["id"] for session in said["sessions"]} == {first.session.id, second.session.id}
    session = next(each for each in said["sessions"] if each["id"] == first.session.id)
    assert session["content"]["identity"] == "maria"
    assert session["content"]["metadata"] == {"plan": [1, None, "x"]}
    assert session["content"]["summary"] == "Se presentó 🌸"
    assert [(each["seq"], each["text"]) for each in session["turns"]] == [
        (number, turn(number).text) for number in (1, 2, 3)
    ]
    assert [(each["role"], each["text"]) for each in session["being_said"]] == [
        ("user", "the user was saying"),
        ("assistant", "the assistant was saying"),
    ]
    assert session["work"] == {"seq": 3, "data": {"cart": ["tea"]}}
    assert session["works_before"] == []
    assert session["state"] == "live"
    assert "unreadable" not in session


async def test_an_export_holds_a_state_that_no_program_could_load(store: SessionStore) -> None:
    """It was put aside; and what is not JSON is exported in base64."""
    who = store.pseudonym("maria")
    first = await talk(store, who)
    await store.release(first.lease)
    second = await store.join(who)
    recorder = Recorder(store, second.lease)
    recorder.work_unread()
    assert await recorder.saved(recorder.record(turn(4), work=b"\xff").seq)
    await recorder.aclose()
    [session] = (await exported(store, who))["sessions"]
    assert session["work"] == {"seq": 4, "base64": "/w=="}
    assert session["works_before"] == [{"seq": 3, "data": {"cart": ["tea"]}}]


async def test_an_export_has_every_one_of_many_sessions(
    make_store: Callable[..., SessionStore],
) -> None:
    """More sessions than fit on a page are all there, none twice."""
    store = make_store(max_sessions=200)
    who = store.pseudonym("maria")
    ids = [(await store.open_new(who)).session.id for _ in range(130)]
    listed = [session["id"] for session in (await exported(store, who))["sessions"]]
    assert sorted(listed) == sorted(ids)


async def test_a_session_that_changes_place_meanwhile_is_not_left_out(
    make_store: Callable[..., SessionStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that is resumed between two pages comes first, and is exported, too."""
    monkeypatch.setattr(privacy, "_PAGE", 2)
    store, other = make_store(), make_store()
    who = store.pseudonym("maria")
    ids = [(await store.open_new(who)).session.id for _ in range(5)]
    sessions = store.sessions
    moved = False

    async def then_moved(*args: Any, **how: Any) -> Any:
        nonlocal moved
        page = await sessions(*args, **how)
        if not moved:
            moved = True
            await other.join(who, session_id=ids[0], exact=True)
        return page

    monkeypatch.setattr(store, "sessions", then_moved)
    listed = {session["id"] for session in (await exported(store, who))["sessions"]}
    assert listed == set(ids)


async def test_what_does_not_open_is_listed_with_the_reason(store: SessionStore, raw: Any) -> None:
    """A broken session is not left out, and does not keep the others back."""
    who = store.pseudonym("maria")
    good = await talk_and_go(store, who)
    ids = {}
    for kind in ("turn", "content"):
        opened = await store.open_new(who)
        joined = await store.join(who, session_id=opened.session.id)
        await store.append(joined.lease, [store.seal(joined.lease, turn(1))])
        await store.update(joined.lease, lambda content: content)
        ids[kind] = joined.session.id
    keys = KeySpace().participant(who)
    await raw.lset(keys.turns(ids["turn"]), 0, bytes(60))
    await raw.hset(keys.session(ids["content"]), "content", bytes(60))

    sessions = {each["id"]: each for each in (await exported(store, who))["sessions"]}

    assert "seal of turn 1" in sessions[ids["turn"]]["unreadable"]
    assert "seal of content" in sessions[ids["content"]]["unreadable"]
    assert "content" not in sessions[ids["content"]]
    assert sessions[ids["turn"]]["reconnect_count"] == 0
    assert len(sessions[good.session.id]["turns"]) == 3


async def test_without_the_key_an_export_says_so(
    make_store: Callable[..., SessionStore], raw: Any, tmp_path: Path
) -> None:
    """With a wrong keyring everything is listed as unreadable, and nothing is changed."""
    writer = make_store()
    who = writer.pseudonym("maria")
    await talk_and_go(writer, who)
    before = await dump(raw)
    stranger = make_store(key_file=write_key_file(tmp_path / "others.json"))
    (session,) = (await exported(stranger, who))["sessions"]
    assert "a data key" in session["unreadable"]
    assert "turns" not in session
    assert await dump(raw) == before


async def test_a_participant_whose_hash_is_broken_is_exported_as_that(
    store: SessionStore, raw: Any
) -> None:
    """Where the wrapped key is gone, the person and the sessions are there, with the reason."""
    who = store.pseudonym("maria")
    await talk_and_go(store, who)
    await raw.hdel(KeySpace().participant(who).data_key, "wrapped")
    said = await exported(store, who)
    assert "data key" in said["participant"]["unreadable"]
    (session,) = said["sessions"]
    assert "data key" in session["unreadable"]


async def test_of_a_stranger_there_is_nothing(store: SessionStore) -> None:
    """An unknown participant has no export, no consent, and nothing to set."""
    who = store.pseudonym("nobody")
    assert await privacy.export(store, who) is None
    assert await privacy.consent(store, who) is None
    assert await privacy.set_consent(store, who, given=True, version="1") is None
    assert await privacy.set_retention(store, who, timedelta(hours=1)) is False


async def test_an_export_is_audited_before_it_is_read(store: SessionStore, raw: Any) -> None:
    """The entry comes first; where it cannot be written, nothing is shown."""
    who = store.pseudonym("maria")
    await talk_and_go(store, who)
    log = AuditLog(store.side, store.keyring, actor="cli")
    await log.log("reveal", participant=store.pseudonym("tom"))
    said = await privacy.export(store, who, audit=log)
    assert said is not None
    assert [each["action"] for each in said["audit"]] == ["export"]
    assert "cli" not in json.dumps(said["audit"]), "who acted is not the participant's to know"

    await raw.delete(KeySpace().audit)
    await raw.set(KeySpace().audit, "no stream")
    with pytest.raises(StoreRefused):
        await privacy.export(store, who, audit=log)


async def test_an_erasure_leaves_nothing_but_its_traces(
    store: SessionStore, raw: Any, tmp_path: Path
) -> None:
    """Every key of the participant goes; begin and end are audited, and the journal knows."""
    who, other = store.pseudonym("maria"), store.pseudonym("tom")
    for each in (who, other):
        await talk_and_go(store, each)
        await store.open_new(each)
    journal = ErasureJournal(tmp_path / "journal")
    log = AuditLog(store.side, store.keyring, actor="cli")

    erased = await privacy.erase(store, who, journal=journal, audit=log, reason="asked by mail")

    assert (erased.sessions, erased.left_over) == (2, 0)
    traces = {KeySpace().audit.encode(), KeySpace().participant(who).erased.encode()}
    left = {key: value for key, value in (await dump(raw)).items() if key not in traces}
    assert who not in repr(left)
    assert other in repr(left)
    assert [(action, whom) for action, whom, _ in await audited(store)] == [
        ("erase", who),
        ("erased", who),
    ]
    assert (await log.verify()).intact
    (noted,) = (await journal.read(store.keyring)).entries
    assert (noted.participant, noted.session_id) == (who, "")
    assert (await store.sessions(other)).total == 2


async def test_an_erasure_that_left_something_is_an_error(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof is looked at: it is audited, and the caller is told."""
    who = store.pseudonym("maria")

    async def lazily(participant: str, **_: Any) -> Erased:
        del participant
        return Erased(1, 2, ())

    monkeypatch.setattr(store, "erase", lazily)
    log = AuditLog(store.side, store.keyring, actor="cli")
    with pytest.raises(NotErased, match="2 keys"):
        await privacy.erase(store, who, audit=log)
    assert [action for action, _, _ in await audited(store)] == ["erase", "erased"]


async def test_a_writer_on_its_way_brings_nothing_back(store: SessionStore, raw: Any) -> None:
    """After an erasure, a job that still holds its lease is refused, and nothing appears."""
    who = store.pseudonym("maria")
    joined = await talk(store, who)
    await privacy.erase(store, who)
    with pytest.raises(SessionGone):
        await store.append(joined.lease, [store.seal(joined.lease, turn(4))])
    with pytest.raises(SessionGone):
        await store.renew(joined.lease.ref)
    assert await left_in(raw) == []


async def test_one_session_is_erased_and_the_others_stay(
    store: SessionStore, raw: Any, tmp_path: Path
) -> None:
    """Its hash, its turns, and its deadline go; a second time there is nothing to erase."""
    who = store.pseudonym("maria")
    first = await talk_and_go(store, who)
    second = await store.open_new(who)
    journal, log = (
        ErasureJournal(tmp_path / "journal"),
        AuditLog(store.side, store.keyring, actor="cli"),
    )
    how: dict[str, Any] = {"journal": journal, "audit": log}

    assert await privacy.erase_session(store, who, first.session.id, **how)
    assert not await privacy.erase_session(store, who, first.session.id, **how)

    assert [each.id for each in (await store.sessions(who)).sessions] == [second.session.id]
    assert not [key for key in await raw.keys() if first.session.id.encode() in key]
    assert first.session.id not in repr(await raw.zrange(KeySpace().participant(who).due, 0, -1))
    entries = (await journal.read(store.keyring)).entries
    assert [each.session_id for each in entries] == [first.session.id] * 2
    assert await audited(store) == [
        (action, who, first.session.id) for action in ("erase", "erased") * 2
    ]


async def test_a_session_that_is_still_there_is_an_error(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also for one session the proof is looked at."""
    who = store.pseudonym("maria")
    joined = await talk_and_go(store, who)

    async def lazily(*_: str) -> bool:
        return True

    monkeypatch.setattr(store, "delete", lazily)
    with pytest.raises(NotErased):
        await privacy.erase_session(store, who, joined.session.id)


async def test_consent_has_version_and_time(store: SessionStore, raw: Any) -> None:
    """What was agreed to last counts, with the time of the store's clock."""
    who = store.pseudonym("maria")
    await store.open(who)
    assert await privacy.consent(store, who) is None
    before = datetime.fromtimestamp((await raw.time())[0], UTC)
    given = await privacy.set_consent(store, who, given=True, version="terms 2026-01")
    assert given == await privacy.consent(store, who)
    assert given is not None
    assert (given.given, given.version) == (True, "terms 2026-01")
    assert before <= given.at <= before + timedelta(seconds=60)
    withdrawn = await privacy.set_consent(store, who, given=False, version="terms 2026-02")
    assert withdrawn is not None
    assert not withdrawn.given
    assert await privacy.consent(store, who) == withdrawn


@pytest.mark.parametrize("version", ["", "x" * 65, "a\nb", "\ud800"])
async def test_a_consent_to_no_version_is_refused(
    store: SessionStore, raw: Any, version: str
) -> None:
    """A version is a short printable text; anything else changes nothing."""
    who = store.pseudonym("maria")
    await store.open(who)
    before = await dump(raw)
    with pytest.raises(InvalidValue):
        await privacy.set_consent(store, who, given=True, version=version)
    assert await dump(raw) == before


async def test_a_participants_own_retention_is_kept(store: SessionStore, raw: Any) -> None:
    """Sessions there are and sessions to come are erased after it; the default comes back."""
    who, other = store.pseudonym("maria"), store.pseudonym("tom")
    await talk_and_go(store, who)
    await talk_and_go(store, other)
    assert await privacy.set_retention(store, who, timedelta(hours=2))
    newer = await store.open_new(who)
    await pass_time(raw, 2 * 3600 + 1)
    for _ in range(2):
        await Sweeper(store).sweep()
    assert (await store.sessions(who)).total == 0
    assert await store.load(who, newer.session.id) is None
    (kept,) = (await store.sessions(other)).sessions
    assert kept.state is SessionState.ENDED

    assert await privacy.set_retention(store, other, timedelta(hours=1))
    assert await privacy.set_retention(store, other, None)
    for _ in range(2):
        await Sweeper(store).sweep()
    assert (await store.sessions(other)).total == 1


async def test_a_retention_shorter_than_the_resume_window_is_kept(
    store: SessionStore, raw: Any
) -> None:
    """A retention of a minute does not outlast the resume window."""
    who = store.pseudonym("maria")
    await talk_and_go(store, who)
    await privacy.set_retention(store, who, timedelta(seconds=60))
    await pass_time(raw, 61)
    for _ in range(2):
        await Sweeper(store).sweep()
    assert await left_in(raw) == []


async def test_with_the_last_session_its_participant_goes(store: SessionStore, raw: Any) -> None:
    """Erasing all sessions one by one leaves as little as erasing the participant."""
    who = store.pseudonym("maria")
    ids = [(await store.open_new(who)).session.id for _ in range(2)]
    for session_id in ids:
        await privacy.erase_session(store, who, session_id)
    await Sweeper(store).sweep()
    assert await left_in(raw) == []


@pytest.mark.parametrize(
    "retention", [timedelta(0), timedelta(seconds=-1), timedelta(days=7, seconds=1)]
)
async def test_a_retention_out_of_bounds_is_refused(
    store: SessionStore, raw: Any, retention: timedelta
) -> None:
    """Between a second and seven days; anything else changes nothing."""
    who = store.pseudonym("maria")
    await store.open(who)
    before = await dump(raw)
    with pytest.raises(InvalidValue):
        await privacy.set_retention(store, who, retention)
    assert await dump(raw) == before


async def test_a_broken_participant_can_be_erased(store: SessionStore, raw: Any) -> None:
    """What no key can open any more can still be erased."""
    who = store.pseudonym("maria")
    joined = await talk_and_go(store, who)
    await raw.hset(KeySpace().participant(who).data_key, "wrapped", b"broken")
    with pytest.raises(SealBroken):
        await SessionStore(store._backend, store.keyring).load(who, joined.session.id)
    assert (await privacy.erase(store, who)).sessions == 1
    assert await left_in(raw) == []
