"""How errors of Redis and of the network become errors of this library."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.sentinel import MasterNotFoundError

from session_store.errors import (
    LoginRefused,
    PermissionMissing,
    SessionStoreError,
    StoreFull,
    StoreLoading,
    StoreReadOnly,
    StoreRefused,
    StoreUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_store.meter import RedisTrouble

ELSEWHERE: Final = (MovedError, ReadOnlyError, MasterDownError, ClusterDownError)
"""Another server is the primary of this key, or will be in a moment."""
IN_A_MOMENT: Final = (AskError, TryAgainError)
"""A slot is moving from one node of a Cluster to another."""

_LOGIN: Final = (AuthenticationError, AuthenticationWrongNumberOfArgsError, AuthorizationError)
_NO_LOGIN: Final = ("NOAUTH", "WRONGPASS")
_NOT_ALLOWED: Final = ("NOPERM", "can't run this command", "ACL failure in script")
"""What a script that lacks a permission answers: on Redis 6.2, on 7.0, on 7.2 and Valkey."""


_BY_CODE: Final[Mapping[str, type[RedisError]]] = {
    "ASK": AskError,
    "CLUSTERDOWN": ClusterDownError,
    "LOADING": BusyLoadingError,
    "MASTERDOWN": MasterDownError,
    "MOVED": MovedError,
    "NOAUTH": AuthenticationError,
    "NOPERM": NoPermissionError,
    "NOSCRIPT": NoScriptError,
    "OOM": OutOfMemoryError,
    "READONLY": ReadOnlyError,
    "TRYAGAIN": TryAgainError,
    "WRONGPASS": AuthenticationError,
}
"""Redis's errors by their first word; all others are a plain ``ResponseError``."""


_IN_SCRIPT: Final = re.compile(r"ERR Error running script .*?: -?([A-Z]+) ")
"""How Redis 6.2 wraps an error inside a script; newer versions leave it as it is."""


def reply_error(text: str) -> RedisError:
    """Return the exception of redis-py that stands for an error reply."""
    text = without_values(text)
    within = _IN_SCRIPT.match(text)
    if within is not None and within[1] in _BY_CODE:
        text = text[within.start(1) :]
    code, _, rest = text.partition(" ")
    kind = _BY_CODE.get(code)
    if kind is None:
        return ResponseError(text)
    # Those two read the target from the rest of the text; the others keep the whole text.
    return kind(rest if kind in (MovedError, AskError) else text)


def without_values(text: str) -> str:
    """Cut what Redis quotes of an unknown command: it may be a login."""
    return text.partition(", with args beginning with")[0]


def trouble_of(error: BaseException, translated: SessionStoreError) -> RedisTrouble:
    """Return the kind under which an error is counted; ``translated`` comes from ``error_of``."""
    if isinstance(translated, StoreRefused | StoreLoading):
        return "refused"
    return "timeout" if isinstance(error, RedisTimeoutError | TimeoutError) else "connection"


def error_of(  # noqa: C901, PLR0911 (one per kind)
    error: BaseException, where: str
) -> SessionStoreError:
    """Translate an error of redis-py or of the network.

    The texts of Redis's own errors name commands and keys. Quoted values are cut.
    """
    if isinstance(error, SessionStoreError):
        return error
    text = without_values(str(error))
    if isinstance(error, _LOGIN) or text.startswith(_NO_LOGIN):
        return LoginRefused(f"Redis at {where} refused the user or password in REJOIN_REDIS_URL")
    if isinstance(error, NoPermissionError) or _in_script(text, *_NOT_ALLOWED):
        return PermissionMissing(
            f"Redis at {where}: the user in REJOIN_REDIS_URL lacks a permission; compare its "
            f"rules with deploy/redis/users.acl ({text})"
        )
    if isinstance(error, (BusyLoadingError, MasterDownError, ClusterDownError, *IN_A_MOMENT)):
        return StoreLoading(f"Redis at {where} is not ready yet; it is tried again ({text})")
    if isinstance(error, ReadOnlyError) or _in_script(text, "READONLY", "NOREPLICAS"):
        return StoreReadOnly(
            f"Redis at {where} is read-only, or has too few replicas; point REJOIN_REDIS_URL to "
            "the primary (redis+sentinel:// and redis+cluster:// find it by themselves)"
        )
    if isinstance(error, OutOfMemoryError) or _in_script(text, "OOM "):
        return StoreFull(f"Redis at {where} has reached its maxmemory; give it more")
    if isinstance(error, ResponseError):
        return StoreRefused(f"Redis at {where} refused: {text}")
    if isinstance(error, MasterNotFoundError):
        return StoreUnavailable(
            f"no sentinel at {where} knows the service that REJOIN_REDIS_URL names; correct it"
        )
    if "certificate verify failed" in text.lower():
        return StoreUnavailable(
            f"the certificate of Redis at {where} is not trusted; set REJOIN_REDIS_CA_FILE to the "
            "authority that signed it"
        )
    if isinstance(error, RedisConnectionError | RedisTimeoutError | RedisError | OSError):
        return StoreUnavailable(
            f"Redis at {where} does not answer; start it, or correct REJOIN_REDIS_URL"
        )
    return StoreUnavailable(f"Redis at {where}: {type(error).__name__}")


def _in_script(text: str, *parts: str) -> bool:
    """Return whether an error text, perhaps from within a script, names one of these."""
    return any(part in text for part in parts)
