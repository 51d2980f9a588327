"""Which kinds of participants talk with an agent: browsers and apps, phones, other networks.

Ingress and egress are machines. A bridge joins rooms: who talks through it has a name of its own.
"""

from __future__ import annotations

from typing import Final

from livekit import api

_KINDS: Final = api.ParticipantInfo.Kind
TALKING: Final = frozenset({_KINDS.STANDARD, _KINDS.SIP, _KINDS.CONNECTOR})
"""As LiveKit's server API numbers them; its SDK for rooms has other numbers for the same names."""
TALKING_NAMES: Final = frozenset(_KINDS.Name(kind) for kind in TALKING)
