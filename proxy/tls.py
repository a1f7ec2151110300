"""TLS towards backends: what a target's certificate is checked against, and the certificate shown to it.

`proxy.router` refuses a line whose client certificate cannot be used; `proxy.upstream` makes a context for each target
and `proxy.backend` connects with it. TLS with clients is `proxy.certificates`. Nothing here opens a connection.
"""

from __future__ import annotations

import ssl

from proxy.protocol.route import Target


class CertificateError(Exception):
    """A target's client certificate or its key cannot be used. `str(error)` is for the operator."""


def tls_context(target: Target) -> ssl.SSLContext:
    """Make the TLS settings of a target: verified by the system's certificates unless `insecure`.

    Raises CertificateError.
    """
    context = ssl.create_default_context()
    if target.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    load_certificate(context, target)
    return context


def load_certificate(context: ssl.SSLContext, target: Target) -> None:
    """Show the target's client certificate, if it has one, on connections made with `context`.

    Raises CertificateError.
    """
    if not target.client_cert:
        return
    try:
        # Without a password OpenSSL would ask for one on the terminal, and the loop with it would wait for an answer.
        # No encrypted key has this one.
        context.load_cert_chain(target.client_cert, target.client_key or None, password=lambda: b"")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise CertificateError(f"client_cert {target.client_cert}: {ssl_reason(error)}") from error


def server_hostname(target: Target, host: bytes) -> str:
    """Return the name whose certificate is asked for: that of the request, or the connect host when told so.

    `host` is the Host sent to the target. Whoever asked may have made it up: see `is_hostname`.
    """
    if target.trust_connect_host:
        return target.host
    name = host.decode("ascii", "replace")
    return name[1 : name.find("]")] if name.startswith("[") else name.partition(":")[0]


def is_hostname(name: str) -> bool:
    """Say whether TLS can ask for this name: clients make names up, and uvloop logs a traceback for one that is bad."""
    try:
        return bool(name.encode("idna")) and not name.startswith(".")
    except UnicodeError:
        return False


def ssl_reason(error: OSError | ValueError) -> str:
    """Say why a certificate and its key cannot be used."""
    if isinstance(error, ssl.SSLError):
        return error.reason or "not a PEM certificate with its key"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)
