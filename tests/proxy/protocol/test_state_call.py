from __future__ import annotations

import contextlib

import pytest
import tnetstring
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.tnetstring import Value
from proxy.protocol.grip_session import DetectRule
from proxy.protocol.state_call import (
    StateCallError,
    StateReply,
    encode_call,
    encode_rules,
    parse_last_ids,
    parse_reply,
    parse_rules,
)

RULES = (
    DetectRule(domain="h", path_prefix="/p", sid_ptr="/s"),
    DetectRule(domain="h", path_prefix="/", sid_ptr="", json_param="é"),
)


def test_a_call() -> None:
    data = encode_call(sender=b"me", name=b"1", method="m", args={"sid": "s"})
    assert tnetstring.loads(data) == {b"from": b"me", b"id": b"1", b"method": b"m", b"args": {b"sid": b"s"}}


def test_rules() -> None:
    data = encode_call(sender=b"me", name=b"1", method="m", args=encode_rules(RULES))
    assert tnetstring.loads(data)[b"args"] == {
        b"rules": [
            {b"domain": b"h", b"path-prefix": b"/p", b"sid-ptr": b"/s"},
            {b"domain": b"h", b"path-prefix": b"/", b"sid-ptr": b"", b"json-param": "é".encode()},
        ]
    }


def test_rules_that_a_service_returns() -> None:
    value: Value = [
        {"domain": b"h", "path-prefix": b"/p", "sid-ptr": b"/s"},
        {"domain": b"h", "path-prefix": b"/", "sid-ptr": b"", "json-param": "é".encode()},
    ]
    assert parse_rules(value) == RULES


@pytest.mark.parametrize(
    ("fields", "reply"),
    [
        ({b"success": True, b"value": [b"v"]}, StateReply(id=b"1", value=[b"v"], condition="")),
        ({b"success": True}, StateReply(id=b"1", value=None, condition="")),
        ({b"success": False, b"condition": b"c"}, StateReply(id=b"1", value=None, condition="c")),
        ({b"success": b"true"}, StateReply(id=b"1", value=None, condition="general")),
        ({}, StateReply(id=b"1", value=None, condition="general")),
    ],
)
def test_a_reply(fields: dict[bytes, object], reply: StateReply) -> None:
    assert parse_reply(tnetstring.dumps({b"id": b"1", **fields})) == reply


@pytest.mark.parametrize("data", [b"", b"1:x,", b"0:}", tnetstring.dumps({b"id": 7})])
def test_what_is_no_reply_is_refused(data: bytes) -> None:
    with pytest.raises(StateCallError):
        parse_reply(data)


@pytest.mark.parametrize("value", [None, {}, [b"x"], [{}], [{"domain": b"h", "path-prefix": b"/"}], [{"domain": 1}]])
def test_what_are_no_rules_are_refused(value: Value) -> None:
    with pytest.raises(StateCallError):
        parse_rules(value)


def test_last_ids() -> None:
    assert parse_last_ids({"a": b"1", "b": b"2"}) == (("a", "1"), ("b", "2"))


@pytest.mark.parametrize("value", [None, [], {"a": 1}])
def test_what_are_no_last_ids_is_refused(value: Value) -> None:
    with pytest.raises(StateCallError):
        parse_last_ids(value)


@given(st.binary())
def test_any_bytes_are_a_reply_or_refused(data: bytes) -> None:
    with contextlib.suppress(StateCallError):
        parse_reply(data)
