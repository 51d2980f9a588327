"""How long tests wait for what must happen."""

from typing import Final

NET_S: Final = 90.0
"""A net, never a measure of speed: it ends a test in which something did not happen.

A machine that does other work besides may need twenty times as long as a quiet one.
"""
