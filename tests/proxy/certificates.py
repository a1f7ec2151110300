"""Certificates made on the spot, and a server that wants TLS."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def self_signed(folder: Path, *names: str) -> Path:
    """Write a PEM file with a key and its own certificate for `names`, the last of which may be an address."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.datetime.now(tz=datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{names[0]}.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


class TlsServer:
    """Says hello to each request; remembers the names asked for and the clients' certificates."""

    def __init__(self) -> None:
        self.port = 0
        self.names: list[str | None] = []
        self.clients: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found = writer.get_extra_info("peercert") or {}
        self.clients.extend(value for part in found.get("subject", ()) for _, value in part)
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(HELLO)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _note_name(self, _socket: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        self.names.append(name)

    def context(self, certificate: Path, client_ca: Path | None) -> ssl.SSLContext:
        """Make the server's TLS settings; with `client_ca` it wants a certificate signed by that."""
        context = server_context(certificate)
        context.sni_callback = self._note_name
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def server_context(certificate: Path) -> ssl.SSLContext:
    """Make the TLS settings of a server that shows `certificate`, a PEM file with its key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@asynccontextmanager
async def tls_server(certificate: Path, *, client_ca: Path | None = None) -> AsyncGenerator[TlsServer]:
    """Run a server with this certificate."""
    server = TlsServer()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=server.context(certificate, client_ca))
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
