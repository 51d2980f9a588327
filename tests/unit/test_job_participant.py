"""What a job is told about its participant."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from session_store.livekit.job.participant import load_id_of, metadata_of
from session_store.livekit.rooms.dispatch import Dispatch, JobMetadata


def participant(**fields: Any) -> Any:
    """Make a participant with these fields."""
    return SimpleNamespace(**{"metadata": "", "attributes": {}, **fields})


@pytest.mark.parametrize(
    ("metadata", "kept"),
    [
        ('{"plan": "gold", "since": 2020}', {"plan": "gold", "since": 2020}),
        ("", {}),
        ("just words", {}),
        ("[1, 2]", {}),
        ("{", {}),
    ],
)
def test_metadata_is_kept_if_it_is_an_object(metadata: str, kept: dict[str, Any]) -> None:
    """Whatever else a token carries is left alone, and is no error."""
    assert metadata_of(participant(metadata=metadata)) == kept


def test_a_page_load_or_a_call_has_a_name() -> None:
    """The gateway's attribute counts first, then the phone call's id, then there is none."""
    both = {"rj.load": "page", "sip.callID": "call"}
    assert load_id_of(participant(attributes=both)) == "page"
    assert load_id_of(participant(attributes={"sip.callID": "call"})) == "call"
    assert load_id_of(participant()) == ""


@pytest.mark.parametrize("metadata", ["", "words", "{}", '{"participant": 1}', "[]"])
def test_a_job_of_another_dispatcher_has_no_gateway(metadata: str) -> None:
    """Metadata that is not the gateway's is not taken for it."""
    assert JobMetadata.parse(metadata) is None


def test_a_job_learns_when_the_gateway_admitted_its_participant() -> None:
    """The dispatch names it ``let_in_ms``, as earlier gateways and workers do."""
    dispatch = Dispatch.for_session("maria", "a" * 26, "agent", admitted_at_ms=5)
    assert json.loads(dispatch.metadata)["let_in_ms"] == 5
    metadata = JobMetadata.parse(dispatch.metadata)
    assert metadata is not None
    assert metadata.admitted_at_ms == 5
