"""``python -m agent``: check the settings and the store, then run the worker."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from dotenv import load_dotenv
from pydantic import ValidationError

from agent.metrics import worker_metrics
from agent.redis_checks import check_at_start
from session_store import SessionStoreError, StoreSettings
from session_store.logs import LogSettings, configure
from session_store.settings import explain


def main(arguments: list[str]) -> int:
    """Run the worker with the arguments of ``python -m livekit.agents start``."""
    load_dotenv(".env.local")
    try:
        log_settings = LogSettings()
        configure(log_settings)
        from agent.settings import AgentSettings  # noqa: PLC0415 (reads the environment)

        settings = AgentSettings()
        # Before LiveKit is imported, which imports prometheus_client.
        worker_metrics.prepare(settings)
        from agent import pipelines  # noqa: PLC0415 (slow to import)

        ready_file = settings.agent_ready_file
        if ready_file is not None:
            ready_file.unlink(missing_ok=True)
        pipelines.check(settings)
        asyncio.run(check_at_start(StoreSettings()))
    except ValidationError as error:
        sys.stderr.write(f"agent: {explain(error)}\n")
        return 2
    except (SessionStoreError, ImportError) as error:
        sys.stderr.write(f"agent: {error}\n")
        return 1
    from livekit.agents.__main__ import main as livekit_main  # noqa: PLC0415 (slow to import)

    worker = Path(__file__).with_name("worker.py")
    lines = "json" if log_settings.is_json(on_terminal=sys.stdout.isatty()) else "colored"
    logs = ["--log-level", log_settings.log_level, "--log-format", lines]
    return livekit_main(["start", str(worker), *logs, *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
