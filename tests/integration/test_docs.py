"""What the documentation shows, runs as it is printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from session_store import StoreSettings

ROOT = Path(__file__).parents[2]


def test_the_quick_start_of_the_store_runs(settings: StoreSettings) -> None:
    """The first example of docs/store.md works when it is copied."""
    found = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "store.md").read_text(), re.DOTALL)
    assert found is not None
    assert settings.key_file is not None
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", found[1]],
        env={
            **os.environ,
            "REJOIN_REDIS_URL": settings.redis_url.get_secret_value(),
            "REJOIN_KEY_FILE": str(settings.key_file),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_installation_of_the_binding_runs(settings: StoreSettings, tmp_path: Path) -> None:
    """What docs/binding.md shows first: keys are made, and the doctor takes them."""
    page = (ROOT / "docs" / "binding.md").read_text()
    found = re.search(r"## Install\n\n```sh\npip install [^\n]*\n(.*?)```", page, re.DOTALL)
    assert found is not None
    folder = tmp_path / "new"
    folder.mkdir()
    done = subprocess.run(
        ["/bin/sh", "-c", found[1]],
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "REJOIN_REDIS_URL": settings.redis_url.get_secret_value(),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    assert re.search(rf"^ok +keys +1 key, .* from {folder}/keys.json$", done.stdout, re.MULTILINE)
    assert re.search(r"^ok +import name ", done.stdout, re.MULTILINE)
