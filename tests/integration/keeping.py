"""What the tests of keeping share: conversations, passing time, and looking into Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from session_store import Turn
from tests.contract.worlds import OUTLAST, PASS_TIME

if TYPE_CHECKING:
    from session_store import Joined, SessionStore


WORK: Final = b'{"cart":["tea"]}'
"""What each of the conversations works on."""


def turn(number: int) -> Turn:
    """Make the user's turn number ``number``."""
    return Turn(
        id=f"turn-{number}", role="user", text=f"sentence {number}", created_at=1.7e9 + number
    )


async def talk(
    store: SessionStore, participant: str, *, turns: int = 3, session_id: str | None = None
) -> Joined:
    """Join, say something, work on something, give the content a title, and stay."""
    joined = await store.join(participant, session_id=session_id)
    first = joined.lease.last_seq + 1
    said = [store.seal(joined.lease, turn(each), work=WORK) for each in range(first, first + turns)]
    await store.append(joined.lease, said)
    await store.update(
        joined.lease, lambda content: content.model_copy(update={"title": "A title"})
    )
    return joined


async def keep_drafts(store: SessionStore, joined: Joined) -> None:
    """Let both be heard in the middle of a sentence."""
    for role in ("user", "assistant"):
        said = Turn.model_validate(
            {"id": role, "role": role, "text": f"the {role} was saying", "created_at": 1.7e9}
        )
        await store.keep_draft(joined.lease, store.seal_draft(joined.lease, said))


async def talk_and_go(store: SessionStore, participant: str, *, turns: int = 3) -> Joined:
    """Have a conversation that is over: its participant left, and its job gave the lease back."""
    joined = await talk(store, participant, turns=turns)
    await store.leave(joined.lease)
    await store.release(joined.lease)
    return joined


async def pass_time(raw: Any, seconds: float) -> None:
    """Let time pass for everything that Redis holds."""
    await raw.eval(PASS_TIME, 0, round(seconds * 1000))


async def left_in(raw: Any) -> list[bytes]:
    """Name every key but those that outlast a participant."""
    return [key for key in await raw.keys() if not key.endswith(OUTLAST)]


async def dump(raw: Any) -> dict[bytes, Any]:
    """Return everything that Redis holds; DUMP itself orders a hash by how it was filled."""
    readers = {
        b"hash": raw.hgetall,
        b"list": lambda key: raw.lrange(key, 0, -1),
        b"set": raw.smembers,
        b"stream": raw.xrange,
        b"string": raw.get,
        b"zset": lambda key: raw.zrange(key, 0, -1, withscores=True),
    }
    return {key: await readers[await raw.type(key)](key) for key in await raw.keys()}
