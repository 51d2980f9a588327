"""Ports of tests that run beside each other."""

import subprocess
import sys

from dev.paths import ROOT
from dev.rig.ports import free_port

SEVERAL = "from dev.rig.ports import free_port; print([free_port() for _ in range(5)])"


def test_no_port_is_given_twice() -> None:
    """Not even while no program listens on it yet."""
    ports = [free_port() for _ in range(20)]
    assert len(set(ports)) == len(ports)


def test_another_process_takes_others() -> None:
    """Whatever it does, it finds none of ours."""
    first = free_port()
    run = subprocess.run(
        [sys.executable, "-c", SEVERAL], cwd=ROOT, capture_output=True, text=True, check=True
    )
    theirs = [int(word) for word in run.stdout.strip("[]\n").split(", ")]
    last = free_port()
    assert [port for port in theirs if first <= port <= last] == []
