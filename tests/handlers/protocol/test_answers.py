"""Whole answers as aiohttp's parser reads them back, and published headers over held ones (reference 3.6)."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handlers.protocol.answers import (
    Answer,
    AnswerForm,
    connection_headers,
    encode_answer,
    merge_headers,
)
from handlers.protocol.http1 import Headers, hop_by_hop_names
from tests.handlers.protocol.reading import NAMES, REASONS, VALUES, parsed


def form_of(version: bytes = b"1.1", *, reusable: bool = True, method: bytes = b"GET") -> AnswerForm:
    return AnswerForm(version=version, reusable=reusable, method=method)


# -- whole answers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "form", "tail"),
    [
        pytest.param(200, form_of(), b"Content-Length: 4\r\n\r\nbody", id="plain"),
        pytest.param(200, form_of(reusable=False), b"Content-Length: 4\r\nConnection: close\r\n\r\nbody", id="closing"),
        pytest.param(200, form_of(b"1.0", reusable=False), b"Content-Length: 4\r\n\r\nbody", id="1.0"),
        pytest.param(200, form_of(b"1.0"), b"Content-Length: 4\r\nConnection: keep-alive\r\n\r\nbody", id="1.0 kept"),
        pytest.param(200, form_of(method=b"HEAD"), b"Content-Length: 4\r\n\r\n", id="head: the length of a GET"),
        pytest.param(204, form_of(), b"\r\n", id="204: no length (RFC 9110 section 8.6)"),
        pytest.param(304, form_of(), b"\r\n", id="304"),
    ],
)
def test_an_answer_is_delimited_as_its_status_and_request_ask(status: int, form: AnswerForm, tail: bytes) -> None:
    answer = Answer(status=status, reason=b"R", headers=((b"x-A", b"1"),), body=b"body")
    head = b"HTTP/%b %d R\r\nx-A: 1\r\n" % (form.version, status)
    assert encode_answer(answer, form) == head + tail


@given(
    version=st.sampled_from([b"1.0", b"1.1"]),
    reusable=st.booleans(),
    status=st.integers(min_value=200, max_value=999).filter(lambda status: status not in {204, 304}),
    reason=REASONS,
    headers=st.lists(st.tuples(NAMES, VALUES), max_size=6).map(tuple),
    body=st.binary(max_size=2_000),
)
def test_aiohttp_reads_an_answer_back(
    version: bytes, reusable: bool, status: int, reason: bytes, headers: Headers, body: bytes
) -> None:
    answer = Answer(status=status, reason=reason, headers=headers, body=body)
    form = form_of(version, reusable=reusable)
    message, read, rest = parsed(encode_answer(answer, form))
    assert (message.code, message.reason.encode(), read, rest) == (status, reason, body, b"")
    assert message.raw_headers[: len(headers)] == headers
    assert message.raw_headers[len(headers)] == (b"Content-Length", b"%d" % len(body))
    assert message.should_close is not reusable


# -- the lines about the connection ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "chunked", "lines"),
    [
        (form_of(), False, ()),
        (form_of(reusable=False), False, ((b"Connection", b"close"),)),
        (form_of(b"1.0"), False, ((b"Connection", b"keep-alive"),)),
        (form_of(b"1.0", reusable=False), False, ()),
        (form_of(), True, ((b"Connection", b"Transfer-Encoding"), (b"Transfer-Encoding", b"chunked"))),
        (
            form_of(reusable=False),
            True,
            ((b"Connection", b"close, Transfer-Encoding"), (b"Transfer-Encoding", b"chunked")),
        ),
    ],
)
def test_the_connection_line_says_what_its_version_does_not_imply(
    form: AnswerForm, chunked: bool, lines: Headers
) -> None:
    assert connection_headers(form, chunked=chunked) == lines


# -- published headers over held ones -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "published", "merged"),
    [
        pytest.param(((b"A", b"1"),), (), ((b"A", b"1"),), id="nothing published"),
        pytest.param((), ((b"A", b"1"),), ((b"A", b"1"),), id="nothing held"),
        pytest.param(
            ((b"A", b"1"), (b"B", b"2"), (b"a", b"3")),
            ((b"a", b"new"),),
            ((b"B", b"2"), (b"a", b"new")),
            id="a published name replaces every held line of it",
        ),
        pytest.param(
            ((b"Set-Cookie", b"1"),),
            ((b"Set-Cookie", b"2"), (b"Set-Cookie", b"3")),
            ((b"Set-Cookie", b"2"), (b"Set-Cookie", b"3")),
            id="published lines of one name stay apart",
        ),
        pytest.param(
            ((b"A", b"1"),),
            tuple((name.title(), b"x") for name in sorted(hop_by_hop_names(()) | {b"content-length"})),
            ((b"A", b"1"),),
            id="the connection is not the publisher's",
        ),
        pytest.param(
            ((b"A", b"1"), (b"B", b"2")),
            ((b"Connection", b"X-Hop, a"), (b"x-hop", b"3"), (b"A", b"4"), (b"C", b"5")),
            ((b"A", b"1"), (b"B", b"2"), (b"C", b"5")),
            id="nor what it names for the connection",
        ),
        pytest.param((), ((b"Grip-Hold", b"stream"), (b"GRIP-x", b"")), (), id="instructs go no further"),
        pytest.param(
            ((b"A", b"1"), (b"B", b"2")),
            ((b"C", b"3"), (b"D", b"4"), (b"Grip-Expose-Headers", b"b, C")),
            ((b"B", b"2"), (b"C", b"3")),
            id="what is exposed stays: held or published",
        ),
        pytest.param(
            ((b"A", b"1"), (b"B", b"2")),
            ((b"grip-expose-headers", b" A ,"), (b"Grip-Expose-Headers", b"nothing")),
            ((b"A", b"1"),),
            id="several lists are one",
        ),
        pytest.param(((b"A", b"1"),), ((b"Grip-Expose-Headers", b" , "),), ((b"A", b"1"),), id="an empty list"),
    ],
)
def test_published_headers_are_laid_over_the_held_ones(held: Headers, published: Headers, merged: Headers) -> None:
    assert merge_headers(held, published) == merged


HEADERS = st.lists(
    st.tuples(st.sampled_from([b"A", b"a", b"B", b"C", b"Connection", b"Grip-Hold"]), st.binary(max_size=2)), max_size=6
).map(tuple)
HELD = HEADERS.map(lambda headers: tuple(pair for pair in headers if pair[0] in {b"A", b"a", b"B", b"C"}))


@example(held=(), published=((b"C", b""), (b"Connection", b"C")))
@example(held=((b"a", b""),), published=((b"A", b"1"), (b"Connection", b",A")))
@given(held=HELD, published=HEADERS)
def test_each_merged_line_is_a_published_one_or_a_held_one_of_another_name(held: Headers, published: Headers) -> None:
    merged = merge_headers(held, published)
    options = b",".join(value for name, value in published if name == b"Connection").lower().split(b",")
    kept = {b"a", b"b", b"c"} - {option.strip() for option in options}
    plain = tuple(pair for pair in published if pair[0].lower() in kept)
    names = {name.lower() for name, _ in plain}
    assert merged == tuple(pair for pair in held if pair[0].lower() not in names) + plain
