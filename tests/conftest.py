"""The end of a test process."""

from __future__ import annotations

import atexit
import os
import sys

import pytest

_session: pytest.Session | None = None


def pytest_sessionstart(session: pytest.Session) -> None:
    """Remember the session: its exit status is known only at its end."""
    global _session  # noqa: PLW0603 (pytest gives the last hook only the configuration)
    _session = session


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """End the process before Python takes itself apart, if LiveKit's native library runs in it.

    One of its threads may call back while that happens. The call ends the thread, which Rust takes
    for a panic: it aborts the process, although all tests have passed.
    """
    if _session is None or "livekit.rtc" not in sys.modules:
        return
    atexit._run_exitfuncs()  # There is no public way, and tests rely on them.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_session.exitstatus)
