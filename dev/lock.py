"""Compile the lock files again: `make lock`."""

import sys
from collections.abc import Sequence

from dev import uv
from dev.commands import main, run
from dev.livekit_versions import VERSIONS
from dev.paths import REQUIREMENTS, ROOT

_RUNTIME = (
    *(f"--extra={extra}" for extra in ("cli", "livekit", "metrics")),
    *(f"--group={group}" for group in ("agent", "gateway", "openai", "deepgram")),
)
_OLDEST_PYTHON = "3.11"


def lock(args: Sequence[str]) -> None:
    """Write `requirements/*.txt` with the hashes of every file for every platform.

    Args:
        args: For uv, such as `--upgrade`.

    Raises:
        DevError: When something cannot be resolved.
    """
    project = ["pyproject.toml", *_RUNTIME]
    _compile(project, "runtime.txt", args)
    # What is tested is what runs.
    tested = ["--group=dev", "--constraint=requirements/runtime.txt"]
    _compile([*project, *tested], "dev.txt", args)
    for version in VERSIONS:
        needed = [
            *(f"--extra={extra}" for extra in version.extras),
            *(f"--group={group}" for group in version.groups),
        ]
        source = f"requirements/{version.lock_file.stem}.in"
        _compile(["pyproject.toml", *needed, source], version.lock_file.name, args)
    for tool in sorted(REQUIREMENTS.glob("tool-*.in")):
        # A tool's wheel is unpacked for the program in it; what its Python needs is not.
        _compile([f"requirements/{tool.name}", "--no-deps"], f"{tool.stem}.txt", args)


def _compile(sources: Sequence[str], target: str, args: Sequence[str]) -> None:
    run(
        [
            *(str(uv.find_or_install()), "pip", "compile", "--quiet", *sources),
            *("--universal", f"--python-version={_OLDEST_PYTHON}", "--generate-hashes"),
            # The address of this machine's package index does not belong into the file.
            *("--no-emit-index-url", "--no-emit-find-links"),
            *("--custom-compile-command=make lock", f"--output-file=requirements/{target}", *args),
        ],
        failure=f"requirements/{target} could not be compiled (see above).",
        cwd=ROOT,
        env=uv.environment(),
    )
    print(f"wrote requirements/{target}", flush=True)


if __name__ == "__main__":
    main(lambda: lock(sys.argv[1:]))
