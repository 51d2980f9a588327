"""What a check answers with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    """It works, with a risk that should be known."""
    FAIL = "fail"
    """It does not work, or it loses conversations."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    check: str
    verdict: Verdict
    says: str
    """What was found, and what it means."""
    change: str = ""
    """What to do about it; empty where all is well."""
    where: str = ""
    """Which servers, where not all answered the same."""


def ok(check: str, says: str) -> Finding:
    """All is well."""
    return Finding(check, Verdict.OK, says)


def warn(check: str, says: str, change: str) -> Finding:
    """A risk."""
    return Finding(check, Verdict.WARN, says, change)


def fail(check: str, says: str, change: str) -> Finding:
    """A fault."""
    return Finding(check, Verdict.FAIL, says, change)


def merged(by_server: Iterable[tuple[str, Iterable[Finding]]]) -> list[Finding]:
    """Say once what several servers have in common, in the order of the checks."""
    servers: dict[Finding, list[str]] = {}
    order: dict[str, None] = {}
    total = 0
    for where, findings in by_server:
        total += 1
        for finding in findings:
            servers.setdefault(finding, []).append(where)
            order[finding.check] = None
    rank = {check: n for n, check in enumerate(order)}
    return [
        finding if len(places) == total else replace(finding, where=", ".join(places))
        for finding, places in sorted(servers.items(), key=lambda each: rank[each[0].check])
    ]
