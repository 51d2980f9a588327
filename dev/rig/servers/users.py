"""The users that this project ships for Redis, with passwords for tests."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from dev.paths import ROOT
from dev.rig.servers.process import Login

if TYPE_CHECKING:
    from pathlib import Path

SHIPPED = ROOT / "deploy" / "redis" / "users.acl"
WORKER = "rejoin"
OPERATOR = "rejoin-operator"
REPLICA = "replica"
SENTINEL = "sentinel"
TESTER = "tester"
"""May do everything; not shipped."""
_USER = re.compile(r"user (\S+) (.*)")
_NO_PASSWORD = "#" + "0" * 64


def password_of(user: str) -> str:
    """Return a user's password in tests."""
    return f"{user} hush"


LOOKS_AT_ALL = Login(TESTER, password_of(TESTER))


def as_user(url: str, user: str) -> str:
    """Put a user's login into a URL."""
    return url.replace("://", f"://{user}:{quote(password_of(user))}@")


def guarded_by_users(folder: Path) -> list[str]:
    """Return options of a Redis whose users are the shipped ones, and the tester."""
    folder.mkdir(parents=True, exist_ok=True)
    return ["--aclfile", str(write_users(folder / "users.acl"))]


def rules_of(user: str, *, file: Path = SHIPPED) -> list[str]:
    """Return a user's rules, with the password for tests."""
    digest = hashlib.sha256(password_of(user).encode()).hexdigest()
    for line in file.read_text().splitlines():
        name, rules = _user_in(line)
        if name == user:
            return rules.replace(_NO_PASSWORD, f"#{digest}").split()
    raise LookupError(user)


def write_users(path: Path) -> Path:
    """Write the shipped file with passwords, and one more user that may look at everything."""
    names = [_user_in(line)[0] for line in SHIPPED.read_text().splitlines()]
    lines = [f"user {name} {' '.join(rules_of(name))}" for name in names]
    tester = f"user {TESTER} on #{hashlib.sha256(password_of(TESTER).encode()).hexdigest()}"
    path.write_text("\n".join([*lines, f"{tester} ~* &* +@all", ""]))
    return path


def _user_in(line: str) -> tuple[str, str]:
    found = _USER.fullmatch(line)
    if found is None:
        raise ValueError(line)
    return found[1], found[2]
