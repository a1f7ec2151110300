"""The certificates shown to TLS clients and publishers: read from files, and again when those have changed (O10).

`CertificatePair` is a certificate and its key; `CertificateFolder` chooses one by the name that a client asks for, as
Pushpin lays them out (reference 2.5). Made by `proxy.client_side` and `proxy.publishers`; `proxy.tls_entrance` asks for
a context at each connection. New files count for new connections; files that cannot be used never do.
"""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Protocol

from proxy.protocol.server_name import certificate_names
from proxy.tls import CertificateError, ssl_reason

log = logging.getLogger("holdfast.tls")

Signature = tuple[tuple[int, ...], ...]
"""What tells files from earlier ones at the same paths: device, inode, size, and in nanoseconds when the content was
changed and when anything was. That cannot be set back, as copying a file with its times does with the other."""


class Certificate(Protocol):
    """What a TLS entrance shows."""

    def context(self) -> ssl.SSLContext:
        """Return the context for the next connection. Raises CertificateError before one could be made."""
        ...


class CertificatePair:
    """A certificate, with its chain, and its key: two PEM files."""

    def __init__(self, certificate: Path, key: Path, *, folder: CertificateFolder | None = None) -> None:
        """`folder` is asked for a better one when a client names a host."""
        self._files = (certificate, key)
        self._folder = folder
        self._context: ssl.SSLContext | None = None
        self._signature: Signature | None = None
        self._problem: CertificateError | None = None

    def context(self) -> ssl.SSLContext:
        """Return the context made of the files as they are now, or as they last could be used.

        Raises CertificateError when they never could.
        """
        try:
            signature = self._look()
        except OSError as error:
            self._fail(CertificateError(f"{error.filename}: {error.strerror}"))
        else:
            if signature != self._signature:
                self._signature = signature
                self._load()
        if self._context is None:
            assert self._problem is not None, "without a context there has been one"
            raise self._problem
        return self._context

    def forget(self) -> None:
        """Read the files again at the next connection, changed or not."""
        self._signature = None

    def _look(self) -> Signature:
        stats = [path.stat() for path in self._files]
        return tuple((each.st_dev, each.st_ino, each.st_size, each.st_mtime_ns, each.st_ctime_ns) for each in stats)

    def _load(self) -> None:
        is_first = self._context is None
        try:
            context = make_context(*self._files)
        except CertificateError as error:
            self._problem = None  # another one than before, if only by its files
            self._fail(error)
            return
        if self._folder is not None:
            context.sni_callback = self._folder.choose
        self._context, self._problem = context, None
        if not is_first:
            log.info("%s: read again", self._files[0])

    def _fail(self, problem: CertificateError) -> None:
        """Go on with what there was. Said once, though every connection looks."""
        if self._context is not None and str(problem) != str(self._problem):
            log.error("%s; new connections get the certificate that was there before", problem)
        self._problem = problem


class CertificateFolder:
    """A folder with certificates for any number of hosts, and one for whoever asks for none of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pairs: dict[str, CertificatePair] = {}
        self._refused: dict[str, str] = {}
        """Why the certificates of hosts cannot be used, where they are there and were asked for; each is told once."""
        self._troubles: set[int | None] = set()
        """What the system has said of the folder. It may be any name that is asked for: told once each, without one."""

    def default(self, port: int) -> CertificatePair:
        """Return the pair of a port: `default_PORT`, or else `default`. Raises CertificateError if there is none."""
        for stem in (f"default_{port}", "default"):
            try:
                pair = self._find(stem)
            except OSError as error:
                raise CertificateError(f"{error.filename}: {error.strerror}") from error
            if pair is not None:
                pair.context()
                return pair
        raise CertificateError(
            f"{self._folder}: neither default_{port}.crt and .key nor default.crt and .key are there"
        )

    def choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """Show the certificate for `name`, if there is one (`ssl.SSLContext.sni_callback`)."""
        for stem in certificate_names(name or ""):
            try:
                if (pair := self._find(stem)) is not None:
                    connection.context = pair.context()
                    return
            except CertificateError as error:
                self._refuse(stem, str(error))
            except OSError as error:
                self._cannot_look(error)

    def load(self) -> None:
        """Read all there are now, so that each of several processes has what to go on with when files are spoiled.

        Those of hosts that cannot be used are told, and shown to nobody.
        """
        for path in sorted(self._folder.glob("*.crt")):
            if path.stem == "default" or path.stem.startswith("default_"):
                continue  # those of no port of ours need not be sound
            try:
                if (pair := self._find(path.stem)) is not None:
                    pair.context()
            except CertificateError as error:
                self._refuse(path.stem, str(error))
            except OSError as error:
                self._cannot_look(error)

    def pairs(self) -> list[CertificatePair]:
        """Return all pairs in the folder, by their names, for whoever wants to know whether they can be used."""
        files = sorted(self._folder.glob("*.crt"))
        return [CertificatePair(path, path.with_suffix(".key"), folder=self) for path in files]

    def reload(self) -> None:
        """Read all files again, each at the next connection that wants it."""
        self._refused.clear()
        self._troubles.clear()
        for pair in self._pairs.values():
            pair.forget()

    def _find(self, stem: str) -> CertificatePair | None:
        """Return a pair that is in the folder. A name that nobody has a file for is not remembered.

        Raises OSError for a folder that may not be looked into.
        """
        certificate, key = self._folder / f"{stem}.crt", self._folder / f"{stem}.key"
        if not certificate.exists():
            self._pairs.pop(stem, None)
            self._refused.pop(stem, None)
            return None
        pair = self._pairs.get(stem)
        if pair is None:
            pair = self._pairs[stem] = CertificatePair(certificate, key, folder=self)
        return pair

    def _refuse(self, stem: str, why: str) -> None:
        if self._refused.get(stem) != why:
            self._refused[stem] = why
            log.error("%s; clients who ask for it get another certificate", why)

    def _cannot_look(self, error: OSError) -> None:
        if error.errno not in self._troubles:
            self._troubles.add(error.errno)
            log.error("%s: %s; clients may get another certificate than they ask for", self._folder, error.strerror)


def make_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Make the TLS settings of a server. Raises CertificateError, which names the file where it can.

    TLS 1.2 and later, HTTP/1.1 alone, no renegotiation.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        for path in (certificate, key):
            path.open("rb").close()  # OpenSSL does not say which of the two it cannot open
    except OSError as error:
        raise CertificateError(f"{error.filename}: {error.strerror}") from error
    try:
        # Without a password OpenSSL would ask for one on the terminal. No encrypted key has this one.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise CertificateError(f"{certificate}, {key}: {ssl_reason(error)}") from error
    return context
