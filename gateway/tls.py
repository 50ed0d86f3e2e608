"""TLS on the gateway's own port: an authority of this user's alone, a certificate of it, and plain bytes told from TLS.

The authority is made once and kept; functions trust it, so that `https://{domainName}/{stage}` reaches the gateway from
code that runs unchanged.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import ipaddress
import os
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

# cryptography is imported where it is used: with certificates from before a start does not need it.
if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

_NAMES = ("localhost", "*.localhost", "127.0.0.1", "::1")
_AUTHORITY_DAYS = 3650
# Browsers take no certificate that is good for longer than 398 days.
_LEAF_DAYS = 397
# One that is as old as this is made anew, so that none runs out while a gateway runs.
_FRESH_DAYS = 300
_HANDSHAKE = 0x16  # the first byte of a TLS connection; no method of HTTP begins with it
_ACCEPTED_AT_ONCE = 128


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files: the certificate with its key, the authority's own, and that together with all public ones."""

    leaf: Path
    authority: Path
    bundle: Path

    @property
    def variables(self) -> dict[str, str]:
        """The environment by which a function's process trusts the authority, and the world's as before."""
        bundle = str(self.bundle)
        return {
            "AWS_CA_BUNDLE": bundle,
            "REQUESTS_CA_BUNDLE": bundle,
            "SSL_CERT_FILE": bundle,
            "NODE_EXTRA_CA_CERTS": str(self.authority),
        }

    def context(self) -> ssl.SSLContext:
        """Return what serves TLS with it: TLS 1.2 and 1.3, as the service does, and HTTP/1.1."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(self.leaf)
        return context


def certificate(folder: Path, hosts: Sequence[str]) -> Certificate:
    """Return a certificate for this machine's own names and for `hosts`; it is made where `folder` has none."""
    names = list(dict.fromkeys([*_NAMES, *hosts]))
    digest = hashlib.sha256(" ".join(names).encode()).hexdigest()[:12]
    public = _public()
    trusted = hashlib.sha256(str(public).encode()).hexdigest()[:12]
    made = Certificate(folder / f"{digest}.pem", folder / "ca.pem", folder / f"bundle-{trusted}.pem")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "lock").open("w") as lock:
        # Gateways that start at the same time make one authority between them.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _lasts(made.authority, _AUTHORITY_DAYS - _LEAF_DAYS) or not (folder / "ca.key").is_file():
            _make_authority(folder)
        newest = made.authority.stat().st_mtime
        if not _lasts(made.leaf, _FRESH_DAYS) or made.leaf.stat().st_mtime < newest:
            _make_leaf(folder, made.leaf, names)
        newest = max(newest, public.stat().st_mtime)
        if not made.bundle.is_file() or made.bundle.stat().st_mtime < newest:
            _write(made.bundle, public.read_bytes() + b"\n" + made.authority.read_bytes())
    return made


def _public() -> Path:
    """Return the file of the authorities that this machine trusts: the user's own choice, else Mozilla's."""
    chosen = os.environ.get("SSL_CERT_FILE", "")
    if Path(chosen).is_file():
        return Path(chosen)
    import certifi

    return Path(certifi.where())


def _lasts(file: Path, days: float) -> bool:
    return file.is_file() and file.stat().st_mtime > time.time() - days * 86400


def _make_authority(folder: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Local WebSocket gateway")
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    builder = _builder(name, name, key.public_key(), _AUTHORITY_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(True, 0), True).add_extension(usage, True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    _write(folder / "ca.key", _private(key))
    _write(folder / "ca.pem", _signed(builder, key))


def _make_leaf(folder: Path, file: Path, names: Sequence[str]) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    authority = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    authority_key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    assert isinstance(authority_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    builder = _builder(_name("localhost"), authority.subject, key.public_key(), _LEAF_DAYS)
    builder = builder.add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), False)
    builder = builder.add_extension(x509.BasicConstraints(False, None), True).add_extension(issuer_key, False)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
    _write(file, _private(key) + _signed(builder, authority_key))


def _name(common: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _alternative(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    from cryptography import x509

    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=days))


def _signed(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives import hashes, serialization

    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(file: Path, content: bytes) -> None:
    """Write a file that its owner alone reads, whole or not at all: others may read it meanwhile."""
    part = file.with_name(f"{file.name}.part")
    part.touch(mode=0o600)
    part.write_bytes(content)
    part.replace(file)


# ---------------------------------------------------------------- the port


class Listener:
    """Accepts connections of a listening socket, and serves each plainly or by TLS as its first byte asks for.

    Without a `context` there is no TLS.
    """

    def __init__(
        self,
        listening: socket.socket,
        serve: Callable[[], asyncio.Protocol],
        context: Callable[[], ssl.SSLContext] | None,
    ) -> None:
        self._listening = listening
        self._serve = serve
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._silent: set[socket.socket] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None

    def start(self, backlog: int) -> None:
        """Accept from now on."""
        self._listening.setblocking(False)
        self._listening.listen(backlog)
        self._listen()

    def _listen(self) -> None:
        self._loop.add_reader(self._listening.fileno(), self._accept)

    def stop(self) -> None:
        """Accept no more, and close what has said nothing yet."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listening.fileno())
        for connection in list(self._silent):
            self._heard(connection)
            connection.close()
        for task in list(self._opening):
            task.cancel()

    def _accept(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                connection, _ = self._listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:
                # No descriptors are left: somebody has to go first.
                self._loop.remove_reader(self._listening.fileno())
                self._pause = self._loop.call_later(1, self._listen)
                return
            connection.setblocking(False)
            self._look(connection)

    def _look(self, connection: socket.socket) -> None:
        try:
            first = connection.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            if connection not in self._silent:
                self._silent.add(connection)
                self._loop.add_reader(connection.fileno(), self._look, connection)
            return
        except OSError:
            first = b""
        self._heard(connection)
        if not first:
            connection.close()
            return
        task = self._loop.create_task(self._open(connection, first[0] == _HANDSHAKE))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    def _heard(self, connection: socket.socket) -> None:
        if connection in self._silent:
            self._silent.discard(connection)
            self._loop.remove_reader(connection.fileno())

    async def _open(self, connection: socket.socket, secure: bool) -> None:
        try:
            context = self._context() if secure and self._context is not None else None
            await self._loop.connect_accepted_socket(self._serve, connection, ssl=context)
        except (OSError, asyncio.CancelledError):
            # A client that does not trust the authority says so to whoever runs it, and goes.
            connection.close()
