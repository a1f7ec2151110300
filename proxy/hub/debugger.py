"""The debugger, a page to try the hub out, and the playground around it (reference 4.5).

Static files of this package's `pages`, and three small answers. The playground gives everybody a token for everything:
it is for trying out alone, and its setting says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import parse_qs

import msgspec

from handlers.errors import HubRefusal
from handlers.hub.settings import DEVELOPMENT_KEY, HubSettings
from handlers.protocol.answers import Answer
from handlers.protocol.http1 import Headers
from handlers.protocol.mercure.headers import TEXT_HEADERS
from handlers.protocol.mercure.identity import DETAIL_TYPE
from handlers.protocol.mercure.link_header import encode_hub_link
from handlers.protocol.mercure.subscription_path import NOT_FOUND
from handlers.timers import Clock
from proxy.hub.request import HubRequest
from proxy.mercure_token import SigningKey, read_key, sign

DEFAULT_COOKIE: Final = "__Secure-mercure_access_token"
TOKEN_SECONDS: Final = 3600

_FILES: Final = {
    b"": ("debugger.html", b"text/html; charset=utf-8"),
    b"debugger.css": ("debugger.css", b"text/css; charset=utf-8"),
    b"debugger.js": ("debugger.js", b"text/javascript; charset=utf-8"),
    b"streams.js": ("streams.js", b"text/javascript; charset=utf-8"),
    b"icon.svg": ("icon.svg", b"image/svg+xml"),
}
_NO_STORE: Final = (b"Cache-Control", b"no-store")
_TYPES: Final = {
    b"html": b"text/html; charset=utf-8",
    b"json": b"application/json",
    b"jsonld": b"application/ld+json",
    b"txt": b"text/plain; charset=utf-8",
    b"xml": b"text/xml; charset=utf-8",
}


class Debugger:
    """Answers requests below `debug/`, and those of the playground."""

    def __init__(self, settings: HubSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        folder = Path(__file__).parent / "pages"
        self._contents = {
            name: (content_type, (folder / file).read_bytes()) for name, (file, content_type) in _FILES.items()
        }

    def debug(self, request: HubRequest, rest: bytes) -> None:
        """Answer a GET below `debug/`; `rest` is what follows that. Raises HubRefusal 404."""
        if rest == b"config.json":
            answer(request, ((b"Content-Type", b"application/json"), _NO_STORE), self._config())
        elif rest == b"playground-token":
            answer(request, (*TEXT_HEADERS, _NO_STORE), self._token(request))
        elif rest in self._contents:
            content_type, body = self._contents[rest]
            answer(request, ((b"Content-Type", content_type), (b"X-Robots-Tag", b"noindex")), body)
        else:
            raise HubRefusal(404, NOT_FOUND)

    def echo(self, request: HubRequest) -> None:
        """Answer a GET below `/playground/`: what the query asks for, with the links that discovery needs."""
        query = parse_qs(request.query.decode("utf-8", "replace"), keep_blank_values=True)
        hub = encode_hub_link(self._settings.path)
        if self._settings.cookie_name != DEFAULT_COOKIE:
            hub += f'; cookie-name="{self._settings.cookie_name}"'.encode()
        topic = f"{request.scheme}://{request.authority}".encode("latin-1") + request.incoming.path
        ending = request.path.rpartition(b"/")[2].rpartition(b".")[2]
        headers: Headers = (
            (b"Content-Type", _TYPES.get(ending, b"text/plain; charset=utf-8")),
            (b"Link", hub),
            (b"Link", b'<%b>; rel="self"' % topic.replace(b">", b"%3E")),
            (b"Set-Cookie", self._cookie(query.get("jwt", [""])[0])),
        )
        answer(request, headers, query.get("body", [""])[0].encode("utf-8", "replace"))

    def _config(self) -> bytes:
        config = {
            "playground": self._settings.playground,
            "anonymous": self._settings.anonymous,
            "subscriptions": self._settings.subscriptions,
            "cookieName": self._settings.cookie_name,
        }
        return msgspec.json.encode(config) + b"\n"

    def _token(self, request: HubRequest) -> bytes:
        """Return a token for everything. Raises HubRefusal 404 outside the playground, or without the development key.

        One signed with a key of the operator's own would be good at other hubs as well: whoever asks chooses the host.
        """
        issuer = next((each for each in self._settings.issuers if each.publisher_key == DEVELOPMENT_KEY), None)
        if not self._settings.playground or issuer is None:
            raise HubRefusal(404, NOT_FOUND)
        everything = [{"match": "*"}]
        claims: dict[str, object] = {
            "iss": issuer.id,
            "aud": request.resource,
            "exp": int(self._clock.wall()) + TOKEN_SECONDS,
            "authorization_details": [
                {"type": DETAIL_TYPE, "actions": ["publish", "subscribe"], "topics": everything, "payload": {}}
            ],
        }
        key = SigningKey(value=read_key(issuer.publisher_key), algorithm=issuer.publisher_algorithm, issuer=issuer.id)
        return sign(claims, key, {"typ": "at+jwt"}).encode()

    def _cookie(self, token: str) -> bytes:
        if not token or not token.isascii() or not token.isprintable() or set(token) & set(';," \\'):
            token, expiry = "", "; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
        else:
            expiry = ""
        return f"{self._settings.cookie_name}={token}; Path={self._settings.path}{expiry}; SameSite=Strict".encode()


def answer(request: HubRequest, headers: Headers, body: bytes) -> None:
    """Answer with 200."""
    request.answer(Answer(status=200, reason=b"OK", headers=headers, body=body))
