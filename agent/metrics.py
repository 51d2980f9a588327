"""The worker's metrics: counted by its main process and by its jobs, shown by the former."""

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
"""prometheus_client looks there when it is imported, and so do the jobs, which inherit it."""


class WorkerMetrics:
    """What the main process does for them. One per worker, made before LiveKit is imported."""

    def __init__(self) -> None:
        self._endpoint: Endpoint | None = None
        self._made: TemporaryDirectory[str] | None = None

    def prepare(self, settings: AgentSettings) -> None:
        """Make the folder and open the port, where metrics are switched on.

        Raises:
            MetricsFailed: one of them cannot be had.
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
        # Not before: this imports prometheus_client.
        from session_store.metrics.endpoint import Endpoint  # noqa: PLC0415

        self._endpoint = Endpoint(settings.agent_http_host, settings.agent_metrics_port)

    def _folder(self, wanted: Path | None) -> str:
        if wanted is None:
            self._made = TemporaryDirectory(prefix="rejoin-metrics-")
            return self._made.name
        wanted.mkdir(parents=True, exist_ok=True)
        return str(wanted)

    async def keep_showing(self) -> None:
        """Show what there is, and fold what ended jobs have left, until this is cancelled.

        Call it once the worker has started: until then LiveKit empties the folder.
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
        logger.warning("metrics of ended jobs cannot be folded", extra=extra)


worker_metrics: Final = WorkerMetrics()


def meter(settings: AgentSettings) -> Meter:
    """Return what this process measures with: of the worker, or of one of its jobs."""
    if settings.agent_metrics_port is None or _FOLDER not in os.environ:
        return NO_METER
    return _sink()


@cache
def _sink() -> Meter:
    from session_store.metrics import sink  # noqa: PLC0415 (not where metrics are off)

    try:
        return sink("worker")
    except OSError as error:
        # A conversation does not need to be counted.
        extra = {"folder": os.environ[_FOLDER], "reason": error.strerror}
        logger.error("this process counts nothing", extra=extra)  # noqa: TRY400 (the trace tells nothing more)
        return NO_METER
