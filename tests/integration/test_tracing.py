"""Spans of what the store asks of Redis, under those of LiveKit."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from livekit import api
from livekit.agents.telemetry import set_tracer_provider
from livekit.agents.telemetry import tracer as livekit_tracer
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from dev.rig.ports import free_port
from dev.rig.programs import until
from dev.rig.stand import running
from session_store import Joined, LeaseHeld, SessionStore, StoreUnavailable, Turn
from session_store.livekit.telemetry.spans import LOOKS_EVERY_S, LiveKitTracer
from tests.e2e.forms import found_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan


class Spans(InMemorySpanExporter):
    """The spans that have ended."""

    def of(self, operation: str) -> ReadableSpan:
        """Return the only span of an operation."""
        [span] = [each for each in self.get_finished_spans() if each.name == f"rejoin.{operation}"]
        return span


@pytest.fixture
def spans() -> Iterator[Spans]:
    """Switch LiveKit's tracing on, as an integrator does, until the test ends."""
    exporter = Spans()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    set_tracer_provider(provider)
    yield exporter
    set_tracer_provider(trace.NoOpTracerProvider())


@pytest.fixture
def traced(store: SessionStore) -> SessionStore:
    """Return a store that is traced as an agent's is."""
    store.trace(LiveKitTracer())
    return store


async def say(store: SessionStore, joined: Joined, text: str) -> None:
    """Append a turn."""
    turn = Turn(id="turn-1", role="user", text=text, created_at=1.7e9)
    await store.append(joined.lease, [store.seal(joined.lease, turn)])


async def test_an_operation_is_a_child_of_what_asked_for_it(
    traced: SessionStore, spans: Spans
) -> None:
    """Its span has the current one as parent, and says what was done with which session."""
    with livekit_tracer.start_as_current_span("job_entrypoint") as parent:
        joined = await traced.join(traced.pseudonym("maria"))
        await say(traced, joined, "what was said")
        await traced.renew(joined.lease)

    append = spans.of("append")
    attributes = dict(append.attributes or {})
    size = attributes.pop("rejoin.bytes")
    assert append.parent is not None
    assert append.parent.span_id == parent.get_span_context().span_id
    assert append.kind is trace.SpanKind.CLIENT
    assert attributes == {
        "db.system.name": "redis",
        "db.operation.name": "append",
        "rejoin.session_id": joined.session.id,
        "rejoin.outcome": "OK",
    }
    assert isinstance(size, int)
    assert size > len("what was said")
    assert spans.of("join").status.status_code is StatusCode.UNSET
    # One each second would hide the others.
    assert "rejoin.renew" not in {each.name for each in spans.get_finished_spans()}


async def test_no_word_of_a_person_is_in_a_span(traced: SessionStore, spans: Spans) -> None:
    """No words and no names of participants, in names, attributes or events."""
    participant = traced.pseudonym("maria@example.org")
    joined = await traced.join(participant)
    await say(traced, joined, "my parrot is Leonardo")
    await traced.set_title(participant, joined.session.id, "Parrots")
    await traced.erase(participant)

    told = "".join(span.to_json() for span in spans.get_finished_spans()).lower()
    assert "rejoin.erase" in told
    for word in ("parrot", "leonardo", "maria", "example", participant):
        assert word not in told


async def test_a_refusal_is_an_outcome_and_no_answer_is_an_error(
    traced: SessionStore, make_store: Callable[..., SessionStore], spans: Spans
) -> None:
    """A lease that is held is an answer, too; of an error its type is told."""
    maria = traced.pseudonym("maria")
    await traced.join(maria)
    with pytest.raises(LeaseHeld):
        await traced.join(maria)
    away = make_store(redis_url="redis://127.0.0.1:1/0")
    away.trace(LiveKitTracer())
    with pytest.raises(StoreUnavailable):
        await away.sessions(maria)

    *_, held = [each for each in spans.get_finished_spans() if each.name == "rejoin.join"]
    failed = spans.of("list")
    assert (held.attributes or {})["rejoin.outcome"] == "HELD"
    assert held.status.status_code is StatusCode.UNSET
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.status.description is None
    assert (failed.attributes or {})["error.type"] == "StoreUnavailable"
    assert failed.events == ()


async def test_without_tracing_nothing_is_begun(
    traced: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LiveKit's tracer is looked at once, and each operation costs a comparison."""
    begun: list[str] = []
    start = livekit_tracer.start_span

    def note(name: str, **options: Any) -> trace.Span:
        begun.append(name)
        return start(name, **options)

    monkeypatch.setattr(livekit_tracer, "start_span", note)
    joined = await traced.join(traced.pseudonym("maria"))
    await say(traced, joined, "hello")

    assert begun == ["rejoin.look"]


def test_tracing_may_be_switched_on_later(monkeypatch: pytest.MonkeyPatch, spans: Spans) -> None:
    """LiveKit Cloud's begins with the agent session, after the store was opened."""
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    set_tracer_provider(trace.NoOpTracerProvider())
    tracer = LiveKitTracer()
    looks = [tracer.is_on]
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    set_tracer_provider(provider)
    looks.append(tracer.is_on)
    now += LOOKS_EVERY_S
    looks.append(tracer.is_on)

    assert looks == [False, False, True]
    assert spans.get_finished_spans() == ()


@asynccontextmanager
async def collector() -> AsyncIterator[tuple[str, list[Any]]]:
    """Run what takes traces; give its address, and the spans that it was sent."""
    taken: list[Any] = []

    async def take(request: web.Request) -> web.Response:
        sent = ExportTraceServiceRequest.FromString(await request.read())
        for each in sent.resource_spans:
            taken.extend(span for scope in each.scope_spans for span in scope.spans)
        return web.Response()

    app = web.Application()
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}", taken
    finally:
        await runner.cleanup()


async def test_a_real_job_s_spans_are_under_livekit_s(tmp_path: Path) -> None:
    """A worker's jobs send them where OpenTelemetry's settings say, to the last one, unspoken."""
    async with (
        collector() as (address, taken),
        running(tmp_path, workers=0) as stand,
        stand.person() as person,
    ):
        await stand.add_worker(OTEL_EXPORTER_OTLP_ENDPOINT=address)
        await person.come()
        await person.ask("my name is Maria")
        # The job's own span ends with its room.
        await stand.api.room.delete_room(api.DeleteRoomRequest(room=person.session_id))
        await until(
            lambda: "job_entrypoint" in {span.name for span in taken}, "the job's span has ended"
        )

    by_id = {span.span_id: span for span in taken}

    def above(span: Any) -> list[str]:
        parent = by_id.get(span.parent_span_id)
        return [] if parent is None else [parent.name, *above(parent)]

    ours = [span for span in taken if span.name.startswith("rejoin.")]
    assert {"rejoin.join", "rejoin.append"} <= {span.name for span in ours}
    assert [span.name for span in ours if "job_entrypoint" not in above(span)] == []
    named = {
        each.value.string_value
        for span in ours
        for each in span.attributes
        if each.key == "rejoin.session_id"
    }
    assert named == {person.session_id}
    assert found_in(str(taken).encode(), ["Maria", person.participant]) == []
