"""What is written down: ``store.json`` for programs, ``store.md`` for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from benchmarks.store.plan import CONTESTANTS
from benchmarks.store.ratios import AIMS, Aim, Sense, grown, ratios

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.store.measured import ByLevel, Measured
    from benchmarks.store.plan import Plan
    from benchmarks.store.timing import Series

_NONE: Final = "-"
_OF_ONE_TASK: Final = ("append_c1_time_vs_pipeline", "join_time_vs_pipeline")
"""Ratios that cannot be below that of an empty round trip."""
_ONE_ROUND_TRIP: Final = Aim(Sense.AT_MOST, 1)


@dataclass(frozen=True)
class Circumstances:
    """Where and when it was measured."""

    versions: Mapping[str, str]
    cores: int
    date: str
    """ISO 8601."""
    plan: Plan


@dataclass(frozen=True)
class _Row:
    measure: str
    values: Sequence[str]
    """One per contestant."""
    ratio: str = ""
    aim: str = ""
    met: str = ""

    def __str__(self) -> str:
        return f"| {' | '.join([self.measure, *self.values, self.ratio, self.aim, self.met])} |"


def as_json(measured: Measured, where: Circumstances) -> dict[str, Any]:
    """Return the ratios by name, and under ``measured`` what they come from."""
    joins, growth = measured.joins, measured.growth
    return {
        **{name: _rounded(value) for name, value in ratios(measured).items()},
        "measured": {
            "append_c1_us": _series(measured.appends.alone_us),
            "append_c64_per_s": _series(measured.appends.crowd_per_s),
            "read_last_10_of_100_c1_us": _series(measured.reads.alone_us),
            "read_last_10_of_100_c64_per_s": _series(measured.reads.crowd_per_s),
            "join_c1_us": _series(joins.times_us),
            "join_c64_per_s": _series(joins.crowd_per_s),
            "join_round_trips": joins.calls,
            "writers16_one_session_per_s": _series(measured.writers16.same),
            "writers16_16_sessions_per_s": _series(measured.writers16.spread),
            "append_with_work_us": _series(measured.works._asdict()),
            "bytes_per_turn": {
                name: {"stored": _rounded(turn.stored), "memory": _rounded(turn.memory)}
                for name, turn in measured.turns.items()
            },
            "bytes_per_idle_session": {
                "used_memory": _rounded(measured.idle.used_memory),
                "own_keys": measured.idle.own_keys,
            },
            "append_us_by_sessions": _levels(growth.append_us),
            "read_us_by_sessions": _levels(growth.read_us),
            "read_scattered_us": _series(growth.scattered_us),
            "rounds": where.plan.rounds,
            "versions": dict(where.versions),
            "cores": where.cores,
            "date": where.date,
        },
    }


def as_table(measured: Measured) -> str:
    """Return the table of ``store.md``."""
    found = ratios(measured)
    joined = measured.joins.times_us
    floor = joined["pipeline"].median
    crowd = _numbers(measured.appends.crowd_per_s)
    together = measured.joins.crowd_per_s
    named, unnamed = measured.joins.calls["turns_0"], measured.joins.calls["turns_0_unnamed"]
    growth = measured.growth
    top = max(growth.append_us["ours"])
    most = _number(top)
    rows = [
        _aimed("append, 64 tasks, turns/s", crowd, found, "append_c64_vs_pipeline"),
        _aimed(
            "the same, beside EncryptedSession", crowd, found, "append_c64_vs_encrypted_session"
        ),
        _aimed(
            "append, 1 task, µs",
            _numbers(measured.appends.alone_us),
            found,
            "append_c1_time_vs_pipeline",
        ),
        _Row(
            "an empty round trip (PING), 1 task, µs",
            _beside(joined["ping"].median, floor),
            f"{joined['ping'].median / floor:.2f}",
        ),
        _aimed(
            "read the last 10 of 100, 64 tasks, reads/s",
            _numbers(measured.reads.crowd_per_s),
            found,
            "read_vs_encrypted_session",
        ),
        _Row(
            "the same, 1 task, µs",
            _numbers(measured.reads.alone_us),
            f"{found['read_c1_vs_encrypted_session']:.2f}",
        ),
        _aimed(
            "join, 0 turns, 1 task, µs (pipeline: one append)",
            _beside(joined["turns_0"].median, floor),
            found,
            "join_time_vs_pipeline",
        ),
        _Row(
            "the same, 100 turns, µs",
            _beside(joined["turns_100"].median, floor),
            f"{joined['turns_100'].median / floor:.2f}",
        ),
        _Row(
            "the same, 0 turns, session not named, µs",
            _beside(joined["turns_0_unnamed"].median, floor),
            f"{joined['turns_0_unnamed'].median / floor:.2f}",
        ),
        _Row(
            "join, 0 turns, 64 tasks, joins/s (pipeline: appends/s)",
            _beside(together["turns_0"].median, together["pipeline"].median),
            f"{found['join_c64_time_vs_pipeline']:.2f}",
        ),
        _Row(
            "round trips of a join (session not named)",
            [f"{named} ({unnamed})", _NONE, _NONE, _NONE],
            str(named),
            str(_ONE_ROUND_TRIP),
            _met(_ONE_ROUND_TRIP, named),
        ),
        _aimed(
            "16 tasks on one session, turns/s",
            _numbers(measured.writers16.same),
            found,
            "writers16_same_vs_spread",
        ),
        _Row("16 tasks on 16 sessions, turns/s", _numbers(measured.writers16.spread)),
        _aimed(
            "record a turn with 4 KiB of changed state, 1 task, µs (a turn that is 4 KiB longer)",
            _with_other(measured.works.changed.median, measured.works.longer.median),
            found,
            "append_4k_work_vs_longer_turn",
        ),
        _aimed(
            "the same with state that has not changed, µs (without state)",
            _with_other(measured.works.same.median, measured.works.none.median),
            found,
            "append_same_work_vs_none",
        ),
        _aimed(
            "bytes stored per turn of 200 bytes",
            [_number(measured.turns[name].stored) for name in CONTESTANTS],
            found,
            "bytes_200b_turn",
        ),
        _Row(
            "memory per such turn, bytes",
            [_number(measured.turns[name].memory) for name in CONTESTANTS],
        ),
        _aimed(
            f"append among {most} sessions ÷ among 1",
            [f"{grown(growth.append_us, name):.2f}" for name in CONTESTANTS],
            {"time_10000_vs_1_sessions": grown(growth.append_us, "ours")},
            "time_10000_vs_1_sessions",
        ),
        _aimed(
            f"read among {most} sessions ÷ among 1",
            [f"{grown(growth.read_us, name):.2f}" for name in CONTESTANTS],
            {"time_10000_vs_1_sessions": grown(growth.read_us, "ours")},
            "time_10000_vs_1_sessions",
        ),
        _Row(
            f"read some of {most} sessions in turn ÷ one of them",
            [
                f"{growth.scattered_us[name].median / growth.read_us[name][top].median:.2f}"
                for name in CONTESTANTS
            ],
        ),
        _Row(
            "memory per idle session, bytes",
            [_number(measured.idle.used_memory), _NONE, _NONE, _NONE],
        ),
        _Row(
            "keys of one idle session alone, bytes",
            [_number(measured.idle.own_keys), _NONE, _NONE, _NONE],
        ),
    ]
    head = _Row(
        "measure",
        ["ours", "pipeline", "RedisSession", "EncryptedSession"],
        "ratio",
        "aim",
        "met?",
    )
    line = "|---|--:|--:|--:|--:|--:|--:|---|"
    return "\n".join([str(head), line, *map(str, rows)])


def as_markdown(measured: Measured, where: Circumstances) -> str:
    """Return ``store.md``."""
    versions = ", ".join(f"{name} {version}" for name, version in where.versions.items())
    levels = where.plan.levels
    return f"""# The store, measured

`make bench-store` writes this page, `store.json` and `store.png`. {where.date}, {where.cores} cores
shared by Redis and the program; {versions}.

{as_table(measured)}
{_missed(measured)}
![Turns per second, and times against the number of sessions](store.png)

## How it was measured

- *ours* is sealed, fenced, in order and trimmed. *pipeline* is redis-py with RPUSH, LTRIM to 100
  and EXPIRE in one pipeline: not sealed, not fenced. *RedisSession* and *EncryptedSession* are
  those of openai-agents, with `ttl`. Each has one client, shared by its sessions.
- One Redis, started for the run, on loopback, without persistence; one Python process.
- Times are of whole awaited public calls, until Redis has acknowledged. What a call takes is made
  within it: a `Turn`, a dict, or just the text. Texts have 200 bytes and are all different.
- The contestants are measured by turns, {where.plan.rounds} rounds; a number is the median of its
  rounds. Each round of one task is itself the median of its calls.
- 64 tasks have a session each, and append turn after turn. The 16 writers of *ours* use recorders
  and wait for each turn's acknowledgement.
- A join is that of a process that has not seen the participant before: it opens the data key too.
  Leaving and giving back the lease are not timed. It is compared with an append of the pipeline.
- A read returns the newest 10 turns of a session that has 100. Its aim is taken as that of reads
  per second at 64 tasks, as for appends. `read_c1_vs_encrypted_session` compares the times of one
  task: {_by_one_task(measured)}.
- What a program works on (its state) is recorded with a turn through a recorder: 4 KiB that have
  changed, beside a turn that is 4 KiB longer; and 4 KiB that have not, beside none.
- The aim of the join is taken as the time of one task; `join_c64_time_vs_pipeline` is the same by
  calls per second at 64 tasks.
- {levels[0]} to {_number(levels[-1])} sessions: each number in a database of its own, measured by
  turns. One of them, which has 100 turns, is written to and read: their number is all that differs.
  The ratio in `store.json` is the larger of the two. Below it: the same with up to 50 in turn.
- A turn's bytes are its list element; its memory is its share of MEMORY USAGE of the list. An idle
  session is one that was joined and left, without turns: what {_number(where.plan.idle)} of them
  add to Redis's `used_memory`, divided. Below it stands MEMORY USAGE of all keys of one alone.
- Afterwards it is checked that every acknowledged turn is in Redis; if not, nothing is written.
"""


def _missed(measured: Measured) -> str:
    """Say which aims were missed, and where no call could have met one."""
    found = ratios(measured)
    missed = [name for name, aim in AIMS.items() if aim and not aim.is_met(found[name])]
    if not missed:
        return ""
    lines = [f"- `{name}` is {found[name]:.2f}; the aim is {AIMS[name]}." for name in missed]
    joined = measured.joins.times_us
    floor = joined["ping"].median / joined["pipeline"].median
    for i, name in enumerate(missed):
        if name in _OF_ONE_TASK:
            lines[i] += f" An empty round trip alone (PING, as our calls go) is {floor:.2f}."
    return "\n".join(["\n## Aims that were missed\n", *lines, ""])


def _by_one_task(measured: Measured) -> str:
    ratio = ratios(measured)["read_c1_vs_encrypted_session"]
    aim = AIMS["read_vs_encrypted_session"]
    is_met = aim is not None and aim.is_met(ratio)
    return f"{ratio:.2f}, by which the aim would {'be' if is_met else 'not be'} met"


def _aimed(measure: str, values: Sequence[str], found: Mapping[str, float], name: str) -> _Row:
    aim, ratio = AIMS[name], found[name]
    if aim is None:
        raise KeyError(name)
    return _Row(measure, values, f"{ratio:.2f}", str(aim), _met(aim, ratio))


def _met(aim: Aim, ratio: float) -> str:
    return "yes" if aim.is_met(ratio) else "**no**"


def _numbers(series: Mapping[str, Series]) -> list[str]:
    return [_number(series[name].median) for name in CONTESTANTS]


def _beside(ours: float, floor: float) -> list[str]:
    return [_number(ours), _number(floor), _NONE, _NONE]


def _with_other(ours: float, other: float) -> list[str]:
    return [f"{_number(ours)} ({_number(other)})", _NONE, _NONE, _NONE]


def _number(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ")


def _series(series: Mapping[str, Series]) -> dict[str, Any]:
    return {
        name: {
            "median": _rounded(each.median),
            "rounds": [_rounded(value) for value in each.rounds],
        }
        for name, each in series.items()
    }


def _levels(by_level: ByLevel) -> dict[str, dict[str, float]]:
    return {
        name: {str(level): _rounded(series.median) for level, series in levels.items()}
        for name, levels in by_level.items()
    }


def _rounded(value: float) -> float:
    """Round to four digits: more are noise."""
    return float(f"{value:.4g}")
