"""What a filter is asked over HTTP, and what its answers mean (reference 6.6)."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.http1 import Headers
from handlers.protocol.http_filter import Dropped, Failed, Passed, Question, Verdict, encode_meta, read_verdict, url_of
from handlers.protocol.percent_template import FilterError

DROP: Headers = ((b"ACTION", b" Drop "),)


@pytest.mark.parametrize(
    ("name", "status", "headers", "verdict"),
    [
        ("http-check", 200, (), Passed()),
        ("http-check", 204, (), Passed()),
        ("http-check", 200, DROP, Dropped()),
        ("http-check", 204, DROP, Dropped()),
        ("http-check", 200, ((b"Action", b"send"),), Passed()),
        ("http-check", 500, DROP, Failed(reason="status 500")),
        ("http-check", 302, (), Failed(reason="status 302")),
        ("http-check", 201, (), Failed(reason="status 201")),
        ("http-modify", 200, (), Passed(content=b"body")),
        ("http-modify", 204, (), Passed()),
        ("http-modify", 200, DROP, Dropped()),
        ("http-modify", 404, (), Failed(reason="status 404")),
    ],
)
def test_h40_an_answer_lets_pass_or_drops(name: str, status: int, headers: Headers, verdict: Verdict) -> None:
    assert read_verdict(name, status=status, headers=headers, body=b"body") == verdict


def test_h40_a_question_says_whose_meta_it_is() -> None:
    question = Question(
        filter="http-check",
        url="u",
        origin="http://a/",
        route="",
        content=b"",
        meta={"user": "é"},
        item_meta=(("sender", 'q"'),),
        last_seen=(),
    )
    assert question.headers == ((b"Sub-Meta", rb'{"user":"\u00e9"}'), (b"Pub-Meta", rb'{"sender":"q\""}'))


@given(st.dictionaries(st.text() | st.just("\udcff"), st.text() | st.just("\udcff")))
def test_any_meta_is_one_line_of_ascii_that_reads_as_it_was(meta: dict[str, str]) -> None:
    encoded = encode_meta(meta)
    assert re.fullmatch(rb"[ -~]*", encoded)
    assert json.loads(encoded) == meta


@pytest.mark.parametrize("url", ["/x", "x?y=%20", "http://a:1/b", "//host/x"])
def test_the_url_is_the_sessions_meta(url: str) -> None:
    assert url_of("http-check", {"url": url}) == url


@pytest.mark.parametrize(
    ("meta", "reason"),
    [
        ({}, "http-check: no meta 'url'"),
        ({"url": ""}, "http-check: no meta 'url'"),
        ({"url": "a b"}, "http-check: meta 'url' is not a URL"),
        ({"url": "a\r\nX: y"}, "http-check: meta 'url' is not a URL"),
        ({"url": "é"}, "http-check: meta 'url' is not a URL"),
    ],
)
def test_without_a_url_nobody_can_be_asked(meta: dict[str, str], reason: str) -> None:
    with pytest.raises(FilterError, match=f"^{reason}$"):
        url_of("http-check", meta)
