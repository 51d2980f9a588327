"""How long a reload takes until the conversation is on the screen, connected, and greeted.

A real browser on the whole demo, as a person would use it; the times are the page's own marks,
from the beginning of the navigation. Writes ``benchmarks/results/resume.json``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from playwright.async_api import async_playwright

from benchmarks import against
from dev import commands, web
from dev.paths import ROOT
from dev.rig.browser.demo import running_demo
from dev.rig.browser.launch import launched
from dev.rig.browser.page import TalkPage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RESULT: Final = ROOT / "benchmarks" / "results" / "resume.json"
MARKS: Final = {
    "reload_to_screen_ms": "rejoin:screen",
    "reload_to_connected_ms": "rejoin:connected",
    "reload_to_greeting_ms": "rejoin:greeting",
}
AIMS_MS: Final = {
    "reload_to_screen_ms": 100,
    "reload_to_connected_ms": 1000,
    "reload_to_greeting_ms": 2000,
}
SETTLE_S: Final = 4.0
"""Between reloads: until the greeting was spoken, as a person would wait."""

_READ_MARK = "name => performance.getEntriesByName(name)[0]?.startTime ?? null"


async def measure(page_address: str, reloads: int) -> dict[str, list[float]]:
    """Reload so many times; return each mark's times in milliseconds."""
    times: dict[str, list[float]] = {name: [] for name in MARKS}
    async with async_playwright() as driver, launched(driver) as browser:
        context = await browser.new_context(permissions=["microphone"])
        tab = await TalkPage.open(context, page_address)
        await tab.press("start")
        await tab.says("Hello!")
        await tab.type("my name is Maria")
        await tab.says("Nice to meet you, Maria")
        for number in range(reloads):
            await tab.reload()
            for name, mark in MARKS.items():
                times[name].append(await _mark(tab, mark))
            sys.stdout.write(f"\r{number + 1} of {reloads} reloads")
            sys.stdout.flush()
            await asyncio.sleep(SETTLE_S)
        sys.stdout.write("\n")
    return times


async def _mark(tab: TalkPage, name: str) -> float:
    """Wait for a mark; the page's policy forbids the eval of playwright's own waiting."""
    async with asyncio.timeout(30):
        while True:
            at: float | None = await tab.page.evaluate(_READ_MARK, name)
            if at is not None:
                return at
            await asyncio.sleep(0.02)


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile, by linear interpolation between the nearest ranks."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def figures(result: Mapping[str, Any]) -> against.Figures:
    """Return what is compared between versions."""
    return {name: against.Figure(result[name]["p50"]) for name in MARKS}


def main() -> int:
    """Measure, print and write; or compare. Return 1 if this version is slower."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reloads", type=int, default=20)
    against.add_options(parser, turns=4)
    options = parser.parse_args()
    reloads: int = options.reloads
    if options.against is not None:
        command = ["benchmarks.resume", f"--reloads={reloads}"]
        result_file = RESULT.relative_to(ROOT)
        return not against.compare(
            command, result_file, figures, older=options.against, turns=options.turns
        )
    web.build()
    with tempfile.TemporaryDirectory() as folder, running_demo(Path(folder)) as demo:
        times = asyncio.run(measure(demo.page, reloads))
    summary = {
        name: {"p50": round(percentile(each, 50), 1), "p95": round(percentile(each, 95), 1)}
        for name, each in times.items()
    }
    print(f"{'':26}{'p50':>9}{'p95':>9}{'aim':>9}")
    for name, row in summary.items():
        print(f"{name:26}{row['p50']:9.0f}{row['p95']:9.0f}{AIMS_MS[name]:9}")
    result = {**summary, "reloads": reloads, "cores": os.cpu_count()}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    commands.main(main)
