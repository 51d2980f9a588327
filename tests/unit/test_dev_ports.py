"""Ports for the parts of the demo."""

import socket

import pytest

from dev import ports


def test_a_port_in_use_is_answered_by_the_next_free_one() -> None:
    """A port with a listener is passed over."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        in_use = listener.getsockname()[1]
        assert not ports.is_free(in_use)
        assert ports.next_free(in_use) > in_use


def test_a_port_in_use_on_all_addresses_is_not_free() -> None:
    """A program that listens on every address of the machine has the port on loopback too."""
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))  # noqa: S104 - what the test is about
        listener.listen()
        assert not ports.is_free(listener.getsockname()[1])


def test_a_udp_port_in_use_is_not_free() -> None:
    """UDP is looked at by itself: the same number may be free for TCP."""
    with socket.socket(type=socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        assert not ports.is_free(holder.getsockname()[1], socket.SOCK_DGRAM)


def test_a_port_that_was_given_out_is_not_given_out_again() -> None:
    """A port is given out before its program listens on it."""
    first = ports.next_free(20_000)
    assert ports.next_free(first, taken={first}) > first


def test_no_port_left_is_an_error() -> None:
    """Past the last port there is an end, not a wrong number."""
    with pytest.raises(OSError, match="no port from 65536"):
        ports.next_free(65_536)
