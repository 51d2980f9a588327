"""Where the primaries are: one, one that may change, or many."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeVar

from redis.exceptions import AuthenticationError, RedisError, ResponseError
from typing_extensions import override

from session_store.tasks import stop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from redis.asyncio import Redis

    from session_store.backends.transport.node import Node

T = TypeVar("T")


class Topology(ABC):
    """Finds the primaries and names the one of each key. It keeps no connection."""

    @abstractmethod
    async def connect(self) -> None:
        """Find the primaries, unless they are known. Concurrent calls share one discovery.

        Raises:
            redis.exceptions.RedisError, OSError: no answer in time.
        """

    @abstractmethod
    def node_of(self, key: str) -> Node:
        """Return the primary of a key, as last found. No round trip.

        Raises:
            redis.exceptions.RedisError: no primary is known, or none serves the slot of this key.
        """

    @abstractmethod
    def nodes(self) -> Sequence[Node]:
        """Return all primaries, as last found; none before ``connect``."""

    @abstractmethod
    async def refresh(self) -> None:
        """Find the primaries again. Concurrent calls share one discovery.

        Raises:
            redis.exceptions.RedisError, OSError: as ``connect``; what was known stays known.
        """

    @abstractmethod
    def plain_client(self) -> Redis:
        """Make an ordinary client to a primary, any one of a Cluster; the caller closes it.

        It stays with that primary. After a failover, make another one.

        Raises:
            redis.exceptions.RedisError: no primary is known yet.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Stop a discovery that is running."""


class Standalone(Topology):
    """One Redis at a fixed address: there is nothing to discover."""

    def __init__(self, node: Node) -> None:
        self._node = node

    @override
    async def connect(self) -> None:
        pass  # The first call shows whether Redis answers; asking first would add a round trip.

    @override
    def node_of(self, key: str) -> Node:
        return self._node

    @override
    def nodes(self) -> Sequence[Node]:
        return (self._node,)

    @override
    async def refresh(self) -> None:
        pass

    @override
    def plain_client(self) -> Redis:
        return self._node.make_client()

    @override
    async def aclose(self) -> None:
        pass


class Discovery:
    """Work that runs once at a time: callers that ask for it meanwhile wait for the same end."""

    def __init__(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        self._work = work
        self._task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Do the work, or wait until it is done. Cancelling one caller does not cancel it."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(), name="discovery")
        await asyncio.shield(self._task)

    async def aclose(self) -> None:
        """Stop the work, if it runs."""
        await stop(self._task)


async def majority(questions: Iterable[Coroutine[None, None, T]]) -> Sequence[T]:
    """Ask several processes at once; return the answers of more than half, or all if fewer came.

    A paused process costs no time as long as most answer. A process that was cut off and still
    has an old view is never the only one that is heard.

    Raises:
        redis.exceptions.RedisError, OSError: no process answered; this error says the most.
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
