"""The binding on the oldest and the newest supported livekit-agents: `make test-versions`.

The other tests run on the version of `requirements/dev.txt`. Each version here has a lock file,
and an environment of its own beside the tools. Its tests are two lanes of about the same length.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dev import uv
from dev.digests import digest, is_current, write_stamp
from dev.file_lock import exclusive
from dev.lanes import Lane
from dev.paths import REQUIREMENTS, STATE, TESTS, TOOLS

PROGRAMS: Final = (
    "integration/test_binding_examples.py",
    "integration/test_binding_entry_rooms.py",
    # A job is killed, and a worker: the second one's conversation is taken over by another worker.
    "chaos/test_killed.py::test_a_killed_agent_is_replaced",
)
"""What runs on each version as programs: the examples, and a takeover."""
BINDING: Final = "integration/test_binding_*.py"
"""What else does."""
LEFT_OUT: Final = (
    # About counts and the spool, which know nothing of LiveKit; it waits for seconds.
    "test_the_library_counts_turns_and_saves_those_of_an_outage",
    # What it is about has tests that need no worker.
    "test_an_order_is_there_after_a_kill",
    # About watchers alone; it waits for two leases.
    "test_nobody_comes_where_the_agent_has_left_a_call_to_a_human",
)
"""Which of them do not."""


@dataclass(frozen=True)
class Version:
    """One version of livekit-agents, with the packages that go with it."""

    name: str
    """Names `requirements/livekit-<name>.in`, which pins it."""
    extras: tuple[str, ...]
    """Extras of the wheel that the tests need."""
    groups: tuple[str, ...] = ("agent", "gateway", "openai", "deepgram")
    """Groups of `pyproject.toml` that the tests need."""
    options: tuple[str, ...] = ()
    """For pytest."""

    @property
    def lock_file(self) -> Path:
        """Every package with its hashes."""
        return REQUIREMENTS / f"livekit-{self.name}.txt"


# The old name works until 2.1, and the documentation uses it: it is the same on all versions.
_OLD_NAME: Final = ("-W", "ignore:AgentSession is deprecated:DeprecationWarning")

VERSIONS: Final = (
    Version("1.7", ("livekit", "metrics")),
    Version("2.0", ("livekit2", "metrics"), options=_OLD_NAME),
)


def lanes_of(version: Version) -> tuple[Lane, Lane]:
    """Return what runs the tests of the binding on one version.

    Raises:
        DevError: When the environment cannot be made.
    """
    python = str(_python(version))
    options = (*version.options, "-k", " and ".join(f"not {test}" for test in LEFT_OUT))
    found = (str(path.relative_to(TESTS)) for path in sorted(TESTS.glob(BINDING)))
    binding = tuple(path for path in found if path not in PROGRAMS)
    return (
        Lane(f"programs on {version.name}", PROGRAMS, options=options, python=python),
        Lane(f"binding on {version.name}", binding, options=options, python=python),
    )


def _python(version: Version) -> Path:
    """Return the Python of the version's environment, which is made anew for a new lock file."""
    venv = TOOLS / f"livekit-{version.name}"
    stamp = venv / "lock-digest"
    with exclusive(STATE / f"livekit-{version.name}.lock"):
        wanted = digest([version.lock_file], uv.python_digest(venv))
        if not is_current(stamp, wanted):
            print(f"Installing livekit-agents {version.name} and its packages.", flush=True)
            uv.sync(venv, version.lock_file)
            write_stamp(stamp, wanted)
    return venv / "bin" / "python"
