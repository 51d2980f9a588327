"""How a program's state is written down and read: a dataclass, a pydantic model or a dict.

All or nothing: a state of which one field does not load is not loaded at all, because a program
that goes on with half of it does wrong.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_type_hints

from pydantic import BaseModel, JsonValue, PydanticUserError, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError
from pydantic_core import PydanticSerializationError, to_json

from session_store.errors import SessionStoreError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_JSON: Final = TypeAdapter[Any](JsonValue)
_NOT_WRITTEN: Final = (PydanticSerializationError, ValidationError, ValueError, TypeError)


class StateError(SessionStoreError):
    """A program's state cannot be written down, or does not load. The message names the field."""


class LoadedState(NamedTuple):
    """A state that was read."""

    value: Any
    """The object that the program has, changed in place; another one if it cannot be changed."""
    unknown: tuple[str, ...]
    """Fields that were written down and that the class does not have any more."""


class StateShape(ABC):
    """How states of one class are written down."""

    def __init__(self, kind: type[Any], without: Collection[str]) -> None:
        self.kind: Final = kind
        self._without: Final = frozenset(without)

    @staticmethod
    def of(kind: Any, without: Collection[str] = ()) -> StateShape:
        """Return how to write down what ``persist(state=…)`` was given.

        Args:
            kind: a dataclass, a pydantic model or ``dict``: the class.
            without: fields that are not kept.

        Raises:
            StateError: it is another kind of class, or the type of a field cannot be written down.
        """
        if isinstance(without, str):
            raise StateError(f"state_without takes a set of names: {{{without!r}}}")
        if not isinstance(kind, type):
            name = type(kind).__name__
            raise StateError(f"state takes a class: give state={name}, and userdata=… the object")
        if issubclass(kind, dict):
            return _OfDict(kind, without)
        if issubclass(kind, BaseModel):
            return _OfModel(kind, without)
        if dataclasses.is_dataclass(kind):
            return _OfDataclass(kind, without)
        raise StateError(
            f"{kind.__name__} is no dataclass, no pydantic model and no dict: make it one of them"
        )

    def make(self) -> Any:
        """Make a state as a new conversation has it.

        Raises:
            StateError: the class wants arguments.
        """
        try:
            return self.kind()
        except (TypeError, ValidationError):
            name = self.kind.__name__
            raise StateError(
                f"{name}() wants arguments: give its fields defaults, or AgentSession(userdata=…)"
            ) from None

    @abstractmethod
    def dump(self, value: Any) -> dict[str, Any]:
        """Return a state as JSON has it.

        Raises:
            StateError: a field holds what cannot be written down.
        """

    @abstractmethod
    def load(self, written: Mapping[str, Any], value: Any) -> LoadedState:
        """Read a state into the object that the program has.

        Fields that were not written down stay as they are in it.

        Raises:
            StateError: a field does not load. Nothing was changed.
        """

    def _names(self, named: Collection[str]) -> tuple[str, ...]:
        """Return which fields are kept.

        Raises:
            StateError: a field that shall be left out does not exist.
        """
        if unknown := sorted(self._without - set(named)):
            raise StateError(f"{self.kind.__name__} has no field {unknown[0]}: see state_without")
        return tuple(name for name in named if name not in self._without)

    def _cannot(self, name: str, what: str, why: object) -> StateError:
        return StateError(
            f"{self.kind.__name__}.{name} {what}: {_one_line(why)}. "
            f"To leave it out: state_without={{{name!r}}}"
        )


class _OfDict(StateShape):
    def dump(self, value: Any) -> dict[str, Any]:
        written = {}
        for name, held in value.items():
            if not isinstance(name, str):
                raise StateError(f"the key {name!r} of the state is no string")
            if name in self._without:
                continue
            try:
                # Strict: a tuple would come back as a list, and a number that is a key as a string.
                written[name] = _JSON.validate_python(held, strict=True)
            except ValidationError as error:
                raise self._cannot(name, "cannot be kept", error) from None
        return written

    def load(self, written: Mapping[str, Any], value: Any) -> LoadedState:
        kept_here = {name: value[name] for name in self._without if name in value}
        value.clear()
        value.update({name: held for name, held in written.items() if name not in self._without})
        value.update(kept_here)
        return LoadedState(value, ())


class _OfDataclass(StateShape):
    def __init__(self, kind: type[Any], without: Collection[str]) -> None:
        super().__init__(kind, without)
        fields = {each.name: each for each in dataclasses.fields(kind)}
        self._fields: Final = {
            name: self._adapter(fields[name]) for name in self._names(list(fields))
        }
        self._is_frozen: Final = kind.__dataclass_params__.frozen

    def dump(self, value: Any) -> dict[str, Any]:
        written = {}
        for name, adapter in self._fields.items():
            try:
                written[name] = adapter.dump_python(
                    getattr(value, name), mode="json", warnings="error"
                )
            except _NOT_WRITTEN as error:
                raise self._cannot(name, "cannot be kept", error) from None
        return written

    def load(self, written: Mapping[str, Any], value: Any) -> LoadedState:
        fields = {}
        for name, adapter in self._fields.items():
            if name not in written:
                continue
            try:
                fields[name] = adapter.validate_json(to_json(written[name]))
            except ValidationError as error:
                raise self._cannot(name, "does not load", error) from None
        unknown = tuple(sorted(written.keys() - self._fields.keys() - self._without))
        if self._is_frozen:
            return LoadedState(dataclasses.replace(value, **fields), unknown)
        for name, held in fields.items():
            setattr(value, name, held)
        return LoadedState(value, unknown)

    def _adapter(self, field: dataclasses.Field[Any]) -> TypeAdapter[Any]:
        try:
            return TypeAdapter(_type_of(self.kind, field))
        except (PydanticSchemaGenerationError, PydanticUserError) as error:
            raise self._cannot(field.name, "cannot be kept", error) from None
        except NameError as error:
            raise self._cannot(field.name, "has a type that is not known here", error) from None


class _OfModel(StateShape):
    def __init__(self, kind: type[BaseModel], without: Collection[str]) -> None:
        super().__init__(kind, without)
        self._model: Final = kind
        self._kept: Final = frozenset(self._names(list(kind.model_fields)))

    def dump(self, value: Any) -> dict[str, Any]:
        try:
            written: dict[str, Any] = self._dump(value, self._kept)
        except _NOT_WRITTEN:
            for name in sorted(self._kept):
                try:
                    self._dump(value, {name})
                except _NOT_WRITTEN as error:
                    raise self._cannot(name, "cannot be kept", error) from None
            raise
        return written

    def load(self, written: Mapping[str, Any], value: Any) -> LoadedState:
        held_here = {
            name: getattr(value, name)
            for name in self._model.model_fields
            if name not in written or name not in self._kept
        }
        known = {name: held for name, held in written.items() if name in self._kept}
        try:
            read = self._model.model_validate({**held_here, **known}, by_name=True)
        except ValidationError as error:
            place = error.errors()[0]["loc"]
            name = str(place[0]) if place else "it"
            raise self._cannot(name, "does not load", error) from None
        unknown = tuple(sorted(written.keys() - self._model.model_fields.keys()))
        if self._model.model_config.get("frozen"):
            return LoadedState(read, unknown)
        # Past the model's own checks at each assignment, which see the other fields half changed.
        value.__dict__.update({name: getattr(read, name) for name in known})
        value.__pydantic_fields_set__.update(known)
        return LoadedState(value, unknown)

    @staticmethod
    def _dump(value: BaseModel, names: Collection[str]) -> dict[str, Any]:
        return value.model_dump(mode="json", include=set(names), by_alias=False, warnings="error")


def _type_of(kind: type[Any], field: dataclasses.Field[Any]) -> Any:
    """Return a field's type, where only its name may be written in the class.

    Each field alone: a name that exists for type checkers only hides no other field.
    """
    if not isinstance(field.type, str):
        return field.type
    owner = next(
        each for each in kind.__mro__ if field.name in vars(each).get("__annotations__", {})
    )
    alone = type(owner.__name__, (), {"__annotations__": {field.name: field.type}})
    alone.__module__ = owner.__module__
    return get_type_hints(alone, localns=dict(vars(owner)), include_extras=True)[field.name]


def _one_line(why: object) -> str:
    """Return the reason without values: they are the participant's."""
    if isinstance(why, ValidationError):
        first = why.errors(include_input=False, include_context=False, include_url=False)[0]
        return first["msg"]
    return next(iter(str(why).splitlines()), "").removesuffix(".")
