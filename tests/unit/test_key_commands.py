"""``session-store keys new``: the first key file."""

from __future__ import annotations

import json
import logging
import os
from typing import TYPE_CHECKING, NamedTuple

import pytest

from session_store import Keyring, StoreSettings
from session_store.cli import app
from session_store.cli.exit_codes import Exit

if TYPE_CHECKING:
    from pathlib import Path


class Ran(NamedTuple):
    """What a run came to."""

    code: int
    out: str
    err: str


class Cli:
    """Runs the program in this process, in a folder of its own."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Ran:
        """Run it."""
        self._capsys.readouterr()
        return Ran(app.run(arguments), *self._capsys.readouterr())


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Work in an empty folder, without a setting."""
    for name in list(os.environ):
        if name.startswith("REJOIN_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    # The program silences this logger for the rest of its process.
    logger = logging.getLogger("session_store")
    monkeypatch.setattr(logger, "propagate", logger.propagate)
    monkeypatch.setattr(logger, "handlers", [*logger.handlers])
    return Cli(tmp_path, capsys)


def test_the_keys_open_a_keyring(cli: Cli) -> None:
    """Two random keys of a new file, which only its owner may read, and nothing beside it."""
    before = os.umask(0)
    try:
        ran = cli("keys", "new", "keys.json")
    finally:
        os.umask(before)
    path = cli.folder / "keys.json"

    assert (ran.code, ran.err) == (Exit.OK, "")
    keyring = Keyring.from_settings(StoreSettings(key_file=path))
    assert keyring.ids == (keyring.primary,)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(cli.folder.iterdir()) == [path]
    held = json.loads(path.read_bytes())
    assert held["pseudonym_key"] != held["keys"][keyring.primary]
    assert held["pseudonym_key"] not in ran.out
    assert held["keys"][keyring.primary] not in ran.out


def test_it_says_what_to_set(cli: Cli) -> None:
    """The whole path, because programs start in other folders."""
    ran = cli("keys", "new", "keys.json")

    assert f"REJOIN_KEY_FILE={cli.folder}/keys.json\n" in ran.out
    assert "doctor" in ran.out


def test_by_default_it_makes_the_file_of_the_settings(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the environment, or from .env.local as the other commands read it."""
    monkeypatch.setenv("REJOIN_KEY_FILE", str(cli.folder / "a.json"))
    ran = cli("keys", "new")
    monkeypatch.delenv("REJOIN_KEY_FILE")
    (cli.folder / ".env.local").write_text("REJOIN_KEY_FILE=b.json\n")
    as_json = cli("keys", "new", "--json")

    assert "REJOIN_KEY_FILE names it" in ran.out
    assert (
        Keyring.from_file(cli.folder / "a.json").ids == Keyring.from_file(cli.folder / "b.json").ids
    )
    assert json.loads(as_json.out)["file"] == str(cli.folder / "b.json")
    assert json.loads(as_json.out)["key_file_is_set"] is True


@pytest.mark.parametrize("there", ["keys", "", "link"])
def test_an_existing_file_stays_as_it_is(cli: Cli, there: str) -> None:
    """Even an empty one, and a link to nowhere: it may be a disk that is not mounted."""
    path = cli.folder / "keys.json"
    if there == "link":
        path.symlink_to(cli.folder / "none")
    else:
        path.write_text(there)
    ran = cli("keys", "new", "keys.json")

    assert (ran.code, ran.out) == (Exit.PROBLEM, "")
    assert ran.err == (
        f"session-store: {path} exists, and stays as it is: "
        "without its keys no conversation opens\n"
    )
    assert list(cli.folder.iterdir()) == [path]
    assert path.is_symlink() if there == "link" else path.read_text() == there


def test_what_is_missing_is_named(cli: Cli) -> None:
    """A name for the file, or its folder; without a command the help is shown."""
    assert "REJOIN_KEY_FILE" in cli("keys", "new").err
    assert str(cli.folder / "none") in cli("keys", "new", "none/keys.json").err
    assert cli("keys", "new").code == cli("keys", "new", "none/k").code == Exit.USAGE
    assert cli("keys").code == Exit.USAGE
    assert list(cli.folder.iterdir()) == []


def test_keys_that_are_set_already_are_not_forgotten(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key file takes their place, so what they have sealed would not open."""
    monkeypatch.setenv("REJOIN_ENCRYPTION_KEYS", "k-1:c2VjcmV0")
    ran = cli("keys", "new", "keys.json")

    assert ran.code == Exit.OK
    assert "REJOIN_ENCRYPTION_KEYS is set" in ran.err
    assert "c2VjcmV0" not in ran.err


def test_without_a_key_a_program_names_the_command(cli: Cli) -> None:
    """Both messages of the keyring: no setting, and no file."""
    for settings in (StoreSettings(), StoreSettings(key_file=cli.folder / "none.json")):
        with pytest.raises(Exception, match="session-store keys new"):
            Keyring.from_settings(settings)
