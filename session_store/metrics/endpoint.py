"""``GET /metrics``, on its own port and in its own thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)

from session_store.errors import MetricsFailed
from session_store.metrics.process_files import ProcessFiles
from session_store.metrics.sink import sink

if TYPE_CHECKING:
    from pathlib import Path
    from wsgiref.simple_server import WSGIServer


class Endpoint:
    """Listens from its construction on. ``show_...`` decides what it serves.

    Raises:
        MetricsFailed: it cannot listen, for example because the port is taken.
    """

    def __init__(self, host: str, port: int) -> None:
        # Prometheus sees a restart at 0, and needs no time of creation.
        disable_created_metrics()
        self._registry = CollectorRegistry()
        self._server: WSGIServer
        try:
            self._server, _ = start_http_server(port, addr=host, registry=self._registry)
        except OSError as error:
            raise MetricsFailed(
                f"metrics cannot be shown at {host}:{port} ({error.strerror}); choose another port"
            ) from None

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return int(self._server.server_port)

    def show_gateway(self) -> None:
        """Show this process's own metrics."""
        sink("gateway").show_all()
        self._registry.register(REGISTRY)

    def show_worker(self, folder: Path) -> ProcessFiles:
        """Show the metrics of a worker and its jobs from a folder.

        Returns:
            The files. Call their ``fold`` now and then.
        """
        sink("worker").show_all()
        files = ProcessFiles(folder)
        self._registry.register(files)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        return files

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
