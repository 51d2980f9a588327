"""Count the circles of imports, with and without those that only type checkers follow.

A circle is a set of modules in which each one reaches every other one by imports. A reader cannot
understand such modules one at a time, whether Python runs the imports or not.
"""

import argparse
from collections.abc import Iterator, Mapping
from typing import Final

import grimp

from dev.commands import DevError, main

PACKAGES: Final = (
    "session_store",
    "agent",
    "demo_models",
    "gateway",
    "dev",
    "examples",
    "benchmarks",
    "tests",
)
Imports = Mapping[str, frozenset[str]]


def circles(imports: Imports) -> list[list[str]]:
    """Return the circles among modules, each sorted, the longest one first.

    Args:
        imports: the modules that each module imports, by name.
    """
    importers: dict[str, set[str]] = {module: set() for module in imports}
    for module, imported in imports.items():
        for name in imported:
            importers[name].add(module)
    found, seen = list[list[str]](), set[str]()
    # Kosaraju: of the modules in the order in which a walk left them, the last one reaches its
    # whole circle also along the imports reversed, and nothing that is not in it.
    for module in reversed(list(_order_of_leaving(imports))):
        circle = _reached(module, importers, seen)
        if len(circle) > 1 or module in imports[module]:
            found.append(sorted(circle))
    return sorted(found, key=lambda circle: (-len(circle), circle))


def _order_of_leaving(imports: Imports) -> Iterator[str]:
    seen = set[str]()
    for start in imports:
        if start in seen:
            continue
        seen.add(start)
        stack = [(start, iter(sorted(imports[start])))]
        while stack:
            module, rest = stack[-1]
            following = next((name for name in rest if name not in seen), None)
            if following is None:
                stack.pop()
                yield module
            else:
                seen.add(following)
                stack.append((following, iter(sorted(imports[following]))))


def _reached(start: str, neighbours: Mapping[str, set[str]], seen: set[str]) -> list[str]:
    reached, stack = list[str](), [start]
    while stack:
        module = stack.pop()
        if module not in seen:
            seen.add(module)
            reached.append(module)
            stack.extend(neighbours[module])
    return reached


def read_imports(*, type_checking: bool) -> dict[str, frozenset[str]]:
    """Read who imports whom in all packages of this project.

    Args:
        type_checking: counts imports under ``if TYPE_CHECKING:`` too.
    """
    graph = grimp.build_graph(
        *PACKAGES, exclude_type_checking_imports=not type_checking, cache_dir=None
    )
    return {
        module: frozenset(graph.find_modules_directly_imported_by(module))
        for module in graph.modules
    }


def _main() -> int:
    parser = argparse.ArgumentParser(prog="python -m dev.import_circles", description=__doc__)
    parser.add_argument("--list", action="store_true", help="show the modules of each circle")
    options = parser.parse_args()
    total = 0
    for name, type_checking in (("at run time", False), ("with type-only imports", True)):
        found = circles(read_imports(type_checking=type_checking))
        print(f"{len(found)} circles of imports {name}")
        for circle in found if options.list else []:
            print(f"  {len(circle)} modules: {', '.join(circle)}")
        total += len(found)
    if total:
        raise DevError("Imports form circles; --list shows them. Move what both sides need.")
    return 0


if __name__ == "__main__":
    main(_main)
