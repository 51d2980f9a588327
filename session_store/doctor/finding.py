"""The result of a check."""

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
    """It works, with a risk that the operator should know."""
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
    """What to do about it; empty if all is well."""
    where: str = ""
    """The servers concerned; empty if all of them are."""


def ok(check: str, says: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(check, Verdict.OK, says)


def warn(check: str, says: str, change: str) -> Finding:
    """Return a finding of a risk."""
    return Finding(check, Verdict.WARN, says, change)


def fail(check: str, says: str, change: str) -> Finding:
    """Return a finding of a fault."""
    return Finding(check, Verdict.FAIL, says, change)


def merged(by_server: Iterable[tuple[str, Iterable[Finding]]]) -> list[Finding]:
    """Return findings that several servers share once, in the order of the checks."""
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
        for finding, places in sorted(servers.items(), key=lambda item: rank[item[0].check])
    ]
