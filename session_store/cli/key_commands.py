"""``keys``: make the first encryption keys."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from session_store.cli.command import command
from session_store.cli.connect import environment
from session_store.cli.exit_codes import CommandFailed, Exit, usage_error
from session_store.cli.options import Json
from session_store.cli.output import document, note, say
from session_store.sealing.key_file import make_key_file

app = typer.Typer(
    name="keys",
    help="Make the first encryption keys.",
    rich_markup_mode=None,
    invoke_without_command=True,
)


@app.callback()
def before(context: typer.Context) -> None:
    """Show the help if no command was named."""
    if context.invoked_subcommand is None:
        sys.stdout.write(f"{context.get_help()}\n")
        raise typer.Exit(Exit.USAGE)


@command("new", epilog="Example: session-store keys new keys.json.")
async def new(
    file: Annotated[
        Path | None,
        typer.Argument(help="The file to make. Default: REJOIN_KEY_FILE.", show_default=False),
    ] = None,
    *,
    json: Json = False,
) -> Exit:
    """Make a key file, once per Redis, and say what to do with it.

    Only you can read the file. An existing file is never overwritten, because without its keys
    no conversation opens. It needs no Redis. To replace a key later, add the new one to the file,
    make it primary, and run rotate-keys.
    """
    settings = environment.settings()
    path = file or settings.key_file
    if path is None:
        raise usage_error("name the file, or set REJOIN_KEY_FILE")
    path = path.absolute()
    key_id = _made(path)
    is_set = settings.key_file is not None and settings.key_file.absolute() == path
    if json:
        document({"file": str(path), "primary": key_id, "key_file_is_set": is_set})
    else:
        _say_what_is_next(path, key_id, is_set=is_set)
    if settings.encryption_keys is not None:
        note("REJOIN_ENCRYPTION_KEYS is set, too; programs with REJOIN_KEY_FILE do not read it")
    return Exit.OK


def _made(path: Path) -> str:
    if not path.parent.is_dir():
        raise usage_error(f"there is no folder {path.parent}")
    try:
        return make_key_file(path)
    except FileExistsError:
        says = f"{path} exists, and stays as it is: without its keys no conversation opens"
        raise CommandFailed(Exit.PROBLEM, says) from None


def _say_what_is_next(path: Path, key_id: str, *, is_set: bool) -> None:
    say(f"Made {path} with the key {key_id}. Only you can read it (mode 0600).")
    if is_set:
        say("REJOIN_KEY_FILE names it. Give the same file to every program that uses this Redis.")
    else:
        say("Next, set this for every program that uses this Redis:")
        say(f"  REJOIN_KEY_FILE={path}")
    say("Keep a copy apart from Redis and its backups. A lost key file is lost conversations.")
    say("session-store doctor checks keys, Redis and settings.")


new.add_to(app)
