"""What the measured costs come to: how many fit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.capacity.redis import KEPT_TURNS
from benchmarks.capacity.talk import TURN_EVERY_S

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from benchmarks.capacity.gateway import GatewayCost
    from benchmarks.capacity.redis import RedisCost
    from benchmarks.capacity.workers import WorkerCost

_MIB_PER_GIB: Final = 1024
_RENEWALS_PER_S: Final = 1.0
_TURNS_PER_S: Final = 2 / TURN_EVERY_S
"""A question and its answer."""


@dataclass(frozen=True, slots=True)
class Measured:
    """All that was measured."""

    workers: Mapping[str, WorkerCost]
    """By kind of worker; ``demo`` is one of them."""
    gateway: GatewayCost
    redis: RedisCost


def fits(measured: Measured) -> dict[str, Any]:
    """Return what fits into one core or one GiB, were nothing else on it and no reserve kept."""
    return {
        "workers": {
            kind: {
                "busy_conversations_per_core": _per_minute(cost.spoken_minute_s, cost),
                "quiet_conversations_per_core": _per_minute(cost.quiet_minute_s, cost),
                "conversations_per_gib": round(_MIB_PER_GIB / cost.job_mib, 1),
            }
            for kind, cost in measured.workers.items()
        },
        "gateway": {"tokens_per_core_second": round(1000 / measured.gateway.again_ms)},
        "redis": _of_redis(measured),
    }


def _per_minute(job_s: float, cost: WorkerCost) -> float:
    return round(60 / (job_s + max(0.0, cost.main_minute_s)), 1)


def _of_redis(measured: Measured) -> dict[str, Any]:
    redis, demo = measured.redis, measured.workers["demo"]
    drafts_per_s = max(0.0, demo.scripts_busy_per_s - _RENEWALS_PER_S - _TURNS_PER_S)
    busy_us = (
        _RENEWALS_PER_S * redis.renew_us
        + _TURNS_PER_S * redis.append_us
        + drafts_per_s * redis.draft_us
    )
    session_bytes = redis.session_bytes + KEPT_TURNS * redis.turn_bytes
    return {
        "busy_conversation_us_per_s": round(busy_us),
        "busy_conversations_per_core": round(1e6 / busy_us),
        f"sessions_of_{KEPT_TURNS}_turns_per_gib": round(2**30 / session_bytes),
    }


def as_json(measured: Measured) -> dict[str, Any]:
    """Return what fits, and what was measured, in figures that mean something."""
    return {
        "fits": fits(measured),
        "measured": {
            "workers": {kind: _rounded(asdict(cost)) for kind, cost in measured.workers.items()},
            "gateway": _rounded(asdict(measured.gateway)),
            "redis": _rounded(asdict(measured.redis)),
        },
    }


def _rounded(figures: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: None if n is None else float(f"{n:.3g}") for name, n in figures.items()}
