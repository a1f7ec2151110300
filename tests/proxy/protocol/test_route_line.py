from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.protocol.route_line import LineError, Section, encode_sections, parse_sections

LINES = [
    ("", []),
    ("   \t ", []),
    ("# only a comment", []),
    ("  # an indented comment", []),
    ("* a:80", [("*", []), ("a:80", [])]),
    ("  *   a:80  ", [("*", []), ("a:80", [])]),
    ("*\ta:80\t \tb:80", [("*", []), ("a:80", []), ("b:80", [])]),
    ("* a:80#comment", [("*", []), ("a:80", [])]),
    ("* a:80 # comment", [("*", []), ("a:80", [])]),
    ("*,debug,id=x a:80,ssl", [("*", [("debug", ""), ("id", "x")]), ("a:80", [("ssl", "")])]),
    (",id=x test", [("", [("id", "x")]), ("test", [])]),
    ("id=x test", [("", [("id", "x")]), ("test", [])]),
    ("id=x,debug test", [("", [("id", "x"), ("debug", "")]), ("test", [])]),
    ('"id=x" test', [("", [("id", "x")]), ("test", [])]),
    ('"" test', [("", []), ("test", [])]),
    ("*,id= test", [("*", [("id", "")]), ("test", [])]),
    ("*,header=a:1,header=b:2 test", [("*", [("header", "a:1"), ("header", "b:2")]), ("test", [])]),
    ("*,sig_key=base64:YQ== test", [("*", [("sig_key", "base64:YQ==")]), ("test", [])]),
    ('*,header="A: b, c" test', [("*", [("header", "A: b, c")]), ("test", [])]),
    ('*,prefix="#1\t" test', [("*", [("prefix", "#1\t")]), ("test", [])]),
    (r'*,prefix="a\"b\\c" test', [("*", [("prefix", 'a"b\\c')]), ("test", [])]),
    (r"*,prefix=a\b test", [("*", [("prefix", r"a\b")]), ("test", [])]),
    ('*,prefix=a"b c"d test', [("*", [("prefix", "ab cd")]), ("test", [])]),
    ('*,"pre"fix=a test', [("*", [("prefix", "a")]), ("test", [])]),
]


@pytest.mark.parametrize(("line", "sections"), LINES)
def test_a_line_is_split_at_blanks_commas_and_equals_signs(
    line: str, sections: list[tuple[str, list[tuple[str, str]]]]
) -> None:
    assert parse_sections(line) == tuple(Section(value=value, options=tuple(options)) for value, options in sections)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('*,prefix="a test', "unterminated quoted section"),
        ('"', "unterminated quoted section"),
        ('*,prefix="a\\', "unterminated escape sequence"),
        ('*,prefix="a\\n" test', "unexpected escape character: n"),
        ('*,prefix="a\\\x07" test', r"unexpected escape character: '\x07'"),
        ("*, test", "expecting prop"),
        ("*,,debug test", "expecting prop"),
        ("* test,", "expecting prop"),
        ("*,# comment", "expecting prop"),
        ('*,"" test', "expecting prop"),
        ("*,=x test", "empty prop name"),
        ("=x test", "empty prop name"),
        ("*,prefix=a\x00b test", r"character not allowed: '\x00'"),
        ('*,header="A: b\r\nC: d" test', r"character not allowed: '\r'"),
        ("*,prefix=\udce9 test", r"character not allowed: '\udce9'"),
    ],
)
def test_a_malformed_line_is_refused_with_the_recorded_reason(line: str, reason: str) -> None:
    with pytest.raises(LineError) as caught:
        parse_sections(line)
    assert str(caught.value) == reason


def test_bytes_that_were_not_utf8_are_harmless_in_a_comment() -> None:
    assert parse_sections("# caf\udce9") == ()


words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]))
names = st.from_regex("[a-z_]+", fullmatch=True)
sections = st.builds(
    Section,
    value=words.filter(lambda text: "=" not in text),
    options=st.lists(st.tuples(names, words)).map(tuple),
)


@given(st.lists(sections).map(tuple))
def test_encoded_sections_read_as_the_same_sections(written: tuple[Section, ...]) -> None:
    assert parse_sections(encode_sections(written)) == written
