"""The options that a transport gets from the settings."""

from __future__ import annotations

import pytest

from session_store import StoreSettings
from session_store.backends.redis.backend import transport_options
from session_store.backends.transport.options import Replication

SECRET = "unmistakable"


def settings_of(**values: object) -> StoreSettings:
    """Return settings from arguments alone."""
    return StoreSettings.model_validate(values)


def test_no_password_is_shown() -> None:
    """Neither the login of Redis nor that of its sentinels is in a repr."""
    options = transport_options(
        settings_of(
            redis_url=f"redis+sentinel://user:{SECRET}@box/main", redis_sentinel_password=SECRET
        )
    )
    assert options.address.password == options.sentinel_password == SECRET
    assert SECRET not in repr(options)


@pytest.mark.parametrize(
    ("durability", "replication"),
    [
        pytest.param("primary", None, id="the primary is enough"),
        pytest.param("replicated", Replication(2, 250), id="replicas too"),
    ],
)
def test_durable_calls_wait_for_the_replicas_that_are_asked(
    durability: str, replication: Replication | None
) -> None:
    """Replicas are asked for only with that durability, and their time is in milliseconds."""
    settings = settings_of(durability=durability, replicas_asked=2, replica_timeout_s=0.25)
    assert transport_options(settings).replication == replication
