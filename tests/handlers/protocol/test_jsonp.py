"""Answers as scripts: byte for byte as reference 3.13 has them (row H44), and valid JavaScript whatever comes in."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.answers import Answer
from handlers.protocol.http1 import Headers
from handlers.protocol.jsonp import CALLBACK_LIMIT, Jsonp, NotEncodable, is_callback

EXTENDED = Jsonp(callback="cb")
BASIC = Jsonp(callback="cb", is_extended=False)
PLAIN = (b"Content-Type", b"text/plain")


def answer(body: bytes, *, status: int = 200, reason: bytes = b"OK", headers: Headers = (PLAIN,)) -> Answer:
    return Answer(status=status, reason=reason, headers=headers, body=body)


def test_h44_the_extended_body_has_status_headers_and_body() -> None:
    script = EXTENDED.wrap(answer(b'say "hi"\n', status=404, reason=b"Not Found"))
    assert (script.status, script.reason) == (200, b"OK")
    assert script.body == (
        b'/**/cb({"code": 404, "reason": "Not Found", "headers": {"Content-Type":"text/plain"}, '
        b'"body": "say \\"hi\\"\\n"});\n'
    )


def test_h44_that_of_a_hold_has_its_members_sorted_and_no_spaces() -> None:
    headers = ((b"X-B", b"2"), (b"Content-Type", b"text/plain"))
    assert EXTENDED.wrap(answer(b"b\n", headers=headers), is_held=True).body == (
        b'/**/cb({"body":"b\\n","code":200,"headers":{"Content-Type":"text/plain","X-B":"2"},"reason":"OK"});\n'
    )


@pytest.mark.parametrize(
    ("body", "argument"),
    [
        (b'{"a": 1}\n', b'{"a": 1}'),
        (b'{"a": 1}\r\n', b'{"a": 1}'),
        (b"[1]\n\n", b"[1]\n"),
        (b"", b""),
        (b"\n", b""),
        (b"hello\n", b'"hello"'),
        (b"alert(1)", b'"alert(1)"'),
        (b"1);alert(1", b'"1);alert(1"'),
        (b"[" * 100_000, b'"' + b"[" * 100_000 + b'"'),
        ('["\N{LINE SEPARATOR}\N{PARAGRAPH SEPARATOR}</script>é"]'.encode(), '["\\u2028\\u2029<\\/script>é"]'.encode()),
        ("\N{LINE SEPARATOR}</".encode(), b'"\\u2028<\\/"'),
    ],
)
def test_h44_the_basic_body_is_the_body_alone(body: bytes, argument: bytes) -> None:
    for is_held in (False, True):
        assert BASIC.wrap(answer(body), is_held=is_held).body == b"/**/cb(" + argument + b");\n"


def test_a_script_is_said_to_be_one_and_keeps_what_concerns_browsers_alone() -> None:
    sent = (
        (b"cache-control", b"no-store"),
        (b"Set-Cookie", b"id=1; HttpOnly"),
        (b"Set-Cookie", b"b=2"),
        (b"X-A", b"1"),
        (b"x-a", b"2"),
    )
    script = EXTENDED.wrap(answer(b"", headers=sent))
    assert script.headers == (
        (b"Content-Type", b"application/javascript"),
        (b"X-Content-Type-Options", b"nosniff"),
        *sent[:3],
    )
    assert json.loads(script.body[7:-3])["headers"] == {"cache-control": "no-store", "X-A": "1, 2"}


@pytest.mark.parametrize("jsonp", [EXTENDED, BASIC])
@pytest.mark.parametrize("body", [b"\xff", b'"\xed\xa0\x80"', b"\xc3"])
def test_what_is_not_utf_8_is_no_script(jsonp: Jsonp, body: bytes) -> None:
    with pytest.raises(NotEncodable):
        jsonp.wrap(answer(body))


@pytest.mark.parametrize("name", ["cb", "$", "_a1", "angular.callbacks._0", "a[0].b[12]", "jQuery123_456", "a" * 256])
def test_h44_names_that_may_be_called(name: str) -> None:
    assert is_callback(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "1a",
        "a.",
        ".a",
        "a-b",
        "a b",
        "a()",
        "alert(1)//",
        "a[b]",
        "a[]",
        "a\n",
        "é",
        "a;b",
        "<",
        "a" * 257,
        'a["b"]',
    ],
)
def test_h44_names_that_may_not(name: str) -> None:
    assert not is_callback(name)
    assert len(name) <= CALLBACK_LIMIT + 1


text = st.text(st.characters(codec="utf-8")).map(str.encode)
tokens = st.sampled_from([b"X-A", b"x-a", b"Content-Type", b"Set-Cookie", b"Cache-Control", b"__proto__"])
headers = st.lists(st.tuples(tokens, st.binary(max_size=6))).map(tuple)
answers = st.builds(
    Answer, status=st.integers(200, 999), reason=text, headers=headers, body=text | st.binary(max_size=20)
)
SCRIPT = re.compile(rb"/\*\*/cb\((.*)\);\n", re.DOTALL)


def argument_of(script: Answer) -> bytes:
    found = SCRIPT.fullmatch(script.body)
    assert found is not None
    for unsafe in (b"</", b"\xe2\x80\xa8", b"\xe2\x80\xa9"):
        assert unsafe not in script.body
    return found[1]


@given(answers, st.booleans())
def test_an_extended_body_reads_as_what_was_answered(given_answer: Answer, is_held: bool) -> None:
    try:
        script = EXTENDED.wrap(given_answer, is_held=is_held)
    except NotEncodable:
        with pytest.raises(UnicodeDecodeError):
            given_answer.body.decode()
        return
    read = json.loads(argument_of(script))
    assert (read["code"], read["reason"]) == (given_answer.status, given_answer.reason.decode())
    assert read["body"] == given_answer.body.decode()
    assert "Set-Cookie" not in read["headers"]


json_values = st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), st.lists, max_leaves=5)


@given(json_values.map(json.dumps).map(str.encode) | text)
def test_a_basic_body_is_json_that_reads_as_the_body(body: bytes) -> None:
    argument = argument_of(BASIC.wrap(answer(body)))
    if not argument:
        assert body in {b"", b"\n", b"\r\n"}
        return
    as_text = (body[:-2] if body.endswith(b"\r\n") else body.removesuffix(b"\n")).decode()
    try:
        expected = json.loads(body)
    except ValueError:
        expected = as_text
    assert json.loads(argument) in (expected, as_text)
