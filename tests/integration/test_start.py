"""Starting the worker and the gateway with wrong settings: one clear line, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dev.rig.key_file import write_key_file
from dev.rig.net import NET_S
from dev.rig.ports import free_port
from session_store import SessionStore, StoreSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
PARTS = pytest.mark.parametrize("part", ["agent", "gateway"])


def start(part: str, folder: Path, **settings: str) -> tuple[int, str]:
    """Start a part that is expected to refuse; return its exit code and what it said."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("REJOIN_", "LIVEKIT_", "GATEWAY_", "AGENT_"))
    }
    page = folder / "page"
    page.mkdir(exist_ok=True)
    (page / "index.html").write_text("")
    env: Mapping[str, str] = {
        **inherited,
        "PYTHONPATH": str(ROOT),
        "LIVEKIT_URL": "ws://127.0.0.1:1",
        "LIVEKIT_API_KEY": "key",
        "LIVEKIT_API_SECRET": "secret" * 8,
        "GATEWAY_PORT": str(free_port()),
        "GATEWAY_PAGE": str(page),
        **settings,
    }
    done = subprocess.run(
        [sys.executable, "-m", part],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=NET_S,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@PARTS
def test_a_missing_key_is_named(part: str, tmp_path: Path, redis_url: str) -> None:
    """Without a key nothing starts, and the line says which setting to make."""
    code, said = start(part, tmp_path, REJOIN_REDIS_URL=redis_url)
    assert code != 0
    assert f"{part}: no encryption key is set: set REJOIN_KEY_FILE" in said
    assert "Traceback" not in said


@PARTS
async def test_a_wrong_key_is_refused(part: str, tmp_path: Path, settings: StoreSettings) -> None:
    """With another key than Redis was written with, nothing starts and nothing is changed."""
    store = SessionStore.from_settings(settings)
    await store.check()
    other = write_key_file(tmp_path / "other.json")
    code, said = start(
        part,
        tmp_path,
        REJOIN_REDIS_URL=settings.redis_url.get_secret_value(),
        REJOIN_KEY_FILE=str(other),
    )
    assert code != 0
    assert "put the earlier key back" in said
    assert "Traceback" not in said
    await store.check()
    await store.aclose()


@PARTS
def test_a_missing_setting_is_named(part: str, tmp_path: Path, key_file: Path) -> None:
    """A setting that is empty or malformed is named, without its value."""
    code, said = start(
        part, tmp_path, REJOIN_KEY_FILE=str(key_file), LIVEKIT_API_SECRET="", LIVEKIT_URL=""
    )
    assert code != 0
    assert "LIVEKIT_API_SECRET" in said
    assert "LIVEKIT_URL" in said
    assert "Traceback" not in said
    code, said = start(part, tmp_path, REJOIN_KEY_FILE=str(key_file), REJOIN_MAX_TURNS="many")
    assert code != 0
    assert "REJOIN_MAX_TURNS" in said
    assert "many" not in said


@PARTS
def test_a_wrong_setting_of_the_logs_is_named(part: str, tmp_path: Path, key_file: Path) -> None:
    """The same for how it is to log."""
    code, said = start(part, tmp_path, REJOIN_KEY_FILE=str(key_file), REJOIN_LOG_LEVEL="loud")
    assert code != 0
    assert f"{part}: REJOIN_LOG_LEVEL: " in said
    assert "loud" not in said
    assert "Traceback" not in said


@PARTS
def test_who_may_not_log_in_is_told_so(
    part: str, tmp_path: Path, key_file: Path, redis_url: str
) -> None:
    """A login that Redis refuses will not mend itself, so nothing starts."""
    wrong = redis_url.replace("redis://", "redis://nobody:guessed@")
    code, said = start(part, tmp_path, REJOIN_KEY_FILE=str(key_file), REJOIN_REDIS_URL=wrong)
    assert code != 0
    assert "user or password" in said
    assert "guessed" not in said
    assert "Traceback" not in said


def test_a_gateway_without_its_page_says_how_to_build_it(tmp_path: Path, key_file: Path) -> None:
    """A page that was not built is no empty answer, but a line at start."""
    code, said = start(
        "gateway", tmp_path, REJOIN_KEY_FILE=str(key_file), GATEWAY_PAGE=str(tmp_path / "none")
    )
    assert code != 0
    assert "the page is not built" in said
    assert "npm run build" in said
