"""Count the turns of phrase that a stranger has to read twice, and fail above a limit.

The prose of the tree is what `dev.prose` finds: docstrings, comments, log lines, command texts,
messages of errors, and Markdown. Code, code spans, blocks of code and quotations are not prose.

A mark is one of these:

* `who`, `whoever`, `whom` or `whose` without a noun directly before it ("who waits is not cut
  off"). A sentence names its actor instead: "a participant who waits is not cut off".
* `somebody` or `nobody`. They name no actor wherever they stand.
* "as which", "so long a", and "Tell whether" with its capital, which begins a docstring.

The word directly before, with nothing but white space between, is a noun if all of these hold:

1. It is not in `FUNCTION_WORDS`, nor in `VERBS`.
2. It is a plural that ends in `s`, or in `PLURALS`; or one of the three words before it is in
   `DETERMINERS` ("the next participant who").

A rare good use carries `plain: <reason>` in a comment on its line. The tree may have
`MAX_EXCEPTIONS` of them.
"""

import argparse
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dev.commands import main
from dev.paths import ROOT
from dev.prose import Passage, passages, tracked_files

MAX_PER_1000_WORDS: Final = 1.5
"""The trees that we measured have 0.0 to 0.1; 1.5 leaves room for idiom, not for a dialect."""

MAX_EXCEPTIONS: Final = 10
"""More would make the exception the rule."""

WORD: Final = re.compile(r"[A-Za-z][A-Za-z'-]*")
NAMELESS: Final = re.compile(r"\b(?:somebody|nobody)\b", re.IGNORECASE)
RELATIVE: Final = re.compile(r"\b(?:who|whoever|whom|whose)\b", re.IGNORECASE)
PHRASE: Final = re.compile(r"\b[Aa]s\s+which\b|\b[Ss]o\s+long\s+a\b|\bTell\s+whether\b")
EXCEPTION: Final = re.compile(r"\bplain: (?!-->)\S")
BEFORE: Final = re.compile(r"((?:[A-Za-z0-9'-]+\s+){0,3})([A-Za-z0-9'-]+)\s+$")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


DETERMINERS: Final = _words("""
    a an the this that these those each every any some no another other all both most many few
    several one two three four first last next same its his her their our your my
""")
PLURALS: Final = frozenset({"people", "men", "women", "children"})
FUNCTION_WORDS: Final = _words("""
    and or but nor so yet if unless until while when where why how than then as because since
    though although of to in on at by for with without from into onto about after before behind
    between beside besides beyond except over under through toward towards upon against during
    per via like he she it they we you i him her them us me this that these those one ones all
    both each every any some none everybody everyone anybody anyone somebody someone nobody else
    other others another many most few is are was were be been being am do does did has have had
    can could may might must shall should will would not no never only just even also still
    already always here there now again alike too thus what which its his hers ours yours theirs
    yes whether however
""")
"""Conjunctions, prepositions, pronouns, auxiliaries and adverbs."""

VERBS: Final = _words("""
    say says said tell tells told ask asks asked know knows knew known see sees saw seen show
    shows shown decide decides decided choose chooses chose chosen find finds found learn learns
    learned hear hears heard name names named note notes noted list lists listed count counts
    counted remember remembers remembered answer answers answered record records recorded mean
    means meant depend depends matter matters wonder wonders let lets give gives given make makes
    made leave leaves left miss misses missed greet greets greeted keep keeps kept need needs
    needed think thinks thought notice notices noticed watch watches watched judge judges judged
    look looks looked announce announces announced
""")
"""Verbs before a clause with "who". Some are nouns, too: we cannot tell, so they count as verbs."""


@dataclass(frozen=True)
class Mark:
    """One turn of phrase to rewrite."""

    path: Path
    line: int
    phrase: str


@dataclass(frozen=True)
class Found:
    """What a file or a folder has."""

    words: int = 0
    marks: tuple[Mark, ...] = ()
    exceptions: int = 0

    def __add__(self, other: "Found") -> "Found":
        """Return both together."""
        return Found(
            self.words + other.words,
            self.marks + other.marks,
            self.exceptions + other.exceptions,
        )

    @property
    def per_1000_words(self) -> float:
        """Return marks per 1,000 words."""
        return 1000 * len(self.marks) / max(1, self.words)


def read_file(path: Path) -> Found:
    """Return the words and marks of one file."""
    lines = path.read_text(encoding="utf-8").split("\n")
    excepted = {number for number, line in enumerate(lines, 1) if EXCEPTION.search(line)}
    found = passages(path)
    marks = [mark for passage in found for mark in _marks(path, passage)]
    return Found(
        words=sum(len(WORD.findall(passage.text)) for passage in found),
        marks=tuple(mark for mark in marks if mark.line not in excepted),
        exceptions=sum(mark.line in excepted for mark in marks),
    )


def _marks(path: Path, passage: Passage) -> Iterator[Mark]:
    for start, phrase in sorted(_phrases(passage.text)):
        line = passage.line + passage.text.count("\n", 0, start)
        yield Mark(path, line, " ".join(phrase.split()))


def _phrases(text: str) -> Iterator[tuple[int, str]]:
    for pattern in (NAMELESS, PHRASE):
        for match in pattern.finditer(text):
            yield match.start(), match.group()
    for match in RELATIVE.finditer(text):
        if not ends_with_a_noun(text[: match.start()]):
            yield match.start(), match.group()


def ends_with_a_noun(text: str) -> bool:
    """Return whether a noun ends the text, by the rule in this module's docstring."""
    match = BEFORE.search(text[-120:])
    if match is None:
        return False
    word, earlier = match[2].lower(), match[1].lower().split()
    if word in FUNCTION_WORDS | VERBS:
        return False
    return word in PLURALS or word.endswith("s") or not DETERMINERS.isdisjoint(earlier)


def by_folder(files: Iterable[Path], root: Path) -> dict[str, Found]:
    """Return what each folder has, down to its second level."""
    folders: defaultdict[str, Found] = defaultdict(Found)
    for path in files:
        folders["/".join(path.relative_to(root).parts[:-1][:2]) or "."] += read_file(path)
    return dict(sorted(folders.items()))


def report(folders: dict[str, Found], *, listed: bool, root: Path) -> bool:
    """Print the table, and return whether the tree is within both limits."""
    total = sum(folders.values(), Found())
    if listed:
        _print_marks(total.marks, root)
    print(f"{'marks':>6} {'words':>8} {'per 1,000':>10}  folder")
    for name, found in [*folders.items(), ("all", total)]:
        print(f"{len(found.marks):6,} {found.words:8,} {found.per_1000_words:10.2f}  {name}")
    return _is_within(total)


def _print_marks(marks: Sequence[Mark], root: Path) -> None:
    """Print each mark, the files with most of them first."""
    count = Counter(mark.path for mark in marks)
    for mark in sorted(marks, key=lambda mark: (-count[mark.path], mark.path, mark.line)):
        print(f"{mark.path.relative_to(root)}:{mark.line}: {mark.phrase}")


def _is_within(total: Found) -> bool:
    print(f"Exceptions: {total.exceptions}, at most {MAX_EXCEPTIONS}.")
    print(f"Limit: {MAX_PER_1000_WORDS} marks per 1,000 words.")
    return total.exceptions <= MAX_EXCEPTIONS and total.per_1000_words <= MAX_PER_1000_WORDS


def _main() -> int:
    parser = argparse.ArgumentParser(prog="python -m dev.plain_english", description=__doc__)
    parser.add_argument("paths", nargs="*", type=Path, help="files or folders; default: the tree")
    parser.add_argument("--list", action="store_true", help="print each mark, its file and line")
    options = parser.parse_args()
    files = [path for path in tracked_files(ROOT) if _is_chosen(path, options.paths)]
    return 0 if report(by_folder(files, ROOT), listed=options.list, root=ROOT) else 1


def _is_chosen(path: Path, chosen: Sequence[Path]) -> bool:
    return not chosen or any(path.is_relative_to(each.resolve()) for each in chosen)


if __name__ == "__main__":
    main(_main)
