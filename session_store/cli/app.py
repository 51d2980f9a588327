"""The program: its commands in the order of its help, and how it ends."""

import io
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

import session_store
from session_store.cli import audit_commands, key_commands
from session_store.cli.connect import ENV_FILE, environment
from session_store.cli.doctor_command import doctor
from session_store.cli.exit_codes import EXPLAINED, Exit, exit_of, usage_error
from session_store.cli.list_command import list_
from session_store.cli.maintenance_commands import (
    replay_erasures,
    replay_spool,
    rotate_keys,
    sweep,
)
from session_store.cli.monitor_command import monitor
from session_store.cli.output import note, say
from session_store.cli.participant_commands import (
    consent,
    erase,
    erase_session,
    export,
    retention,
)
from session_store.cli.show_command import show
from session_store.cli.stats_command import stats
from session_store.cli.watch_command import watch

COMMANDS: Final = (
    doctor,
    monitor,
    list_,
    show,
    watch,
    stats,
    export,
    erase,
    erase_session,
    consent,
    retention,
    rotate_keys,
    sweep,
    replay_spool,
    replay_erasures,
)

app = typer.Typer(
    name="session-store",
    help="Look after the conversations that Rejoin keeps in Redis. It reads the same REJOIN_* "
    "settings as the agent and the gateway: from the environment, and from .env.local in this "
    "folder. It shows participants by pseudonym, and content only with --reveal.",
    epilog=EXPLAINED,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    invoke_without_command=True,
)
for each in COMMANDS:
    each.add_to(app)
app.add_typer(key_commands.app)
app.add_typer(audit_commands.app)


def _show_version(asked: bool) -> None:  # noqa: FBT001 (typer calls it so)
    if asked:
        say(f"session-store {session_store.__version__}")
        raise typer.Exit


@app.callback()
def before(
    context: typer.Context,
    *,
    env_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Read settings from this file, not from .env.local. The environment wins.",
            show_default=False,
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Read the options that come before a command."""
    del version
    if env_file is not None and not env_file.is_file():
        raise usage_error(f"there is no file {env_file}")
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
    # A terminal that lacks a letter shows its code instead.
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
        code, message = exit_of(error) or (Exit.DEFECT, f"defect: {type(error).__name__} (--debug)")
        note(message)
        return code
