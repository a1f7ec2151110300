"""The answers of SockJS that need no session, and the headers of all (reference 8.1).

Every page may ask: what SockJS is for is asking across origins, and who may is the backend's to say, which gets the
Origin with each session.
"""

from __future__ import annotations

import hashlib
import html
from typing import Final

from handlers.protocol.answers import Answer
from handlers.protocol.http1 import Headers, header_values, standard_reason
from handlers.protocol.sockjs import Wrapping

TEXT: Final = b"text/plain; charset=UTF-8"
_SCRIPT: Final = b"application/javascript; charset=UTF-8"
_HTML: Final = b"text/html; charset=UTF-8"

CONTENT_TYPES: Final = {
    Wrapping.XHR: _SCRIPT,
    Wrapping.XHR_STREAMING: _SCRIPT,
    Wrapping.EVENT_SOURCE: b"text/event-stream; charset=UTF-8",
    Wrapping.HTML_FILE: _HTML,
    Wrapping.JSONP: _SCRIPT,
}

_NOT_STORED: Final = (b"Cache-Control", b"no-store, no-cache, must-revalidate, max-age=0")
_STORED: Final = (b"Cache-Control", b"public, max-age=31536000")
_WITH_COOKIES: Final = (b"Access-Control-Allow-Credentials", b"true")
_NOT_BUFFERED: Final = (b"X-Accel-Buffering", b"no")
"""For nginx in front."""
_METHODS: Final = b"OPTIONS, GET, POST"

NOT_FOUND: Final = "Not Found"

_IFRAME: Final = """\
<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script src="{}"></script>
  <script>
    document.domain = document.domain;
    SockJS.bootstrap_iframe();
  </script>
</head>
<body></body>
</html>
"""


class Iframe:
    """The page with the client's script, which some clients load into a frame. None where there is no script."""

    def __init__(self, script_url: str) -> None:
        self.page = _IFRAME.format(html.escape(script_url)).encode() if script_url else b""
        self.etag = b'"%b"' % hashlib.sha256(self.page).hexdigest()[:32].encode()

    def answer(self, headers: Headers) -> Answer | None:
        """Answer a request with these headers: with the page, or with 304 where the client has it."""
        if not self.page:
            return None
        known = b",".join(header_values(headers, b"if-none-match")).split(b",")
        if any(each.strip().removeprefix(b"W/") in (self.etag, b"*") for each in known):
            return make_answer(304, b"", ((b"ETag", self.etag), _STORED))
        return make_answer(200, self.page, ((b"Content-Type", _HTML), (b"ETag", self.etag), _STORED))


def greeting(headers: Headers) -> Answer:
    """Say what is here, to people. `headers` are the request's."""
    return text_answer(200, "Welcome to SockJS!", headers)


def info(entropy: int, headers: Headers) -> Answer:
    """Say what a client may use; `entropy` is a number that it cannot guess, for clients without such."""
    body = b'{"cookie_needed":false,"entropy":%d,"origins":["*:*"],"websocket":true}\n' % entropy
    return make_answer(200, body, ((b"Content-Type", b"application/json; charset=UTF-8"), *own_headers(headers)))


def preflight(headers: Headers) -> Answer:
    """Allow what a page is about to ask for. `headers` are the request's."""
    asked = header_values(headers, b"access-control-request-headers")
    allowed = ((b"Access-Control-Allow-Headers", b", ".join(asked)),) if asked else ()
    methods = ((b"Access-Control-Allow-Methods", _METHODS), (b"Access-Control-Max-Age", b"86400"))
    return make_answer(204, b"", (*own_headers(headers), *methods, *allowed))


def text_answer(status: int, text: str, headers: Headers) -> Answer:
    """Answer with a line of text; `headers` are the request's."""
    return make_answer(status, text.encode() + b"\n", ((b"Content-Type", b"text/plain"), *own_headers(headers)))


def make_answer(status: int, body: bytes, headers: Headers) -> Answer:
    """Return an answer with the usual reason."""
    return Answer(status=status, reason=standard_reason(status), headers=headers, body=body)


def frame_headers(wrapping: Wrapping, headers: Headers) -> Headers:
    """Return what an answer with frames has; `headers` are the request's."""
    own = ((b"Content-Type", CONTENT_TYPES[wrapping]), *own_headers(headers))
    return (*own, _NOT_BUFFERED) if wrapping.is_streaming else own


def own_headers(headers: Headers) -> Headers:
    """Return what every answer has: it is not kept, and pages of the request's origin may read it."""
    return (_NOT_STORED, *cross_origin_headers(headers))


def cross_origin_headers(headers: Headers) -> Headers:
    """Return what lets pages of the request's origin read an answer, with cookies too."""
    origins = header_values(headers, b"origin")
    return (b"Access-Control-Allow-Origin", origins[0] if origins else b"*"), _WITH_COOKIES
