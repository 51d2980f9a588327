"""The LiveKit server: from PATH, else built once from its Go module; and its configuration."""

import json
import os
import platform
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev import go
from dev.commands import DevError, main
from dev.file_lock import exclusive
from dev.paths import TOOLS
from dev.private_file import replace_private
from dev.progress import run_with_progress
from dev.versions import find_on_path

VERSION = "1.13.5"
"""What is built, and what this project was measured with."""

_OLDEST = (1, 13)
_PACKAGE = f"github.com/livekit/livekit-server/cmd/server@v{VERSION}"


def find_or_install() -> Path:
    """Return a livekit-server, building it when the machine has none.

    Raises:
        DevError: With the line that installs it, when it cannot be built.
    """
    on_path = find_on_path(["livekit-server"], at_least=_OLDEST)
    if on_path is not None:
        return on_path
    home = TOOLS / "livekit"
    program = home / f"livekit-server-{VERSION}"
    with exclusive(TOOLS / "livekit.lock"):
        if not program.exists():
            _build(home, program)
    return program


def _build(home: Path, program: Path) -> None:
    print(
        f"Building LiveKit's server {VERSION} from source: once, about three minutes.", flush=True
    )
    try:
        toolchain = go.find_or_install()
        took_s = run_with_progress(
            [toolchain.program, "install", "-v", _PACKAGE],
            title="building LiveKit",
            failure="LiveKit's server could not be built (see above).",
            env={**os.environ, **toolchain.env, "GOBIN": str(home)},
        )
    except DevError as error:
        raise DevError(f"{error} {_how_to_install()}") from None
    # Go names a program after its folder. The rename is what makes it count as built.
    (home / "server").rename(program)
    toolchain.remove_scratch()
    print(f"LiveKit's server is built ({took_s:.0f} s).", flush=True)


def _how_to_install() -> str:
    if platform.system() == "Darwin":
        return "Install it with: brew install livekit"
    return (
        "Install it with: curl -sSL https://get.livekit.io | bash   (or start the image "
        "livekit/livekit-server and set LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET)"
    )


@dataclass(frozen=True)
class ApiKey:
    """What signs tokens for a LiveKit server."""

    key: str
    secret: str


def write_config(
    path: Path, *, port: int, tcp_port: int, udp_port: int, log_level: str = "info"
) -> ApiKey:
    """Write the configuration of a server for this machine only, and return its API key.

    The key is made at the first start and kept, so that a page which was open over a restart of
    the demo goes on with the token that it has. The file is JSON, which is YAML too.

    Args:
        path: The file, readable by its owner only.
        port: For signalling, on the loopback interface.
        tcp_port: For media over TCP.
        udp_port: For media over UDP.
        log_level: As LiveKit knows it: debug, info, warn or error.
    """
    api_key = _kept_key(path) or ApiKey(f"demo-{secrets.token_hex(6)}", secrets.token_urlsafe(32))
    config = {
        "port": port,
        "bind_addresses": ["127.0.0.1"],
        "keys": {api_key.key: api_key.secret},
        "logging": {"level": log_level, "pion_level": "error"},
        "rtc": {
            "tcp_port": tcp_port,
            "udp_port": udp_port,
            # Besides the machine's addresses, which is what a browser connects to, for agents on
            # a machine that has no other. (A browser needs a flag there, Chromium
            # --allow-loopback-in-peer-connection.)
            "enable_loopback_candidate": True,
            # The lite agent asks no STUN server: nothing leaves this machine.
            "use_ice_lite": True,
        },
    }
    replace_private(path, json.dumps(config, indent=2).encode())
    return api_key


def _kept_key(path: Path) -> ApiKey | None:
    try:
        config: dict[str, Any] = json.loads(path.read_bytes())
        ((key, secret),) = config["keys"].items()
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, AttributeError):
        raise DevError(f"{path} is not readable; delete it, a new one is made.") from None
    return ApiKey(key, secret)


if __name__ == "__main__":
    main(lambda: print(find_or_install()))
