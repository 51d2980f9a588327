"""What Redis's errors mean, where servers word the same one differently."""

from __future__ import annotations

import pytest

from session_store.backends.transport.refusals import error_of, reply_error
from session_store.errors import PermissionMissing


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "NOPERM this user has no permissions to run the 'evalsha' command", id="a command"
        ),
        pytest.param(
            "ERR Error running script (call to f_85fe): @user_script:310: @user_script: 310: "
            "-NOPERM this user has no permissions to run the 'hset' command or its subcommand ",
            id="in a script of Redis 6.2",
        ),
        pytest.param(
            "ERR The user executing the script can't run this command or subcommand "
            "script: 85fe, on @user_script:310.",
            id="in a script of Redis 7.0",
        ),
        pytest.param(
            "ERR ACL failure in script: User rejoin has no permissions to run the 'hset' command "
            "script: 85fe, on @user_script:310.",
            id="in a script of Redis 7.2 and Valkey",
        ),
    ],
)
def test_a_missing_permission_is_known_by_every_server_s_words(text: str) -> None:
    """The operator is sent to the rules that are shipped, whatever the server."""
    error = error_of(reply_error(text), "redis:6379")
    assert isinstance(error, PermissionMissing)
    assert "users.acl" in str(error)
