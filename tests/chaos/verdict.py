"""What must hold at the end of every chaos test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dev.rig.audit import Audit, audit
from dev.rig.net import NET_S
from dev.rig.programs import until

if TYPE_CHECKING:
    from dev.rig.person import Person
    from dev.rig.stand import Stand


async def all_is_well(stand: Stand, person: Person, *, within_s: float = NET_S) -> Audit:
    """Wait until nothing is unsaved; assert that one agent is there and the record is right.

    Returns:
        What was compared.
    """
    await until(
        lambda: person.unrecorded == [] and len(person.saved) == len(person.turns),
        f"all is recorded and saved\n{person.notes.told()}",
        within_s=within_s,
    )
    await stand.until_alone_with_one_agent(person, within_s=within_s)
    found = audit(person, await stand.recorded(person))
    assert (found.lost, found.doubled) == (0, 0), f"{found}\n{person.notes.told()}"
    return found
