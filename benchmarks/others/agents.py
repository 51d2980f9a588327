"""What is known of an agent of other people: ``agents.toml`` in the folder that holds them.

```toml
[basic]
file = "basic.py"
name = "basic"                      # the agent's name in LiveKit
greets = true                       # it speaks first
tool = "lookup_weather"             # to be killed in
arguments = '{"location": "Rome"}'  # of that tool
transfer = "to_takeaway"            # hands over to another agent
then_tool = "update_order"          # which only that one has
then_arguments = '{"items": []}'
dials = ""                          # "caller": it calls its person. "human": it calls a human
```
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from pathlib import Path


class OtherAgent(BaseModel):
    """One agent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    name: str
    greets: bool = False
    tool: str = ""
    arguments: str = "{}"
    transfer: str = ""
    then_tool: str = ""
    then_arguments: str = "{}"
    dials: Literal["", "caller", "human"] = ""

    @property
    def changes_agents(self) -> bool:
        """Whether its tool hands over to another agent, which may not have that tool."""
        return bool(self.transfer) or self.dials == "human"


def read_agents(folder: Path) -> dict[str, OtherAgent]:
    """Return the agents of a folder, by their names."""
    told = tomllib.loads((folder / "agents.toml").read_text())
    return {name: OtherAgent.model_validate(fields) for name, fields in told.items()}
