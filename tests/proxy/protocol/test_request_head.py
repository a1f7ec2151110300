from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.protocol.request_error import RequestError
from proxy.protocol.request_head import RequestHead, parse_request_head

FIELDS = st.lists(
    st.text("aZ-: \t\n\r\x00\xff", min_size=1, max_size=6).map(lambda line: line.encode("latin-1")), max_size=4
)


def parse(*lines: bytes, version: bytes = b"1.1") -> RequestHead:
    head = b"\r\n".join((b"POST /a HTTP/" + version, b"Host: a:80", *lines, b"", b""))
    return parse_request_head(head, max_headers=128)


def test_a_head_says_what_its_request_is() -> None:
    head = b"PUT http://b/c#d HTTP/1.1\r\nX: y\r\nhOsT: \ta.example:80 \r\nContent-Length:12\r\n\r\n"
    assert parse_request_head(head, max_headers=3) == RequestHead(
        method=b"PUT",
        target=b"http://b/c#d",
        version=b"1.1",
        host=b"a.example:80",
        content_length=12,
        chunked=False,
        keep_alive=True,
        upgrade=b"",
        expects_continue=False,
        headers=((b"X", b"y"), (b"hOsT", b"a.example:80"), (b"Content-Length", b"12")),
    )


def test_a_head_without_headers_is_one_of_http_1_0() -> None:
    assert parse_request_head(b"GET / HTTP/1.0\r\n\r\n", max_headers=0) == RequestHead(
        method=b"GET",
        target=b"/",
        version=b"1.0",
        host=None,
        content_length=None,
        chunked=False,
        keep_alive=False,
        upgrade=b"",
        expects_continue=False,
        headers=(),
    )


@pytest.mark.parametrize("method", [b"GET", b"get", b"BREW", b"M-SEARCH", b"connect", b"CONNECTS", b"!#$%&'*+-.^_`|~0"])
def test_any_token_is_a_method(method: bytes) -> None:
    assert parse_request_head(method + b" / HTTP/1.1\r\nHost: a\r\n\r\n", max_headers=1).method == method


@pytest.mark.parametrize("target", [b"a:80", b"/", b"*"])
def test_connect_is_not_implemented(target: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        parse_request_head(b"CONNECT " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n", max_headers=1)
    assert caught.value.status == 501


def test_headers_keep_order_case_repetition_and_every_byte_but_the_white_space_around_values() -> None:
    head = parse(
        b"user-agent:a", b"USER-AGENT: b", b"Content-Type: \t c \t d \t ", b"X:", b"X: ", b"X:\t \t", b"x: :\xff\x80;",
        b"Sec-WebSocket-Key1: e",
    )  # fmt: skip
    assert head.headers == (
        (b"Host", b"a:80"),
        (b"user-agent", b"a"),
        (b"USER-AGENT", b"b"),
        (b"Content-Type", b"c \t d"),
        (b"X", b""),
        (b"X", b""),
        (b"X", b""),
        (b"x", b":\xff\x80;"),
        (b"Sec-WebSocket-Key1", b"e"),
    )


@pytest.mark.parametrize(
    ("lines", "in_1_1", "in_1_0"),
    [
        ((), True, False),
        ((b"Connection:",), True, False),
        ((b"Connection: keep-alive",), True, True),
        ((b"Connection: Keep-Alive, x",), True, True),
        ((b"Connection: x,\tKEEP-ALIVE ",), True, True),
        ((b"Connection: close",), False, False),
        ((b"Connection: x ,CLOSE",), False, False),
        ((b"Connection: close, keep-alive",), False, False),
        ((b"Connection: keep-alive", b"connection: close"), False, False),
        ((b"Connection: closed",), True, False),
        ((b"Connection: x close",), True, False),
        ((b"Proxy-Connection: close",), True, False),
        ((b"Proxy-Connection: keep-alive",), True, False),
        ((b"X: a, close", b"Keep-Alive: close"), True, False),
        ((b"Connection: keep-alive, upgrade", b"Upgrade: websocket"), True, True),
    ],
)
def test_the_connection_lives_on_where_the_client_lets_it(
    lines: tuple[bytes, ...], *, in_1_1: bool, in_1_0: bool
) -> None:
    assert parse(*lines).keep_alive is in_1_1
    assert parse(*lines, version=b"1.0").keep_alive is in_1_0


@pytest.mark.parametrize(
    ("lines", "upgrade"),
    [
        ((b"Connection: Upgrade", b"Upgrade: WebSocket"), b"websocket"),
        ((b"Upgrade: h2c, foo/2 ", b"Connection: keep-alive, upgrade"), b"h2c, foo/2"),
        ((b"Upgrade: websocket", b"Connection: x", b"Connection: upgrade"), b"websocket"),
        ((b"Upgrade: websocket",), b""),
        ((b"Upgrade: websocket", b"Connection: upgraded"), b""),
        ((b"Connection: upgrade",), b""),
        ((b"Connection: upgrade", b"Upgrade:"), b""),
        ((b"Connection: upgrade", b"Upgrade: h2c, WebSocket/13"), b"websocket"),
        ((b"Connection: upgrade", b"Upgrade: h2c", b"Upgrade: websocket"), b"websocket"),
        ((b"Connection: upgrade", b"Upgrade: ,", b"Upgrade:"), b""),
        ((b"Connection: upgrade", b"Upgrade: H2C", b"X: y", b"upgrade: foo"), b"h2c, foo"),
        ((b"Connection: upgrade", b"Upgrade: websockets, x/websocket"), b"websockets, x/websocket"),
    ],
)
def test_an_upgrade_counts_only_where_connection_names_it(lines: tuple[bytes, ...], upgrade: bytes) -> None:
    assert parse(*lines).upgrade == upgrade
    assert parse(*lines, version=b"1.0").upgrade == b""


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((), False),
        ((b"Expect: 100-continue",), True),
        ((b"expect:100-Continue ",), True),
        ((b"Expect: , 100-continue,100-CONTINUE",), True),
        ((b"Expect: 100-continue", b"Expect: 100-continue"), True),
        ((b"Expect:",), False),
        ((b"Expect: ,", b"Expect:"), False),
    ],
)
def test_a_client_may_wait_to_be_told_to_go_on(lines: tuple[bytes, ...], *, expected: bool) -> None:
    assert parse(*lines).expects_continue is expected


@pytest.mark.parametrize("line", [b"Expect: 100-continue", b"Expect: a cake"])
def test_an_expectation_is_ignored_in_http_1_0(line: bytes) -> None:
    assert parse(line, version=b"1.0").expects_continue is False


@pytest.mark.parametrize(
    ("line", "length", "chunked"),
    [
        (b"X: 1", None, False),
        (b"Content-Length: 0", 0, False),
        (b"CONTENT-LENGTH:\t007 ", 7, False),
        (b"Content-Length: 999999999999999999", 10**18 - 1, False),
        (b"transfer-encoding:chunked", None, True),
        (b"Transfer-Encoding: \t CHUNKED  ", None, True),
        (b"Transfer-Encoding:\tchunked\t", None, True),
        (b"X-Content-Length: 5", None, False),
        (b"Content-Length2: 5", None, False),
        (b"X: Content-Length: 5", None, False),
    ],
)
def test_a_body_is_framed_by_one_header_alone(line: bytes, length: int | None, *, chunked: bool) -> None:
    head = parse(line)
    assert (head.content_length, head.chunked) == (length, chunked)


@given(
    st.lists(st.binary(max_size=12), max_size=5) | FIELDS.map(lambda fields: [b"GET / HTTP/1.1", b"Host: a", *fields])
)
@example([b"GET / HTTP/1.1", b"Host: a"])
@example([b"GET / HTTP/1.1", b"Host: a", b" "])
def test_any_lines_are_a_head_or_refused(lines: list[bytes]) -> None:
    # The framer ends a head at its first empty line.
    head = b"\r\n".join(line for line in lines if line.strip(b"\r\n")) + b"\r\n\r\n"
    try:
        parsed = parse_request_head(head, max_headers=128)
    except RequestError:
        return
    request_line, *fields = head[:-4].split(b"\r\n")
    assert request_line == b"%b %b HTTP/%b" % (parsed.method, parsed.target, parsed.version)
    split = [field.partition(b":") for field in fields]
    assert list(parsed.headers) == [(name, value.strip(b" \t")) for name, _, value in split]
