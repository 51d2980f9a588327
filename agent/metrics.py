"""The worker's metrics. Its main process and its jobs count; the main process serves the sum."""

from __future__ import annotations

import asyncio
import logging
import os
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from session_store.errors import MetricsFailed
from session_store.meter import NO_METER, Meter
from session_store.tasks import repeat

if TYPE_CHECKING:
    from agent.settings import AgentSettings
    from session_store.metrics.endpoint import Endpoint
    from session_store.metrics.process_files import ProcessFiles

logger = logging.getLogger(__name__)

FOLD_EVERY_S: Final = 30.0
_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus_client reads this variable when it is imported. The jobs inherit it."""


class WorkerMetrics:
    """The main process's part. There is one per worker, made before LiveKit is imported."""

    def __init__(self) -> None:
        self._endpoint: Endpoint | None = None
        self._made: TemporaryDirectory[str] | None = None

    def prepare(self, settings: AgentSettings) -> None:
        """Make the folder and open the port, if metrics are switched on.

        Raises:
            MetricsFailed: the folder cannot be made, or the port cannot be opened.
        """
        if settings.agent_metrics_port is None:
            return
        try:
            os.environ[_FOLDER] = self._folder(settings.agent_metrics_dir)
        except OSError as error:
            raise MetricsFailed(
                f"no metrics can be kept in {error.filename} ({error.strerror}); correct "
                "AGENT_METRICS_DIR"
            ) from None
        # Only now: this imports prometheus_client.
        from session_store.metrics.endpoint import Endpoint  # noqa: PLC0415

        self._endpoint = Endpoint(settings.agent_http_host, settings.agent_metrics_port)

    def _folder(self, wanted: Path | None) -> str:
        if wanted is None:
            self._made = TemporaryDirectory(prefix="rejoin-metrics-")
            return self._made.name
        wanted.mkdir(parents=True, exist_ok=True)
        return str(wanted)

    async def keep_showing(self) -> None:
        """Serve the metrics, and fold the files of dead jobs, until this is cancelled.

        Call it after the worker has started: LiveKit empties the folder at the start.
        """
        if self._endpoint is None:
            return
        files = self._endpoint.show_worker(Path(os.environ[_FOLDER]))
        await repeat(FOLD_EVERY_S, partial(_fold, files), name="fold metrics")


async def _fold(files: ProcessFiles) -> None:
    try:
        await asyncio.to_thread(files.fold)
    except OSError as error:
        extra = {"folder": os.environ[_FOLDER], "reason": error.strerror}
        logger.warning("the metrics of dead jobs cannot be folded: trying again later", extra=extra)


worker_metrics: Final = WorkerMetrics()


def meter(settings: AgentSettings) -> Meter:
    """Return the meter of this process, which is the worker or one of its jobs."""
    if settings.agent_metrics_port is None or _FOLDER not in os.environ:
        return NO_METER
    return _sink()


@cache
def _sink() -> Meter:
    from session_store.metrics import sink  # noqa: PLC0415 (not needed if metrics are off)

    try:
        return sink("worker")
    except OSError as error:
        # A conversation works without being counted.
        extra = {"folder": os.environ[_FOLDER], "reason": error.strerror}
        logger.error("metrics cannot be written: this process counts nothing", extra=extra)  # noqa: TRY400 (a traceback adds nothing)
        return NO_METER
