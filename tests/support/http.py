"""HTTP/1 as the tests see it: heads taken apart into bytes, nothing normalised, nothing forgiven.

Used by the raw client and the scripted backend. It is not a parser to serve anybody with: it trusts its
peer to be one of the two ends of a test, and raises AssertionError-like ValueErrors where it is not.
"""

from __future__ import annotations

from dataclasses import dataclass

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as the backend read it: every byte as it stood on the wire."""

    method: bytes
    target: bytes
    version: bytes
    headers: Headers
    body: bytes
    body_length: int
    """Bytes of the body, also when the script said not to keep them."""
    connection: int
    """Which of the backend's connections, from 1."""
    nth: int
    """Which request on that connection, from 1."""

    def values(self, name: bytes) -> tuple[bytes, ...]:
        """Return the values of every header line called `name`, in order and whatever its letter case."""
        return values_of(self.headers, name)

    def names(self) -> tuple[bytes, ...]:
        """Return the header names in lower case, in wire order."""
        return tuple(name.lower() for name, _ in self.headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseHead:
    """Status line and headers of an answer."""

    version: bytes
    status: int
    reason: bytes
    headers: Headers

    def values(self, name: bytes) -> tuple[bytes, ...]:
        """Return the values of every header line called `name`, in order and whatever its letter case."""
        return values_of(self.headers, name)

    def names(self) -> tuple[bytes, ...]:
        """Return the header names in lower case, in wire order."""
        return tuple(name.lower() for name, _ in self.headers)

    def is_chunked(self) -> bool:
        """Say whether the body comes in chunks."""
        return b"chunked" in b",".join(self.values(b"transfer-encoding")).lower()

    def length(self) -> int | None:
        """Return Content-Length, or None when there is none."""
        values = self.values(b"content-length")
        return int(values[0]) if values else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A whole answer."""

    head: ResponseHead
    body: bytes

    @property
    def status(self) -> int:
        """The status code."""
        return self.head.status

    @property
    def reason(self) -> bytes:
        """The reason phrase."""
        return self.head.reason

    def values(self, name: bytes) -> tuple[bytes, ...]:
        """Return the values of every header line called `name`."""
        return self.head.values(name)


def values_of(headers: Headers, name: bytes) -> tuple[bytes, ...]:
    """Return the values of every line called `name`, in order and whatever its letter case."""
    return tuple(value for key, value in headers if key.lower() == name.lower())


def parse_request_line(head: bytes) -> tuple[bytes, bytes, bytes, Headers]:
    """Take a request head apart: method, target, version, headers."""
    first, headers = _split(head)
    method, target, version = first.split(b" ", 2)
    return method, target, version, headers


def parse_response_head(head: bytes) -> ResponseHead:
    """Take a response head apart."""
    first, headers = _split(head)
    version, status, reason = (*first.split(b" ", 2), b"")[:3]
    if not version.startswith(b"HTTP/1."):
        raise ValueError(f"not an HTTP/1 answer: {first!r}")
    return ResponseHead(version=version, status=int(status), reason=reason, headers=headers)


def _split(head: bytes) -> tuple[bytes, Headers]:
    lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    pairs = (line.partition(b":") for line in lines[1:])
    return lines[0], tuple((name, value.strip(b" \t")) for name, _, value in pairs)
