from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.http1 import Headers
from proxy.protocol.grip_session import DetectRule, SessionWord, add_session, find_sid, parse_session_word


@pytest.mark.parametrize(
    ("headers", "word"),
    [
        ((), SessionWord(sid="", last_ids=(), rules=())),
        (((b"grip-session-id", b"s1"),), SessionWord(sid="s1", last_ids=(), rules=())),
        (
            ((b"Grip-Last", b"a; last-id=1, b; last-id=2"), (b"Grip-Last", b"c; last-id=3"), (b"Grip-Last", b"d")),
            SessionWord(sid="", last_ids=(("a", "1"), ("b", "2"), ("c", "3")), rules=()),
        ),
        (
            ((b"Grip-Session-Detect", b'path-prefix=/a; sid-ptr="/x,y", path-prefix=/b; sid-ptr=/z; json-param=p'),),
            SessionWord(
                sid="",
                last_ids=(),
                rules=(
                    DetectRule(domain="h", path_prefix="/a", sid_ptr="/x,y"),
                    DetectRule(domain="h", path_prefix="/b", sid_ptr="/z", json_param="p"),
                ),
            ),
        ),
        (
            ((b"Grip-Session-Detect", b"path-prefix=/a"), (b"Grip-Session-Detect", b"sid-ptr=/a")),
            SessionWord(sid="", last_ids=(), rules=()),
        ),
    ],
)
def test_what_an_answer_says_of_sessions(headers: Headers, word: SessionWord) -> None:
    assert parse_session_word(headers, "h") == word


def rule(sid_ptr: str, json_param: str = "") -> DetectRule:
    return DetectRule(domain="h", path_prefix="/", sid_ptr=sid_ptr, json_param=json_param)


@pytest.mark.parametrize(
    ("rules", "body", "sid"),
    [
        ((rule("/a"),), b'{"a": "s"}', "s"),
        ((rule("/a/1"),), b'{"a": ["r", "s"]}', "s"),
        ((rule("/b"), rule("/a")), b'{"a": "s"}', "s"),
        ((rule("/0"),), b'["s"]', "s"),
        ((rule("/a", "p"),), b"q=1&p=%7B%22a%22%3A%22s%22%7D", "s"),
        ((rule("/a", "p"),), b"q=1", ""),
        ((), b'{"a": "s"}', ""),
        ((rule(""),), b'"s"', ""),
        ((rule("a"),), b'{"a": "s"}', ""),
        ((rule("/a"),), b'{"a": 1}', ""),
        ((rule("/a"),), b'{"a": "s"', ""),
        ((rule("/a"),), b"\xff", ""),
        ((rule("/a"),), b"[" * 100_000, ""),
        ((rule("/a", "p"),), b"&" * 5000, ""),
    ],
)
def test_a_session_is_found_in_the_body(rules: tuple[DetectRule, ...], body: bytes, sid: str) -> None:
    assert find_sid(rules, body) == sid


def test_a_session_stands_behind_the_features() -> None:
    headers = ((b"Grip-Sig", b"x"), (b"Grip-Feature", b"y"), (b"Grip-Last", b"a; last-id=1"), (b"Z", b"z"))
    assert add_session(headers, "s", [("a", "9"), ("b", "2"), ("c", "\n")]) == (
        (b"Grip-Sig", b"x"),
        (b"Grip-Feature", b"y"),
        (b"Grip-Session-Id", b"s"),
        (b"Grip-Last", b"b; last-id=2"),
        (b"Grip-Last", b"a; last-id=1"),
        (b"Z", b"z"),
    )


def test_a_session_that_no_header_can_hold_is_left_out() -> None:
    assert add_session(((b"Host", b"h"),), "a\r\nb", []) == ((b"Host", b"h"),)


@given(st.text(), st.binary(), st.text())
def test_any_body_and_pointer_find_something_or_nothing(pointer: str, body: bytes, name: str) -> None:
    assert isinstance(find_sid([rule(pointer, name)], body), str)
