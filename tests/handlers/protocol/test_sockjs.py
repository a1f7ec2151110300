"""SockJS's frames as bytes: what clients are sent, what they send, and how each transport wraps it."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handlers.protocol.sockjs import (
    OPEN,
    PAYLOAD_EXPECTED,
    TOO_LARGE,
    PayloadError,
    Wrapping,
    encode_closed,
    encode_message,
    encode_script,
    encode_string,
    is_callback,
    join_messages,
    parse_payload,
    parse_socket_payload,
    prelude,
    wrap,
)
from handlers.protocol.ws_frames import CloseReason

ANY_TEXT = st.text(st.characters(exclude_categories=()))


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("", b'""'),
        ("plain /<>&' text", b'"plain /<>&\' text"'),
        ('a"b\\c', b'"a\\"b\\\\c"'),
        ("\n\r\t\b\0\x7f", b'"\\n\\r\\t\\u0008\\u0000\\u007f"'),
        ("grüße ✓ да 日本 한국 ไทย", '"grüße \\u2713 да 日本 한국 ไทย"'.encode()),
        ("\u2028\u2029\u200d\ufeff\uffff", b'"\\u2028\\u2029\\u200d\\ufeff\\uffff"'),
        ("e\u0301 \u212b", b'"e\\u0301 \\u212b"'),
        ("\U0001f600", b'"\\ud83d\\ude00"'),
        ("\ud83d", b'"\\ud83d"'),
    ],
)
def test_a_string_is_encoded(text: str, encoded: bytes) -> None:
    assert encode_string(text) == encoded


@given(ANY_TEXT)
@example("\ud800")
@example("\ud83d\ude00")
def test_what_is_encoded_reads_as_the_same(text: str) -> None:
    # JSON makes one character of two halves that stand side by side.
    assert json.loads(encode_string(text)) == json.loads(json.dumps(text))


def test_nothing_is_left_that_a_browser_could_lose_or_change() -> None:
    """SockJS's list has control characters, surrogates, combining ones, and those that normalisation changes."""
    for code in range(0x10000):
        character = chr(code)
        is_fragile = (
            unicodedata.category(character)[0] == "M"
            or unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
            or unicodedata.normalize("NFC", character) != character
            or unicodedata.normalize("NFD", unicodedata.normalize("NFC", character))
            != unicodedata.normalize("NFD", character)
        )
        if is_fragile:
            assert encode_string(character).isascii(), hex(code)
            assert b"\\" in encode_string(character), hex(code)


@pytest.mark.parametrize(
    ("content", "encoded"),
    [(b"", b'""'), (b"x", b'"x"'), ("é".encode(), '"é"'.encode()), (b"\xff", None), (b"\xed\xa0\x80", None)],
)
def test_a_message_has_to_be_text(content: bytes, encoded: bytes | None) -> None:
    assert encode_message(content) == encoded


def test_messages_are_joined() -> None:
    assert join_messages([b'"a"']) == b'a["a"]'
    assert join_messages([b'"a"', b'"b"']) == b'a["a","b"]'


@pytest.mark.parametrize(
    ("reason", "encoded"),
    [
        (CloseReason(code=1000), b'c[1000,""]'),
        (CloseReason(code=4000, reason='b"y\u2028'), b'c[4000,"b\\"y\\u2028"]'),
        (CloseReason(), b'c[3000,""]'),
    ],
)
def test_a_close_is_encoded(reason: CloseReason, encoded: bytes) -> None:
    assert encode_closed(reason) == encoded


@pytest.mark.parametrize(
    ("body", "messages"),
    [
        (b"[]", ()),
        (b'["a"]', (b"a",)),
        (b' ["a" , "b"]\n', (b"a", b"b")),
        ('["é"]'.encode(), ("é".encode(),)),
        (b'["\\ud83d\\ude00"]', ("\U0001f600".encode(),)),
        (b'["\\ud83d"]', ("\ufffd".encode(),)),
        (b'["a\\udc00b"]', ("a\ufffdb".encode(),)),
    ],
)
def test_a_payload_is_read(body: bytes, messages: tuple[bytes, ...]) -> None:
    assert parse_payload(body, limit=10) == messages


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", PAYLOAD_EXPECTED),
        (b"x", PAYLOAD_EXPECTED),
        (b'["a"', PAYLOAD_EXPECTED),
        (b'"a"', PAYLOAD_EXPECTED),
        (b"{}", PAYLOAD_EXPECTED),
        (b"[1]", PAYLOAD_EXPECTED),
        (b'["a", null]', PAYLOAD_EXPECTED),
        (b'["\xff"]', PAYLOAD_EXPECTED),
        (b"[" * 100_000, PAYLOAD_EXPECTED),
        (b"[" + b"1" * 10_000 + b"]", PAYLOAD_EXPECTED),
        (b'["12345678901"]', TOO_LARGE),
        ('["éééééé"]'.encode(), TOO_LARGE),
    ],
)
def test_what_is_no_payload_is_refused(body: bytes, text: str) -> None:
    with pytest.raises(PayloadError, match=text):
        parse_payload(body, limit=10)


@given(st.binary())
def test_any_bytes_are_a_payload_or_refused(body: bytes) -> None:
    try:
        messages = parse_payload(body, limit=100)
    except PayloadError:
        return
    for message in messages:
        message.decode()


@pytest.mark.parametrize(
    ("text", "messages"),
    [(b"", ()), (b'"a"', (b"a",)), (b'["a","b"]', (b"a", b"b")), (b' ["a"]', (b"a",)), (b"[]", ())],
)
def test_a_websocket_may_bring_a_string_alone(text: bytes, messages: tuple[bytes, ...]) -> None:
    assert parse_socket_payload(text, limit=10) == messages


@pytest.mark.parametrize("text", [b"a", b"1", b'"a","b"x', b"{}"])
def test_a_websocket_brings_nothing_else(text: bytes) -> None:
    with pytest.raises(PayloadError):
        parse_socket_payload(text, limit=10)


@pytest.mark.parametrize("name", [b"f", b"parent.f", b"_jp.abc1", b"$f", b"a-b", b"x" * 200])
def test_a_callback(name: bytes) -> None:
    assert is_callback(name)


@pytest.mark.parametrize("name", [b"", b"f()", b"<b>", b"a b", b"a;b", b"\xe9", b"f\n", b"x" * 201])
def test_no_callback(name: bytes) -> None:
    assert not is_callback(name)


@pytest.mark.parametrize(
    ("wrapping", "wrapped"),
    [
        (Wrapping.XHR, b'a["<\xc3\xa9"]\n'),
        (Wrapping.XHR_STREAMING, b'a["<\xc3\xa9"]\n'),
        (Wrapping.EVENT_SOURCE, b'data: a["<\xc3\xa9"]\r\n\r\n'),
        (Wrapping.HTML_FILE, b'<script>\np("a[\\"\\u003c\xc3\xa9\\"]");\n</script>\r\n'),
        (Wrapping.JSONP, b'/**/f.g("a[\\"\\u003c\xc3\xa9\\"]");\n'),
    ],
)
def test_a_frame_is_wrapped(wrapping: Wrapping, wrapped: bytes) -> None:
    assert wrap(wrapping, 'a["<é"]'.encode(), b"f.g") == wrapped


def test_what_stands_in_front() -> None:
    assert prelude(Wrapping.XHR_STREAMING) == b"h" * 2048 + b"\n"
    assert prelude(Wrapping.EVENT_SOURCE) == b"\r\n"
    assert prelude(Wrapping.XHR) == prelude(Wrapping.JSONP, b"f") == b""
    page = prelude(Wrapping.HTML_FILE, b"f")
    assert len(page) >= 1024
    assert b"var c = parent.f;" in page


@given(ANY_TEXT)
def test_nothing_in_a_frame_ends_its_line_or_its_script(text: str) -> None:
    frame = join_messages([encode_string(text)])
    assert not set(frame) & set(b"\r\n\0")
    script = encode_script(frame)
    assert b"<" not in script
    assert json.loads(script) == frame.decode()


def test_which_transports_stream_and_which_want_a_callback() -> None:
    assert {each for each in Wrapping if each.is_streaming} == {
        Wrapping.XHR_STREAMING, Wrapping.EVENT_SOURCE, Wrapping.HTML_FILE,
    }  # fmt: skip
    assert {each for each in Wrapping if each.wants_callback} == {Wrapping.HTML_FILE, Wrapping.JSONP}
    assert OPEN == b"o"
