"""``KeptState``: what a program works on (LiveKit's ``userdata``), and fields of its agents.

It is loaded before the agent starts, and read each time that something is recorded, so that it is
as old as the record. One JSON document: ``{"state": {field: value}, "agents": {id: anything}}``.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticSerializationError, from_json, to_json

from session_store.livekit.job.state_shape import StateError
from session_store.models import MAX_STATE_BYTES
from session_store.tasks import reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from livekit.agents import Agent, AgentSession

    from session_store.livekit.job.state_shape import StateShape
    from session_store.models import Work

    Migrate = Callable[[dict[str, Any]], Mapping[str, Any]]

logger = logging.getLogger(__name__)


class KeptState:
    """The state of one conversation, and of its agents."""

    def __init__(
        self,
        agent_session: AgentSession[Any],
        shape: StateShape | None,
        migrate: Migrate | None = None,
    ) -> None:
        """Take the agent session's ``userdata``, or make one.

        Args:
            agent_session: whose ``userdata`` it is.
            shape: how to write it down; ``None`` if only agents have something to keep.
            migrate: see ``persist``.

        Raises:
            StateError: the ``userdata`` is of another class, or cannot be written down.
        """
        self._agent_session = agent_session
        self._shape = shape
        self._migrate = migrate
        self._document: dict[str, dict[str, Any]] = {}
        """What was loaded, and newer versions of its parts."""
        self._told: set[str] = set()
        self._at_first: dict[str, Any] = {}
        self.error: StateError | None = None
        """Why what was kept before was not loaded, or not all of it."""
        if shape is not None:
            self._prepare(shape)

    @property
    def value(self) -> Any:
        """What the program works on; ``None`` if it keeps nothing."""
        return None if self._shape is None else self._agent_session.userdata

    def load(self, kept: Work | None) -> None:
        """Load what a job before has kept. If it does not load, ``error`` says why."""
        if kept is None:
            return
        try:
            self._document = from_json(kept.data)
            if self._shape is not None and "state" in self._document:
                self._load(self._shape, self._document["state"])
        except Exception as error:  # noqa: BLE001 (the program's own code runs here)
            self._refuse(error)

    def load_late(self, kept: Work | None) -> bool:
        """Load it into a job that has begun without it, unless that has a state of its own.

        Returns:
            Whether the program goes on with what was kept.
        """
        if kept is None:
            return False
        if self._shape is None or self._shape.dump(self.value) == self._at_first:
            self.load(kept)
        else:
            self._refuse(StateError("this job has begun without it, and has a newer one"))
        return self.error is None

    def load_agent(self, agent: Agent) -> None:
        """Give an agent the fields that the agent of this id had."""
        kept = self._document.get("agents", {})
        load = getattr(agent, "load_state", None)
        if load is None or agent.id not in kept:
            return
        try:
            load(kept[agent.id])
        except Exception as error:  # noqa: BLE001 (the program's own code)
            self._refuse(error)

    def dump(self) -> bytes | None:
        """Return all of it as it is now; ``None`` if there is nothing, or it cannot be kept."""
        try:
            if self._shape is not None:
                self._document["state"] = self._shape.dump(self.value)
            self._dump_agent()
            data = to_json(self._document, inf_nan_mode="constants") if self._document else None
        except Exception as error:  # noqa: BLE001 (the program's own code runs here)
            self._tell("written", _said(error))
            return None
        if data is not None and len(data) > MAX_STATE_BYTES:
            self._tell("size", self._too_large(len(data)))
            return None
        return data

    def _prepare(self, shape: StateShape) -> None:
        try:
            value = self._agent_session.userdata
        except ValueError:  # LiveKit's answer where no userdata was given.
            self._agent_session.userdata = value = shape.make()
        if not isinstance(value, shape.kind):
            raise StateError(
                f"state={shape.kind.__name__}, but the agent session's userdata is of the class "
                f"{type(value).__name__}"
            )
        self._at_first = shape.dump(value)

    def _load(self, shape: StateShape, written: dict[str, Any]) -> None:
        if self._migrate is not None:
            written = dict(self._migrate(written))
        loaded = shape.load(written, self.value)
        self._agent_session.userdata = loaded.value
        self._at_first = shape.dump(loaded.value)
        if loaded.unknown:
            names = ", ".join(loaded.unknown)
            self._refuse(StateError(f"{shape.kind.__name__} has no field {names} any more"))

    def _dump_agent(self) -> None:
        try:
            agent = self._agent_session.current_agent
        except RuntimeError:  # It does not run yet.
            return
        if (dump := getattr(agent, "dump_state", None)) is None:
            return
        fields = dump()
        try:
            to_json(fields)
        except PydanticSerializationError as error:
            raise StateError(f"dump_state of {type(agent).__name__}: {error}") from None
        self._document.setdefault("agents", {})[agent.id] = fields

    def _too_large(self, size: int) -> str:
        parts = {
            f"{what}.{name}": len(to_json(held, inf_nan_mode="constants"))
            for what, fields in self._document.items()
            for name, held in fields.items()
        }
        largest = max(parts, key=lambda name: parts[name])
        return (
            f"the state has {size} bytes, of at most {MAX_STATE_BYTES}. "
            f"The largest part is {largest}, of {parts[largest]}"
        )

    def _refuse(self, error: Exception) -> None:
        self.error = error if isinstance(error, StateError) else StateError(_said(error))
        logger.error(
            "the state is not loaded, and is kept aside", extra={"reason": _said(self.error)}
        )

    def _tell(self, kind: str, reason: str) -> None:
        """Log that the state is not kept, once for each kind of reason."""
        if kind not in self._told:
            self._told.add(kind)
            logger.error("the state is not kept any more", extra={"reason": reason})


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, StateError) else reason_of(error)
