"""The opening handshake, as a server to clients and as a client to backends, byte for byte (RFC 6455 section 4)."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.utils import accept_key

from handlers.protocol.http1 import Headers
from proxy.protocol.request_head import RequestHead, parse_request_head
from proxy.protocol.ws_handshake import (
    HandshakeError,
    SwitchError,
    accept_value,
    accepted_headers,
    check_handshake,
    check_switch,
    encode_acceptance,
    upgrade_headers,
)

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""Both from RFC 6455 section 1.3."""

SOUND = {
    "Host": "example.com",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY.decode(),
    "Sec-WebSocket-Version": "13",
}


def head_of(*extra: tuple[str, str], method: str = "GET", **changed: str | None) -> RequestHead:
    """Parse a sound handshake with some headers `changed` (underscores are hyphens), None for left out."""
    fields = SOUND | {name.replace("_", "-"): value for name, value in changed.items()}
    lines = [f"{name}: {value}" for name, value in (*fields.items(), *extra) if value is not None]
    return parse_request_head("\r\n".join([f"{method} / HTTP/1.1", *lines, "", ""]).encode(), max_headers=100)


# -- a client's handshake -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        head_of(),
        head_of(Connection="keep-alive, Upgrade"),
        head_of(Upgrade="WebSocket"),
        head_of(("sec-websocket-extensions", "permessage-deflate"), ("Sec-WebSocket-Protocol", "a, b")),
        head_of(("Content-Length", "0")),
        head_of(("Origin", "null")),
        head_of(Sec_WebSocket_Key=f"  {KEY.decode()}\t"),
    ],
    ids=["plain", "Firefox", "letter case", "offers", "no body, said so", "origin", "white space"],
)
def test_a_sound_handshake_has_its_key(head: RequestHead) -> None:
    assert head.is_websocket
    assert check_handshake(head) == KEY


@pytest.mark.parametrize(
    "head",
    [
        head_of(method="POST"),
        head_of(method="get"),
        head_of(Sec_WebSocket_Key=None),
        head_of(("Sec-WebSocket-Key", KEY.decode())),
        head_of(("sec-websocket-key", "other")),
        head_of(Sec_WebSocket_Key=""),
        head_of(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZ=="),
        head_of(Sec_WebSocket_Key=base64.b64encode(b"x" * 15).decode()),
        head_of(Sec_WebSocket_Key=base64.b64encode(b"x" * 17).decode()),
        head_of(Sec_WebSocket_Key=KEY.decode() + "=="),
        head_of(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ"),
        head_of(Sec_WebSocket_Key="dGhlIHNhbXBs ZSBub25jZQ=="),
        head_of(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=="),
        head_of(Sec_WebSocket_Key="\xe4" * 24),
        head_of(Sec_WebSocket_Version=None),
        head_of(("Sec-WebSocket-Version", "13")),
        head_of(("Sec-WebSocket-Version", "8")),
        head_of(("Content-Length", "1")),
        head_of(("Transfer-Encoding", "chunked")),
    ],
    ids=[
        "POST", "lower case", "no key", "two keys", "another key", "empty key", "key cut", "15 bytes", "17 bytes",
        "too much padding", "no padding", "space in the key", "a list of keys", "no ASCII", "no version",
        "two versions", "one version too many", "a body", "a body in chunks",
    ],
)  # fmt: skip
def test_a_handshake_that_is_none_is_400(head: RequestHead) -> None:
    with pytest.raises(HandshakeError) as failure:
        check_handshake(head)
    assert (failure.value.status, failure.value.headers) == (400, ())


@pytest.mark.parametrize("version", ["8", "0", "14", "013", "13.0", "", "13, 8", "x"])
def test_another_version_is_told_which_is_spoken(version: str) -> None:
    with pytest.raises(HandshakeError) as failure:
        check_handshake(head_of(Sec_WebSocket_Version=version))
    assert (failure.value.status, failure.value.headers) == (426, ((b"Sec-WebSocket-Version", b"13"),))


@given(st.binary(min_size=16, max_size=16))
def test_any_sixteen_bytes_are_a_key(nonce: bytes) -> None:
    key = base64.b64encode(nonce)
    assert check_handshake(head_of(Sec_WebSocket_Key=key.decode())) == key
    assert accept_value(key) == accept_key(key.decode()).encode()


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126)))
def test_any_text_is_a_key_or_refused(text: str) -> None:
    try:
        key = check_handshake(head_of(Sec_WebSocket_Key=text))
    except HandshakeError as error:
        assert error.status == 400  # noqa: PT017  # that nothing else is raised is what is tested
    else:
        assert len(base64.b64decode(key)) == 16


# -- our answer to it ---------------------------------------------------------------------------------------------


def test_an_acceptance_is_these_bytes() -> None:
    assert encode_acceptance(KEY, ((b"x-A", b"\xff"), (b"X-a", b"")), extension=b"grip") == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"x-A: \xff\r\n"
        b"X-a: \r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        b"Sec-WebSocket-Extensions: grip\r\n\r\n"
    )


def test_without_an_extension_none_is_said() -> None:
    assert encode_acceptance(KEY, (), extension=None) == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )


@pytest.mark.parametrize(
    "name",
    [
        b"Connection", b"UPGRADE", b"sec-websocket-accept", b"Sec-WebSocket-Extensions", b"Sec-WebSocket-Version",
        b"Content-Type", b"content-length", b"Keep-Alive-Interval", b"Content-Bytes-Accepted", b"Set-Meta-User",
        b"set-meta-", b"Transfer-Encoding", b"Keep-Alive", b"Trailer", b"TE", b"Proxy-Connection", b"Grip-Hold",
    ],
)  # fmt: skip
def test_a_header_between_us_and_the_backend_goes_no_further(name: bytes) -> None:
    assert accepted_headers(((b"A", b"1"), (name, b"x"), (b"B", b"2")), grip=True) == ((b"A", b"1"), (b"B", b"2"))


def test_what_connection_names_goes_no_further_either() -> None:
    assert accepted_headers(((b"Connection", b"upgrade, X-Hop"), (b"x-hop", b"1")), grip=True) == ()


@pytest.mark.parametrize("name", [b"Set-Cookie", b"Sec-WebSocket-Protocol", b"Server", b"Date", b"X-Y", b"Set-Metal"])
def test_any_other_header_reaches_the_client_as_it_stood(name: bytes) -> None:
    headers = ((name, b"a\xff"), (name.lower(), b""))
    assert accepted_headers(headers, grip=True) == headers


def test_without_grip_its_headers_are_not_ours_to_take() -> None:
    assert accepted_headers(((b"Grip-Hold", b"x"),), grip=False) == ((b"Grip-Hold", b"x"),)


# -- our handshake with a backend ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("extension", "last"), [(None, ()), (b"grip", ((b"Sec-WebSocket-Extensions", b"grip"),))])
def test_a_handshake_of_ours_has_our_key_and_no_extension_but_ours(extension: bytes | None, last: Headers) -> None:
    headers = (
        (b"Host", b"a"),
        (b"sec-websocket-KEY", b"theirs"),
        (b"Sec-WebSocket-Version", b"13"),
        (b"Sec-WebSocket-Protocol", b"chat"),
        (b"Sec-WebSocket-Extensions", b"permessage-deflate"),
        (b"Upgrade", b"h2c"),
        (b"connection", b"x"),
        (b"Cookie", b"c"),
    )
    assert upgrade_headers(headers, key=b"ours", extension=extension) == (
        (b"Host", b"a"),
        (b"Sec-WebSocket-Version", b"13"),
        (b"Sec-WebSocket-Protocol", b"chat"),
        (b"Cookie", b"c"),
        (b"Connection", b"Upgrade"),
        (b"Upgrade", b"websocket"),
        (b"Sec-WebSocket-Key", b"ours"),
        *last,
    )


def switch_of(*extra: tuple[bytes, bytes], **changed: bytes | None) -> Headers:
    """Return the headers of a right 101, with some `changed`."""
    right = {"Upgrade": b"websocket", "Connection": b"Upgrade", "Sec-WebSocket-Accept": ACCEPT}
    fields = right | {name.replace("_", "-"): value for name, value in changed.items()}
    return (*((name.encode(), value) for name, value in fields.items() if value is not None), *extra)


@pytest.mark.parametrize(
    "headers",
    [
        switch_of(),
        switch_of(Upgrade=b"WebSocket", Connection=b"keep-alive ,\tUPGRADE"),
        switch_of((b"connection", b"x"), Connection=b"upgrade"),
        switch_of((b"Connection", b"upgrade"), Connection=b"keep-alive"),
        switch_of(Sec_WebSocket_Accept=b" " + ACCEPT + b" "),
        switch_of((b"Sec-WebSocket-Extensions", b'grip; message-prefix=""')),
        switch_of((b"Sec-WebSocket-Extensions", b"")),
        switch_of((b"sec-websocket-protocol", b"chat"), (b"Set-Cookie", b"a")),
        switch_of((b"Content-Length", b"0")),
    ],
    ids=["plain", "letter case", "two lines", "the other way", "white space", "grip", "no extension", "more", "empty"],
)
def test_a_right_101_is_one(headers: Headers) -> None:
    check_switch(headers, key=KEY, extensions=(b"grip",))


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        (switch_of(Connection=None), "no Connection: Upgrade"),
        (switch_of(Connection=b"close"), "no Connection: Upgrade"),
        (switch_of(Connection=b"upgraded"), "no Connection: Upgrade"),
        (switch_of(Upgrade=None), "no Upgrade: websocket"),
        (switch_of(Upgrade=b"h2c"), "no Upgrade: websocket"),
        (switch_of(Upgrade=b"websocket, h2c"), "no Upgrade: websocket"),
        (switch_of((b"Upgrade", b"h2c")), "no Upgrade: websocket"),
        (switch_of(Sec_WebSocket_Accept=None), "wrong Sec-WebSocket-Accept"),
        (switch_of(Sec_WebSocket_Accept=KEY), "wrong Sec-WebSocket-Accept"),
        (switch_of(Sec_WebSocket_Accept=ACCEPT.lower()), "wrong Sec-WebSocket-Accept"),
        (switch_of((b"sec-websocket-accept", ACCEPT)), "wrong Sec-WebSocket-Accept"),
        (switch_of((b"Sec-WebSocket-Extensions", b"permessage-deflate")), "an extension that was not offered"),
        (switch_of((b"Sec-WebSocket-Extensions", b"grip, x-other; a=b")), "an extension that was not offered"),
        (
            switch_of((b"Sec-WebSocket-Extensions", b"grip"), (b"sec-websocket-extensions", b"x")),
            "an extension that was not offered",
        ),
        (switch_of((b"Content-Length", b"5")), "a body"),
        (switch_of((b"content-length", b"0"), (b"Content-Length", b"10")), "a body"),
        (switch_of((b"Transfer-Encoding", b"chunked")), "a body"),
    ],
)
def test_a_101_that_does_not_answer_our_handshake_is_said_to_be_none(headers: Headers, why: str) -> None:
    with pytest.raises(SwitchError, match=f"^{why}$"):
        check_switch(headers, key=KEY, extensions=(b"grip",))


def test_grip_may_not_be_taken_up_where_it_was_not_offered() -> None:
    with pytest.raises(SwitchError):
        check_switch(switch_of((b"Sec-WebSocket-Extensions", b"grip")), key=KEY, extensions=())
