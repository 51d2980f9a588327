"""Where things are in this checkout. Standard library only."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
TESTS = ROOT / "tests"
VENV = ROOT / ".venv"
WEB = ROOT / "web"

STATE = ROOT / ".rejoin"
"""What the demo keeps, and the tools that were fetched for it; never committed."""

TOOLS = STATE / "tools"
"""Tools fetched because this machine lacks them; `make clean-tools` removes them."""
