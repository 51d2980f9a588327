"""The program: its commands, and how it ends."""

import importlib.metadata
import io
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from session_store.cli import (
    auditing,
    checking,
    counting,
    listing,
    maintenance_commands,
    monitoring,
    participant_commands,
    showing,
    watching,
)
from session_store.cli.connect import ENV_FILE, environment
from session_store.cli.exits import EXPLAINED, Exit, told, usage
from session_store.cli.output import note, say

app = typer.Typer(
    name="session-store",
    help="Look after the conversations that Rejoin keeps in Redis. It reads the same REJOIN_* "
    "settings as the agent and the gateway, from the environment and from .env.local in this "
    "folder. Participants go by pseudonyms, and content is shown with --reveal only.",
    epilog=EXPLAINED,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    invoke_without_command=True,
)
for part in (
    checking,
    monitoring,
    listing,
    showing,
    watching,
    counting,
    participant_commands,
    maintenance_commands,
):
    part.add_to(app)
app.add_typer(auditing.app)


def _show_version(asked: bool) -> None:  # noqa: FBT001 (typer calls it so)
    if asked:
        say(f"session-store {importlib.metadata.version('rejoin')}")
        raise typer.Exit


@app.callback()
def before(
    context: typer.Context,
    *,
    env_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Read settings from here instead of .env.local. The environment wins.",
            show_default=False,
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error comes from.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Note what counts for all commands."""
    del version
    if env_file is not None and not env_file.is_file():
        raise usage(f"there is no file {env_file}")
    environment.env_file = env_file or ENV_FILE
    environment.debug = debug
    if context.invoked_subcommand is None:
        sys.stdout.write(f"{context.get_help()}\n")
        raise typer.Exit(Exit.USAGE)


def run(arguments: Sequence[str]) -> int:
    """Run the program; return its exit code. Errors are one line on standard error."""
    logger = logging.getLogger("session_store")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    # A terminal without some letter shows its code instead.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        return int(app(list(arguments), prog_name="session-store", standalone_mode=False) or 0)
    except (typer.Abort, KeyboardInterrupt):
        note("stopped")
        return 128 + 2
    except Exception as error:
        if environment.debug:
            raise
        code, message = told(error) or (Exit.DEFECT, f"defect: {type(error).__name__} (--debug)")
        note(message)
        return code
