"""Who somebody is: the one place that decides it.

For now, a page proves itself by knowing a random secret of 128 bits or more, its id. Nobody but
the page and this module sees it: LiveKit, Redis and other participants get its pseudonym.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

if TYPE_CHECKING:
    from session_store import SessionStore

SecretId = Annotated[str, Field(min_length=22, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
"""128 bits in base64url are 22 characters."""


def participant_of(secret_id: str, store: SessionStore) -> str:
    """Return the pseudonym under which this page's participant is known."""
    return store.pseudonym(secret_id)
