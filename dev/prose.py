"""The prose of this tree: docstrings, comments, log lines, command texts and Markdown.

A `Passage` is a piece of prose and the line where it begins. Code, code spans, quotations and link
targets are blanked, so that a reader of passages sees words of ours only. Blanking keeps every
newline, so that each word still has its line. Standard library only.
"""

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dev.commands import DevError


@dataclass(frozen=True)
class Passage:
    """A piece of prose, and the number of its first line."""

    line: int
    text: str


Reader = Callable[[str], Iterator[Passage]]
"""What turns the text of a file into its passages."""

CODE_SPAN: Final = re.compile(r"``.+?``|`[^`]+`", re.DOTALL)
QUOTATION: Final = re.compile(r'"[^"]*"|“[^”]*”|„[^“”]*[“”]')
LINK_TARGET: Final = re.compile(r"\]\([^)]*\)|https?://\S+")
MARKUP: Final = re.compile(r"<!--.*?-->", re.DOTALL)
FENCE: Final = re.compile(r"^ *(```+|~~~+).*?^ *\1 *$", re.DOTALL | re.MULTILINE)
BLANK_LINE: Final = re.compile(r"\n[ \t]*\n")

LOG_CALLS: Final = {"debug", "info", "warning", "error", "exception", "critical", "log"}
LOGGERS: Final = {"logger", "log", "_logger", "LOGGER"}
SHOWN_CALLS: Final = {"print", "echo", "secho"}
SHOWN_KEYWORDS: Final = {"help", "short_help", "epilog", "description"}
SHOWN_IN_YAML: Final = re.compile(
    r"^(?P<indent> *)(?:summary|description): *"
    r"(?:[>|]-?\n(?P<block>(?:(?P=indent) +.*\n)+)|(?P<line>[^|>\s].*)$)",
    re.MULTILINE,
)

PYTHON_TOKENS: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"""|'
    r"'''(?:\\.|[^\\])*?'''|"
    r'"(?:\\.|[^"\\\n])*"|'
    r"'(?:\\.|[^'\\\n])*'|"
    r"(?P<comment>#[^\n]*)",
    re.DOTALL,
)
SCRIPT_TOKENS: Final = re.compile(
    r'"(?:\\.|[^"\\\n])*"|'
    r"'(?:\\.|[^'\\\n])*'|"
    r"`(?:\\.|[^`\\])*`|"
    r"(?<=[=(,:!&|?;] )/(?:\\.|[^/\\\n])+/|"
    r"(?P<comment>//[^\n]*|/\*.*?\*/)",
    re.DOTALL,
)
STYLE_TOKENS: Final = re.compile(r"(?P<comment>/\*.*?\*/)", re.DOTALL)
PAGE_TOKENS: Final = re.compile(r"(?P<comment><!--.*?-->)", re.DOTALL)
LUA_TOKENS: Final = re.compile(
    r'"(?:\\.|[^"\\\n])*"|'
    r"'(?:\\.|[^'\\\n])*'|"
    r"(?P<comment>--\[\[.*?\]\]|--[^\n]*)",
    re.DOTALL,
)
HASH_TOKENS: Final = re.compile(
    r'"(?:\\.|[^"\\\n])*"|'
    r"(?<![A-Za-z])'[^'\n]*'|"
    r"(?P<comment>(?:^|(?<=\s))#(?![A-Z0-9_]+=)[^\n]*)",
    re.MULTILINE,
)
COMMENT_SIGNS: Final = re.compile(
    r"^[ \t]*(?:#+!?|//+|/\*+|\*+/?|--+(?:\[\[)?|<!--)|(?:\*/|\]\]|-->)[ \t]*$"
)


def passages(path: Path) -> list[Passage]:
    """Return the prose of a file, or nothing if the kind of the file is not known."""
    reader = _reader(path)
    return [] if reader is None else [*map(_own_words, reader(path.read_text(encoding="utf-8")))]


def tracked_files(root: Path) -> list[Path]:
    """Return the files of a checkout that hold prose, those that are not committed yet included.

    Raises:
        DevError: If git cannot list them.
    """
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=root, capture_output=True, check=False)
    if done.returncode != 0:
        raise DevError("git cannot list the files: run this in a checkout.")
    paths = {root / name for name in done.stdout.decode().split("\0") if name}
    return sorted(path for path in paths if _reader(path) and path.is_file())


def _reader(path: Path) -> Reader | None:
    return READERS.get(path.suffix) or READERS.get(path.name)


def _own_words(passage: Passage) -> Passage:
    text = passage.text
    for pattern in (MARKUP, CODE_SPAN, LINK_TARGET):
        text = pattern.sub(_blank, text)
    paragraphs = _with_breaks(text, BLANK_LINE)
    return Passage(passage.line, "".join(QUOTATION.sub(_blank, each) for each in paragraphs))


def _blank(match: re.Match[str]) -> str:
    """Return a filler that is no word and ends no sentence, with the newlines of the match."""
    return "·" + "\n" * match.group().count("\n")


def _with_breaks(text: str, pattern: re.Pattern[str]) -> list[str]:
    """Return the parts between the matches, and the matches, in order."""
    return re.split(f"({pattern.pattern})", text)


def markdown(text: str) -> Iterator[Passage]:
    """Yield the paragraphs of a page, without its blocks of code."""
    line = 1
    for part in _with_breaks(FENCE.sub(_blank, text), BLANK_LINE):
        yield Passage(line, part)
        line += part.count("\n")


def python(text: str) -> Iterator[Passage]:
    """Yield the docstrings, the comments, and the words that are logged or shown."""
    yield from _comments(text, PYTHON_TOKENS)
    for node in ast.walk(ast.parse(text)):
        for constant in _spoken(node):
            yield Passage(constant.lineno, str(constant.value))


def _spoken(node: ast.AST) -> Iterator[ast.Constant]:
    match node:
        case ast.Expr(value=ast.Constant(value=str()) as docstring):
            yield docstring
        case ast.Call() if _is_shown(node):
            yield from _strings(*node.args)
        case ast.Raise(exc=ast.Call() as call):
            yield from _strings(*call.args)
        case ast.keyword(arg=name, value=value) if name in SHOWN_KEYWORDS:
            yield from _strings(value)


def _is_shown(call: ast.Call) -> bool:
    match call.func:
        case ast.Name(id=name):
            return name in SHOWN_CALLS
        case ast.Attribute(attr="echo" | "secho" | "print"):
            return True
        case ast.Attribute(value=ast.Name(id=owner) | ast.Attribute(attr=owner), attr=name):
            return name in LOG_CALLS and owner in LOGGERS
    return False


def _strings(*nodes: ast.AST) -> Iterator[ast.Constant]:
    for node in nodes:
        for part in ast.walk(node):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                yield part


def script(text: str) -> Iterator[Passage]:
    """Yield the comments of JavaScript."""
    return _comments(text, SCRIPT_TOKENS)


def style(text: str) -> Iterator[Passage]:
    """Yield the comments of a style sheet."""
    return _comments(text, STYLE_TOKENS)


def page(text: str) -> Iterator[Passage]:
    """Yield the comments of HTML."""
    return _comments(text, PAGE_TOKENS)


def lua(text: str) -> Iterator[Passage]:
    """Yield the comments of Lua."""
    return _comments(text, LUA_TOKENS)


def hashes(text: str) -> Iterator[Passage]:
    """Yield the comments of a language whose comments begin with ``#``."""
    return _comments(text, HASH_TOKENS)


def yaml(text: str) -> Iterator[Passage]:
    """Yield the comments, and what an alert or a dashboard says."""
    yield from hashes(text)
    for match in SHOWN_IN_YAML.finditer(text):
        part = "line" if match["line"] else "block"
        yield Passage(_line_at(text, match.start(part)), match[part].strip("\"'"))


def _comments(text: str, tokens: re.Pattern[str]) -> Iterator[Passage]:
    """Yield the comments of a file, those on consecutive lines as one."""
    pending: list[Passage] = []
    for match in tokens.finditer(text):
        if match["comment"] is None:
            continue
        found = Passage(_line_at(text, match.start()), _without_signs(match["comment"]))
        if pending and not _goes_on(text, pending, found, match.start()):
            yield _joined(pending)
            pending = []
        pending.append(found)
    if pending:
        yield _joined(pending)


def _line_at(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def _without_signs(comment: str) -> str:
    return "\n".join(COMMENT_SIGNS.sub("", line).strip() for line in comment.split("\n"))


def _goes_on(text: str, pending: list[Passage], found: Passage, start: int) -> bool:
    """Return whether a comment is alone on its line, right below the one before it."""
    last = pending[-1].line + pending[-1].text.count("\n")
    before = text[text.rfind("\n", 0, start) + 1 : start]
    return found.line == last + 1 and not before.strip()


def _joined(pending: list[Passage]) -> Passage:
    return Passage(pending[0].line, "\n".join(each.text for each in pending))


READERS: Final[dict[str, Reader]] = {
    ".md": markdown,
    ".py": python,
    ".js": script,
    ".mjs": script,
    ".css": style,
    ".html": page,
    ".lua": lua,
    ".yml": yaml,
    ".yaml": yaml,
    **dict.fromkeys((".toml", ".sh", ".conf", ".acl", ".in", ".example"), hashes),
    **dict.fromkeys(("Dockerfile", "Makefile", "Caddyfile", "run"), hashes),
}
"""The reader of each kind of file: by suffix, or by name for a file without a suffix."""
