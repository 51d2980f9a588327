"""``make secrets``: makes what is missing, and never touches what is there."""

from __future__ import annotations

import re
import stat
import subprocess
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from agent.settings import AgentSettings
from gateway.settings import GatewaySettings
from session_store import StoreSettings
from session_store.sealing.keyring import Keyring
from session_store.settings import explain

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy" / "secrets.sh"


def run(env_file: Path) -> subprocess.CompletedProcess[str]:
    """Run the script on a file."""
    return subprocess.run(["sh", SCRIPT, env_file], capture_output=True, text=True, check=False)  # noqa: S607


def values(env_file: Path) -> dict[str, str]:
    """Return what is set in a file."""
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", env_file.read_text(), re.MULTILINE))


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    """Where the settings will be."""
    return tmp_path / ".env"


def test_all_that_compose_asks_for_is_made(env_file: Path) -> None:
    """Out of nothing comes a private file with every secret, and with the settings to look up."""
    assert run(env_file).returncode == 0
    asked = set(re.findall(r"\$\{([A-Z_]+):\?", (ROOT / "docker-compose.yml").read_text()))
    assert set(values(env_file)) == asked
    assert stat.S_IMODE(env_file.stat().st_mode) == 0o600
    example = (ROOT / ".env.example").read_text().splitlines()
    made = env_file.read_text().splitlines()
    assert [re.sub(r"^#(\w+)=.*", r"\1", line) for line in example] == [
        re.sub(r"^#?(\w+)=.*", r"\1", line) for line in made
    ]


def test_the_keys_open_a_keyring(env_file: Path) -> None:
    """The store takes them as they are."""
    run(env_file)
    made = values(env_file)
    keyring = Keyring.from_settings(
        StoreSettings(
            encryption_keys=SecretStr(made["REJOIN_ENCRYPTION_KEYS"]),
            primary_key=made["REJOIN_PRIMARY_KEY"],
            pseudonym_key=SecretStr(made["REJOIN_PSEUDONYM_KEY"]),
        )
    )
    assert keyring.ids == (made["REJOIN_PRIMARY_KEY"],)


def test_passwords_can_stand_in_a_url(env_file: Path) -> None:
    """They need no escapes, and no two are equal."""
    run(env_file)
    passwords = [value for name, value in values(env_file).items() if "PASSWORD" in name]
    assert len(set(passwords)) == len(passwords)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{24,}", password) for password in passwords)


def test_a_second_run_changes_nothing(env_file: Path) -> None:
    """Another run keeps every secret, and the file its bytes."""
    run(env_file)
    before = env_file.read_bytes()
    again = run(env_file)
    assert (again.returncode, again.stdout) == (0, "")
    assert env_file.read_bytes() == before


def test_what_was_set_by_hand_stays(env_file: Path) -> None:
    """A secret of the user's own is kept; an example is replaced, and so is an empty one."""
    own = "a-secret-of-my-own-that-is-long-enough"
    env_file.write_text(f"LIVEKIT_API_SECRET={own}\nREDIS_PASSWORD=change-me\nLIVEKIT_API_KEY=\n")
    assert run(env_file).returncode == 0
    made = values(env_file)
    assert made["LIVEKIT_API_SECRET"] == own
    assert "change" not in made["REDIS_PASSWORD"]
    assert made["LIVEKIT_API_KEY"].startswith("rejoin-")
    assert env_file.read_text().count("REDIS_PASSWORD=") == 1


def test_a_weak_secret_is_told_and_left_alone(env_file: Path) -> None:
    """It is refused rather than used or replaced, and not repeated."""
    env_file.write_text("REDIS_PASSWORD=hunter2\n")
    refused = run(env_file)
    assert refused.returncode == 1
    assert "REDIS_PASSWORD has fewer than 24 characters" in refused.stderr
    assert "hunter2" not in refused.stderr
    assert values(env_file)["REDIS_PASSWORD"] == "hunter2"


@pytest.mark.parametrize("name", ["REDIS_PASSWORD", "REDIS_OPERATOR_PASSWORD"])
def test_a_password_that_breaks_a_url_is_told_and_left_alone(env_file: Path, name: str) -> None:
    """However long it is: it would reach Redis in another form than the programs."""
    env_file.write_text(f"{name}=a-long-password-of-my-own@home\n")
    refused = run(env_file)
    assert refused.returncode == 1
    assert f"{name} has characters that break a URL" in refused.stderr
    assert "home" not in refused.stderr
    assert values(env_file)[name] == "a-long-password-of-my-own@home"


def test_half_of_the_keys_is_no_reason_for_new_ones(env_file: Path) -> None:
    """Where a key's id is missing, nothing is made in its place."""
    env_file.write_text("REJOIN_ENCRYPTION_KEYS=k:AAAA\n")
    refused = run(env_file)
    assert refused.returncode == 1
    assert "put it back" in refused.stderr
    assert values(env_file)["REJOIN_ENCRYPTION_KEYS"] == "k:AAAA"


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (StoreSettings, "REJOIN_REDIS_URL"),
        (StoreSettings, "REJOIN_ENCRYPTION_KEYS"),
        (StoreSettings, "REJOIN_PSEUDONYM_KEY"),
        (StoreSettings, "REJOIN_REDIS_SENTINEL_PASSWORD"),
        (AgentSettings, "LIVEKIT_API_KEY"),
        (AgentSettings, "LIVEKIT_API_SECRET"),
        (GatewaySettings, "LIVEKIT_API_KEY"),
        (GatewaySettings, "LIVEKIT_API_SECRET"),
    ],
)
def test_no_program_starts_with_an_example(
    settings: type[StoreSettings | AgentSettings | GatewaySettings],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was copied is refused wherever a secret goes, and it is said what to do."""
    for each in ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"):
        monkeypatch.setenv(each, "ws://livekit:7880")
    example = "redis://rejoin:change-me@redis:6379/0" if name.endswith("URL") else "change-me"
    monkeypatch.setenv(name, example)
    with pytest.raises(ValidationError) as refused:
        settings()
    assert explain(refused.value) == (
        f"{name}: Value error, this is an example; run make secrets, or set one of your own"
    )
