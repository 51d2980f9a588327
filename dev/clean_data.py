"""Forget what the demo remembers: `make clean-data`."""

import shutil

from dev.commands import DevError, main
from dev.file_lock import exclusive
from dev.state import StateFolder


def clean_data(state: StateFolder) -> None:
    """Delete the conversations, their keys, and LiveKit's configuration.

    Raises:
        DevError: When a demo is running on them.
    """
    with exclusive(state.lock, wait=False) as is_held:
        if not is_held:
            raise DevError("The demo is running; stop it first.")
        for folder in (state.redis, state.spool):
            shutil.rmtree(folder, ignore_errors=True)
        # The keys last: without them, what is left could not be opened.
        for file in (state.livekit, state.keys):
            file.unlink(missing_ok=True)
    print("The demo's conversations and keys are deleted.")


if __name__ == "__main__":
    main(lambda: clean_data(StateFolder()))
