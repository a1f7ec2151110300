"""The handshake that no client has sent: which of the client's headers go along, and who is told of the outcome."""

from __future__ import annotations

import base64

import pytest

from handlers.protocol.http1 import header_values
from proxy.protocol.request_head import RequestHead, parse_request_head
from proxy.protocol.ws_handshake import check_handshake
from proxy.sockjs.opening import handshake_head
from tests.support.websocket import KEY


def parsed(*lines: str, method: str = "POST") -> RequestHead:
    text = "\r\n".join((f"{method} /s/000/abc/xhr HTTP/1.1", "Host: example.com", *lines, "", ""))
    return parse_request_head(text.encode(), max_headers=100)


@pytest.mark.parametrize(
    "line",
    [
        "Cookie: a=b",
        "Origin: http://page.example",
        "Authorization: Bearer x",
        "User-Agent: x",
        "X-Own: y",
        "Referer: z",
    ],
)
def test_what_is_said_of_the_client_goes_along(line: str) -> None:
    name, value = line.encode().split(b": ")
    assert (name, value) in handshake_head(parsed(line), b"/s").headers


@pytest.mark.parametrize(
    "line",
    [
        "Accept: */*",
        "Connection: keep-alive",
        "Content-Length: 0",
        "Content-Type: text/plain",
        "Expect: 100-continue",
        "If-None-Match: x",
        "Last-Event-ID: 7",
        "Sec-WebSocket-Key: abc",
        "Sec-WebSocket-Extensions: permessage-deflate",
        "Sec-WebSocket-Protocol: chat",
    ],
)
def test_what_is_said_of_the_request_does_not(line: str) -> None:
    name, value = line.encode().split(b": ")
    assert value not in header_values(handshake_head(parsed(line), b"/s").headers, name.lower())


def test_it_is_a_handshake() -> None:
    head = handshake_head(parsed("Content-Length: 0", "Connection: close"), b"/s?a=b")
    assert (head.method, head.target, head.is_websocket, head.host) == (b"GET", b"/s?a=b", True, b"example.com")
    assert len(base64.b64decode(check_handshake(head))) == 16
    assert check_handshake(head) != check_handshake(handshake_head(parsed(), b"/s"))


def test_that_of_a_websocket_keeps_its_key_and_protocols_but_no_extensions() -> None:
    client = parsed(
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {KEY}",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: chat",
        "Sec-WebSocket-Extensions: permessage-deflate",
        method="GET",
    )
    head = handshake_head(client, b"/s/websocket")
    assert check_handshake(head) == KEY.encode()
    assert header_values(head.headers, b"sec-websocket-protocol") == (b"chat",)
    assert header_values(head.headers, b"sec-websocket-extensions") == ()
    assert header_values(head.headers, b"connection") == (b"Upgrade",)
