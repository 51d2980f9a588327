"""Tests that are marked ``virtual_time`` run on a clock that jumps instead of waiting."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.unit.virtual_time import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "virtual_time: no machine is too slow for its time-outs")


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return which event loop a test gets."""
    if item.get_closest_marker("virtual_time") is not None:
        return {"virtual": VirtualLoop}
    return {"real": asyncio.new_event_loop}
