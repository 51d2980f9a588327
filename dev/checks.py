"""Run every check of a kind, and say at the end which passed: `make test`, `make lint`.

A check that fails stops no other; a tool that is missing is a failure with its name.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dev import chromium, lanes, livekit_server, livekit_versions, node, redis_server, web
from dev.commands import DevError, main, run
from dev.paths import ROOT


@dataclass(frozen=True)
class Check:
    """One thing that has to hold."""

    name: str
    run: Callable[[], object]


class Result(NamedTuple):
    """How a check ended."""

    name: str
    seconds: float
    error: DevError | None


def run_all(checks: Sequence[Check]) -> bool:
    """Run the checks, print a summary, and return whether all passed.

    The summary repeats what failed: who reads only the end of a long log knows it.
    """
    results = [_result(check) for check in checks]
    print("\nSummary")
    for name, seconds, error in results:
        print(f"  {'FAILED' if error else 'ok    '} {seconds:7.1f} s  {name}")
    failed = [each for each in results if each.error]
    for each in failed:
        print(f"\n{each.name}: {each.error}")
    return not failed


def _result(check: Check) -> Result:
    started = time.monotonic()
    print(f"\n== {check.name}", flush=True)
    try:
        check.run()
    except DevError as error:
        print(f"error: {error}", flush=True)
        return Result(check.name, time.monotonic() - started, error)
    return Result(check.name, time.monotonic() - started, None)


def _tool(module: str, *args: str) -> Callable[[], None]:
    argv = [sys.executable, "-m", module, *args]
    return lambda: run(argv, cwd=ROOT, failure=f"{module} failed (see above).")


def _program(name: str, *args: str) -> Callable[[], None]:
    """Run a tool that has no ``python -m``: the program beside this Python."""
    argv: list[str | Path] = [Path(sys.executable).parent / name, *args]
    return lambda: run(argv, cwd=ROOT, failure=f"{name} failed (see above).")


def _on_each_version() -> None:
    lanes.run(
        [lane for each in livekit_versions.VERSIONS for lane in livekit_versions.lanes_of(each)]
    )


def _needs_servers() -> list[Check]:
    return [
        Check("needed: Redis", redis_server.find_or_install),
        Check("needed: LiveKit's server", livekit_server.find_or_install),
    ]


def _needs() -> list[Check]:
    return [
        *_needs_servers(),
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
        case "test-versions":
            return [*_needs_servers(), Check("livekit-agents, old and new", _on_each_version)]
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
    parser.add_argument(
        "kind", choices=["test", "test-fast", "test-unit", "test-versions", "test-e2e", "lint"]
    )
    options, args = parser.parse_known_args()
    return 0 if run_all(_checks(options.kind, args)) else 1


if __name__ == "__main__":
    main(_main)
