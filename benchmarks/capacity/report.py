"""The figures as the tables of ``docs/operations.md``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from benchmarks.capacity.redis import KEPT_TURNS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BEGIN: Final = "<!-- make bench-capacity writes from here -->"
END: Final = "<!-- to here -->"
_KINDS: Final = {
    "hosted": "hosted models",
    "demo": "the demo's models",
    "livekit_alone": "the demo's, without Rejoin",
}
_OF_A_WORKER: Final = {
    "idle_mib": "memory without a conversation, MiB",
    "job_mib": "memory of each conversation, MiB",
    "warm_process_s": "a process kept warm for the next one, s",
    "begin_s": "a conversation begins, s",
    "mute_minute_s": "a minute without a microphone, s",
    "quiet_minute_s": "a minute of silence, the microphone open, s",
    "spoken_minute_s": "a minute of talk, s",
    "typed_turn_s": "a question typed and answered aloud, s",
    "main_minute_s": "a minute of the main process, for each conversation, s",
    "idle_minute_s": "a minute without a conversation, all processes, s",
}
_THAT_FIT: Final = {
    "busy_conversations_per_core": "**busy conversations per core**",
    "quiet_conversations_per_core": "quiet conversations per core",
    "conversations_per_gib": "**conversations per GiB**",
}


def as_markdown(result: Mapping[str, Any]) -> str:
    """Return the tables of a result, as ``capacity.json`` has it."""
    fits, measured = result["fits"], result["measured"]
    worker = [
        [label, *(_figure(measured["workers"][kind][name]) for kind in _KINDS)]
        for name, label in _OF_A_WORKER.items()
    ]
    worker += [
        [label, *(_figure(fits["workers"][kind][name]) for kind in _KINDS)]
        for name, label in _THAT_FIT.items()
    ]
    redis, per_redis = measured["redis"], fits["redis"]
    hosted = measured["workers"]["hosted"]
    others = [
        ["Redis: renewal of a lease, µs", _figure(redis["renew_us"])],
        ["Redis: draft of what is being said, µs", _figure(redis["draft_us"])],
        ["Redis: a turn appended, µs", _figure(redis["append_us"])],
        ["Redis: a participant joins and leaves, µs", _figure(redis["visit_us"])],
        ["Redis: scripts a second, a busy conversation", _figure(hosted["scripts_busy_per_s"])],
        [
            "Redis: a minute for each worker that only watches, s",
            _figure(hosted["redis_idle_minute_s"]),
        ],
        [
            "**Redis: busy conversations per core**",
            _figure(per_redis["busy_conversations_per_core"]),
        ],
        ["Redis: a session, bytes", _figure(redis["session_bytes"])],
        ["Redis: a turn of 200 bytes, bytes", _figure(redis["turn_bytes"])],
        [
            f"**Redis: sessions of {KEPT_TURNS} turns per GiB**",
            _figure(per_redis[f"sessions_of_{KEPT_TURNS}_turns_per_gib"]),
        ],
        ["gateway: a new participant, ms", _figure(measured["gateway"]["new_ms"])],
        ["gateway: a page loaded again, ms", _figure(measured["gateway"]["again_ms"])],
        [
            "**gateway: tokens a second per core**",
            _figure(fits["gateway"]["tokens_per_core_second"]),
        ],
        ["LiveKit: a minute of talk, s", _figure(hosted["livekit_busy_minute_s"])],
    ]
    versions = result["versions"]
    made = (
        f"{result['date']}, {result['machine']['cores']} cores, livekit-agents "
        f"{versions['livekit-agents']}, Python {versions['python']}."
    )
    return "\n\n".join(
        [
            _table(["a worker", *_KINDS.values()], worker),
            _table(["the others", ""], others),
            made,
        ]
    )


def put_into(document: str, tables: str) -> str:
    """Return a document with these tables in the place of those that it has."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *("--:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:g}"  # noqa: PLR2004 (three digits)
