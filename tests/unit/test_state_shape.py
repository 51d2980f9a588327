"""How a program's state is written down, and what is refused."""

from __future__ import annotations

import dataclasses
import enum
import json
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from session_store.livekit.job.state_shape import StateError, StateShape

if TYPE_CHECKING:
    from collections import OrderedDict as OnlyForTypeCheckers


class Size(enum.Enum):
    """Of a drink."""

    SMALL = "s"
    LARGE = "l"


@dataclass
class Item:
    """Of an order."""

    name: str
    size: Size = Size.SMALL
    price: Decimal = Decimal("2.50")


@dataclass
class Base:
    """What each state has."""

    caller: str | None = None


class Connection:
    """What no state can hold."""


@dataclass
class Order(Base):
    """What a program works on."""

    items: list[Item] = field(default_factory=list)
    by_table: dict[int, tuple[str, ...]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    due: date | None = None
    ratio: float = 0.5
    database: Connection | None = None
    exotic: OnlyForTypeCheckers[str, str] | None = None


LEFT_OUT = {"database", "exotic"}


class Cart(BaseModel):
    """The same as a model, with a check that sees all fields."""

    model_config = ConfigDict(arbitrary_types_allowed=True, validate_assignment=True)

    items: list[Item] = Field(default_factory=list, alias="Items")
    count: int = 0
    database: Connection = Field(default_factory=Connection)

    @field_validator("count")
    @classmethod
    def _is_no_debt(cls, count: int) -> int:
        if count < 0:
            raise ValueError("a count below 0")
        return count

    @model_validator(mode="after")
    def _counts(self) -> Cart:
        if self.count != len(self.items):
            raise ValueError("the count is wrong")
        return self


def again(shape: StateShape, value: Any, into: Any) -> Any:
    """Write a state down as JSON, and read it into another object."""
    return shape.load(json.loads(json.dumps(shape.dump(value))), into).value


def test_a_dataclass_comes_back_as_it_was() -> None:
    """With nested ones, and with types that JSON does not have; in the object that is there."""
    shape = StateShape.of(Order, LEFT_OUT)
    items = [Item("tea", Size.LARGE, Decimal("3.10")), Item("cake")]
    order = Order("Maria", items, {7: ("a", "b")}, {"x", "y"}, date(2026, 1, 2), float("inf"))
    there = Order(database=Connection())
    connection = there.database
    assert again(shape, order, there) is there
    assert there == dataclasses.replace(order, database=connection)


def test_a_model_comes_back_as_it_was() -> None:
    """All fields at once, so its own checks see none that is half changed."""
    shape = StateShape.of(Cart, {"database"})
    there = Cart()
    connection = there.database
    assert again(shape, Cart(Items=[Item("tea"), Item("cake")], count=2), there) is there
    assert [each.name for each in there.items] == ["tea", "cake"]
    assert (there.count, there.database) == (2, connection)
    assert there.model_fields_set >= {"items", "count"}


def test_a_dict_comes_back_as_it_was() -> None:
    """What was in it before is gone, but for what is not kept."""
    shape = StateShape.of(dict, {"database"})
    connection = Connection()
    there: dict[str, Any] = {"database": connection, "old": 1}
    there_again = again(shape, {"items": ["tea"], "deep": {"n": [1, 2.5, None]}}, there)
    assert there_again is there
    assert there == {"items": ["tea"], "deep": {"n": [1, 2.5, None]}, "database": connection}


@pytest.mark.parametrize("is_model", [True, False])
def test_what_cannot_be_changed_is_made_anew(*, is_model: bool) -> None:
    """The program has another object then."""

    @dataclass(frozen=True)
    class Frozen:
        count: int = 0

    class FrozenModel(BaseModel):
        model_config = ConfigDict(frozen=True)
        count: int = 0

    kind: Any = FrozenModel if is_model else Frozen
    there = kind()
    read = again(StateShape.of(kind), kind(count=3), there)
    assert (read.count, there.count) == (3, 0)


def test_fields_that_are_new_keep_their_defaults_and_old_ones_are_named() -> None:
    """A program of another version has written it."""

    @dataclass
    class Later:
        size: int = 7

    loaded = StateShape.of(Later).load({"colour": "red", "table": 4}, Later())
    assert (loaded.value, loaded.unknown) == (Later(7), ("colour", "table"))


@pytest.mark.parametrize(
    ("kind", "written", "there"),
    [
        (Order, {"caller": "Maria", "ratio": "much"}, Order()),
        (Cart, {"items": [{"name": "tea"}], "count": -1}, Cart()),
    ],
    ids=["dataclass", "model"],
)
def test_a_state_that_does_not_load_changes_nothing(
    kind: Any, written: dict[str, Any], there: Any
) -> None:
    """The error names the field, and not what it holds."""
    shape = StateShape.of(kind, LEFT_OUT if kind is Order else {"database"})
    before = shape.dump(there)
    with pytest.raises(
        StateError, match=rf"{kind.__name__}\.(ratio|count) does not load"
    ) as raised:
        shape.load(written, there)
    assert "much" not in str(raised.value)
    assert shape.dump(there) == before


@dataclass
class Holding:
    """A state with something else than its types say."""

    count: int = 0
    anything: Any = None


@pytest.mark.parametrize(
    ("kind", "value", "named"),
    [
        (Holding, Holding(anything=Connection()), r"Holding\.anything cannot be kept"),
        (dict, {"database": Connection()}, r"dict\.database cannot be kept"),
        (dict, {"pair": (1, 2)}, r"dict\.pair cannot be kept"),
        (dict, {"deep": {1: 2}}, r"dict\.deep cannot be kept"),
        (dict, {1: 2}, "the key 1 of the state is no string"),
    ],
)
def test_a_value_that_cannot_be_written_is_named(kind: Any, value: Any, named: str) -> None:
    """With what to do about it."""
    with pytest.raises(StateError, match=named):
        StateShape.of(kind).dump(value)


class Loose(BaseModel):
    """A model that takes anything."""

    count: int = 0
    anything: Any = None


def test_a_value_in_a_model_is_named_too() -> None:
    """Pydantic itself does not tell."""
    with pytest.raises(StateError, match=r"Loose\.anything cannot be kept"):
        StateShape.of(Loose).dump(Loose(anything=Connection()))


class Plain:
    """No dataclass."""


@dataclass
class Wanting:
    """A state that is not made from nothing."""

    name: str


@pytest.mark.parametrize(
    ("kind", "without", "said"),
    [
        (Order, {"exotic"}, r"Order\.database cannot be kept: .*state_without=\{'database'\}"),
        (Order, {"database"}, r"Order\.exotic has a type that is not known here"),
        (Order, {*LEFT_OUT, "colour"}, "Order has no field colour"),
        (Order, "exotic", "state_without takes a set of names"),
        (Order(), (), "state takes a class: give state=Order"),
        (Plain, (), "Plain is no dataclass, no pydantic model and no dict"),
    ],
)
def test_a_shape_that_cannot_be_kept_is_refused_at_once(kind: Any, without: Any, said: str) -> None:
    """Before the first participant comes."""
    with pytest.raises(StateError, match=said):
        StateShape.of(kind, without)


def test_a_class_that_wants_arguments_is_not_made_here() -> None:
    """The program makes it."""
    with pytest.raises(StateError, match=r"Wanting\(\) wants arguments"):
        StateShape.of(Wanting).make()
