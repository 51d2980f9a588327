"""Which participant a request comes from. Only this module decides it.

For now, a page proves its participant by a random secret of 128 bits or more, its id. Only the
page and this module see the secret. LiveKit, Redis and other participants see its pseudonym.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

if TYPE_CHECKING:
    from session_store import SessionStore

SecretId = Annotated[str, Field(min_length=22, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
"""128 bits in base64url are 22 characters."""


def participant_of(secret_id: str, store: SessionStore) -> str:
    """Return the pseudonym of the participant that this secret proves."""
    return store.pseudonym(secret_id)
