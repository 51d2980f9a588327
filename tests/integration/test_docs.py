"""What the documentation shows, runs as it is printed."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.snippets import blocks

if TYPE_CHECKING:
    from session_store import StoreSettings


def test_the_quick_start_of_the_store_runs(settings: StoreSettings) -> None:
    """The first example of docs/store.md works when it is copied."""
    (program,) = blocks("docs/store.md", "The store", "python")
    assert settings.key_file is not None
    # Not in development mode: asyncio would log each callback that a busy machine makes slow.
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={
            **os.environ,
            "REJOIN_REDIS_URL": settings.redis_url.get_secret_value(),
            "REJOIN_KEY_FILE": str(settings.key_file),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
