"""A Redis behind TLS, with certificates made for the occasion.

The Redis that this project installs is built without TLS, as many are. So TLS ends in a small
proxy in front of it, as with stunnel: what the client speaks is real.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from dev.rig.servers.process import standalone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CHUNK = 65_536


@dataclass(frozen=True)
class TLSRedis:
    """A Redis that only clients with a certificate of its authority reach."""

    port: int
    ca_file: Path
    cert_file: Path
    key_file: Path

    @property
    def url(self) -> str:
        """What ``REJOIN_REDIS_URL`` would be."""
        return f"rediss://127.0.0.1:{self.port}/0"


class Authority:
    """Signs certificates, each good for a day."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        limits = x509.BasicConstraints(ca=True, path_length=0)
        certificate = self._sign(self._name, self._key.public_key(), limits)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> tuple[Path, Path]:
        """Make a certificate for 127.0.0.1, and its key; return their files."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
            key.public_key(),
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]),
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
        )
        cert_file, key_file = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return cert_file, key_file

    def _sign(
        self, name: x509.Name, key: ec.EllipticCurvePublicKey, *extensions: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self._key, hashes.SHA256())


class _Proxy(threading.Thread):
    """Ends TLS, and passes on to a port in clear; in a thread of its own, with its own loop."""

    def __init__(self, context: ssl.SSLContext, to_port: int) -> None:
        super().__init__(name="tls-proxy", daemon=True)
        self._context = context
        self._to_port = to_port
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._ending = asyncio.Event()
        self.port = 0

    def run(self) -> None:
        """Serve until ``close``."""
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    def __enter__(self) -> Self:
        self.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ending.set)
        self.join()

    async def _serve(self) -> None:
        # Failed handshakes are what some tests are for; asyncio would log each.
        self._loop.set_exception_handler(lambda _loop, _context: None)
        server = await asyncio.start_server(
            self._pass_on, "127.0.0.1", 0, ssl=self._context, ssl_shutdown_timeout=1
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._ending.wait()
        server.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        with contextlib.suppress(OSError):
            await asyncio.wait(
                [
                    asyncio.ensure_future(_copy(reader, far_writer)),
                    asyncio.ensure_future(_copy(far_reader, writer)),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
        writer.close()
        far_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()


@contextlib.contextmanager
def tls_redis(folder: Path, *options: str) -> Iterator[TLSRedis]:
    """Run a Redis that asks for a certificate and shows one."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = Authority(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.file)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(*authority.issue("server"))
    with standalone(folder, *options) as server, _Proxy(context, server.port) as proxy:
        yield TLSRedis(proxy.port, authority.file, *authority.issue("client"))
