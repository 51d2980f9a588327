"""``GET /metrics``, on a port of its own and from a thread of its own."""

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
    """Listens from when it is made; what there is to see comes with ``show_...``.

    Raises:
        MetricsFailed: the port is taken, say.
    """

    def __init__(self, host: str, port: int) -> None:
        # When a series began is for clients that cannot tell from its restart at 0.
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
        """Where it listens."""
        return int(self._server.server_port)

    def show_gateway(self) -> None:
        """Show this process's own metrics."""
        sink("gateway").show_all()
        self._registry.register(REGISTRY)

    def show_worker(self, folder: Path) -> ProcessFiles:
        """Show those of a worker and its jobs, which are in a folder; return who folds them."""
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
