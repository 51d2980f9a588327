"""Which identities do not identify, and by which name a stranger is found again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from session_store.livekit.job.participant import JobParticipant, name_and_call
from session_store.livekit.rooms.anonymous import is_anonymous, is_the_one, name_in_store

if TYPE_CHECKING:
    from session_store.livekit.job.participant import NamedBy

CALL = {"sip.callID": "SCL_1"}


@pytest.mark.parametrize(
    "identity",
    [
        "sip_anonymous",
        "sip_Anonymous",
        "sip_UNAVAILABLE",
        "sip_restricted",
        "sip_private",
        "sip_unknown",
        "sip_",
        "sip_+266696687",
        "sip_+7378742833",
        "sip_0000000000",
        "sip_2f183a4e64493af3",  # "anonymous", where the dispatch rule hides numbers
        "anonymous",
        "+266696687",
    ],
)
def test_a_withheld_number_does_not_identify(identity: str) -> None:
    """Whatever the carrier, or the dispatch rule, makes of it."""
    assert is_anonymous(identity, {})


@pytest.mark.parametrize(
    "identity",
    ["sip_+15550123", "sip_c15a31c71649a522", "maria", "sip_0", "sip_anonymous-maria", "0"],
)
def test_other_identities_do(identity: str) -> None:
    """A hidden number is a number: LiveKit's hash of it is the same in each call."""
    assert not is_anonymous(identity, {"sip.hostname": "pstn.example.org"})
    assert name_in_store(identity, CALL, "RM_1") == identity


def test_a_host_that_is_withheld_does_not_identify() -> None:
    """RFC 3323 allows any user before it."""
    assert is_anonymous("sip_a17", {"sip.hostname": "anonymous.invalid"})


def test_a_stranger_is_found_again_in_the_same_call_and_in_no_other() -> None:
    """The room does not matter then: a call has one."""
    name = name_in_store("sip_anonymous", CALL, "RM_1")
    assert name_in_store("sip_anonymous", CALL, "RM_2") == name
    assert name_in_store("sip_anonymous", {"sip.callID": "SCL_2"}, "RM_1") != name
    assert "SCL_1" not in name


def test_a_stranger_without_a_call_is_found_again_in_the_same_room() -> None:
    """A room that was made again under the same name is another one."""
    name = name_in_store("anonymous", {"rj.load": "1"}, "RM_1")
    assert name_in_store("anonymous", {"rj.load": "2"}, "RM_1") == name
    assert name_in_store("anonymous", {}, "RM_2") != name


@pytest.mark.parametrize(
    ("named_by", "name"),
    [
        (None, "sip_+15550123"),
        ("customer 7", "customer 7"),
        (lambda participant: participant.attributes["crm.id"], "7"),
    ],
)
def test_the_program_names_its_participants(named_by: NamedBy | None, name: str) -> None:
    """By a constant or a function; without either, LiveKit's identity is the name."""
    attributes = {**CALL, "crm.id": "7"}
    seen: Any = SimpleNamespace(identity="sip_+15550123", attributes=attributes)
    assert name_and_call(seen, named_by, "RM_1") == (name, "")


@pytest.mark.parametrize("named_by", [lambda _: None, lambda _: "", "", "anonymous", "+266696687"])
def test_a_program_that_knows_no_name_has_a_stranger(named_by: NamedBy) -> None:
    """The conversation is that of the call alone."""
    seen: Any = SimpleNamespace(identity="sip_+15550123", attributes=CALL)
    name, call = name_and_call(seen, named_by, "RM_1")
    assert name.startswith("anonymous:")
    assert call == "SCL_1"


def test_a_name_of_the_program_counts_although_the_number_is_withheld() -> None:
    """A caller who has said a customer number is known by it."""
    withheld = {**CALL, "sip.hostname": "anonymous.invalid"}
    seen: Any = SimpleNamespace(identity="sip_anonymous", attributes=withheld)
    assert name_and_call(seen, "customer 7", "RM_1") == ("customer 7", "")


def test_the_next_call_under_the_same_identity_is_a_stranger() -> None:
    """A page that is loaded again is not, nor a known caller who calls again."""
    assert JobParticipant("sip_anonymous", "p", None, {}, call="SCL_1").is_stranger("SCL_2")
    assert not JobParticipant("sip_anonymous", "p", None, {}, call="SCL_1").is_stranger("SCL_1")
    assert not JobParticipant("maria", "p", None, {}).is_stranger("another load")


def test_who_was_served_is_told_from_the_next_caller() -> None:
    """By the identity; of strangers, by the call as well."""
    assert is_the_one("maria", {}, served="maria", served_call="")
    assert not is_the_one("joe", {}, served="maria", served_call="")
    assert is_the_one("sip_anonymous", CALL, served="sip_anonymous", served_call="SCL_1")
    assert not is_the_one("sip_anonymous", CALL, served="sip_anonymous", served_call="SCL_2")
