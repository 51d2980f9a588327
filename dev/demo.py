"""Run the whole of Rejoin on this machine: `make demo`."""

import argparse
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from dotenv import dotenv_values

from dev import parts, web
from dev.assembly import assemble
from dev.commands import DevError, main
from dev.file_lock import exclusive
from dev.paths import ROOT, STATE
from dev.state import StateFolder


def demo(state: StateFolder, settings: Mapping[str, str], log_file: Path | None) -> None:
    """Set up and run everything, until the developer stops it.

    Args:
        state: What is kept between runs.
        settings: The user's.
        log_file: Gets a copy of the log.

    Raises:
        DevError: When something is missing, or when one of the parts stopped by itself.
    """
    with ExitStack() as stack:
        if not stack.enter_context(exclusive(state.lock, wait=False)):
            raise DevError(
                f"A demo runs in {state.path} already; stop it, or give this one a folder of its "
                "own: python -m dev.demo --state-dir DIR"
            )
        copy = stack.enter_context(log_file.open("w", encoding="utf-8")) if log_file else None
        web.build()
        assembly = assemble(state, settings)
        stack.callback(state.ready.unlink, missing_ok=True)
        state.ready.unlink(missing_ok=True)
        shutil.rmtree(state.pids, ignore_errors=True)
        state.pids.mkdir()
        death = parts.run(
            assembly.parts,
            env={**assembly.env, "PYTHONUNBUFFERED": "1"},
            cwd=ROOT,
            pid_dir=state.pids,
            log=parts.Log(copy),
        )
    if death is not None:
        last_lines = "".join(f"    {line}\n" for line in death.last_lines)
        print(f"\nThe last lines of {death.name}:\n{last_lines}", file=sys.stderr)
        raise DevError(f"{death.name} stopped ({death.reason}), so everything was stopped.")


def user_settings(environment: Mapping[str, str], env_file: Path) -> dict[str, str]:
    """Return the environment over `.env.local`; what is empty counts as not set."""
    settings = {**dotenv_values(env_file), **environment}
    return {name: value for name, value in settings.items() if value}


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m dev.demo", description=__doc__)
    parser.add_argument("--state-dir", type=Path, default=STATE, help="what it keeps is kept here")
    parser.add_argument("--log-file", type=Path, help="copy the log into this file")
    options = parser.parse_args(argv)
    # During the set-up SIGTERM ends what is under way as Ctrl-C does; the parts have their own way.
    signal.signal(signal.SIGTERM, _interrupt)
    state = StateFolder(options.state_dir.resolve())
    demo(state, user_settings(os.environ, ROOT / ".env.local"), options.log_file)


if __name__ == "__main__":
    main(lambda: _main(sys.argv[1:]))
