from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.errors import InstructError
from handlers.protocol.grip_json import BodyForm, HoldForm, ResponseForm, encode_body_form, parse_body_form
from handlers.protocol.instruct import ChannelHold, HoldMode, KeepAlive, KeepAliveMode
from handlers.protocol.names import ItemId

CONTROLS = "".join(map(chr, (*range(9), *range(10, 32), 127)))
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters=CONTROLS))
BYTES = TEXTS.map(str.encode)
CHANNELS = st.builds(
    ChannelHold,
    name=TEXTS,
    prev_id=st.none() | TEXTS.filter(bool).map(ItemId),
    filters=st.lists(TEXTS, max_size=5).map(tuple),
)
KEEP_ALIVES = st.builds(
    KeepAlive,
    data=st.binary(min_size=1),
    timeout=st.integers(1, 2**31 - 1),
    mode=st.sampled_from(KeepAliveMode),
)
HOLDS = st.builds(
    HoldForm,
    mode=st.sampled_from(HoldMode),
    channels=st.lists(CHANNELS, max_size=3).map(tuple),
    timeout=st.none() | st.integers(0, 2**31 - 1),
    keep_alive=st.none() | KEEP_ALIVES,
    meta=st.dictionaries(st.text(), st.text()).map(lambda meta: tuple(meta.items())),
)
RESPONSES = st.builds(
    ResponseForm,
    code=st.none() | st.integers(200, 999),
    reason=st.none() | BYTES.filter(bool),
    headers=st.lists(st.tuples(BYTES, BYTES), max_size=3).map(tuple),
    body=st.binary(),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
HOLD_MEMBERS = ["hold", "mode", "channels", "name", "prev-id", "filters", "timeout", "keep-alive", "content", "meta"]
RESPONSE_MEMBERS = ["response", "code", "reason", "headers", "body", "body-bin", "content-bin"]
MEMBERS = st.sampled_from([*HOLD_MEMBERS, *RESPONSE_MEMBERS])
LIKE_INSTRUCTS = st.recursive(
    st.none() | st.integers() | st.sampled_from(["", "stream", "x", "5"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=4),
)


def hold(**members: object) -> BodyForm:
    return parse_body_form(json.dumps({"hold": {"channels": [], **members}}).encode())


def response(**members: object) -> ResponseForm | None:
    return parse_body_form(json.dumps({"response": members}).encode()).response


def test_a_hold_is_a_response_hold_unless_it_says_otherwise() -> None:
    assert hold() == BodyForm(hold=HoldForm(mode=HoldMode.RESPONSE))
    assert hold(mode="stream") == BodyForm(hold=HoldForm(mode=HoldMode.STREAM))


def test_every_member_of_a_hold_is_read() -> None:
    body = rb"""{"hold": {"mode": "stream", "timeout": 30, "unknown": [1],
        "channels": [{"name": "a"}, {"name": "\u00e9,;", "prev-id": "5", "filters": ["x", "y"]}],
        "keep-alive": {"content": "\n", "timeout": 20}, "meta": {"user": "alice", "n": "5"}}}"""
    assert parse_body_form(body) == BodyForm(
        hold=HoldForm(
            mode=HoldMode.STREAM,
            channels=(
                ChannelHold(name="a"),
                ChannelHold(name="é,;", prev_id=ItemId("5"), filters=("x", "y")),
            ),
            timeout=30,
            keep_alive=KeepAlive(data=b"\n", timeout=20),
            meta=(("user", "alice"), ("n", "5")),
        )
    )


@pytest.mark.parametrize("timeout", [30, 30.0, "+30"])
def test_a_number_may_be_written_as_a_float_or_a_string(timeout: object) -> None:
    assert hold(timeout=timeout) == BodyForm(hold=HoldForm(mode=HoldMode.RESPONSE, timeout=30))


@pytest.mark.parametrize(
    ("members", "keep_alive"),
    [
        ({"content": "é"}, KeepAlive(data="é".encode())),
        ({"content-bin": "AAE=", "content": 5}, KeepAlive(data=b"\x00\x01")),
        ({"content": "x", "timeout": 0}, KeepAlive(data=b"x", timeout=1)),
        ({"content": "x", "mode": "interval"}, KeepAlive(data=b"x", mode=KeepAliveMode.INTERVAL)),
    ],
)
def test_a_keep_alive_is_restarted_by_traffic_unless_it_says_interval(
    members: dict[str, object], keep_alive: KeepAlive
) -> None:
    parsed = hold(**{"keep-alive": members}).hold
    assert parsed is not None
    assert parsed.keep_alive == keep_alive


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, ResponseForm()),
        ({"code": 404}, ResponseForm(code=404)),
        ({"code": "200", "reason": "Fine"}, ResponseForm(code=200, reason=b"Fine")),
        ({"reason": ""}, ResponseForm()),
        ({"headers": {"A": "1", "B": "é"}}, ResponseForm(headers=((b"A", b"1"), (b"B", "é".encode())))),
        ({"headers": [["A", "1"], ["A", "2"]]}, ResponseForm(headers=((b"A", b"1"), (b"A", b"2")))),
        ({"body": "no\n"}, ResponseForm(body=b"no\n")),
        ({"body-bin": "AQI=", "body": "x"}, ResponseForm(body=b"\x01\x02")),
        ({"code": None, "reason": None, "headers": None, "body": None, "body-bin": None}, ResponseForm()),
    ],
)
def test_every_member_of_a_response_is_read(members: dict[str, object], expected: ResponseForm) -> None:
    assert response(**members) == expected


def test_null_counts_as_absent() -> None:
    assert parse_body_form(b'{"hold": null, "response": null}') == BodyForm()


NOT_JSON = "failed to parse application/grip-instruct content as JSON"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{nope", NOT_JSON),
        (b"", NOT_JSON),
        (b'{"hold": "\xff"}', NOT_JSON),
        (b'{"hold": "\\ud800"}', NOT_JSON),
        (b"[" * 100_000, NOT_JSON),
        (b"[]", "instruct must be an object"),
        (b"5", "instruct must be an object"),
        (b'{"hold": 1}', "instruct contains 'hold' with wrong type"),
        (b'{"hold": {}}', "hold does not contain 'channels'"),
        (
            b'{"hold": {"mode": "x", "channels": [{"name": "c"}]}}',
            "hold 'mode' must be set to either 'response' or 'stream'",
        ),
        (b'{"hold": {"mode": 5, "channels": []}}', "hold contains 'mode' with wrong type"),
        (b'{"hold": {"mode": "stream"}}', "hold does not contain 'channels'"),
        (b'{"hold": {"channels": ["a"]}}', "channel is not an object"),
        (b'{"hold": {"channels": [{}]}}', "channel does not contain 'name'"),
        (b'{"hold": {"channels": {"name": "x"}}}', "hold contains 'channels' with wrong type"),
        (b'{"hold": {"channels": [{"name": 5}]}}', "channel contains 'name' with wrong type"),
        (b'{"hold": {"channels": [{"name": "a\\nb"}]}}', "channel contains 'name' with invalid value"),
        (b'{"hold": {"channels": [{"name": "a", "prev-id": 5}]}}', "channel contains 'prev-id' with wrong type"),
        (b'{"hold": {"channels": [{"name": "a", "filters": "x"}]}}', "channel contains 'filters' with wrong type"),
        (b'{"hold": {"channels": [{"name": "a", "filters": [5]}]}}', "filters contains value with wrong type"),
        (
            b'{"hold": {"channels": [{"name": "a", "filters": ["1","2","3","4","5","6"]}]}}',
            "too many filters for channel 'a'",
        ),
        (b'{"hold": {"channels": [], "timeout": "x"}}', "hold contains 'timeout' with wrong type"),
        (b'{"hold": {"channels": [], "timeout": 5.5}}', "hold contains 'timeout' with invalid value"),
        (b'{"hold": {"channels": [], "timeout": true}}', "hold contains 'timeout' with wrong type"),
        (b'{"hold": {"channels": [], "timeout": -1}}', "hold contains 'timeout' with invalid value"),
        (b'{"hold": {"channels": [], "timeout": 2147483648}}', "hold contains 'timeout' with invalid value"),
        (b'{"hold": {"channels": [], "keep-alive": "x"}}', "hold contains 'keep-alive' with wrong type"),
        (b'{"hold": {"channels": [], "keep-alive": {"content": 5}}}', "keep-alive contains 'content' with wrong type"),
        (
            b'{"hold": {"channels": [], "keep-alive": {"content-bin": "!"}}}',
            "keep-alive contains 'content-bin' with invalid value",
        ),
        (b'{"hold": {"channels": [], "keep-alive": {}}}', "keep-alive cannot be empty"),
        (
            b'{"hold": {"channels": [], "keep-alive": {"content": "x", "timeout": -1}}}',
            "keep-alive contains 'timeout' with invalid value",
        ),
        (
            b'{"hold": {"channels": [], "keep-alive": {"content": "x", "mode": "y"}}}',
            "no such keep-alive mode 'y'",
        ),
        (b'{"hold": {"channels": [], "meta": []}}', "hold contains 'meta' with wrong type"),
        (b'{"hold": {"channels": [], "meta": {"a": 5}}}', "'meta' contains 'a' with wrong type"),
        (b'{"response": 1}', "instruct contains 'response' with wrong type"),
        (b'{"response": {"code": "x"}}', "response contains 'code' with wrong type"),
        (b'{"response": {"code": 1000}}', "response contains 'code' with invalid value"),
        (b'{"response": {"code": -1}}', "response contains 'code' with invalid value"),
        (b'{"response": {"code": 0}}', "response contains 'code' with invalid value"),
        (b'{"response": {"code": 100}}', "response contains 'code' with invalid value"),
        (b'{"response": {"reason": 5}}', "response contains 'reason' with wrong type"),
        (b'{"response": {"reason": "a\\r\\nb"}}', "response contains 'reason' with invalid value"),
        (b'{"response": {"headers": "x"}}', "response contains 'headers' with wrong type"),
        (b'{"response": {"headers": {"A": 1}}}', "headers contains 'A' with wrong type"),
        (
            b'{"response": {"headers": {"A\\u0000": 1}}}',
            "headers contains 'A\N{REPLACEMENT CHARACTER}' with wrong type",
        ),
        (b'{"response": {"headers": ["a"]}}', "headers contains element with wrong type"),
        (b'{"response": {"headers": [["a"]]}}', "headers contains list with wrong number of elements"),
        (b'{"response": {"headers": [[1, "a"]]}}', "header contains name element with wrong type"),
        (b'{"response": {"headers": [["a", 1]]}}', "header contains value element with wrong type"),
        (b'{"response": {"body": 5}}', "response contains 'body' with wrong type"),
        (b'{"response": {"body-bin": 5}}', "response contains 'body-bin' with wrong type"),
        (b'{"response": {"body-bin": "%"}}', "response contains 'body-bin' with invalid value"),
    ],
)
def test_a_bad_instruct_is_refused_with_the_text_backends_know(body: bytes, text: str) -> None:
    with pytest.raises(InstructError) as raised:
        parse_body_form(body)
    assert raised.value.reason == text


@given(st.builds(BodyForm, hold=st.none() | HOLDS, response=st.none() | RESPONSES))
def test_an_encoded_form_parses_back(form: BodyForm) -> None:
    assert parse_body_form(encode_body_form(form)) == form


@given(st.binary() | JSON.map(msgspec.json.encode) | LIKE_INSTRUCTS.map(msgspec.json.encode))
def test_any_body_gives_a_form_or_an_instruct_error(body: bytes) -> None:
    try:
        parse_body_form(body)
    except InstructError as error:
        error.reason.encode()
