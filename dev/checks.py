"""Run every check of a kind, and say at the end which passed: `make test`, `make lint`.

A check that fails stops no other; a tool that is missing is a failure with its name.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dev import chromium, lanes, livekit_server, node, redis_server, web
from dev.commands import DevError, main, run
from dev.paths import ROOT


@dataclass(frozen=True)
class Check:
    """One thing that has to hold."""

    name: str
    run: Callable[[], object]


def run_all(checks: Sequence[Check]) -> bool:
    """Run the checks, print a summary, and return whether all passed."""
    results = [(check.name, *_timed(check)) for check in checks]
    print("\nSummary")
    for name, passed, seconds in results:
        print(f"  {'ok    ' if passed else 'FAILED'} {seconds:7.1f} s  {name}")
    return all(passed for _, passed, _ in results)


def _timed(check: Check) -> tuple[bool, float]:
    started = time.monotonic()
    print(f"\n== {check.name}", flush=True)
    try:
        check.run()
    except DevError as error:
        print(f"error: {error}", flush=True)
        return False, time.monotonic() - started
    return True, time.monotonic() - started


def _tool(module: str, *args: str) -> Callable[[], None]:
    argv = [sys.executable, "-m", module, *args]
    return lambda: run(argv, cwd=ROOT, failure=f"{module} failed (see above).")


def _program(name: str, *args: str) -> Callable[[], None]:
    """Run a tool that has no ``python -m``: the program beside this Python."""
    argv: list[str | Path] = [Path(sys.executable).parent / name, *args]
    return lambda: run(argv, cwd=ROOT, failure=f"{name} failed (see above).")


def _needs() -> list[Check]:
    return [
        Check("needed: Redis", redis_server.find_or_install),
        Check("needed: LiveKit's server", livekit_server.find_or_install),
        Check("needed: Chromium", chromium.find_or_install),
        Check("needed: Node", node.find_or_install),
        Check("the page builds", web.build),
    ]


def _checks(kind: str, args: Sequence[str]) -> list[Check]:
    page_tests = Check("page tests", lambda: web.script("test"))
    match kind:
        case "test":
            # With options of the caller's, in one run: `-x`, `-k` and the like mean all of it.
            python_tests = _tool("pytest", "--durations=10", *args) if args else lanes.run
            return [*_needs(), Check("Python tests", python_tests), page_tests]
        case "test-fast":
            return [Check("unit tests, and the contract in memory", lambda: lanes.run(lanes.FAST))]
        case "test-unit":
            return [Check("unit tests", _tool("pytest", "tests/unit", *args)), page_tests]
        case "test-e2e":
            return [*_needs(), Check("tests in a browser", _tool("pytest", "tests/e2e", *args))]
        case _:
            return [
                Check("ruff", _tool("ruff", "check")),
                Check("format", _tool("ruff", "format", "--check")),
                Check("types", _tool("mypy")),
                Check("imports", _program("lint-imports")),
                Check("circles of imports", _tool("dev.import_circles")),
                Check("page types", lambda: web.script("check")),
                Check("Dockerfile", _program("hadolint", "Dockerfile")),
                Check("plain English", _tool("dev.plain_english")),
            ]


def _main() -> int:
    parser = argparse.ArgumentParser(prog="python -m dev.checks", description=__doc__)
    parser.add_argument("kind", choices=["test", "test-fast", "test-unit", "test-e2e", "lint"])
    options, args = parser.parse_known_args()
    return 0 if run_all(_checks(options.kind, args)) else 1


if __name__ == "__main__":
    main(_main)
