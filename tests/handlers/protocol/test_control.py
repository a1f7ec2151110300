"""Control messages: each as a backend writes it, and what is refused (reference 5.3)."""

from __future__ import annotations

import base64
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.control import (
    ControlError,
    ControlMessage,
    Detach,
    FlushDelayed,
    OutgoingMessage,
    SendDelayed,
    SetKeepAlive,
    SetMeta,
    SetSession,
    Subscribe,
    TooManyFilters,
    Unsubscribe,
    encode_control,
    parse_control,
)
from handlers.protocol.instruct import KeepAliveMode
from handlers.protocol.items import MessageKind

LONGEST_PING = "x" * 125
SECONDS = 2**31 - 1


def message(content: bytes, kind: MessageKind = MessageKind.TEXT) -> OutgoingMessage:
    return OutgoingMessage(kind=kind, content=content)


def parsed(**members: object) -> ControlMessage:
    return parse_control(json.dumps({name.replace("_", "-"): value for name, value in members.items()}).encode())


def refusal(data: bytes) -> str:
    with pytest.raises(ControlError) as caught:
        parse_control(data)
    assert str(caught.value) == caught.value.reason
    return caught.value.reason


# -- tables in both directions --------------------------------------------------------------------------------------

WRITTEN = [
    ('{"type":"subscribe","channel":"é c"}', Subscribe(channel="é c")),
    (
        '{"type":"subscribe","channel":"a","filters":["x","skip-self"]}',
        Subscribe(channel="a", filters=("x", "skip-self")),
    ),
    ('{"type":"unsubscribe","channel":"a"}', Unsubscribe(channel="a")),
    ('{"type":"detach"}', Detach()),
    ('{"type":"session","id":"s-1"}', SetSession(id="s-1")),
    ('{"type":"session","id":null}', SetSession(id=None)),
    ('{"type":"set-meta","name":"user","value":"alice"}', SetMeta(name="user", value="alice")),
    ('{"type":"set-meta","name":"user","value":""}', SetMeta(name="user", value="")),
    ('{"type":"set-meta","name":"user","value":null}', SetMeta(name="user", value=None)),
    ('{"type":"keep-alive"}', SetKeepAlive(message=None)),
    (
        '{"type":"keep-alive","message-type":"ping","content":"","timeout":1,"mode":"interval"}',
        SetKeepAlive(message=message(b"", MessageKind.PING), timeout=1, mode=KeepAliveMode.INTERVAL),
    ),
    (
        '{"type":"keep-alive","message-type":"binary","content-bin":"/w==","timeout":55,"mode":"idle"}',
        SetKeepAlive(message=message(b"\xff", MessageKind.BINARY)),
    ),
    (
        '{"type":"send-delayed","message-type":"text","content":"é","timeout":30}',
        SendDelayed(message=message("é".encode()), timeout=30),
    ),
    ('{"type":"flush-delayed"}', FlushDelayed()),
]


@pytest.mark.parametrize(("text", "control"), WRITTEN)
def test_a_control_message_is_read(text: str, control: ControlMessage) -> None:
    assert parse_control(text.encode()) == control


@pytest.mark.parametrize(("text", "control"), WRITTEN)
def test_a_control_message_is_written(text: str, control: ControlMessage) -> None:
    assert encode_control(control).decode() == text


@pytest.mark.parametrize(
    ("text", "control"),
    [
        pytest.param(' { "type" : "detach", "x": 1 } ', Detach(), id="blanks, unknown members"),
        pytest.param('{"type":"subscribe","channel":"a","filters":null}', Subscribe(channel="a"), id="null filters"),
        pytest.param('{"type":"subscribe","channel":"a","filters":[]}', Subscribe(channel="a"), id="no filters"),
        pytest.param('{"type":"session"}', SetSession(id=None), id="no session id"),
        pytest.param('{"type":"set-meta","name":"a"}', SetMeta(name="a", value=None), id="no value deletes"),
        pytest.param('{"type":"set-meta","name":"","value":"\\n"}', SetMeta(name="", value="\n"), id="any meta"),
        pytest.param('{"type":"detach","type":"flush-delayed"}', FlushDelayed(), id="the last of a name counts"),
    ],
)
def test_what_backends_write_otherwise_is_read_too(text: str, control: ControlMessage) -> None:
    assert parse_control(text.encode()) == control


# -- messages for the client ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param({"content": "ka"}, message(b"ka"), id="text"),
        pytest.param({"content": ""}, message(b""), id="empty text"),
        pytest.param({"content": "", "message_type": "ping"}, message(b"", MessageKind.PING), id="empty ping"),
        pytest.param({"content_bin": "a2E="}, message(b"ka"), id="content-bin is text by default"),
        pytest.param({"content_bin": ""}, message(b""), id="empty content-bin"),
        pytest.param({"content": "x", "content_bin": "a2E"}, message(b"ka"), id="content-bin counts first"),
        pytest.param({"content": "ka", "content_bin": None}, message(b"ka"), id="null content-bin"),
        pytest.param({"content": "ka", "message_type": None}, message(b"ka"), id="null type"),
        pytest.param(
            {"content_bin": "/w==", "message_type": "binary"}, message(b"\xff", MessageKind.BINARY), id="binary"
        ),
        pytest.param(
            {"content": LONGEST_PING, "message_type": "pong"},
            message(LONGEST_PING.encode(), MessageKind.PONG),
            id="longest pong",
        ),
    ],
)
def test_content_makes_one_message(members: dict[str, object], expected: OutgoingMessage) -> None:
    assert parsed(type="keep-alive", **members) == SetKeepAlive(message=expected)
    assert parsed(type="send-delayed", **members) == SendDelayed(message=expected)


@pytest.mark.parametrize(
    "members", [{}, {"content": None}, {"content_bin": None, "message_type": "ping", "timeout": 5}]
)
def test_without_content_a_keep_alive_is_off_and_nothing_can_be_delayed(members: dict[str, object]) -> None:
    assert parsed(type="keep-alive", **members) == SetKeepAlive(message=None)
    with pytest.raises(ControlError, match=r"^control message does not contain 'content' or 'content-bin'$"):
        parsed(type="send-delayed", **members)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"content": 5}, "contains 'content' with wrong type"),
        ({"content_bin": []}, "contains 'content-bin' with wrong type"),
        ({"content_bin": "!"}, "contains 'content-bin' with invalid value"),
        ({"content_bin": "/w=="}, "contains 'content-bin' with invalid value"),
        ({"content_bin": "/w==", "message_type": "text"}, "contains 'content-bin' with invalid value"),
        ({"content": f"{LONGEST_PING}x", "message_type": "ping"}, "contains 'content' with invalid value"),
        ({"content": "é" * 63, "message_type": "pong"}, "contains 'content' with invalid value"),
        ({"content": "x", "message_type": 1}, "contains 'message-type' with wrong type"),
        ({"content": "x", "message_type": "close"}, "contains 'message-type' with unknown value 'close'"),
        ({"content": "x", "timeout": -1}, "contains 'timeout' with invalid value"),
        ({"content": "x", "timeout": 1.5}, "contains 'timeout' with invalid value"),
        ({"content": "x", "timeout": SECONDS + 1}, "contains 'timeout' with invalid value"),
        ({"content": "x", "timeout": "soon"}, "contains 'timeout' with wrong type"),
        ({"content": "x", "timeout": True}, "contains 'timeout' with wrong type"),
    ],
)
@pytest.mark.parametrize("type_", ["keep-alive", "send-delayed"])
def test_a_message_no_client_may_get_is_refused(type_: str, members: dict[str, object], reason: str) -> None:
    with pytest.raises(ControlError) as caught:
        parsed(type=type_, **members)
    assert caught.value.reason == f"control message {reason}"


@pytest.mark.parametrize(("given_timeout", "seconds"), [(0, 1), (1, 1), ("20", 20), (20.0, 20), (SECONDS, SECONDS)])
def test_a_timeout_is_a_number_or_a_numeric_string_of_at_least_a_second(given_timeout: object, seconds: int) -> None:
    keep_alive = parsed(type="keep-alive", content="x", timeout=given_timeout)
    delayed = parsed(type="send-delayed", content="x", timeout=given_timeout)
    assert (keep_alive, delayed) == (
        SetKeepAlive(message=message(b"x"), timeout=seconds),
        SendDelayed(message=message(b"x"), timeout=seconds),
    )


def test_a_null_timeout_and_mode_are_the_defaults() -> None:
    assert parsed(type="keep-alive", content="x", timeout=None, mode=None) == SetKeepAlive(
        message=message(b"x"), timeout=55, mode=KeepAliveMode.IDLE
    )
    assert parsed(type="send-delayed", content="x", timeout=None) == SendDelayed(message=message(b"x"), timeout=1)


# -- what cannot be obeyed ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"x", b"{", b'{"type":"detach"}x', b'{"type":"\xff"}', b"[" * 100_000])
def test_what_is_not_json_is_refused(data: bytes) -> None:
    assert refusal(data) == "control message is not valid JSON"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", "control message is not an object"),
        ("null", "control message is not an object"),
        ("{}", "control message does not contain 'type'"),
        ('{"type":null}', "control message does not contain 'type'"),
        ('{"type":5}', "control message contains 'type' with wrong type"),
        ('{"type":"set-hold"}', "control message contains 'type' with unknown value 'set-hold'"),
        ('{"type":"a\\nb"}', "control message contains 'type' with unknown value 'a\N{REPLACEMENT CHARACTER}b'"),
        ('{"type":"Detach"}', "control message contains 'type' with unknown value 'Detach'"),
        ('{"type":"subscribe"}', "control message does not contain 'channel'"),
        ('{"type":"subscribe","channel":null}', "control message does not contain 'channel'"),
        ('{"type":"subscribe","channel":""}', "control message contains 'channel' with invalid value"),
        ('{"type":"subscribe","channel":"a\\r\\nb"}', "control message contains 'channel' with invalid value"),
        ('{"type":"subscribe","channel":["a"]}', "control message contains 'channel' with wrong type"),
        ('{"type":"subscribe","channel":"a","filters":"x"}', "control message contains 'filters' with wrong type"),
        ('{"type":"subscribe","channel":"a","filters":["x",1]}', "filters contains value with wrong type"),
        ('{"type":"subscribe","channel":"a","filters":["x\\n"]}', "filters contains value with invalid value"),
        ('{"type":"unsubscribe"}', "control message does not contain 'channel'"),
        ('{"type":"unsubscribe","channel":""}', "control message contains 'channel' with invalid value"),
        ('{"type":"unsubscribe","channel":1}', "control message contains 'channel' with wrong type"),
        ('{"type":"session","id":1}', "control message contains 'id' with wrong type"),
        ('{"type":"session","id":"a\\nb"}', "control message contains 'id' with invalid value"),
        ('{"type":"set-meta","value":"x"}', "control message does not contain 'name'"),
        ('{"type":"set-meta","name":1}', "control message contains 'name' with wrong type"),
        ('{"type":"set-meta","name":"a","value":1}', "control message contains 'value' with wrong type"),
        ('{"type":"keep-alive","content":"x","mode":1}', "control message contains 'mode' with wrong type"),
        ('{"type":"keep-alive","content":"x","mode":""}', "control message contains 'mode' with unknown value ''"),
    ],
)
def test_what_is_missing_or_of_the_wrong_type_is_refused(text: str, reason: str) -> None:
    assert refusal(text.encode()) == reason


def test_more_than_five_filters_are_an_error_of_their_own() -> None:
    assert parsed(type="subscribe", channel="a", filters=["x"] * 5) == Subscribe(channel="a", filters=("x",) * 5)
    with pytest.raises(TooManyFilters, match=r"^too many filters for channel 'a'$"):
        parsed(type="subscribe", channel="a", filters=["x"] * 6)


# -- anything at all ------------------------------------------------------------------------------------------------

LINES = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)
TEXTS = st.text(max_size=200).map(str.encode)
SHORT = st.binary(max_size=125)
OUTGOING = st.one_of(
    st.builds(OutgoingMessage, kind=st.just(MessageKind.TEXT), content=TEXTS),
    st.builds(OutgoingMessage, kind=st.just(MessageKind.BINARY), content=st.binary(max_size=200)),
    st.builds(OutgoingMessage, kind=st.sampled_from((MessageKind.PING, MessageKind.PONG)), content=SHORT),
)
TIMEOUTS = st.integers(min_value=1, max_value=SECONDS)
CHANNELS = LINES.filter(bool)
CONTROLS = st.one_of(
    st.builds(Subscribe, channel=CHANNELS, filters=st.lists(LINES, max_size=5).map(tuple)),
    st.builds(Unsubscribe, channel=CHANNELS),
    st.builds(Detach),
    st.builds(SetSession, id=st.none() | LINES),
    st.builds(SetMeta, name=st.text(), value=st.none() | st.text()),
    st.builds(SetKeepAlive, message=st.none()),
    st.builds(SetKeepAlive, message=OUTGOING, timeout=TIMEOUTS, mode=st.sampled_from(KeepAliveMode)),
    st.builds(SendDelayed, message=OUTGOING, timeout=TIMEOUTS),
    st.builds(FlushDelayed),
)
KEYS = st.sampled_from(
    ("channel", "filters", "id", "name", "value", "content", "content-bin", "message-type", "timeout", "mode")
)
TYPES = st.sampled_from(
    ("subscribe", "unsubscribe", "detach", "session", "set-meta", "keep-alive", "send-delayed", "flush-delayed")
)
VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.lists(st.text())


@given(CONTROLS)
def test_an_encoded_control_message_parses_back(control: ControlMessage) -> None:
    assert parse_control(encode_control(control)) == control


@given(st.binary())
def test_any_bytes_give_a_message_or_the_error(data: bytes) -> None:
    with contextlib.suppress(ControlError):
        parse_control(data)


@given(TYPES, st.dictionaries(KEYS, VALUES))
def test_any_members_give_a_message_that_can_be_written_or_the_error(kind: str, members: dict[str, object]) -> None:
    with contextlib.suppress(ControlError):
        control = parse_control(json.dumps({"type": kind} | members).encode())
        assert parse_control(encode_control(control)) == control


@given(st.binary())
def test_any_content_goes_out_as_text_or_as_base64(content: bytes) -> None:
    written = json.loads(encode_control(SendDelayed(message=message(content, MessageKind.BINARY))))
    if "content" in written:
        assert written["content"].encode() == content
    else:
        assert base64.b64decode(written["content-bin"]) == content
