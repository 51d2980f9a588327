"""What is installed: the wheel, its name, its extras, and the page that PyPI shows."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zipfile import ZipFile

import pytest
from markdown_it import MarkdownIt
from packaging.metadata import Metadata
from packaging.requirements import Requirement

import session_store
from dev.paths import REQUIREMENTS, ROOT
from dev.prose import tracked_files
from session_store.distribution import DISTRIBUTION, NOT_INSTALLED

if TYPE_CHECKING:
    from collections.abc import Iterator

PYPROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT: Final = PYPROJECT["project"]
REPOSITORY: Final[str] = PROJECT["urls"]["Repository"]
TARGET: Final = re.compile(re.escape(REPOSITORY) + r"/(blob|tree|raw)/main/([^#]+)")
"""An address of a file or a folder of the repository."""
OTHER_PROJECT: Final = re.compile(
    r"(?<![\w-])rejoin\[|install\s+['\"]?rejoin\b|version of rejoin\b|/rejoin-\*"
)
"""Text that sends a reader to the project of another author on PyPI."""
LOCK_FILES: Final = [
    path for path in sorted(REQUIREMENTS.glob("*.txt")) if not path.name.startswith("tool-")
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, with the tools of the lock file."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    (built,) = folder.glob("*.whl")
    return built


def read(wheel: Path, ending: str) -> str:
    """Return the one file of a wheel whose name ends so."""
    with ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(ending)]
        return archive.read(name).decode()


def metadata_of(wheel: Path) -> Metadata:
    """Return the metadata of a wheel, checked against the specification."""
    return Metadata.from_email(read(wheel, ".dist-info/METADATA").encode(), validate=True)


def test_the_wheel_holds_the_library_and_its_starter(wheel: Path) -> None:
    """Under the name of the distribution, with scripts and types, and without our programs."""
    with ZipFile(wheel) as archive:
        names = archive.namelist()

    assert wheel.name.startswith(f"{DISTRIBUTION.replace('-', '_')}-{PROJECT['version']}-")
    assert {name.split("/")[0] for name in names} == {
        "session_store",
        "livekit_rejoin.py",
        f"livekit_rejoin-{PROJECT['version']}.dist-info",
    }
    assert {"session_store/py.typed", "session_store/backends/redis/lua/join.lua"} <= set(names)


def test_the_metadata_is_complete(wheel: Path) -> None:
    """PyPI takes it, and a reader finds name, authors, words to search for, and addresses."""
    metadata = metadata_of(wheel)

    assert metadata.name == DISTRIBUTION
    assert metadata.author or metadata.author_email
    assert metadata.license_expression == "Apache-2.0"
    assert {"livekit", "redis", "voice"} <= set(metadata.keywords or ())
    assert {"Programming Language :: Python :: 3.11", "Typing :: Typed"} <= set(
        metadata.classifiers or ()
    )
    assert set(metadata.project_urls or ()) >= {"Repository", "Documentation", "Changelog"}
    assert metadata.description_content_type == "text/markdown"
    assert metadata.description == (ROOT / "README.md").read_text()


def imported(wheel: Path) -> set[str]:
    """Return the names of all modules that the code of a wheel imports."""
    found = set()
    with ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.endswith(".py"):
                for node in ast.walk(ast.parse(archive.read(name))):
                    match node:
                        case ast.Import(names=aliases):
                            found |= {alias.name for alias in aliases}
                        case ast.ImportFrom(module=str(module), names=aliases):
                            found |= {module, *(f"{module}.{alias.name}" for alias in aliases)}
    return found


def modules_of(requirement: Requirement) -> set[str]:
    """Return the packages and modules that a distribution installs."""
    files = importlib.metadata.files(requirement.name) or []
    return {
        ".".join(file.with_suffix("").parts).removesuffix(".__init__")
        for file in files
        if file.suffix == ".py"
    }


def test_each_extra_is_for_code_of_the_wheel(wheel: Path) -> None:
    """What no module of the wheel imports is a dependency of this checkout: a group."""
    metadata = metadata_of(wheel)
    needed = imported(wheel)

    extras = set(metadata.provides_extra or ())
    assert {"cli", "livekit", "livekit2", "metrics"} == extras
    for extra, requirements in PROJECT["optional-dependencies"].items():
        for requirement in map(Requirement, requirements):
            assert modules_of(requirement) & needed, f"{extra}: nothing imports {requirement}"


def test_what_has_no_code_in_the_wheel_is_noticed(wheel: Path) -> None:
    """The gateway's framework, and a plugin that only the reference agent loads."""
    needed = imported(wheel)

    assert not modules_of(Requirement("fastapi")) & needed
    assert not modules_of(Requirement("livekit-plugins-openai")) & needed


@pytest.mark.parametrize("path", LOCK_FILES, ids=lambda path: path.name)
def test_a_lock_file_was_compiled_for_this_name(path: Path) -> None:
    """With the hash of each file, and without the address of a package index."""
    text = path.read_text()
    pins = re.findall(r"^[a-z0-9].*$", text, re.MULTILINE)

    assert set(re.findall(r"([\w-]+) \(pyproject\.toml", text)) == {DISTRIBUTION}
    assert [line for line in pins if not line.endswith("\\")] == []
    assert "://" not in text


def texts() -> Iterator[tuple[str, str]]:
    """Yield each file of the checkout that holds prose, with its text."""
    for path in tracked_files(ROOT):
        yield str(path.relative_to(ROOT)), path.read_text()


def test_no_text_sends_a_reader_to_the_other_project() -> None:
    """No message, page or build file names what another author has on PyPI."""
    ours = str(Path(__file__).relative_to(ROOT))
    assert [
        (name, found[0])
        for name, text in texts()
        for found in OTHER_PROJECT.finditer(text)
        if name != ours
    ] == []


@pytest.mark.parametrize(
    "text",
    [
        "pip install 'rejoin" + "[cli]'",
        "pip install " + "rejoin",
        "site-packages" + "/rejoin-*.dist",
    ],
)
def test_the_other_name_is_noticed(text: str) -> None:
    """In the forms that our files have had."""
    assert OTHER_PROJECT.search(text)
    assert not OTHER_PROJECT.search(text.replace("rejoin", DISTRIBUTION).replace("-*", "_*"))


def test_the_image_is_built_from_what_it_copies() -> None:
    """All that the wheel is made of, and the folder under which it is installed."""
    text = (ROOT / "Dockerfile").read_text()
    let_in = (ROOT / ".dockerignore").read_text().splitlines()
    included = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]

    for name in (*included, "pyproject.toml", PROJECT["readme"], *PROJECT["license-files"]):
        assert re.search(rf"^COPY .*\b{re.escape(name)}\b", text, re.MULTILINE), name
        assert f"!{name}" in let_in
    assert f"{DISTRIBUTION.replace('-', '_')}-*.dist-info" in text


def test_commands_name_extras_and_groups_that_exist() -> None:
    """Wherever a reader is told to install something."""
    extras, groups = PROJECT["optional-dependencies"], PYPROJECT["dependency-groups"]
    named = [
        (name, extra.strip())
        for name, text in texts()
        for found in re.findall(rf"{DISTRIBUTION}\[([\w, -]+)\]", text)
        for extra in found.split(",")
    ]
    of_groups = [
        (name, group)
        for name, text in texts()
        if name.endswith(".md")
        for group in re.findall(r"--group ([\w-]+)", text)
    ]

    assert len(named) > 3
    assert [each for each in named if each[1] not in extras] == []
    assert len(of_groups) > 1
    assert [each for each in of_groups if each[1] not in groups] == []


def test_the_version_is_the_installed_one() -> None:
    """It stands once, in pyproject.toml."""
    assert session_store.__version__ == PROJECT["version"]


def test_a_checkout_that_is_not_installed_says_so() -> None:
    """Its version is a valid one, and older than each release."""
    code = f"""
import runpy
print(runpy.run_path({str(ROOT / "session_store" / "distribution.py")!r})["installed_version"]())
"""
    # Without site-packages nothing is installed.
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )

    assert ran.stdout == f"{NOT_INSTALLED}\n"


def links() -> list[str]:
    """Return the targets of all links and pictures of the README."""
    tokens = MarkdownIt().parse((ROOT / "README.md").read_text())
    found: list[Any] = []
    for token in tokens:
        for child in token.children or []:
            found += [child.attrGet("href"), child.attrGet("src")]
    return [str(target) for target in found if target is not None]


def test_each_link_of_the_readme_works_on_pypi() -> None:
    """It is absolute or an anchor, and what it names of this repository is there."""
    targets = links()
    ours = [found for target in targets if (found := TARGET.match(target))]

    assert [each for each in targets if not each.startswith(("https://", "#"))] == []
    assert len(ours) > 15
    for kind, name in (found.groups() for found in ours):
        path = ROOT / name
        assert path.is_dir() if kind == "tree" else path.is_file(), name
    # A reference without its address would be shown as text.
    assert not re.search(r"\]\[", "".join(_shown_text()))


def _shown_text() -> Iterator[str]:
    for token in MarkdownIt().parse((ROOT / "README.md").read_text()):
        for child in token.children or []:
            if child.type == "text":
                yield child.content


def test_the_address_of_the_repository_stands_once() -> None:
    """All other addresses in it begin with the one of pyproject.toml."""
    assert all(url.startswith(REPOSITORY) for url in PROJECT["urls"].values())
    for name, text in texts():
        named = set(re.findall(r"https://github\.com/livekit-rejoin/[\w-]+", text))
        assert named <= {REPOSITORY}, name
    for target in [*links(), *PROJECT["urls"].values()]:
        if target.startswith(f"{REPOSITORY}/") and not target.endswith("/issues"):
            assert TARGET.fullmatch(target.partition("#")[0]), target
