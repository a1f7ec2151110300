"""Directives as they stand in a Caddyfile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.protocol.caddyfile import Directive, parse_directives

ENVIRON = {"KEY": "it's a secret", "EMPTY": ""}


def directive(name: str, *arguments: str, block: tuple[Directive, ...] = (), line: int = 1) -> Directive:
    return Directive(name=name, arguments=arguments, block=block, line=line)


@pytest.mark.parametrize(
    ("text", "directives"),
    [
        ("", ()),
        ("\n \n", ()),
        ("anonymous", (directive("anonymous"),)),
        ("a\nb", (directive("a"), directive("b", line=2))),
        ("a\r\nb\r\n", (directive("a"), directive("b", line=2))),
        ("  cors_origins  a\tb  ", (directive("cors_origins", "a", "b"),)),
        ("a # b\n#c\nd", (directive("a"), directive("d", line=3))),
        ("a b#c", (directive("a", "b#c"),)),
        ('a "b c"', (directive("a", "b c"),)),
        ('a "b \\" \\\\ \\d"', (directive("a", 'b " \\ \\d'),)),
        ("a `b \" c` ''", (directive("a", 'b " c', "''"),)),
        ('a "b\nc"\nd', (directive("a", "b\nc"), directive("d", line=3))),
        ('a ""', (directive("a", ""),)),
        ("a \\\n b\nc", (directive("a", "b"), directive("c", line=3))),
        ('a b"c"', (directive("a", 'b"c"'),)),
        ("a {\n b 1\n}\nc", (directive("a", block=(directive("b", "1", line=2),)), directive("c", line=4))),
        ("a x {\n}", (directive("a", "x"),)),
        ("a {\n b {\n c\n }\n}", (directive("a", block=(directive("b", block=(directive("c", line=3),), line=2),)),)),
        ('a "{"', (directive("a", "{"),)),
        ("a {$KEY}", (directive("a", "it's a secret"),)),
        ("a {env.KEY}!", (directive("a", "it's a secret!"),)),
        ("a {$NONE} {$NONE:b} {$EMPTY:c} {env.NONE}", (directive("a", "", "b", "", ""),)),
        ("a https://e.com/{id}", (directive("a", "https://e.com/{id}"),)),
    ],
)
def test_directives_are_read(text: str, directives: tuple[Directive, ...]) -> None:
    assert parse_directives(text, ENVIRON) == directives


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a {", "line 1: a '{' without its '}'"),
        ("a\nb {\nc {\n}", "line 2: a '{' without its '}'"),
        ("a\n}", "line 2: a '}' without its '{'"),
        ("{\n}", "line 1: a '{' without a directive before it"),
        ('a\nb "c', "line 2: a quote is not closed"),
        ("a `b", "line 1: a quote is not closed"),
        ("a {\n" * 12, "line 11: more than 10 blocks within each other"),
    ],
)
def test_what_is_no_directive_is_refused_with_its_line(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match="line") as caught:
        parse_directives(text, ENVIRON)
    assert str(caught.value) == reason


@given(st.text())
def test_any_text_gives_directives_or_an_error_with_a_line(text: str) -> None:
    try:
        parse_directives(text, {})
    except ValueError as error:
        assert str(error).startswith("line ")  # noqa: PT017


words = st.text(alphabet=st.characters(exclude_characters='"\\{}', exclude_categories=["C"]))


@given(st.lists(words))
def test_quoted_words_come_out_as_they_went_in(arguments: list[str]) -> None:
    text = " ".join(("a", *(f'"{word}"' for word in arguments)))
    assert parse_directives(text, {}) == (directive("a", *arguments),)
