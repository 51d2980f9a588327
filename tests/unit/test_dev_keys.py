"""The demo's key file."""

import base64
import json
from pathlib import Path

import pytest

from dev.commands import DevError
from dev.keys import ensure_key_file
from session_store.sealing.key_file import make_key_file


def test_the_key_file_is_made_with_a_named_primary(tmp_path: Path) -> None:
    """The first start makes two keys of 32 bytes, and names which one seals."""
    path = tmp_path / "keys.json"
    assert ensure_key_file(path, data_exist=False)
    content = json.loads(path.read_bytes())
    secrets = [content["keys"][content["primary"]], content["pseudonym_key"]]
    assert [len(base64.b64decode(secret, validate=True)) for secret in secrets] == [32, 32]
    assert secrets[0] != secrets[1]


def test_only_the_owner_may_read_the_key_file(tmp_path: Path) -> None:
    """Its mode is 0600, and nothing else is left beside it."""
    path = tmp_path / "keys.json"
    ensure_key_file(path, data_exist=False)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    """The second start leaves the first one's keys as they are."""
    path = tmp_path / "keys.json"
    ensure_key_file(path, data_exist=False)
    before = path.read_bytes()
    assert not ensure_key_file(path, data_exist=True)
    assert path.read_bytes() == before


def test_a_key_file_made_meanwhile_is_kept(tmp_path: Path) -> None:
    """Of two that make it at the same moment, the second gives way."""
    path = tmp_path / "keys.json"
    path.write_bytes(b"first")
    with pytest.raises(FileExistsError):
        make_key_file(path)
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_conversations_without_their_keys_stop_the_demo(tmp_path: Path) -> None:
    """New keys could not open what is kept, so none are made and both ways out are told."""
    path = tmp_path / "keys.json"
    with pytest.raises(DevError, match=r"Put that file back.*make clean-data"):
        ensure_key_file(path, data_exist=True)
    assert not path.exists()
