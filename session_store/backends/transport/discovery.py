"""Asking several processes at once where the primaries are."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from redis.exceptions import AuthenticationError, RedisError, ResponseError

from session_store.tasks import stop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

T = TypeVar("T")


class Shared:
    """Work that runs once at a time: whoever asks for it meanwhile waits for the same end."""

    def __init__(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        self._work = work
        self._task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Do it, or wait until it is done. A waiter that is cancelled does not cancel it."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(), name="discovery")
        await asyncio.shield(self._task)

    async def aclose(self) -> None:
        """Stop it, if it runs."""
        await stop(self._task)


async def majority(questions: Iterable[Coroutine[None, None, T]]) -> Sequence[T]:
    """Ask all at once; return the answers of more than half, or of those that did answer.

    One that is paused costs no time as long as most answer, and one that was away and woke with
    an old view is not alone to be heard.

    Raises:
        redis.exceptions.RedisError, OSError: nobody answered. The error that says most.
    """
    tasks = [asyncio.ensure_future(question) for question in questions]
    answers: list[T] = []
    errors: list[Exception] = []
    try:
        for answer in asyncio.as_completed(tasks):
            try:
                answers.append(await answer)
            except (RedisError, OSError) as error:
                errors.append(error)
            if len(answers) * 2 > len(tasks):
                break
    finally:
        await stop(*tasks)
    if not answers:
        raise min(errors, key=_vagueness)
    return answers


def _vagueness(error: Exception) -> int:
    """Order errors: a refusal says more than silence."""
    kinds = (AuthenticationError, ResponseError)
    return next((n for n, kind in enumerate(kinds) if isinstance(error, kind)), len(kinds))
