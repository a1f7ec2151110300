from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.errors import InstructError
from handlers.protocol.grip_headers import HeaderForm, StatusLine, encode_links, parse_header_form
from handlers.protocol.http1 import Headers
from handlers.protocol.instruct import ChannelHold, HoldMode, KeepAlive, KeepAliveMode, NextLink
from handlers.protocol.names import ItemId

URIS = st.from_regex(r"(https?://h(:8080)?)?/[a-z%0-9,;]{0,8}(\?[a-z=&,;]{0,8})?", fullmatch=True)
GRIP_NAMES = st.sampled_from(
    [b"hold", b"channel", b"timeout", b"keep-alive", b"set-meta", b"link", b"status", b"expose-headers", b"x"]
).map(lambda name: b"Grip-" + name)


def parse(*headers: tuple[str, str]) -> HeaderForm:
    return parse_header_form(tuple((name.encode(), value.encode()) for name, value in headers))


def channel(name: str, prev_id: str | None = None, *filters: str) -> ChannelHold:
    return ChannelHold(name=name, prev_id=None if prev_id is None else ItemId(prev_id), filters=filters)


def test_an_answer_without_grip_headers_says_nothing() -> None:
    assert parse(("Content-Type", "text/plain")) == HeaderForm(
        hold=None,
        channels=(),
        timeout=None,
        keep_alive=None,
        meta=(),
        next_link=None,
        gone_link=None,
        status_line=None,
        exposed=frozenset(),
    )


@pytest.mark.parametrize(("value", "hold"), [("response", HoldMode.RESPONSE), ("stream", HoldMode.STREAM)])
def test_a_hold_is_a_response_or_a_stream(value: str, hold: HoldMode) -> None:
    assert parse(("GRIP-hold", value)).hold is hold


@pytest.mark.parametrize(
    ("values", "channels"),
    [
        (["a"], [channel("a")]),
        (["a, b", "c"], [channel("a"), channel("b"), channel("c")]),
        (["a; prev-id=5"], [channel("a", "5")]),
        (['a; Prev-Id="q 1"'], [channel("a", "q 1")]),
        (["a; prev-id="], [channel("a")]),
        (["a; filter=x; filter=y"], [channel("a", None, "x", "y")]),
        (["a; Filter=x"], [channel("a")]),
        (["a; foo=bar"], [channel("a")]),
        (["x y", '"q"', "a/b:c", "%41", "é"], [channel(n) for n in ("x y", '"q"', "a/b:c", "%41", "é")]),
        (["", ","], []),
        (["; prev-id=1"], [channel("", "1")]),
    ],
)
def test_channels_add_up(values: list[str], channels: list[ChannelHold]) -> None:
    assert parse(*(("Grip-Channel", value) for value in values)).channels == tuple(channels)


@pytest.mark.parametrize(("value", "timeout"), [("0", 0), ("1", 1), ("55", 55), ("+7", 7), (" 9 ", 9)])
def test_a_timeout_is_whole_seconds(value: str, timeout: int) -> None:
    assert parse(("Grip-Timeout", value)).timeout == timeout


@pytest.mark.parametrize(
    ("value", "keep_alive"),
    [
        ("x", KeepAlive(data=b"x")),
        ("a, b\\n", KeepAlive(data=b"a, b\\n")),
        ("x; timeout=4; mode=interval", KeepAlive(data=b"x", timeout=4, mode=KeepAliveMode.INTERVAL)),
        ("x; timeout=0; mode=idle; format=raw", KeepAlive(data=b"x", timeout=1)),
        ("event: ka\\ndata:\\n\\n; format=cstring", KeepAlive(data=b"event: ka\ndata:\n\n")),
        ("a\\q; format=cstring", KeepAlive(data=b"a")),
        ("AAEC; format=base64", KeepAlive(data=b"\x00\x01\x02")),
        ("é", KeepAlive(data="é".encode())),
    ],
)
def test_a_keep_alive_has_data_a_timeout_and_a_mode(value: str, keep_alive: KeepAlive) -> None:
    assert parse(("Grip-Keep-Alive", value)).keep_alive == keep_alive


def test_only_the_first_keep_alive_counts() -> None:
    assert parse(("Grip-Keep-Alive", "a"), ("Grip-Keep-Alive", "b; mode=nope")).keep_alive == KeepAlive(data=b"a")


@pytest.mark.parametrize(
    ("values", "meta"),
    [
        (["user=alice"], [("user", "alice")]),
        (['user="al\\"ice", n=5', "user=bob"], [("user", 'al"ice'), ("n", "5"), ("user", "bob")]),
        (
            ['id_format="room:%(events-room)s", user="anonymous"'],
            [("id_format", "room:%(events-room)s"), ("user", "anonymous")],
        ),
        (["novalue"], [("novalue", "")]),
        (["", "=x"], []),
        (['a="unterminated'], [("a", "unterminated")]),
    ],
)
def test_meta_is_pairs_in_order(values: list[str], meta: list[tuple[str, str]]) -> None:
    assert parse(*(("Grip-Set-Meta", value) for value in values)).meta == tuple(meta)


@pytest.mark.parametrize(
    ("values", "next_link", "gone_link"),
    [
        (["</next>; rel=next"], NextLink(uri="/next"), None),
        (["<?q=2>; rel=next; timeout=1"], NextLink(uri="?q=2", timeout=1), None),
        (["</n>; rel=next; timeout=0"], NextLink(uri="/n", timeout=1), None),
        (['<http://h:80/a?b=1,2;c>; rel="next"; x=y'], NextLink(uri="http://h:80/a?b=1,2;c"), None),
        (["</a>; rel=next, </b>; rel=gone", "</c>; REL=NEXT"], NextLink(uri="/c"), "/b"),
        (["</é>; rel=gone"], None, "/%C3%A9"),
        (["</next>"], None, None),
        (["</next>; rel=prev", "</next>; x=y", ""], None, None),
    ],
)
def test_the_last_link_of_each_relation_counts(
    values: list[str], next_link: NextLink | None, gone_link: str | None
) -> None:
    form = parse(*(("Grip-Link", value) for value in values))
    assert (form.next_link, form.gone_link) == (next_link, gone_link)


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("404 Gone Fishing", StatusLine(status=404, reason=b"Gone Fishing")),
        ("304", StatusLine(status=304, reason=b"Not Modified")),
        ("404 ", StatusLine(status=404, reason=b"Not Found")),
        ("999", StatusLine(status=999, reason=b"Undefined Reason")),
        ("", None),
    ],
)
def test_a_status_has_a_code_and_maybe_a_reason(value: str, line: StatusLine | None) -> None:
    assert parse(("Grip-Status", value)).status_line == line


def test_exposed_names_know_no_letter_case() -> None:
    form = parse(("Grip-Expose-Headers", "X-A, Content-Type"), ("Grip-Expose-Headers", "x-B"))
    assert form.exposed == {b"x-a", b"content-type", b"x-b"}


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("Grip-Hold", "nope", "Grip-Hold must be set to either 'response' or 'stream'"),
        ("Grip-Hold", "", "Grip-Hold must be set to either 'response' or 'stream'"),
        ("Grip-Channel", "c" + "; filter=f" * 6, "too many filters for channel 'c'"),
        ("Grip-Timeout", "abc", "failed to parse Grip-Timeout"),
        ("Grip-Timeout", "", "failed to parse Grip-Timeout"),
        ("Grip-Timeout", "5.5", "failed to parse Grip-Timeout"),
        ("Grip-Timeout", "2147483648", "failed to parse Grip-Timeout"),
        ("Grip-Timeout", "-1", "Grip-Timeout has invalid value"),
        ("Grip-Keep-Alive", "", "Grip-Keep-Alive cannot be empty"),
        ("Grip-Keep-Alive", "; timeout=5", "Grip-Keep-Alive cannot be empty"),
        ("Grip-Keep-Alive", "\\q; format=cstring", "Grip-Keep-Alive cannot be empty"),
        ("Grip-Keep-Alive", "x; format=nope", "no such Grip-Keep-Alive format 'nope'"),
        ("Grip-Keep-Alive", "x; mode=nope", "no such Grip-Keep-Alive mode 'nope'"),
        ("Grip-Keep-Alive", "x; timeout=abc", "failed to parse Grip-Keep-Alive timeout value"),
        ("Grip-Keep-Alive", "x; timeout=-1", "Grip-Keep-Alive timeout has invalid value"),
        ("Grip-Keep-Alive", "a\\; format=cstring", "failed to parse Grip-Keep-Alive cstring format"),
        ("Grip-Keep-Alive", "!; format=base64", "failed to parse Grip-Keep-Alive base64 format"),
        ("Grip-Link", "/next; rel=next", "failed to parse Grip-Link value"),
        ("Grip-Link", "<>; rel=next", "failed to parse Grip-Link value"),
        ("Grip-Link", "</next>; rel=next; timeout=abc", "failed to parse Grip-Link timeout value"),
        ("Grip-Link", "</next>; rel=next; timeout=-1", "Grip-Link timeout has invalid value"),
        ("Grip-Link", "</a b>; rel=next", "Grip-Link contains invalid link"),
        ("Grip-Link", "<http://h:0/>; rel=next", "Grip-Link contains invalid link"),
        ("Grip-Link", "<http://h:x/>; rel=next", "Grip-Link contains invalid link"),
        ("Grip-Link", "<http://[::/>; rel=next", "Grip-Link contains invalid link"),
        ("Grip-Link", "<file:///etc/passwd>; rel=gone", "Grip-Link contains invalid link"),
        ("Grip-Link", "<http:next>; rel=next", "Grip-Link contains invalid link"),
        ("Grip-Status", "abc", "Grip-Status contains invalid status code"),
        ("Grip-Status", "1000", "Grip-Status contains invalid status code"),
        ("Grip-Status", "-1", "Grip-Status contains invalid status code"),
        ("Grip-Status", "99", "Grip-Status contains invalid status code"),
        ("Grip-Status", "101", "Grip-Status contains invalid status code"),
    ],
)
def test_a_bad_value_is_refused_with_the_text_backends_know(name: str, value: str, text: str) -> None:
    with pytest.raises(InstructError) as raised:
        parse((name, value))
    assert raised.value.reason == text


def test_five_filters_are_not_too_many() -> None:
    assert parse(("Grip-Channel", "c" + "; filter=f" * 5)).channels == (channel("c", None, *("f",) * 5),)


def test_an_error_quotes_nothing_that_cannot_be_shown() -> None:
    with pytest.raises(InstructError) as raised:
        parse_header_form(((b"Grip-Keep-Alive", b"x; mode=\xff\x00e"),))
    assert raised.value.reason == "no such Grip-Keep-Alive mode '\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}e'"


@given(
    st.none() | st.builds(NextLink, uri=URIS, timeout=st.integers(1, 2**31 - 1)),
    st.none() | URIS,
)
def test_encoded_links_parse_back(next_link: NextLink | None, gone_link: str | None) -> None:
    form = parse_header_form(encode_links(next_link, gone_link))
    assert (form.next_link, form.gone_link) == (next_link, gone_link)


@given(st.binary(min_size=1))
def test_a_base64_keep_alive_carries_any_bytes(data: bytes) -> None:
    value = base64.b64encode(data) + b"; format=base64"
    assert parse_header_form(((b"Grip-Keep-Alive", value),)).keep_alive == KeepAlive(data=data)


@given(
    st.lists(
        st.tuples(GRIP_NAMES, st.binary() | st.text(alphabet='a1<>/;=", \\-%').map(str.encode)),
        max_size=6,
    ).map(tuple)
)
def test_any_headers_give_a_form_or_an_instruct_error(headers: Headers) -> None:
    try:
        form = parse_header_form(headers)
    except InstructError as error:
        error.reason.encode()
        return
    if form.next_link is not None:
        form.next_link.uri.encode("ascii")
