"""RFC 6570 templates as topic selectors (reference 2.2)."""

from __future__ import annotations

import string

import pytest
import uritemplate
from hypothesis import example, given
from hypothesis import strategies as st

from handlers.protocol.mercure.selector import (
    MAX_STEPS,
    LinearRegexp,
    RegexpError,
    literal_prefix,
    parse_selector,
)

BOOKS = "https://e.com/books"


def matches(selector: str, topic: str) -> bool:
    compiled = parse_selector(selector)
    assert compiled is not None
    return compiled.matches(topic)


@pytest.mark.parametrize(
    ("selector", "yes", "no"),
    [
        (
            "/books/{id}",
            ["", "1", "a,b", "a%20b", "1.jsonld", "~-_", "%C3%A9"],
            ["a=b", "a b", "a+b", "é", "1/2", "%2"],
        ),
        ("/books/{id}", ["1"], ["1\n", "\n", "1\r\n", "1\x00"]),
        ("/books/{id:1}", ["", "1", "123"], ["a=b"]),
        ("/books/{id}{.ext}", ["", "1", "1.json", "."], ["1/2"]),
        ("/books/{+id}", ["1/2", "a?b=c;d#e+f", "[x]@!$&'()*,:"], ["a b", "é", '"', "%", "%zz"]),
        ("/books/{a,b}", ["1,2", "1", "1,2,3"], ["1;2", "a=b"]),
        ("/books/{a*}", ["a=1,b=2", "", "x"], ["a/b"]),
        ("/books/{a,b*}", ["1,b=2", "1,a=1,b=2"], ["x=1,2", "a/b"]),
        ("/books/{?x,y}", ["?x=1&y=2", "?y=2&x=1", "?z=1", "", "?"], ["x=1", "?x=1&y=2&z=3", "?a?b"]),
        ("/books/{?x*}", ["?x=1&y=2&z=3", ""], ["?x=1?"]),
        ("/books/{&x,y}", ["&x=1&y=2", "&", ""], ["x=1"]),
        ("/books/{;x,y}", [";x=1;y=2", ";x;y", ""], ["x=1", ";x;y;z"]),
        ("/books/{#x}", ["#a/b?c", "", "#"], ["a"]),
        ("/books/{.x*}", [".a.b.c", "", ".a=1"], ["a", "/a"]),
        ("/books/{a}-{b}", ["1-2", "-", "1-2-3"], ["1", "1/2-3"]),
        ("/books/{%41b.c_d}", ["1"], ["/"]),
        ("/books/%41-é.{id}", ["%41-é.1"], ["A-é.1", "%41-%C3%A9.1"]),
        ("/books/[a]+(b)*c${id}", ["[a]+(b)*c$1"], ["aabc1", "a"]),
    ],
)
def test_s31_a_template_matches_what_its_expansions_could_be(selector: str, yes: list[str], no: list[str]) -> None:
    found = {topic: matches(f"https://e.com{selector}", f"{BOOKS}/{topic}") for topic in (*yes, *no)}
    assert found == dict.fromkeys(yes, True) | dict.fromkeys(no, False)


@pytest.mark.parametrize(
    ("selector", "topic", "found"),
    [
        (BOOKS + "{/id}", BOOKS, True),
        (BOOKS + "{/id}", BOOKS + "/1", True),
        (BOOKS + "{/id}", BOOKS + "/1/2", False),
        (BOOKS + "{/id*}", BOOKS + "/1/2/3/a=b", True),
        (BOOKS + "{/id*}", BOOKS + "/1/2?", False),
        (BOOKS + "/{id}", BOOKS, False),
        (BOOKS + "/{id}", "https://E.com/books/1", False),
        (BOOKS + "/{id}", "x" + BOOKS + "/1", False),
        (BOOKS + "/{id}", "/books/1", False),
        ("{+any}", "", True),
        ("{any}", "\udc80", False),
    ],
)
def test_s31_a_topic_matches_as_a_whole_and_as_it_is(selector: str, topic: str, found: bool) -> None:
    assert matches(selector, topic) is found


@pytest.mark.parametrize(
    "selector",
    [
        "",
        "*",
        BOOKS,
        "https://e.com/books/{",
        "{}",
        "{a",
        "a}",
        "{a}}",
        "{{a}}",
        "{a{b}}",
        "{a,}",
        "{,a}",
        "{a b}",
        "{a-b}",
        "{é}",
        "{.}",
        "{..a}",
        "{a..b}",
        "{a.}",
        "{%4}",
        "{%zz}",
        "{a:0}",
        "{a:}",
        "{a:10000}",
        "{a:-1}",
        "{a:1*}",
        "{a**}",
        "{*a}",
        "{=a}",
        "{!a}",
        "{@a}",
        "{|a}",
        "{++a}",
        *(f"/{character}/{{a}}" for character in " \"'<>\\^`|}%\x00\n\x7f\x85\ufdd0\uffff\ud800"),
        "/%4/{a}",
        "{a}%zz",
        "{a}\n",
        "{a\n}",
    ],
    ids=ascii,
)
def test_s31_what_is_no_template_is_none(selector: str) -> None:
    assert parse_selector(selector) is None


@pytest.mark.parametrize("length", [1, 9, 10, 9999])
def test_s31_prefixes_of_up_to_9999_are_understood(length: int) -> None:
    assert matches(f"{{a:{length}}}", "x" * 20)


@pytest.mark.parametrize(
    ("value", "prefix"), [("", ""), ("a/b", "a/b"), ("a/{b}/c{d}", "a/"), ("{a}", ""), ("a{", "a")]
)
def test_the_text_before_the_first_brace_is_literal(value: str, prefix: str) -> None:
    assert literal_prefix(value) == prefix


# -- hostile ones ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "selector",
    [
        pytest.param("{+a}" * 1024, id="a thousand expressions"),
        pytest.param("{" + ",".join("a" * 2000) + "}", id="two thousand variables"),
        pytest.param("{" + ",".join(["a*"] * 1300) + "}", id="all of which explode"),
        pytest.param("{a." + "a." * 2000 + "}", id="a long name that ends badly"),
    ],
)
def test_s31_a_selector_too_large_to_compile_is_no_template_or_a_bounded_one(selector: str) -> None:
    compiled = parse_selector(selector)
    assert compiled is None or compiled.matches("a")


def test_s31_hundreds_of_expressions_cannot_be_made_to_cost_more_than_the_budget(
    capfd: pytest.CaptureFixture[str],
) -> None:
    compiled = parse_selector("{+a}b" * 300)
    assert compiled is not None
    assert compiled.matches("b" * 300)
    assert not compiled.matches("ab" * 40_000 + "c")
    assert not compiled.matches("b" * 80_000)  # it would match, and is past the budget
    assert capfd.readouterr() == ("", "")


def test_s31_a_template_of_4096_bytes_matches_what_it_says() -> None:
    prefix = "/" + "a" * 4090
    assert matches(prefix + "/{id}", prefix + "/1")


def test_text_is_tried_up_to_the_budget() -> None:
    regexp = LinearRegexp("a*")
    size = 200_000
    while regexp.matches(b"a" * size):
        size *= 2
    assert MAX_STEPS // 10 < size <= MAX_STEPS


@pytest.mark.parametrize("pattern", ["(", "(?=a)", r"(a)\1", "a{1001}", r"(?:\pL\pN){200}", "\ud800"], ids=ascii)
def test_an_expression_outside_the_bounds_is_refused_quietly(pattern: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RegexpError):
        LinearRegexp(pattern)
    assert capfd.readouterr() == ("", "")


# -- properties -----------------------------------------------------------------------------------------------------

NAMES = st.sampled_from("abc")
EXPRESSIONS = st.builds(
    lambda operator, names, star: f"{{{operator}{','.join(names)}{star}}}",
    st.sampled_from(["", "+", "#", ".", "/", ";", "?", "&"]),
    st.lists(NAMES, min_size=1, max_size=3),
    st.sampled_from(["", "*"]),
)
TEMPLATES = st.lists(EXPRESSIONS | st.sampled_from(["https://e.com/", "x", "/", "%41", "é", "?"]), max_size=5).map(
    "".join
)


@given(TEMPLATES.filter(lambda template: "{" in template), st.lists(st.text(max_size=5), min_size=3, max_size=3))
@example("{?a,b*}", ["1", "=&", "é"])
def test_s31_every_expansion_of_a_template_matches_it(template: str, values: list[str]) -> None:
    expanded = uritemplate.URITemplate(template).expand(dict(zip("abc", values, strict=True)))
    assert matches(template, expanded)


@given(st.text() | st.text("{}+#./;?&,*:9%4a"), st.text() | st.text(string.printable))
def test_any_text_is_a_template_or_none_and_begins_with_its_prefix(value: str, topic: str) -> None:
    compiled = parse_selector(value)
    if compiled is not None and compiled.matches(topic):
        assert topic.startswith(literal_prefix(value))
