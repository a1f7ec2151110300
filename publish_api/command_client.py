"""One request of a command to a publish port: where to, with which credentials, and what came back.

Used by `publish_api.commands` and `control_commands`, which know the port by its URL only, like any publisher.
"""

from __future__ import annotations

import argparse
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp
import msgspec
from yarl import URL

from publish_api.credentials import make_authorization
from publish_api.errors import CommandError
from publish_api.protocol.grip_url import parse_grip_url

DEFAULT_SPEC: Final = "http://localhost:5561"

TIMEOUT: Final = 30.0
"""Seconds the whole request may take."""

ANSWER_LIMIT: Final = 64 * 1024 * 1024
"""Bytes read of an answer: more than any page of a list has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A publish port. `url` ends with a slash."""

    url: str
    authorization: str | None = None


class _Refusal(msgspec.Struct):
    message: str


def add_port_options(parser: argparse.ArgumentParser, *, also: str = "") -> None:
    """Add the options that say where the publish port is, and who asks. `also` is what else `--spec` may name."""
    what = f"the publish port{f', or {also}' if also else ''}"
    parser.add_argument("--spec", metavar="URL", help=f"{what} (default: $GRIP_URL or {DEFAULT_SPEC})")
    credentials = parser.add_mutually_exclusive_group()
    credentials.add_argument("-u", "--user", metavar="USER:PASS", help="authenticate with HTTP Basic")
    credentials.add_argument("-B", "--bearer", metavar="TOKEN", help="authenticate with a bearer token")


def find_spec(args: argparse.Namespace, environ: Mapping[str, str]) -> str:
    """Return what `args` or `GRIP_URL` name, or else the publish port's usual URL."""
    return args.spec or environ.get("GRIP_URL") or DEFAULT_SPEC


def find_port(spec: str, args: argparse.Namespace) -> Port:
    """Return the port at a URL, to be asked with the credentials of `args`. Raises CommandError."""
    target = parse_grip_url(spec)
    authorization = make_authorization(target, user=args.user, bearer=args.bearer)
    return Port(url=target.publish_url.removesuffix("publish/"), authorization=authorization)


async def call(port: Port, method: str, path: str, *, body: bytes | None = None) -> bytes:
    """Send a request to the port, and return the answer's body.

    Raises CommandError unless the answer is a success. Redirects are not followed: they lose the body.
    """
    headers = {} if body is None else {"Content-Type": "application/json"}
    if port.authorization is not None:
        headers["Authorization"] = port.authorization
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
            # Not by yarl's quoting: what is percent-encoded stays as it is.
            session.request(method, _exact(port.url + path), data=body, headers=headers, allow_redirects=False) as got,
        ):
            status = got.status
            answer = await _read(got)
    except TimeoutError as error:
        raise CommandError(f"no answer from {port.url} within {TIMEOUT:g} seconds") from error
    except (aiohttp.ClientError, OSError) as error:
        raise CommandError(_explain(port.url, error)) from error
    if not 200 <= status < 300:
        raise CommandError(_told(answer) or f"the server answered {status}")
    return answer


def _exact(url: str) -> URL:
    return URL(url, encoded=True)


def _explain(url: str, error: Exception) -> str:
    """Say what was tried, and why it failed."""
    where = "--spec or GRIP_URL says where it is"
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return f"the certificate of {url} is not trusted: {error.certificate_error}"
        case aiohttp.ClientConnectorError(os_error=ssl.SSLError()):
            return f"{url} does not speak TLS as expected: {error.os_error}; {where}"
        case aiohttp.ClientConnectorError():
            number = error.os_error.errno or 0
            # That of a name that is not found is negative, and its text is plain; other texts are asyncio's.
            why = os.strerror(number) if number > 0 else error.os_error.strerror or error.os_error
            return f"cannot connect to the publish port at {url}: {why}; {where}"
        case _:
            return f"no answer from {url}: {str(error) or type(error).__name__}"


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    pieces = bytearray()
    async for piece in answer.content.iter_any():
        pieces += piece
        if len(pieces) > ANSWER_LIMIT:
            raise CommandError("the answer is too long")
    return bytes(pieces)


def _told(answer: bytes) -> str:
    """Return the text of a refusal, which may be JSON."""
    try:
        return msgspec.json.decode(answer, type=_Refusal).message
    except (msgspec.DecodeError, UnicodeDecodeError):
        return answer[:4096].decode("utf-8", "replace").strip()
