from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.errors import InstructError
from handlers.protocol.grip import encode_instruct, is_grip, is_instruct_body, parse_instruct
from handlers.protocol.http1 import Headers
from handlers.protocol.instruct import ChannelHold, HoldMode, Instruct, KeepAlive, KeepAliveMode, NextLink
from handlers.protocol.names import ItemId

INSTRUCT: Headers = ((b"Content-Type", b"application/grip-instruct"),)
PLAIN: Headers = ((b"Content-Type", b"text/plain"),)

CONTROLS = "".join(map(chr, (*range(9), *range(10, 32), 127)))
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters=CONTROLS))
NAMES = st.from_regex(rb"X-[!#$%&'*+.^_`|~0-9A-Za-z-]{1,6}", fullmatch=True)
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
ANSWER: dict[str, st.SearchStrategy[Any]] = {
    "next_link": st.none() | st.builds(NextLink, uri=st.just("/n?a=1,2;b"), timeout=st.integers(1, 2**31 - 1)),
    "gone_link": st.none() | st.just("http://h/gone"),
    "status": st.integers(200, 999),
    "reason": TEXTS.filter(bool).map(str.encode),
    "headers": st.lists(st.tuples(NAMES, TEXTS.map(str.encode)), max_size=3).map(tuple),
    "body": st.binary(),
}
HELD = st.builds(
    Instruct,
    hold=st.sampled_from(HoldMode),
    channels=st.lists(CHANNELS, max_size=3).map(tuple),
    timeout=st.integers(5, 2**31 - 1),
    keep_alive=st.none() | KEEP_ALIVES,
    meta=st.dictionaries(st.text(), st.text()).map(lambda meta: tuple(meta.items())),
    **ANSWER,
)
NOT_HELD = st.builds(
    Instruct,
    hold=st.none(),
    channels=st.just(()),
    timeout=st.just(55),
    keep_alive=st.none(),
    meta=st.just(()),
    **ANSWER,
)


def parse(headers: Headers, body: bytes | None = None, *, status: int = 200, reason: bytes = b"OK") -> Instruct:
    return parse_instruct(status=status, reason=reason, headers=headers, body=body)


@pytest.mark.parametrize(
    ("headers", "grip", "body"),
    [
        ((), False, False),
        (PLAIN, False, False),
        (((b"X-Grip-Hold", b"stream"),), False, False),
        (((b"gRIP-anything", b""),), True, False),
        (INSTRUCT, True, True),
        (((b"content-type", b"Application/GRIP-Instruct ; charset=utf-8"),), True, True),
        (((b"Content-Type", b"application/grip-instructions"),), False, False),
        (PLAIN + INSTRUCT, False, False),
    ],
)
def test_an_instruct_is_told_by_its_headers(headers: Headers, grip: bool, body: bool) -> None:
    assert (is_grip(headers), is_instruct_body(headers)) == (grip, body)


def test_a_header_form_leaves_status_and_body_to_the_answer() -> None:
    headers = (*PLAIN, (b"Grip-Hold", b"stream"), (b"Grip-Channel", b"c"), (b"Content-Length", b"5"), (b"X", b"\xff"))
    assert parse(headers, status=404, reason=b"Nope") == Instruct(
        hold=HoldMode.STREAM,
        channels=(ChannelHold(name="c"),),
        timeout=55,
        keep_alive=None,
        meta=(),
        next_link=None,
        gone_link=None,
        status=404,
        reason=b"Nope",
        headers=(*PLAIN, (b"X", b"\xff")),
        body=None,
    )


def test_a_body_form_brings_its_own_answer() -> None:
    body = b"""{"hold": {"mode": "stream", "channels": [{"name": "c"}]},
        "response": {"code": 403, "headers": {"Content-Type": "x/y", "Content-Length": "9", "Grip-Hold": "x"},
                     "body": "no"}}"""
    assert parse((*INSTRUCT, (b"X-Own", b"1"), (b"Content-Length", b"99")), body) == Instruct(
        hold=HoldMode.STREAM,
        channels=(ChannelHold(name="c"),),
        timeout=55,
        keep_alive=None,
        meta=(),
        next_link=None,
        gone_link=None,
        status=403,
        reason=b"Forbidden",
        headers=((b"Content-Type", b"x/y"),),
        body=b"no",
    )


def test_a_body_form_without_a_response_answers_with_nothing() -> None:
    instruct = parse((*INSTRUCT, (b"X-Own", b"1")), b'{"hold": {"channels": []}}', reason=b"Sure")
    assert (instruct.status, instruct.reason, instruct.headers, instruct.body) == (200, b"Sure", (), b"")


def test_headers_and_body_add_up_and_the_body_has_the_last_word() -> None:
    headers = (
        *INSTRUCT,
        (b"Grip-Hold", b"response"),
        (b"Grip-Channel", b"a; prev-id=1"),
        (b"Grip-Timeout", b"20"),
        (b"Grip-Keep-Alive", b"h"),
        (b"Grip-Set-Meta", b"user=head, n=1"),
        (b"Grip-Link", b"</n>; rel=next, </g>; rel=gone"),
        (b"Grip-Status", b"404 Header"),
    )
    body = b"""{"hold": {"mode": "stream", "channels": [{"name": "b"}], "timeout": 30,
                         "keep-alive": {"content": "b"}, "meta": {"user": "body"}}}"""
    assert parse(headers, body) == Instruct(
        hold=HoldMode.STREAM,
        channels=(ChannelHold(name="a", prev_id=ItemId("1")), ChannelHold(name="b")),
        timeout=30,
        keep_alive=KeepAlive(data=b"b"),
        meta=(("user", "body"), ("n", "1")),
        next_link=NextLink(uri="/n"),
        gone_link="/g",
        status=404,
        reason=b"Header",
        headers=(),
        body=b"",
    )


def test_what_only_the_headers_say_counts_beside_a_body() -> None:
    headers = (*INSTRUCT, (b"Grip-Hold", b"stream"), (b"Grip-Timeout", b"20"), (b"Grip-Keep-Alive", b"h"))
    instruct = parse(headers, b'{"response": {"body": "x"}}')
    assert (instruct.hold, instruct.timeout) == (HoldMode.STREAM, 20)
    assert instruct.keep_alive == KeepAlive(data=b"h")


@pytest.mark.parametrize(
    ("response", "line"),
    [
        (b"{}", (404, b"Header")),
        (b'{"code": 403}', (403, b"Forbidden")),
        (b'{"code": 403, "reason": "Body"}', (403, b"Body")),
        (b'{"reason": "Body"}', (404, b"Body")),
    ],
)
def test_a_code_in_the_body_resets_the_reason(response: bytes, line: tuple[int, bytes]) -> None:
    headers = (*INSTRUCT, (b"Grip-Status", b"404 Header"))
    instruct = parse(headers, b'{"response": %b}' % response)
    assert (instruct.status, instruct.reason) == line


@pytest.mark.parametrize(
    ("given_timeout", "timeout"), [(None, 55), (b"0", 5), (b"4", 5), (b"5", 5), (b"6", 6), (b"2147483647", 2147483647)]
)
def test_a_timeout_is_at_least_five_seconds(given_timeout: bytes | None, timeout: int) -> None:
    lines: Headers = () if given_timeout is None else ((b"Grip-Timeout", given_timeout),)
    assert parse(((b"Grip-Hold", b"response"), *lines)).timeout == timeout
    member = b"" if given_timeout is None else b', "timeout": ' + given_timeout
    assert parse(INSTRUCT, b'{"hold": {"channels": []%b}}' % member).timeout == timeout


def test_only_exposed_headers_pass() -> None:
    headers = (
        (b"Content-type", b"x"),
        (b"X-A", b"1"),
        (b"X-Hop", b"2"),
        (b"Connection", b"x-hop"),
        (b"Grip-Expose-Headers", b"content-type, x-hop, connection, grip-hold"),
        (b"Grip-Hold", b"stream"),
    )
    assert parse(headers).headers == ((b"Content-type", b"x"),)


def test_hop_by_hop_headers_do_not_pass() -> None:
    headers = (
        (b"Grip-Hold", b"stream"),
        (b"Connection", b"close, X-Hop"),
        (b"x-hop", b"1"),
        (b"Keep-Alive", b"timeout=5"),
        (b"Transfer-Encoding", b"chunked"),
        (b"X-Stays", b"1"),
    )
    assert parse(headers).headers == ((b"X-Stays", b"1"),)


@pytest.mark.parametrize("hold", ["stream", "response"])
def test_an_encoded_answer_cannot_be_held(hold: str) -> None:
    with pytest.raises(InstructError) as raised:
        parse(((b"Grip-Hold", hold.encode()), (b"content-encoding", b"gzip")))
    assert raised.value.reason == "a held response cannot have Content-Encoding 'gzip'"


@pytest.mark.parametrize("headers", [((b"Grip-Hold", b"stream"), (b"Content-Encoding", b"Identity")), ()])
def test_an_answer_that_is_not_encoded_or_not_held_keeps_its_content_encoding(headers: Headers) -> None:
    headers = headers or ((b"Grip-Foo", b"1"), (b"Content-Encoding", b"gzip"))
    assert parse(headers).headers == headers[1:]


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ((*INSTRUCT, (b"Grip-Hold", b"stream")), b"{}"),
        ((*INSTRUCT, (b"Grip-Link", b"</n>; rel=next")), b"{}"),
        (INSTRUCT, b'{"response": {}}'),
    ],
)
def test_an_instruct_may_say_little(headers: Headers, body: bytes) -> None:
    assert parse(headers, body).body == b""


@pytest.mark.parametrize(
    ("headers", "body", "status", "text"),
    [
        (INSTRUCT, b"{}", 500, "response code for application/grip-instruct content must be 200"),
        (INSTRUCT, b"{}", 204, "response code for application/grip-instruct content must be 200"),
        (INSTRUCT, b"{}", 200, "instruct contains neither 'hold' nor 'response'"),
        (INSTRUCT, b'{"hold": null}', 200, "instruct contains neither 'hold' nor 'response'"),
        (INSTRUCT, b'{"response": {"headers": {"a b": "1"}}}', 200, "headers contains invalid name 'a b'"),
        (INSTRUCT, b'{"response": {"headers": {"": "1"}}}', 200, "headers contains invalid name ''"),
        (
            INSTRUCT,
            b'{"response": {"headers": [["A", "1\\r\\nB: 2"]]}}',
            200,
            "headers contains 'A' with invalid value",
        ),
        (INSTRUCT, b'{"response": {"headers": [["A", "\\u0000"]]}}', 200, "headers contains 'A' with invalid value"),
        (((b"Grip-Hold", b"stream"), (b"A", b"\x01")), None, 200, "headers contains 'A' with invalid value"),
        (((b"Grip-Hold", b"nope"),), None, 200, "Grip-Hold must be set to either 'response' or 'stream'"),
        (((b"Grip-Status", b"200 a\rb"),), None, 200, "response reason contains a control character"),
    ],
)
def test_what_cannot_be_obeyed_is_refused(headers: Headers, body: bytes | None, status: int, text: str) -> None:
    with pytest.raises(InstructError) as raised:
        parse(headers, body, status=status)
    assert raised.value.reason == text


@given(HELD | NOT_HELD)
def test_an_encoded_instruct_parses_back(instruct: Instruct) -> None:
    headers, body = encode_instruct(instruct)
    assert is_grip(headers)
    assert is_instruct_body(headers)
    assert parse(headers, body) == instruct


@given(
    st.lists(
        st.tuples(st.sampled_from([b"Grip-Hold", b"Grip-Status", b"Content-Encoding", b"X"]) | st.binary(), st.binary())
    ).map(tuple),
    st.none() | st.binary() | st.sampled_from([b"{}", b'{"hold": {"channels": []}}', b'{"response": {}}']),
    st.integers(200, 999),
)
def test_any_answer_gives_an_instruct_or_an_instruct_error(headers: Headers, body: bytes | None, status: int) -> None:
    try:
        instruct = parse(headers, body, status=status)
    except InstructError as error:
        error.reason.encode()
        return
    assert not any(set(b"\r\n\0") & set(name + value) for name, value in instruct.headers)
