"""The demo's last part: tells when all the others are ready, then watches over them.

It runs beside them. Should the demo be killed without a chance to stop its parts, this does it.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from dev import sessions
from dev.await_ready import add_targets, await_all
from dev.commands import DevError, main

_POLL_S = 0.5
_LAST_WORDS_S = 2.0
_GRACE_S = 5.0
_PADDING = 3


def box(lines: Sequence[str]) -> str:
    """Return the lines in a frame."""
    width = max(map(len, lines)) + 2 * _PADDING
    inside = [f"│{(' ' * _PADDING + line).ljust(width)}│" for line in ["", *lines, ""]]
    return "\n".join([f"┌{'─' * width}┐", *inside, f"└{'─' * width}┘"])


def watch(demo: psutil.Process, helpers: Iterable[psutil.Process], parts: Iterable[int]) -> None:
    """Return when the demo is gone, with its parts stopped.

    A part whose first process is gone while others of it live holds its output open, so that the
    demo does not notice: after a moment for their last words, those are killed.

    Args:
        demo: The process that started the parts.
        helpers: The processes through which it did, one for each.
        parts: The first process of each.
    """
    dead_for_s = dict.fromkeys(parts, 0.0)
    while demo.is_running() and sessions.is_alive(demo.pid):
        time.sleep(_POLL_S)
        for pid in dead_for_s:
            if not sessions.is_alive(pid):
                dead_for_s[pid] += _POLL_S
                if dead_for_s[pid] > _LAST_WORDS_S:
                    sessions.kill([pid])
    sessions.stop(dead_for_s, grace_s=_GRACE_S)
    for helper in helpers:
        with suppress(psutil.NoSuchProcess):
            helper.kill()


def _write_ready(path: Path, page: str, pids: Mapping[str, int]) -> None:
    ready = {
        "page": page,
        "livekit_url": os.environ["LIVEKIT_URL"],
        "redis_url": os.environ["REJOIN_REDIS_URL"],
        "pids": pids,
    }
    fresh = path.with_suffix(".tmp")
    fresh.touch(mode=0o600)  # the URL of Redis may hold a password
    fresh.write_text(json.dumps(ready, indent=2), encoding="utf-8")
    fresh.replace(path)


def _main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m dev.announce", description=__doc__)
    add_targets(parser)
    parser.add_argument("--demo-pid", type=int, required=True)
    parser.add_argument("--pid-dir", type=Path, required=True, help="of the parts")
    parser.add_argument("--ready-file", type=Path, required=True)
    parser.add_argument("--page", required=True, help="its address")
    options = parser.parse_args(argv)
    try:
        demo = psutil.Process(options.demo_pid)
        await_all(dict(options.targets), timeout_s=options.timeout)
        helpers = demo.children()
        files = options.pid_dir.glob("*.pid")
        pids = {file.stem: int(file.read_text(encoding="ascii")) for file in files}
        pids = {name: pid for name, pid in pids.items() if pid != os.getpid()}
    except psutil.NoSuchProcess:
        raise DevError("The demo ended while its parts were starting.") from None
    _write_ready(options.ready_file, options.page, pids)
    address = ["Rejoin is ready. Open", "", f"    {options.page}", "", "Stop it with Ctrl-C."]
    print(box(address), flush=True)
    watch(demo, helpers, pids.values())
    options.ready_file.unlink(missing_ok=True)


if __name__ == "__main__":
    main(lambda: _main(sys.argv[1:]))
