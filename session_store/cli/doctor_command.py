"""``doctor``: check Redis, keys, settings and the import name."""

from collections import Counter
from collections.abc import Iterable

from session_store.cli.command import command
from session_store.cli.connect import environment
from session_store.cli.exit_codes import Exit
from session_store.cli.options import Json
from session_store.cli.output import Column, as_dict, document, say, table
from session_store.doctor import Finding, Verdict, examine


@command(
    "doctor",
    epilog="Example: session-store doctor --json. The exit code is 1 if a check fails; a warning "
    "is not a failure.",
)
async def doctor(*, json: Json = False) -> Exit:
    """Check Redis, keys and settings, and say what to change.

    It also looks for a module of yours that has the name of this library, and hides it.
    """
    findings = await examine(environment.settings())
    counts = Counter(finding.verdict for finding in findings)
    if json:
        document({"ok": not counts[Verdict.FAIL], "findings": [as_dict(each) for each in findings]})
    else:
        print_findings(findings)
        say("")
        say(_summary(counts))
    return Exit.PROBLEM if counts[Verdict.FAIL] else Exit.OK


def print_findings(findings: Iterable[Finding]) -> None:
    """Print a table of findings, each with the change that it asks for."""
    columns = (Column("result"), Column("check"), Column("found", wraps=True))
    rows = []
    for finding in findings:
        where = f"{finding.where}: " if finding.where else ""
        rows.append((finding.verdict.value, finding.check, f"{where}{finding.says}"))
        if finding.change:
            rows.append(("", "", f"-> {finding.change}"))
    table(columns, rows)


def _summary(counts: Counter[Verdict]) -> str:
    fails, warns = counts[Verdict.FAIL], counts[Verdict.WARN]
    if not fails and not warns:
        return "All is well."
    said = [
        f"{count} {word}{'' if count == 1 else 's'}"
        for count, word in ((fails, "failure"), (warns, "warning"))
        if count
    ]
    return f"{' and '.join(said)}. The arrows say what to change."
