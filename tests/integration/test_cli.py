"""``session-store``: what it shows, what it hides, and how it ends."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import redis

from dev.rig.key_file import write_key_file
from dev.rig.net import NET_S
from dev.rig.servers.process import Login, standalone
from session_store import Recorder, SessionStore, StoreSettings, Turn
from session_store.cli import app
from session_store.cli.connect import environment
from session_store.cli.exit_codes import Exit
from session_store.keys import KeySpace
from session_store.upkeep.audit import AuditLog
from session_store.writing.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence
    from pathlib import Path

    from dev.rig.servers.process import Server

T = TypeVar("T")

SECRETS = ("maria", "Moreno", "gold", "cats", "secret-load")
"""What the conversation of these tests says about a person."""
COMMANDS = (
    "doctor",
    "monitor",
    "list",
    "show",
    "watch",
    "stats",
    "export",
    "erase",
    "erase-session",
    "consent",
    "retention",
    "rotate-keys",
    "sweep",
    "replay-spool",
    "replay-erasures",
    "keys new",
    "audit list",
    "audit verify",
)


@dataclass(frozen=True)
class Ran:
    """What a run came to."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The JSON document that it printed."""
        return json.loads(self.out)


class Cli:
    """Runs the program in this process, with the settings of the test."""

    def __init__(self, settings: StoreSettings, capsys: pytest.CaptureFixture[str]) -> None:
        self.settings = settings
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Ran:
        """Run it."""
        self._capsys.readouterr()
        code = app.run(arguments)
        out, err = self._capsys.readouterr()
        return Ran(code, out, err)

    def act(self, work: Callable[[SessionStore], Awaitable[T]]) -> T:
        """Do something with the store, as another process would."""

        async def with_store() -> T:
            store = SessionStore.from_settings(self.settings)
            try:
                await store.check()
                return await work(store)
            finally:
                await store.aclose()

        return asyncio.run(with_store())


@dataclass(frozen=True)
class Talk:
    """A conversation that was had."""

    participant: str
    session_id: str


def spoken(store: SessionStore, who: str = "maria") -> Awaitable[Talk]:
    """Have a conversation with a person in it."""

    async def work() -> Talk:
        joined = await store.join(store.pseudonym(who), load_id="secret-load")
        said = [
            store.seal(
                joined.lease,
                Turn(
                    id=f"t{n}",
                    role="user" if n % 2 else "assistant",
                    text=f"Moreno \x1b[31m{n}\nñ",
                    created_at=1.7e9 + n,
                ),
            )
            for n in range(1, 4)
        ]
        await store.append(joined.lease, said)
        await store.update(
            joined.lease,
            lambda content: content.model_copy(
                update={"identity": who, "title": "cats", "metadata": {"plan": "gold"}}
            ),
        )
        await store.leave(joined.lease)
        await store.release(joined.lease)
        return Talk(joined.lease.participant, joined.session.id)

    return work()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder, with no settings of this machine."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("REJOIN_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def cli(
    settings: StoreSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Cli]:
    """Return the program, with Redis, keys and a journal."""
    monkeypatch.setenv("REJOIN_REDIS_URL", settings.redis_url.get_secret_value())
    monkeypatch.setenv("REJOIN_KEY_FILE", str(settings.key_file))
    monkeypatch.setenv("REJOIN_ERASURE_JOURNAL", str(tmp_path / "erasures.jsonl"))
    yield Cli(settings, capsys)
    environment.__init__()  # type: ignore[misc]


@pytest.fixture
def talk(cli: Cli) -> Talk:
    """Return a conversation that is kept."""
    return cli.act(spoken)


def audited(cli: Cli) -> list[tuple[str, str]]:
    """Return actors and actions, by the audit stream."""

    async def work(store: SessionStore) -> list[tuple[str, str]]:
        log = AuditLog(store.side, store.keyring, actor="test")
        return [(each.fields["actor"], each.fields["action"]) async for each in log.entries()]

    return cli.act(work)


def test_numbers_are_shown_and_content_is_not(cli: Cli, talk: Talk) -> None:
    """Without --reveal no command prints anything that was said or is known of a person."""
    for arguments in (
        ["list"],
        ["list", "--json"],
        ["list", "--participant", talk.participant],
        ["show", talk.session_id],
        ["show", talk.session_id, "--json"],
        ["stats"],
        ["sweep", "--once"],
        ["rotate-keys"],
        ["consent", "--participant", talk.participant],
        ["retention", "--participant", talk.participant],
        ["audit", "list"],
        ["audit", "verify"],
        ["erase", "--identity", "maria", "--yes"],
    ):
        ran = cli(*arguments)
        assert ran.code == Exit.OK, (arguments, ran)
        assert ran.out
        for secret in SECRETS:
            assert secret not in ran.out + ran.err, arguments


def test_list_shows_everybody_or_one(cli: Cli, talk: Talk) -> None:
    """All sessions are found through their deadlines, page by page; one's own, newest first."""
    others = [cli.act(partial(spoken, who=f"guest-{n}")) for n in range(4)]
    newest = cli.act(lambda store: store.open_new(talk.participant)).session.id

    seen = []
    for offset in range(0, 6, 2):
        page = cli("list", "--json", "--limit", "2", "--offset", str(offset)).data
        assert page["total"] == 6
        seen += [(each["participant"], each["session_id"]) for each in page["sessions"]]
    assert sorted(seen) == sorted(
        [(each.participant, each.session_id) for each in [*others, talk]]
        + [(talk.participant, newest)]
    )
    mine = cli("list", "--json", "--identity", "maria").data["sessions"]
    assert [each["session_id"] for each in mine] == [newest, talk.session_id]
    assert (mine[1]["turns"], mine[1]["returns"], mine[1]["state"]) == (3, 0, "away")
    assert mine == cli("list", "--json", "--participant", talk.participant.upper()).data["sessions"]
    more = cli("list", "--limit", "4")
    assert len(more.out.splitlines()) == 5
    assert "--offset 4" in more.err


def test_a_damaged_session_does_not_hide_the_others(cli: Cli, talk: Talk) -> None:
    """Deadlines and hashes that are nonsense are listed as broken, and harmless to look at."""
    other = cli.act(partial(spoken, who="bob"))
    key = KeySpace().participant(talk.participant)
    with redis.Redis.from_url(cli.settings.redis_url.get_secret_value()) as raw:
        raw.zadd(key.due, {"\x1b[2Jnobody": 1, f"{'a' * 26}:{'b' * 26}": 1, b"\xff:\xfe": 1})
        raw.delete(key.data_key)
    ran = cli("list")
    rows = {each["session_id"]: each for each in cli("list", "--json").data["sessions"]}

    assert ran.code == Exit.PROBLEM
    assert "\x1b" not in ran.out
    assert rows[talk.session_id]["state"] == "broken"
    assert rows[other.session_id]["state"] == "away"
    assert "b" * 26 not in rows
    assert cli("show", talk.session_id).code == Exit.KEYS


def test_nothing_is_erased_that_cannot_be_noted(
    cli: Cli, talk: Talk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the journal cannot be written, the erasure does not begin."""
    monkeypatch.setenv("REJOIN_ERASURE_JOURNAL", str(tmp_path / "none" / "journal"))
    ran = cli("erase", "--participant", talk.participant, "--yes")

    assert (ran.code, ran.out) == (Exit.PROBLEM, "")
    assert "journal" in ran.err
    assert cli("list", "--json").data["total"] == 1


def test_looking_needs_no_keys(cli: Cli, talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers need no key; revealing and deriving do."""
    monkeypatch.delenv("REJOIN_KEY_FILE")

    assert cli("list").code == Exit.OK
    assert cli("list", "--participant", talk.participant).code == Exit.OK
    assert cli("show", talk.session_id).code == Exit.OK
    assert cli("stats").code == Exit.OK
    assert cli("audit", "list").code == Exit.OK
    for arguments in (
        ["list", "--identity", "maria"],
        ["show", talk.session_id, "--reveal"],
        ["audit", "verify"],
        ["export", "--participant", talk.participant, "--reveal"],
    ):
        ran = cli(*arguments)
        assert (ran.code, ran.out) == (Exit.KEYS, ""), arguments


def test_show_reveals_only_what_was_asked_for_and_audits_it(cli: Cli, talk: Talk) -> None:
    """With --reveal the content and the last turns are shown, without control characters."""
    ran = cli("show", talk.session_id, "--reveal", "--turns", "2")
    revealed = cli("show", talk.session_id, "--reveal", "--turns", "1", "--json").data["revealed"]

    assert "cats" in ran.out
    assert r"Moreno \x1b[31m2\nñ" in ran.out
    assert "\x1b" not in ran.out
    assert "[31m1" not in ran.out
    assert revealed["content"]["identity"] == "maria"
    assert [turn["text"] for turn in revealed["turns"]] == ["Moreno \x1b[31m3\nñ"]
    assert [action for _, action in audited(cli)] == ["reveal", "reveal"]


def test_what_is_being_said_is_counted_and_revealed_on_demand(cli: Cli, talk: Talk) -> None:
    """Words that are no turn yet are content like any other."""

    async def say(store: SessionStore) -> None:
        joined = await store.join(talk.participant, session_id=talk.session_id)
        said = Turn(id="t4", role="user", text="and Moreno", created_at=1.7e9 + 4)
        await store.keep_draft(joined.lease, store.seal_draft(joined.lease, said))

    before = cli("show", talk.session_id, "--json").data["session"]
    cli.act(say)
    after = cli("show", talk.session_id, "--json").data["session"]
    revealed = cli("show", talk.session_id, "--reveal", "--json").data["revealed"]
    assert (before["being_said"], after["being_said"]) == (0, 1)
    assert after["sealed_bytes"] > before["sealed_bytes"]
    assert [each["text"] for each in revealed["being_said"]] == ["and Moreno"]
    shown = cli("show", talk.session_id, "--reveal", "--turns", "0").out
    assert "user (being said): and Moreno" in shown
    assert "Moreno" not in cli("show", talk.session_id).out


def test_nothing_is_revealed_that_cannot_be_audited(cli: Cli, talk: Talk) -> None:
    """Where the audit stream takes no entry, content stays closed and nothing is erased."""

    async def break_audit(store: SessionStore) -> None:
        transport: Any = store._backend
        await transport.transport.execute(KeySpace().audit, "SET", KeySpace().audit, "no stream")

    cli.act(break_audit)
    for arguments in (
        ["show", talk.session_id, "--reveal"],
        ["export", "--identity", "maria", "--reveal"],
        ["erase", "--identity", "maria", "--yes"],
        ["erase-session", talk.session_id, "--yes"],
        ["rotate-keys"],
    ):
        ran = cli(*arguments)
        assert (ran.code, ran.out) == (Exit.REFUSED, ""), arguments
    assert cli("list", "--json").data["total"] == 1


def test_what_is_worked_on_is_revealed_on_demand_and_exported(
    cli: Cli, talk: Talk, tmp_path: Path
) -> None:
    """A state that its program could not load is in the export, which says so."""

    async def work(store: SessionStore) -> None:
        for number, data in ((4, b'{"cart":["tea"]}'), (5, b'{"cart":["coffee"]}')):
            joined = await store.join(talk.participant, session_id=talk.session_id)
            recorder = Recorder(store, joined.lease)
            recorder.work_unread()
            said = Turn(id=f"t{number}", role="user", text="more", created_at=1.7e9 + number)
            assert await recorder.saved(recorder.record(said, work=data).seq)
            await recorder.aclose()
            await store.release(joined.lease)

    before = cli("show", talk.session_id, "--json").data["session"]
    cli.act(work)
    after = cli("show", talk.session_id, "--json").data["session"]
    revealed = cli("show", talk.session_id, "--reveal", "--turns", "0").out
    ran = cli("export", "--identity", "maria", "--output", str(tmp_path / "maria.json"))
    kept = json.loads((tmp_path / "maria.json").read_text(encoding="utf-8"))["sessions"][0]

    assert (before["works_before"], after["works_before"]) == (0, 1)
    assert after["sealed_bytes"] > before["sealed_bytes"]
    assert 'state: {"seq": 5, "data": {"cart": ["coffee"]}}' in revealed
    assert 'could not be loaded: {"seq": 4, "data": {"cart": ["tea"]}}' in revealed
    assert "tea" not in cli("show", talk.session_id).out
    assert "1 session had a state that the program could not load" in ran.err
    assert (kept["work"]["seq"], kept["works_before"][0]["data"]) == (5, {"cart": ["tea"]})


def test_export_writes_a_file_for_its_owner_alone(cli: Cli, talk: Talk, tmp_path: Path) -> None:
    """The file has mode 0600 and everything in it, and never replaces another one."""
    file = tmp_path / "maria.json"
    before = os.umask(0)
    try:
        ran = cli("export", "--identity", "maria", "--output", str(file), "--json")
    finally:
        os.umask(before)
    again = cli("export", "--identity", "maria", "--output", str(file))
    shown = cli("export", "--identity", "maria", "--reveal")

    assert ran.data == {"file": str(file), "sessions": 1, "turns": 3, "unreadable": 0}
    assert file.stat().st_mode & 0o777 == 0o600
    kept = json.loads(file.read_text(encoding="utf-8"))
    assert kept["participant"]["pseudonym"] == talk.participant
    assert kept["sessions"][0]["content"]["title"] == "cats"
    assert again.code == Exit.USAGE
    assert shown.data["sessions"] == kept["sessions"]
    assert [action for _, action in audited(cli)] == ["export", "export"]


def test_an_export_says_where_to(cli: Cli, talk: Talk, tmp_path: Path) -> None:
    """Neither a file nor --reveal, both, a missing folder, an unknown participant: no export."""
    missing = tmp_path / "none" / "maria.json"
    file = tmp_path / "f.json"
    export = ("export", "--participant", talk.participant)

    assert cli(*export).code == Exit.USAGE
    assert cli(*export, "--reveal", "--output", str(file)).code == Exit.USAGE
    assert cli(*export, "--output", str(missing)).code == Exit.PROBLEM
    assert cli("export", "--identity", "nobody", "--output", str(file)).code == Exit.NOT_FOUND
    assert not file.exists()


def test_a_session_that_does_not_open_is_told(cli: Cli, talk: Talk, tmp_path: Path) -> None:
    """A broken seal is an error of its own; in an export it is listed, and the code is 1."""

    async def damage(store: SessionStore) -> None:
        key = KeySpace().participant(talk.participant).session(talk.session_id)
        transport: Any = store._backend
        await transport.transport.execute(key, "HSET", key, "content", b"\x01" + bytes(60))

    cli.act(damage)
    shown = cli("show", talk.session_id, "--reveal")
    exported = cli("export", "--identity", "maria", "--output", str(tmp_path / "f.json"), "--json")

    assert (shown.code, shown.out) == (Exit.KEYS, "")
    assert "seal" in shown.err
    assert (exported.code, exported.data["unreadable"]) == (Exit.PROBLEM, 1)
    assert cli("show", talk.session_id).code == Exit.OK


def test_erase_proves_notes_and_audits(cli: Cli, talk: Talk, tmp_path: Path) -> None:
    """An erasure is audited, noted and done; a second one finds no one, and notes it again."""
    first = cli("erase", "--participant", talk.participant, "--yes", "--json", "--reason", "T-1")
    again = cli("erase", "--participant", talk.participant, "--yes")

    assert first.data == {
        "participant": talk.participant,
        "known": True,
        "sessions": 1,
        "left_over": 0,
        "journal": str(tmp_path / "erasures.jsonl"),
    }
    assert again.code == Exit.NOT_FOUND
    assert "journal" in again.err
    assert len((tmp_path / "erasures.jsonl").read_text().splitlines()) == 2
    assert [action for _, action in audited(cli)] == ["erase", "erased"] * 2
    assert cli("list", "--json").data["total"] == 0
    assert cli("audit", "list", "--json").data["entries"][0]["detail"] == "T-1"
    assert cli("stats", "--json").data["days"][0]["erasures"] == 1


def test_erase_asks_first(cli: Cli, talk: Talk) -> None:
    """Without a terminal there is no question, so --yes must be given; nothing is done without."""
    for arguments in (["erase", "--identity", "maria"], ["erase-session", talk.session_id]):
        ran = cli(*arguments)
        assert ran.code == Exit.USAGE
        assert "--yes" in ran.err
    assert cli("list", "--json").data["total"] == 1
    assert audited(cli) == []


def test_an_erasure_without_a_journal_is_warned_of(
    cli: Cli, talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no journal is set, a restored backup would undo the erasure: that is said."""
    monkeypatch.delenv("REJOIN_ERASURE_JOURNAL")
    ran = cli("erase", "--participant", talk.participant, "--yes", "--json")

    assert (ran.code, ran.data["journal"]) == (Exit.OK, None)
    assert "REJOIN_ERASURE_JOURNAL" in ran.err


def test_one_session_is_erased_alone(cli: Cli, talk: Talk) -> None:
    """The participant's other sessions stay; an unknown session is not found."""
    other = cli.act(lambda store: store.open_new(talk.participant)).session.id
    ran = cli("erase-session", talk.session_id, "--yes", "--json")
    again = cli("erase-session", talk.session_id, "--yes")
    named = cli("erase-session", talk.session_id, "--yes", "--participant", talk.participant)

    assert ran.data["participant"] == talk.participant
    assert again.code == named.code == Exit.NOT_FOUND
    left = cli("list", "--json", "--identity", "maria").data["sessions"]
    assert [each["session_id"] for each in left] == [other]


def test_erasures_are_replayed_from_the_journal(cli: Cli, talk: Talk, tmp_path: Path) -> None:
    """What a restored backup brought back is erased again; damaged lines are an error."""
    with redis.Redis.from_url(cli.settings.redis_url.get_secret_value()) as raw:
        backup = {key: raw.dump(key) for key in raw.scan_iter()}
        assert cli("erase", "--participant", talk.participant, "--yes").code == Exit.OK
        for key, dumped in backup.items():
            raw.restore(key, 0, dumped, replace=True)
    journal = tmp_path / "erasures.jsonl"
    assert cli("list", "--json").data["total"] == 1

    first = cli("replay-erasures", str(journal), "--json")
    assert (first.code, first.data["participants"]) == (Exit.OK, 1)
    assert cli("list", "--json").data["total"] == 0
    with journal.open("a") as file:
        file.write("nonsense\n")
    damaged = cli("replay-erasures", str(journal), "--json")
    assert (damaged.code, damaged.data["skipped"]) == (Exit.PROBLEM, [2])
    assert cli("replay-erasures", str(tmp_path / "none")).code == Exit.PROBLEM


def test_consent_is_noted_and_shown(cli: Cli, talk: Talk) -> None:
    """Consent has a version and a time; an unknown participant has none."""
    who = ("--participant", talk.participant)
    assert cli("consent", *who, "--json").data["consent"] is None
    given = cli("consent", *who, "--give", "2026-02", "--json").data["consent"]
    taken = cli("consent", *who, "--withdraw", "2026-02", "--json").data["consent"]

    assert (given["given"], given["version"]) == (True, "2026-02")
    assert taken["given"] is False
    assert cli("consent", *who, "--json").data["consent"] == taken
    assert cli("consent", "--identity", "nobody").code == Exit.NOT_FOUND
    assert cli("consent", *who, "--give", "1", "--withdraw", "1").code == Exit.USAGE
    assert cli("consent", *who, "--give", "").code == Exit.USAGE


def test_retention_is_set_and_shown(cli: Cli, talk: Talk) -> None:
    """A participant's own retention replaces the default, within what is allowed."""
    who = ("--participant", talk.participant)
    assert cli("retention", *who, "--json").data["own"] is False
    assert cli("retention", *who, "--set", "90m", "--json").data["retention_s"] == 5400
    assert cli("retention", *who, "--json").data["own"] is True
    assert cli("retention", *who, "--default", "--json").data["own"] is False
    for wrong in ("soon", "8d", "0s", "-1h"):
        assert cli("retention", *who, "--set", wrong).code == Exit.USAGE, wrong
    assert cli("retention", "--identity", "nobody", "--set", "1h").code == Exit.NOT_FOUND


def test_keys_are_rotated(cli: Cli, talk: Talk) -> None:
    """With a new primary key everything is wrapped anew, and the old one may go."""
    assert "only key" in cli("rotate-keys").out
    path = cli.settings.key_file
    assert path is not None
    held = json.loads(path.read_text())
    fresh = json.loads(write_key_file(path.with_name("fresh")).read_text())["keys"]["k-1"]
    path.write_text(json.dumps(held | {"keys": held["keys"] | {"k-2": fresh}, "primary": "k-2"}))

    ran = cli("rotate-keys", "--json").data
    assert (ran["rewrapped"], ran["removable"]) == (1, ["k-1"])
    path.write_text(json.dumps(held | {"keys": {"k-2": fresh}, "primary": "k-2"}))
    assert cli("show", talk.session_id, "--reveal").code == Exit.OK
    assert ("k-2" in cli("show", talk.session_id).out) is True
    assert [action for _, action in audited(cli)] == ["rotate", "rotate", "reveal"]


def test_a_key_that_went_too_early_is_missed(cli: Cli, talk: Talk) -> None:
    """Without the key that wrapped it a session stays closed, and rotation names the key."""
    path = cli.settings.key_file
    assert path is not None
    held = json.loads(path.read_text())
    fresh = json.loads(write_key_file(path.with_name("fresh")).read_text())["keys"]["k-1"]
    path.write_text(json.dumps(held | {"keys": {"k-2": fresh}, "primary": "k-2"}))

    ran = cli("rotate-keys", "--json")
    shown = cli("show", talk.session_id, "--reveal")
    assert (ran.code, ran.data["unknown"]) == (Exit.PROBLEM, {"k-1": [talk.participant]})
    assert (shown.code, shown.out) == (Exit.KEYS, "")
    assert "'k-1'" in shown.err


def test_an_audit_that_was_tampered_with_is_found(cli: Cli, talk: Talk) -> None:
    """The list shows actors and actions; verify finds a forged entry and a removed one."""
    for _ in range(3):
        cli("show", talk.session_id, "--reveal")
    assert cli("audit", "verify", "--json").data["intact"] is True
    entries = cli("audit", "list", "--json", "--participant", talk.participant).data["entries"]
    assert [each["action"] for each in entries] == ["reveal"] * 3
    assert {each["actor"].partition(":")[0] for each in entries} == {"cli"}
    assert cli("audit", "list", "--limit", "1", "--json").data["entries"] == entries[-1:]
    assert cli("audit", "list", "--since", "0s", "--json").data["entries"] == []

    with redis.Redis.from_url(cli.settings.redis_url.get_secret_value()) as raw:
        raw.xadd(KeySpace().audit, {"actor": "\x1b[2Jnobody", "action": "erase"})
    ran = cli("audit", "verify")
    listed = cli("audit", "list")
    assert (ran.code, "was changed" in ran.out) == (Exit.PROBLEM, True)
    assert listed.code == Exit.OK
    assert "\x1b" not in listed.out


def test_stats_tell_days(cli: Cli, talk: Talk) -> None:
    """Counts of days and their union of people; a day that is none is refused."""
    cli("erase-session", talk.session_id, "--yes")
    today = cli("stats", "--json").data
    week = cli("stats", "--days", "7", "--json").data

    assert today["days"][0]["sessions_erased"] == 1
    assert len(week["days"]) == 7
    assert week["days"][-1] == today["days"][0]
    assert cli("stats", "--day", "2026-02-28", "--json").data["days"][0]["connects"] == 0
    assert cli("stats", "--days", "2").out.splitlines()[-1] == "0 people in these 2 days"
    for wrong in (["--day", "soon"], ["--days", "0"], ["--day", "today", "--days", "2"]):
        assert cli("stats", *wrong).code == Exit.USAGE, wrong


def test_a_spool_is_replayed(cli: Cli, talk: Talk, tmp_path: Path) -> None:
    """Turns that a dead job left on disk come in; without a folder there is nothing to do."""
    folder = tmp_path / "spool"

    async def leave_behind(store: SessionStore) -> None:
        joined = await store.join(talk.participant)
        turn = Turn(id="late", role="user", text="one more", created_at=1.8e9)
        Spool(folder).write(joined.lease.ref, [store.seal(joined.lease, turn)])

    cli.act(leave_behind)
    ran = cli("replay-spool", str(folder), "--json")
    again = cli("replay-spool", str(folder), "--json")

    assert (ran.code, ran.data["appended"], again.data["appended"]) == (Exit.OK, 1, 0)
    assert cli("replay-spool").code == Exit.USAGE
    assert cli("replay-spool", str(tmp_path / "none")).code == Exit.USAGE
    assert "one more" in cli("show", talk.session_id, "--reveal").out


@pytest.mark.usefixtures("cli")
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(cli: Cli, command: str) -> None:
    """--help is sentences, with an example, and needs neither Redis nor keys."""
    ran = cli(*command.split(), "--help")

    assert ran.code == Exit.OK
    assert ran.out.startswith(f"Usage: session-store {command}")
    assert re.search(r"Examples?: session-store", " ".join(ran.out.split()))
    sentences = ran.out.split("\n\n")[1].strip()
    assert sentences[0].isupper()
    assert sentences.endswith(".")
    assert "--json" in ran.out


def test_the_program_explains_its_exit_codes(cli: Cli) -> None:
    """--help lists all commands and codes; without a command it is the same, but an error."""
    ran, bare = cli("--help"), cli()

    assert ran.code == Exit.OK
    assert (bare.code, bare.out.split()) == (Exit.USAGE, ran.out.split())
    listed = ran.out.partition("Commands:")[2].partition("Exit codes:")
    for command in COMMANDS:
        assert f"\n  {command.split()[0]} " in listed[0]
    assert "..." not in listed[0]
    for code in (each for each in Exit if each is not Exit.DEFECT):
        assert re.search(rf" {code.value}\s+\w", listed[2])
    assert re.fullmatch(r"session-store \d+\.\d+\.\d+\n", cli("--version").out)
    assert cli("audit").code == Exit.USAGE


@pytest.mark.parametrize(
    "arguments",
    [
        ["lst"],
        ["list", "--colour"],
        ["list", "--limit", "many"],
        ["list", "--limit", "101"],
        ["list", "--offset", "-1"],
        ["list", "--participant", "maria"],
        ["list", "--participant", ""],
        ["list", "--identity", ""],
        ["list", "--identity", "x" * 513],
        ["list", "--identity", "a", "--participant", "a" * 26],
        ["show"],
        ["show", "../../etc/passwd"],
        ["show", "short"],
        ["show", "*" * 26],
        ["show", "é" * 26],
        ["export"],
        ["erase", "--yes"],
        ["retention", "--participant", "a" * 26, "--set", "1h", "--default"],
        ["audit", "list", "--since", "yesterday"],
        ["--env-file", "none.env", "list"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_one_line(cli: Cli, arguments: Sequence[str]) -> None:
    """Whatever is wrong with the arguments ends with code 2 and one line; nothing is printed."""
    ran = cli(*arguments)

    assert (ran.code, ran.out) == (Exit.USAGE, "")
    assert ran.err.startswith("session-store: ")
    assert len(ran.err.splitlines()) == 1
    assert "Traceback" not in ran.err


def test_what_is_not_there_is_not_found(cli: Cli, talk: Talk) -> None:
    """Unknown participants and sessions have a code of their own."""
    nobody = "a" * 26
    for arguments in (
        ["list", "--participant", nobody],
        ["show", nobody],
        ["show", talk.session_id, "--participant", nobody],
        ["export", "--participant", nobody, "--reveal"],
        ["erase-session", nobody, "--yes"],
    ):
        assert cli(*arguments).code == Exit.NOT_FOUND, arguments
    assert cli("list").code == Exit.OK


def test_settings_come_from_a_file_too(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``.env.local`` is read where it is, --env-file elsewhere, and the environment wins."""
    url = os.environ["REJOIN_REDIS_URL"]
    monkeypatch.delenv("REJOIN_REDIS_URL")
    (tmp_path / ".env.local").write_text("REJOIN_REDIS_URL=redis://127.0.0.1:1/0\nOTHER=x\n")
    assert cli("list").code == Exit.UNREACHABLE
    (tmp_path / "right.env").write_text(f"REJOIN_REDIS_URL={url}\n")
    assert cli("--env-file", str(tmp_path / "right.env"), "list").code == Exit.OK
    monkeypatch.setenv("REJOIN_REDIS_URL", url)
    assert cli("list").code == Exit.OK


def test_wrong_settings_are_explained_without_their_values(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting that is wrong is named, with what to write; a password in it is not repeated."""
    monkeypatch.setenv("REJOIN_REDIS_URL", "http://user:hunter2@host")
    url = cli("list")
    monkeypatch.setenv("REJOIN_REDIS_URL", "memory://")
    memory = cli("list")
    monkeypatch.setenv("REJOIN_MAX_TURNS", "many")
    turns = cli("doctor")

    assert {url.code, memory.code, turns.code} == {Exit.USAGE}
    assert "REJOIN_REDIS_URL" in url.err
    assert "redis://" in url.err
    assert "hunter2" not in url.err
    assert "REJOIN_MAX_TURNS" in turns.err


def test_a_defect_shows_no_content(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unforeseen error is named by its kind alone; --debug raises it."""

    async def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("maria said hello")

    monkeypatch.setattr("session_store.cli.session_index.page", fail)
    ran = cli("list")

    assert (ran.code, ran.out) == (Exit.DEFECT, "")
    assert "RuntimeError" in ran.err
    assert "maria" not in ran.err
    with pytest.raises(RuntimeError):
        cli("--debug", "list")


# --- the real process --------------------------------------------------------------------------


def program(
    *arguments: str, stdin: str = "", **environment_: str
) -> subprocess.CompletedProcess[str]:
    """Run the real program to its end."""
    return subprocess.run(
        [sys.executable, "-m", "session_store.cli", *arguments],
        input=stdin,
        env=os.environ | environment_,
        capture_output=True,
        text=True,
        timeout=NET_S,
        check=False,
    )


@dataclass(frozen=True)
class Trouble:
    """A state in which the program cannot work, and what it must say."""

    name: str
    environment: dict[str, str]
    code: Exit
    says: str


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a Redis that wants a password, with a user who may do little."""
    folder = tmp_path_factory.mktemp("locked")
    with standalone(folder, "--requirepass", "right") as server:
        with server.client(Login(None, "right")) as client:
            rules = ["on", ">pw", "~rj1:*", "+ping"]
            client.execute_command("ACL", "SETUSER", "narrow", *rules)
        yield server


def test_each_trouble_has_its_own_line_and_code(
    cli: Cli, talk: Talk, locked: Server, tmp_path: Path
) -> None:
    """Redis away, login, rights, a replica, keys: the real process says which, in one line."""
    port = cli.settings.redis_address.hosts[0].port
    other_keys = str(write_key_file(tmp_path / "other.json"))
    broken_keys = tmp_path / "broken.json"
    broken_keys.write_text("{}")
    follow = ("--replicaof", "127.0.0.1", str(port))
    with standalone(tmp_path / "replica", *follow) as replica:
        replicated = f"redis://{replica.name}/0"
        at_locked = f"{locked.name}/0"
        with replica.client() as client:
            deadline = time.monotonic() + 20
            while not client.dbsize() and time.monotonic() < deadline:
                time.sleep(0.02)
        troubles = [
            Trouble(
                "away", {"REJOIN_REDIS_URL": "redis://127.0.0.1:1"}, Exit.UNREACHABLE, "not answer"
            ),
            Trouble(
                "no password",
                {"REJOIN_REDIS_URL": f"redis://{at_locked}"},
                Exit.REFUSED,
                "user or password",
            ),
            Trouble(
                "wrong password",
                {"REJOIN_REDIS_URL": f"redis://:wrong@{at_locked}"},
                Exit.REFUSED,
                "user or password",
            ),
            Trouble(
                "no permission",
                {"REJOIN_REDIS_URL": f"redis://narrow:pw@{at_locked}"},
                Exit.REFUSED,
                "users.acl",
            ),
            Trouble("replica", {"REJOIN_REDIS_URL": replicated}, Exit.REFUSED, "read-only"),
            Trouble("no keys", {"REJOIN_KEY_FILE": ""}, Exit.KEYS, "no encryption key"),
            Trouble("no key file", {"REJOIN_KEY_FILE": "none.json"}, Exit.KEYS, "cannot be read"),
            Trouble(
                "broken key file", {"REJOIN_KEY_FILE": str(broken_keys)}, Exit.KEYS, "malformed"
            ),
            Trouble("wrong keys", {"REJOIN_KEY_FILE": other_keys}, Exit.KEYS, "pseudonym key"),
        ]

        def erase(trouble: Trouble) -> subprocess.CompletedProcess[str]:
            who = ("--participant", talk.participant)
            return program("erase", *who, "--yes", **trouble.environment)

        with ThreadPoolExecutor(3) as pool:
            ends = list(pool.map(erase, troubles))
        for trouble, ran in zip(troubles, ends, strict=True):
            assert (ran.returncode, ran.stdout) == (trouble.code, ""), (trouble, ran)
            assert trouble.says in ran.stderr, (trouble, ran)
            assert len(ran.stderr.splitlines()) == 1, (trouble, ran)
    assert cli("list", "--json").data["total"] == 1


def test_a_redis_that_is_loading_is_not_ready(tmp_path: Path) -> None:
    """While Redis reads its data the program says that it is not ready, rather than empty."""
    with standalone(tmp_path / "loading", "--rdbcompression", "no") as server:
        with server.client(timeout_s=NET_S) as client:
            client.mset({f"k{n}": "x" * 2**20 for n in range(100)})
            client.save()
        server.kill()
        # A key takes 300 ms, and between each 2 MiB Redis says that it is loading. All together
        # take longer than the program needs to start on a busy machine.
        server._process = server._start("--key-load-delay", "300000")
        deadline = time.monotonic() + NET_S
        while True:
            ran = program("list", REJOIN_REDIS_URL=f"redis://{server.name}/0")
            if "not ready" in ran.stderr or time.monotonic() > deadline:
                break
        # It would not stop in order before it has read everything.
        server.kill()

    assert (ran.returncode, ran.stdout) == (Exit.UNREACHABLE, "")
    assert "not ready" in ran.stderr


def test_a_secret_identity_is_read_from_standard_input(
    cli: Cli, talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --identity-stdin the identity is in no list of processes, and a pipe is enough."""
    ran = program("list", "--identity-stdin", "--json", stdin="maria\n")
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    wrong = cli("list", "--identity-stdin")

    assert json.loads(ran.stdout)["sessions"][0]["participant"] == talk.participant
    assert wrong.code == Exit.USAGE


def test_without_the_extra_it_says_what_to_install() -> None:
    """Where typer is missing, the program names the extra, instead of a traceback."""
    hidden = "import sys; sys.modules['typer'] = None; from session_store.cli import main; main()"
    ran = subprocess.run(
        [sys.executable, "-c", hidden], capture_output=True, text=True, timeout=NET_S, check=False
    )

    assert ran.stderr == "session-store: install what it needs: pip install 'livekit-rejoin[cli]'\n"


def start(*arguments: str) -> subprocess.Popen[bytes]:
    """Start the real program, with nothing between its output and us."""
    return subprocess.Popen(
        [sys.executable, "-m", "session_store.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )


def line_of(process: subprocess.Popen[bytes]) -> str:
    """Read a line that must come."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], NET_S)
    assert ready, "nothing was printed"
    return process.stdout.readline().decode()


def test_watch_prints_lines_of_json_until_it_is_stopped(cli: Cli) -> None:
    """It says when it listens, prints each event at once, and SIGINT is a good end."""
    with start("watch", "--json") as watching:
        try:
            assert json.loads(line_of(watching)) == {"missed": True}
            talk = cli.act(spoken)
            kinds = [json.loads(line_of(watching)) for _ in range(2)]
            watching.send_signal(signal.SIGINT)
            assert watching.wait(NET_S) == Exit.OK
        finally:
            watching.kill()

    assert [each["type"] for each in kinds] == ["session_created", "participant_left"]
    assert {each["session_id"] for each in kinds} == {talk.session_id}


@pytest.mark.usefixtures("cli", "talk")
def test_monitor_looks_again_until_it_is_stopped() -> None:
    """With --watch each look is a line; SIGTERM is a good end."""
    with start("monitor", "--watch", "--every", "0.5", "--json") as watching:
        try:
            looks = [json.loads(line_of(watching)) for _ in range(2)]
            watching.send_signal(signal.SIGTERM)
            assert watching.wait(NET_S) == Exit.OK
        finally:
            watching.kill()

    assert [each["sessions"]["sessions"] for each in looks] == [1, 1]
    assert looks[0]["at"] < looks[1]["at"]


def test_watch_follows_one_and_ends_by_itself(cli: Cli, talk: Talk) -> None:
    """Other participants are left out, and --limit ends it; a reader that leaves is no error."""
    with start("watch", "--limit", "1", "--participant", talk.participant) as watching:
        try:
            with redis.Redis.from_url(cli.settings.redis_url.get_secret_value()) as raw:
                deadline = time.monotonic() + 30
                while not raw.client_list(_type="pubsub") and time.monotonic() < deadline:
                    time.sleep(0.02)
            cli.act(lambda store: spoken(store, "somebody-else"))
            cli.act(lambda store: store.close(talk.participant, talk.session_id))
            assert "session_ended" in line_of(watching)
            assert watching.wait(NET_S) == Exit.OK
        finally:
            watching.kill()


def test_sweep_runs_until_it_is_stopped(cli: Cli, talk: Talk) -> None:
    """A sweeper of one's own ends what is due, says so, and SIGTERM is a good end."""
    key = KeySpace().participant(talk.participant)
    with redis.Redis.from_url(cli.settings.redis_url.get_secret_value()) as raw:
        raw.hset(key.session(talk.session_id), "window_until", "1")
        raw.zadd(key.due, {f"{talk.participant}:{talk.session_id}": 1})
    with start("sweep", "--json") as sweeping:
        try:
            event = json.loads(line_of(sweeping))
            sweeping.terminate()
            assert sweeping.wait(NET_S) == Exit.OK
        finally:
            sweeping.kill()

    assert (event["type"], event["session_id"]) == ("session_ended", talk.session_id)
    assert cli("stats", "--json").data["days"][0]["sessions_ended"] == 1
    assert cli("sweep", "--once", "--json").data["ended"] == 0


def test_a_reader_that_leaves_is_no_error(talk: Talk) -> None:
    """With "| head" the output ends early, without a traceback."""
    with start("export", "--participant", talk.participant, "--reveal") as exporting:
        assert exporting.stdout is not None
        assert exporting.stderr is not None
        exporting.stdout.close()
        assert exporting.wait(NET_S) == Exit.OK
        assert exporting.stderr.read() == b""


def on_terminal(*arguments: str, answer: str = "") -> tuple[int, str]:
    """Run the real program on a terminal of 80 columns; answer its question."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update({"COLUMNS": "80", "TERM": "xterm-256color"})
        os.execv(  # noqa: S606 (no shell is wanted)
            sys.executable, [sys.executable, "-m", "session_store.cli", *arguments]
        )
    shown, asked = b"", False
    while True:
        ready, _, _ = select.select([terminal], [], [], NET_S)
        assert ready, shown
        try:
            part = os.read(terminal, 65536)
        except OSError:
            break  # Linux says so at the end.
        if not part:
            break
        shown += part
        if b"Type yes:" in shown and not asked:
            asked = True
            os.write(terminal, answer.encode())
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    plain = re.sub(rb"\x1b\[[0-9;]*m", b"", shown).replace(b"\r\n", b"\n")
    return os.waitstatus_to_exitcode(status), plain.decode()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_one_interrupt_ends_a_question(cli: Cli, talk: Talk) -> None:
    """Ctrl-C at the question stops the program at once, and nothing is erased."""
    code, shown = on_terminal("erase", "--participant", talk.participant, answer="\x03")

    assert code == 128 + signal.SIGINT, shown
    assert cli("list", "--json").data["total"] == 1


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_terminal_is_asked_and_shows_whole_ids(cli: Cli, talk: Talk) -> None:
    """On a narrow terminal ids are not cut, and an erasure is asked for by name."""
    _, listed = on_terminal("list")
    refused, question = on_terminal("erase", "--identity", "maria", answer="no\n")
    still_there = cli("list", "--json").data["total"]
    agreed, _ = on_terminal("erase", "--identity", "maria", answer="yes\n")

    assert f"{talk.participant}  {talk.session_id}" in listed
    assert max(map(len, listed.splitlines())) <= 80
    assert talk.participant in question
    assert (refused, still_there) == (Exit.PROBLEM, 1)
    assert agreed == Exit.OK
    assert cli("list", "--json").data["total"] == 0
