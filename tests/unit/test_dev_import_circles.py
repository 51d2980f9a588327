"""What counts as a circle of imports."""

from __future__ import annotations

import pytest

from dev.import_circles import circles, read_imports


def imports(**of: str) -> dict[str, frozenset[str]]:
    """Name the modules that each module imports, separated by spaces."""
    return {module: frozenset(imported.split()) for module, imported in of.items()}


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (imports(), []),
        (imports(a="b c", b="c", c=""), []),
        (imports(a="b", b="a"), [["a", "b"]]),
        (imports(a="a"), [["a"]]),
        (imports(a="b", b="c", c="a d", d=""), [["a", "b", "c"]]),
        (imports(d="a", a="b", b="a", c="d", e="f", f="g", g="e"), [["e", "f", "g"], ["a", "b"]]),
        (imports(a="b", b="c", c="b d", d="c a"), [["a", "b", "c", "d"]]),
    ],
    ids=["nothing", "a line", "two", "itself", "three and a leaf", "two circles", "a knot"],
)
def test_modules_that_reach_each_other_are_one_circle(
    graph: dict[str, frozenset[str]], expected: list[list[str]]
) -> None:
    """Nothing more and nothing less is in a circle."""
    assert circles(graph) == expected


def test_a_long_line_of_imports_needs_no_recursion() -> None:
    """A project has longer chains of imports than Python has stack."""
    line = {f"m{number}": frozenset({f"m{number + 1}"}) for number in range(5000)}

    assert circles({**line, "m5000": frozenset()}) == []


def test_imports_that_only_type_checkers_follow_are_read_too() -> None:
    """A reader follows them as well."""
    at_run_time = read_imports(type_checking=False)
    with_types = read_imports(type_checking=True)

    assert at_run_time.keys() == with_types.keys()
    assert all(at_run_time[module] <= with_types[module] for module in at_run_time)
    assert at_run_time != with_types
