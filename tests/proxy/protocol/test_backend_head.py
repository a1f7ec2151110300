from __future__ import annotations

import pytest

from proxy.protocol.backend_head import encode_request_head


@pytest.mark.parametrize(
    ("method", "length", "framing"),
    [
        (b"GET", 0, b""),
        (b"HEAD", 0, b""),
        (b"DELETE", 0, b""),
        (b"OPTIONS", 0, b""),
        (b"TRACE", 0, b""),
        (b"POST", 0, b"Content-Length: 0\r\n"),
        (b"PROPFIND", 0, b"Content-Length: 0\r\n"),
        (b"get", 0, b"Content-Length: 0\r\n"),
        (b"GET", 3, b"Content-Length: 3\r\n"),
        (b"GET", None, b"Transfer-Encoding: chunked\r\n"),
    ],
)
def test_a_head_says_how_long_its_body_is(method: bytes, length: int | None, framing: bytes) -> None:
    head = encode_request_head(method=method, path=b"/x", host=b"a", headers=(), length=length)
    assert head == method + b" /x HTTP/1.1\r\n" + framing + b"\r\n"


def test_headers_keep_their_order_and_their_bytes_and_only_the_host_is_replaced() -> None:
    headers = ((b"X-a", b"\xff"), (b"hOST", b"old"), (b"X-A", b""))
    head = encode_request_head(method=b"GET", path=b"/%C3\xff", host=b"new", headers=headers, length=0)
    assert head == b"GET /%C3\xff HTTP/1.1\r\nX-a: \xff\r\nhOST: new\r\nX-A: \r\n\r\n"
