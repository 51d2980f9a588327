"""What the demo consists of on this machine, with these settings."""

import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from dev import livekit_server, ports, redis_server
from dev.commands import DevError
from dev.keys import ensure_key_file
from dev.parts import Part
from dev.state import StateFolder

_PAGE_PORT = 8080
_WORKER_PORT = 8081
_LIVEKIT_PORT = 7880
_LIVEKIT_MEDIA_PORT = 7881
_REDIS_PORT = 6390  # not 6379, where a Redis of the machine's own would be

_READY_TIMEOUT_S = 90


@dataclass(frozen=True)
class Assembly:
    """The parts and the settings that they share."""

    parts: list[Part]
    env: dict[str, str]


def assemble(state: StateFolder, settings: Mapping[str, str]) -> Assembly:
    """Set up tools, ports, keys and configuration, and return what is to be run.

    Args:
        state: What is kept between runs.
        settings: The user's, none of them empty. They win: a Redis or LiveKit of the user's own
            takes the place of the local one.

    Raises:
        DevError: When something that is needed cannot be had.
    """
    env = dict(settings)
    picker = _PortPicker(settings)
    page_port = picker.pick("GATEWAY_PORT", _PAGE_PORT)
    worker_port = picker.pick("AGENT_HTTP_PORT", _WORKER_PORT)
    env.update(GATEWAY_PORT=str(page_port), AGENT_HTTP_PORT=str(worker_port))
    env["AGENT_READY_FILE"] = str(state.worker_ready.absolute())
    state.worker_ready.unlink(missing_ok=True)
    env.setdefault("GATEWAY_HOST", "127.0.0.1")
    # A small machine is busy for a moment now and then; half a second is worth a line.
    env.setdefault("LIVEKIT_AGENTS_LOOP_BLOCK_WARN_MS", "500")
    # 240 MB of models that the local pipeline does not use.
    env.setdefault("LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE", "0")
    env.setdefault("LIVEKIT_AGENT_NAME", "rejoin")
    # People read along.
    env.setdefault("REJOIN_LOG_FORMAT", "text")
    foundations = [*_redis(state, env, picker), *_livekit(state, env, picker)]

    needs = {"LiveKit": _as_http(env["LIVEKIT_URL"])}
    if _can_ping(env["REJOIN_REDIS_URL"]):
        needs["Redis"] = "$REJOIN_REDIS_URL"
    here = _reachable(env["GATEWAY_HOST"])
    health = {
        # Its health endpoint answers before LiveKit knows it, and a dispatch then would be lost.
        "the worker": f"file:{env['AGENT_READY_FILE']}",
        "the gateway": f"http://{here}:{page_port}/readyz",
    }
    # By name rather than by number, since passkeys are not made for a number.
    page = f"http://{'localhost' if here == '127.0.0.1' else here}:{page_port}"
    users = [
        Part("worker", [sys.executable, "-m", "agent", "--dev"], needs),
        Part("gateway", [sys.executable, "-m", "gateway"], needs),
        Part("demo", _announcement(state, page, {**needs, **health})),
    ]
    return Assembly([*foundations, *users], env)


class _PortPicker:
    """Gives each part a port of its own."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings
        self._given: set[int] = set()

    def pick(
        self, setting: str | None, usual: int, kind: socket.SocketKind = socket.SOCK_STREAM
    ) -> int:
        """Return the port that the user has set, else the first free one from `usual` upwards.

        Raises:
            DevError: When the user's is no number, or in use.
        """
        wish = self._settings.get(setting) if setting else None
        if wish is None:
            port = ports.next_free(usual, kind=kind, taken=self._given)
        elif not wish.isdigit():
            raise DevError(f"{setting} is {wish!r}; set it to a port number or leave it out.")
        elif not ports.is_free(port := int(wish), kind):
            raise DevError(f"Port {port} is in use; set {setting} to another or leave it out.")
        self._given.add(port)
        return port


def _redis(state: StateFolder, env: dict[str, str], picker: _PortPicker) -> list[Part]:
    is_local = "REJOIN_REDIS_URL" not in env
    if "REJOIN_KEY_FILE" not in env:
        data_exist = is_local and redis_server.has_data(state.redis)
        if ensure_key_file(state.keys, data_exist=data_exist):
            print(f"Made the keys that conversations are sealed with: {state.keys}", flush=True)
        env["REJOIN_KEY_FILE"] = str(state.keys)
    env.setdefault("REJOIN_SPOOL_DIR", str(state.spool))
    if not is_local:
        return []
    port = picker.pick(None, _REDIS_PORT)
    env["REJOIN_REDIS_URL"] = f"redis://127.0.0.1:{port}/0"
    command = redis_server.command(redis_server.find_or_install(), state.redis, port)
    return [Part("redis", command, is_foundation=True)]


def _livekit(state: StateFolder, env: dict[str, str], picker: _PortPicker) -> list[Part]:
    if "LIVEKIT_URL" in env:
        missing = [name for name in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET") if name not in env]
        if missing:
            raise DevError(
                f"LIVEKIT_URL is set but {' and '.join(missing)} not; set all three, "
                "or none to run LiveKit on this machine."
            )
        return []
    program = livekit_server.find_or_install()
    port = picker.pick(None, _LIVEKIT_PORT)
    api_key = livekit_server.write_config(
        state.livekit,
        port=port,
        tcp_port=picker.pick(None, _LIVEKIT_MEDIA_PORT),
        udp_port=picker.pick(None, _LIVEKIT_MEDIA_PORT + 1, socket.SOCK_DGRAM),
        log_level=env.get("DEMO_LIVEKIT_LOG", "error"),
    )
    env["LIVEKIT_URL"] = f"ws://127.0.0.1:{port}"
    env["LIVEKIT_API_KEY"] = api_key.key
    env["LIVEKIT_API_SECRET"] = api_key.secret
    return [Part("livekit", [str(program), "--config", str(state.livekit)], is_foundation=True)]


def _announcement(state: StateFolder, page: str, targets: Mapping[str, str]) -> list[str]:
    return [
        *(sys.executable, "-m", "dev.announce"),
        *(f"--for={name}={target}" for name, target in targets.items()),
        *("--timeout", str(_READY_TIMEOUT_S)),
        *("--demo-pid", str(os.getpid())),
        *("--pid-dir", str(state.pids)),
        *("--ready-file", str(state.ready)),
        *("--page", page),
    ]


def _as_http(url: str) -> str:
    parts = urlsplit(url)
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    return urlunsplit((scheme, parts.netloc, "/", "", ""))


def _can_ping(redis_url: str) -> bool:
    # Sentinel and Cluster are asked by the gateway's own check.
    return urlsplit(redis_url).scheme in ("redis", "rediss", "unix")


def _reachable(host: str) -> str:
    """Return the address at which a server bound to `host` is reached from this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - nothing is bound
    return f"[{host}]" if ":" in host else host
