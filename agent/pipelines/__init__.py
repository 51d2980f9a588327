"""The models that an agent hears, thinks and speaks with, by name.

- `demo`: everything local, no key, no account.
- `livekit`: LiveKit Inference, with the LiveKit key alone.
- `openai`: OpenAI, with an OpenAI key.
"""

from collections.abc import MutableMapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final, Protocol, cast

from agent.pipelines.base import Pipeline

__all__ = ["PIPELINES", "Pipeline", "build", "prewarm"]

PIPELINES: Final = ("demo", "livekit", "openai")
"""The names that `build` and `prewarm` take."""

_MODULES: Final = MappingProxyType(
    {
        "demo": "agent.pipelines.demo.pipeline",
        "livekit": "agent.pipelines.cloud.livekit",
        "openai": "agent.pipelines.cloud.openai",
    }
)
_EXTRAS: Final = MappingProxyType({"demo": "agent", "livekit": "agent", "openai": "agent,openai"})


class _PipelineModule(Protocol):
    def prewarm(self, userdata: MutableMapping[str, Any]) -> None: ...

    def build(self, userdata: MutableMapping[str, Any], language: str) -> Pipeline: ...


def prewarm(name: str, userdata: MutableMapping[str, Any]) -> None:
    """Load what takes long into `userdata`: call it in `setup_fnc`, with `proc.userdata`.

    Args:
        name: One of `PIPELINES`.
        userdata: Kept by the process; `build` finds there what was loaded.

    Raises:
        ValueError: There is no such pipeline.
        ImportError: It needs packages that are not installed; the message says which extra.
    """
    _module(name).prewarm(userdata)


def build(name: str, userdata: MutableMapping[str, Any], language: str) -> Pipeline:
    """Return a new pipeline for one agent session.

    Args:
        name: One of `PIPELINES`.
        userdata: What `prewarm` has filled; what is missing there is loaded now.
        language: What is spoken at first, e.g. `en`.

    Raises:
        ValueError: There is no such pipeline, or it does not speak that language.
        ImportError: It needs packages that are not installed; the message says which extra.
    """
    return _module(name).build(userdata, language)


def _module(name: str) -> _PipelineModule:
    if name not in _MODULES:
        raise ValueError(f"no pipeline {name!r}; there are {', '.join(PIPELINES)}")
    try:
        return cast("_PipelineModule", import_module(_MODULES[name]))
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "agent":
            raise
        extra = _EXTRAS[name]
        raise ImportError(
            f"the pipeline {name!r} needs {error.name!r}: pip install 'rejoin[{extra}]'",
            name=error.name,
        ) from error
