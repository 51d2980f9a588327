"""``python -m session_store.cli``."""

from __future__ import annotations

import sys

from session_store.cli import main

sys.exit(main())
