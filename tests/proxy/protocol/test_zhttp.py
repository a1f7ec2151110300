from __future__ import annotations

import contextlib
from typing import Any

import pytest
import tnetstring
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.tnetstring import encode_tnetstring
from proxy.protocol.zhttp import (
    IDS_LIMIT,
    RequestStart,
    ZhttpAnswer,
    ZhttpError,
    ZhttpRequest,
    encode_request,
    parse_answer,
    strip_address,
)

START = RequestStart(method=b"GET", uri=b"http://h/p?q", headers=((b"Host", b"h"),), stream=True)


def fields_of(request: ZhttpRequest) -> dict[bytes, object]:
    """Read a message with somebody else's codec."""
    data = encode_request(request)
    assert data[:1] == b"T"
    fields: dict[bytes, object] = tnetstring.loads(data[1:])
    return fields


def test_the_first_message_of_a_streamed_request() -> None:
    request = ZhttpRequest(sender=b"me", id=b"1", seq=0, credits=5, more=True, body=b"b", start=START)
    assert fields_of(request) == {
        b"from": b"me",
        b"id": b"1",
        b"seq": 0,
        b"credits": 5,
        b"more": True,
        b"stream": True,
        b"router-resp": True,
        b"ext": {b"multi": True},
        b"method": b"GET",
        b"uri": b"http://h/p?q",
        b"headers": [[b"Host", b"h"]],
        b"body": b"b",
    }


def test_the_message_of_a_request_that_is_answered_whole() -> None:
    start = RequestStart(
        method=b"PUT",
        uri=b"https://h/",
        headers=(),
        stream=False,
        ignore_policies=True,
        trust_connect_host=True,
        ignore_tls_errors=True,
        max_size=9,
    )
    assert fields_of(ZhttpRequest(sender=b"me", id=b"1", start=start)) == {
        b"from": b"me",
        b"id": b"1",
        b"method": b"PUT",
        b"uri": b"https://h/",
        b"headers": [],
        b"body": b"",
        b"max-size": 9,
        b"ignore-policies": True,
        b"trust-connect-host": True,
        b"ignore-tls-errors": True,
    }


def test_a_later_message() -> None:
    assert fields_of(ZhttpRequest(sender=b"me", id=b"1", seq=3, type="credit", credits=7)) == {
        b"from": b"me",
        b"id": b"1",
        b"seq": 3,
        b"type": b"credit",
        b"credits": 7,
    }


def answer(**fields: object) -> bytes:
    """Encode a worker's message; underscores stand for hyphens."""
    named = {name.replace("_", "-").encode(): value for name, value in fields.items()}
    data: bytes = tnetstring.dumps(named)
    return b"T" + data


def test_an_answer() -> None:
    data = answer(
        id=b"1",
        seq=2,
        code=404,
        reason=b"No",
        headers=[[b"A", b"b"]],
        body=b"x",
        more=True,
        credits=9,
        user_data={b"any": b"thing"},
        **{"from": b"w"},
    )
    assert parse_answer(data) == ZhttpAnswer(
        sender=b"w",
        ids=((b"1", 2),),
        status=404,
        reason=b"No",
        headers=((b"A", b"b"),),
        body=b"x",
        more=True,
        credits=9,
    )
    assert parse_answer(data + b"tail") == parse_answer(data)


def test_the_least_an_answer_has() -> None:
    assert parse_answer(answer(id=b"1")) == ZhttpAnswer(sender=b"", ids=((b"1", None),))


def test_an_error() -> None:
    found = parse_answer(answer(id=b"1", type=b"error", condition=b"tls-error"))
    assert (found.type, found.condition) == ("error", "tls-error")


def test_several_ids() -> None:
    data = answer(id=[{b"id": b"1", b"seq": 0}, {b"id": b"2", b"seq": 7}, {b"id": b"3"}])
    assert parse_answer(data).ids == ((b"1", 0), (b"2", 7), (b"3", None))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a map of tagged netstrings"),
        (b"J{}", "not a map of tagged netstrings"),
        (b"T", "no length"),
        (b"T1:1#", "not a map"),
        (answer(), "no 'id'"),
        (answer(id=7), "no 'id'"),
        (answer(id=[]), "no 'id'"),
        (answer(id=[{b"id": b"1"}] * (IDS_LIMIT + 1)), "no 'id'"),
        (answer(id=[b"1"]), "one of several ids is none"),
        (answer(id=[{b"seq": 1}]), "one of several ids is none"),
        (answer(id=b"1", seq=b"1"), "'seq' is no number that can be"),
        (answer(id=b"1", seq=-1), "'seq' is no number that can be"),
        (answer(id=b"1", seq=True), "'seq' is no number that can be"),
        (answer(id=b"1", credits=2**31), "'credits' is no number that can be"),
        (answer(id=b"1", code=99), "'code' is no status"),
        (answer(id=b"1", code=1000), "'code' is no status"),
        (answer(id=b"1", more=b"true"), "'more' is neither true nor false"),
        (answer(id=b"1", body=1), "'body' is no string"),
        (answer(id=b"1", headers=b"A: b"), "'headers' is no list"),
        (answer(id=b"1", headers=[[b"A"]]), "a header is no pair of strings"),
        (answer(id=b"1", headers=[[b"A", 1]]), "a header is no pair of strings"),
        (answer(id=b"1", headers=[[b"A b", b""]]), "a header's name is none"),
    ],
)
def test_what_is_no_message_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ZhttpError) as caught:
        parse_answer(data)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("data", "rest"), [(b"me T1:", b"T1:"), (b"T1:", b"T1:"), (b"mee T1:", b"mee T1:"), (b"me ", b"")]
)
def test_our_address_is_taken_off(data: bytes, rest: bytes) -> None:
    assert strip_address(data, b"me") == rest


@given(st.binary())
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    with contextlib.suppress(ZhttpError):
        parse_answer(b"T" + data)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "seq", "x"]), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(
            ["id", "seq", "type", "condition", "credits", "more", "code", "reason", "headers", "body", "from"]
        ),
        VALUES,
    )
)
def test_any_map_is_a_message_or_refused(fields: dict[str, Any]) -> None:
    with contextlib.suppress(ZhttpError):
        parse_answer(b"T" + encode_tnetstring(fields))
