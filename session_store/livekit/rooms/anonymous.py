"""Identities that do not identify: callers with a withheld number.

LiveKit names a caller ``sip_`` and the user part of the call's From header. If the dispatch rule
hides phone numbers, the first 8 bytes of that part's SHA-256 are in its place, in hex
(``EvaluateDispatchRule`` in ``sip/sip.go`` of github.com/livekit/protocol). For a withheld number
RFC 3323 (section 4.1.1.3) has ``anonymous@anonymous.invalid`` in that header. Carriers write other
words too, Twilio the digits of such a word on a keypad (its changelog of 2022-11-16), and
switchboards zeros. So all these callers have one identity, and must not share a conversation.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

SIP_CALL_ID: Final = "sip.callID"
"""Attribute of a caller: names this phone call, and no other."""
_SIP_HOST: Final = "sip.hostname"
"""Attribute of a caller: the host in the From header."""
_NO_HOST: Final = "anonymous.invalid"
_PREFIX: Final = "sip_"
_WORDS: Final = frozenset(
    {"anonymous", "blocked", "private", "restricted", "unavailable", "unknown", "withheld"}
)
_KEYPAD: Final = str.maketrans("abcdefghijklmnopqrstuvwxyz", "22233344455566677778889999")
_ON_KEYPAD: Final = frozenset(
    f"+{word.translate(_KEYPAD)}"
    for word in ("anonymous", "blocked", "restricted", "unavailable", "unknown")
)
"""No telephone has one of these numbers: they are too long or too short for their country."""
_ZEROS: Final = re.compile(r"\+?0{6,}")
_HIDDEN: Final = frozenset(
    hashlib.sha256(user.encode()).digest()[:8].hex()
    for word in _WORDS
    for user in (word, word.capitalize(), word.upper(), *_ON_KEYPAD, "")
)
"""What is left of such a name if the dispatch rule hides phone numbers."""


def is_anonymous(identity: str, attributes: Mapping[str, str]) -> bool:
    """Return whether many people have this identity, by all that is known.

    Args:
        identity: in LiveKit, or a phone number.
        attributes: of the participant in LiveKit.
    """
    user = identity.removeprefix(_PREFIX)
    return (
        user.lower() in {"", *_WORDS}
        or user in _ON_KEYPAD
        or user in _HIDDEN
        or _ZEROS.fullmatch(user) is not None
        or attributes.get(_SIP_HOST, "").lower() == _NO_HOST
    )


def name_in_store(identity: str, attributes: Mapping[str, str], room_sid: str) -> str:
    """Return the name from which the participant's pseudonym is made by default.

    It is the identity, or that of a stranger. Jobs and watchers both ask this function, because a
    successor must find the conversation again.
    """
    if is_anonymous(identity, attributes):
        return name_of_stranger(identity, attributes, room_sid)
    return identity


def name_of_stranger(identity: str, attributes: Mapping[str, str], room_sid: str) -> str:
    """Return a name for one phone call; without a call, for this identity in this very room.

    A successor in the same call finds the same name, and so does a page that is loaded again. A
    room that is made again under its name is another room.
    """
    call = attributes.get(SIP_CALL_ID, "")
    known = json.dumps([call] if call else [room_sid, identity])
    return f"anonymous:{hashlib.sha256(known.encode()).hexdigest()}"


def is_the_one(
    identity: str, attributes: Mapping[str, str], *, served: str, served_call: str
) -> bool:
    """Return whether a participant is the one whom a job has served.

    Args:
        identity: of a participant in the room.
        attributes: of the same.
        served: identity of the one who was served.
        served_call: the phone call that was served; empty unless the caller was anonymous.
    """
    return identity == served and served_call in {"", attributes.get(SIP_CALL_ID, "")}
