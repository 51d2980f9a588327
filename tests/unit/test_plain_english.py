"""The script that counts what a stranger has to read twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dev.paths import ROOT
from dev.plain_english import by_folder, ends_with_a_noun, read_file, report
from dev.prose import passages, tracked_files

if TYPE_CHECKING:
    from pathlib import Path


def phrases(folder: Path, name: str, text: str) -> list[tuple[int, str]]:
    """Return the line and the phrase of each mark in a file of this name and text."""
    file = folder / name
    file.write_text(text)
    return [(mark.line, mark.phrase) for mark in read_file(file).marks]


@pytest.mark.parametrize(
    "before",
    [
        "the participant ",
        "a job ",
        "two other watchers\n",
        "Participants ",
        "people ",
        "each participant ",
    ],
)
def test_a_noun_directly_before_names_the_actor(before: str) -> None:
    """A determiner before it, or a plural, shows that the word is a noun."""
    assert ends_with_a_noun(before)


@pytest.mark.parametrize(
    "before",
    [
        "",
        "and ",
        "the participant, ",
        "it tells ",
        "those ",
        "Return ",
        "of everybody ",
        "(a job) ",
    ],
)
def test_no_noun_directly_before_names_no_actor(before: str) -> None:
    """Neither a verb, nor a function word, nor punctuation is a noun."""
    assert not ends_with_a_noun(before)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Who waits is not cut off.", ["Who"]),
        ("It goes to whoever asks, and to whom it concerns.", ["whoever", "whom"]),
        ("A participant who waits, and a job whose lease ran out.", []),
        ("Somebody left, and nobody saw it.", ["Somebody", "nobody"]),
        ("The nonce as which it joined, after so long a time.", ["as which", "so long a"]),
        ("Tell whether it lives. You can tell whether it does.", ["Tell whether"]),
        ('The line `who | may` and the words “who is it” and "nobody\n knows" are quoted.', []),
        ("See [this](https://example.org/who/nobody).", []),
        ("```sh\nwho am i\n```\n\nNobody else.", ["Nobody"]),
    ],
)
def test_marks_in_a_page(tmp_path: Path, text: str, found: list[str]) -> None:
    """Prose counts; code, code spans, quotations and targets of links do not."""
    assert [phrase for _, phrase in phrases(tmp_path, "page.md", text)] == found


def test_marks_in_python_have_their_lines(tmp_path: Path) -> None:
    """Docstrings, comments, log lines, command texts and errors count; other strings do not."""
    text = '''\
"""Nobody is here.

Tell whether it is so.
"""
GRAMMAR = "who are you"
WAIT_S = 3
"""So long a time.

Whoever waits.
"""
# A job who
# knows whom
logger.info("nobody is there")
logger.warning(f"{who} told somebody")
typer.Option(help="who asks")
raise ValueError("whoever did that")
call("nobody", who=1)  # somebody
'''
    assert sorted(phrases(tmp_path, "module.py", text)) == [
        (1, "Nobody"),
        (3, "Tell whether"),
        (7, "So long a"),
        (9, "Whoever"),
        (12, "whom"),
        (13, "nobody"),
        (14, "somebody"),
        (15, "who"),
        (16, "whoever"),
        (17, "somebody"),
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.js", "const a = 'nobody';\n/* For a job\n * who, nobody */ f('//', /\\/who/);"),
        ("a.mjs", "const who = `nobody // who`;\n//\n// nobody"),
        ("a.css", ".who { }\n\n/* nobody */"),
        ("a.html", '<p id="who">who</p>\n\n<!-- nobody -->'),
        ("a.lua", "local a = 'nobody'\n\n-- nobody"),
        ("a.sh", "echo 'who # who' ${who#nobody}\n\nls # nobody"),
        ("a.toml", 'name = "who # nobody"\n\n# nobody'),
        ("a.yaml", "who: nobody\nits: it's\n- a # nobody"),
        ("b.yaml", "who: nobody\n\n  summary: Nobody is there"),
        ("c.yaml", "who: nobody\n  description: >-\n    Then nobody is there.\n  who: nobody\n"),
        ("Dockerfile", "RUN who\n\n# nobody"),
        ("Makefile", "who:\n\n\twho # nobody"),
        (".env.example", "#WHO=nobody,\n\n# nobody"),
    ],
)
def test_marks_in_other_languages_are_in_comments(tmp_path: Path, name: str, text: str) -> None:
    """Each has its mark on line 3, and what it says elsewhere is code."""
    found = [(line, phrase.lower()) for line, phrase in phrases(tmp_path, name, text)]
    assert found == [(3, "nobody")]


def test_a_file_of_another_kind_has_no_prose(tmp_path: Path) -> None:
    """Pictures and lock files are not read."""
    file = tmp_path / "package-lock.json"
    file.write_text('{"who": "nobody"}')
    assert passages(file) == []


def test_an_exception_with_a_reason_is_counted_apart(tmp_path: Path) -> None:
    """It is no mark, for its line alone; without a reason it is one."""
    file = tmp_path / "page.md"
    file.write_text("Nobody. <!-- plain: the title of a song -->\nNobody. <!-- plain: -->\nNobody.")
    found = read_file(file)
    assert [mark.line for mark in found.marks] == [2, 3]
    assert found.exceptions == 1


@pytest.mark.parametrize(("words", "marks", "within"), [(2000, 3, True), (2000, 4, False)])
def test_the_limit_is_a_share_of_all_words(
    tmp_path: Path, words: int, marks: int, *, within: bool
) -> None:
    """One and a half per thousand pass, more do not."""
    (tmp_path / "page.md").write_text("nobody " * marks + "word " * (words - marks))
    folders = by_folder([tmp_path / "page.md"], tmp_path)
    assert report(folders, listed=False, root=tmp_path) is within


@pytest.mark.parametrize(("exceptions", "within"), [(10, True), (11, False)])
def test_ten_exceptions_pass_and_eleven_do_not(
    tmp_path: Path, exceptions: int, *, within: bool
) -> None:
    """However many words there are."""
    lines = "Nobody. <!-- plain: because -->\n" * exceptions
    (tmp_path / "page.md").write_text(lines + "word " * 100_000)
    folders = by_folder([tmp_path / "page.md"], tmp_path)
    assert report(folders, listed=False, root=tmp_path) is within


def test_the_list_begins_with_the_worst_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each mark is printed as `file:line`, and each folder with its counts."""
    (tmp_path / "a.md").write_text("Nobody.")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.md").write_text("Who?\n\nWho?")
    files = [tmp_path / "a.md", tmp_path / "sub" / "b.md"]
    report(by_folder(files, tmp_path), listed=True, root=tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["sub/b.md:1: Who", "sub/b.md:3: Who", "a.md:1: Nobody"]
    assert [line.split() for line in lines[4:7]] == [
        ["1", "1", "1000.00", "."],
        ["2", "2", "1000.00", "sub"],
        ["3", "3", "1000.00", "all"],
    ]


def test_the_tree_has_prose_of_each_kind() -> None:
    """The list of files misses no kind that the tree has."""
    kinds = {path.suffix for path in tracked_files(ROOT)}
    assert {".py", ".md", ".js", ".lua", ".sh", ".yaml", ".yml", ".css", ".toml"} <= kinds
