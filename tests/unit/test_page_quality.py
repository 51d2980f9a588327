"""What a page says of its connection: from which sender, within which bounds, and how often."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from livekit import rtc
from typing_extensions import override

from session_store.livekit.telemetry.page_quality import (
    LEAST_GAP_S,
    MAX_BYTES,
    TOPIC,
    QualityReports,
)
from session_store.meter import Meter
from tests.unit.virtual_time import in_virtual_time

if TYPE_CHECKING:
    from collections.abc import Iterator


class Heard(Meter):
    """Notes what is told of pages."""

    def __init__(self) -> None:
        self.reports: list[tuple[float, float | None]] = []

    @override
    def client_quality(self, round_trip_s: float, loss: float | None) -> None:
        self.reports.append((round_trip_s, loss))


class Stage:
    """A room with maria's conversation; anybody may send anything to it."""

    def __init__(self) -> None:
        self.room: rtc.EventEmitter[Any] = rtc.EventEmitter()
        self.meter = Heard()
        self.quality = QualityReports(self.room, "maria", self.meter)  # type: ignore[arg-type]
        self.quality.start()

    def send(self, data: bytes | dict[str, Any], *, who: str | None = "maria", **more: Any) -> None:
        """Send a data packet."""
        packet = {
            "data": data if isinstance(data, bytes) else json.dumps(data).encode(),
            "participant": SimpleNamespace(identity=who) if who else None,
            "topic": TOPIC,
            **more,
        }
        self.room.emit("data_received", SimpleNamespace(**packet))


GOOD = {"v": 1, "round_trip": 0.05, "loss": 0.01}


def bad_reports() -> Iterator[Any]:
    """Yield what no page of ours sends."""
    for field in ("round_trip", "loss"):
        values: list[Any] = [-0.001, 61, float("nan"), float("inf"), "0.05", True, [], {}]
        yield from ({**GOOD, field: value} for value in values)
    yield {**GOOD, "loss": 1.001}
    yield {**GOOD, "round_trip": None}
    yield {**GOOD, "v": 2}
    yield {"v": 1}
    yield []
    yield b"\xff\xfe"
    yield b""
    yield {**GOOD, "padding": "x" * MAX_BYTES}


def test_the_owner_s_word_is_taken() -> None:
    """Round trip and loss; a loss that is not known is none; a whole number is a number."""

    async def scene() -> None:
        stage = Stage()
        stage.send(GOOD)
        await asyncio.sleep(LEAST_GAP_S)
        stage.send({"v": 1, "round_trip": 1, "loss": None, "later": "fields"})
        assert stage.meter.reports == [(0.05, 0.01), (1, None)]

    in_virtual_time(scene())


@pytest.mark.parametrize("report", list(bad_reports()), ids=lambda report: str(report)[:60])
def test_what_is_out_of_bounds_is_not(report: Any) -> None:
    """Nothing that a page sends breaks the job, or the numbers."""

    async def scene() -> None:
        stage = Stage()
        stage.send(report)
        assert stage.meter.reports == []

    in_virtual_time(scene())


def test_nobody_else_s_word_is_taken() -> None:
    """Not that of bystanders or servers, and nothing on another topic."""

    async def scene() -> None:
        stage = Stage()
        stage.send(GOOD, who="joe")
        stage.send(GOOD, who=None)
        stage.send(GOOD, topic="rj.other")
        assert stage.meter.reports == []

    in_virtual_time(scene())


def test_a_page_that_talks_without_end_is_heard_now_and_then() -> None:
    """Ten thousand reports in a minute are twelve; bad ones count against it too."""

    async def scene() -> None:
        stage = Stage()
        for number in range(10_000):
            stage.send({**GOOD, "v": number % 2})
            await asyncio.sleep(0.006)
        assert len(stage.meter.reports) <= 60 / LEAST_GAP_S

    in_virtual_time(scene())


def test_after_the_end_nothing_is_heard() -> None:
    """A job that leaves counts nothing any more."""

    async def scene() -> None:
        stage = Stage()
        stage.quality.stop()
        stage.send(GOOD)
        assert stage.meter.reports == []

    in_virtual_time(scene())
