"""Ini files of QSettings: what each piece of text means, and that any text means something or is the known error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.protocol.qt_ini import IniEntry, IniError, IniFile, parse_ini, parse_value
from tests.support.debian_pushpin import FILES


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ("",)),
        ("  \t", ("",)),
        ("7999", ("7999",)),
        (" 7999  ", ("7999",)),
        ("a b", ("a b",)),
        ("a,b", ("a", "b")),
        (" a , b ", ("a", "b")),
        ("a,", ("a", "")),
        (",", ("", "")),
        ('"a,b"', ("a,b",)),
        ('"a,b", c', ("a,b", "c")),
        ('" a "', (" a ",)),
        ('"a" "b"', ("ab",)),
        ('a"b"c', ("abc",)),
        ('"a', ("a",)),
        (r"a\\b", ("a\\b",)),
        (r"\"a\"", ('"a"',)),
        (r"\a\b\f\n\r\t\v", ("\a\b\f\n\r\t\v",)),
        (r"\'\?", ("'?",)),
        (r"\x41", ("A",)),
        (r"\x41z", ("Az",)),
        (r"\xe9", ("é",)),
        (r"\x20ac", ("€",)),
        (r"\xd800 \xffffff", ("\ufffd \ufffd",)),
        (r"\101\0", ("A\0",)),
        (r"\x", ("",)),
        (r"\qa", ("a",)),
        ("a\\", ("a",)),
        ("a\\\nb", ("ab",)),
        ("a\\\r\nb", ("ab",)),
        ('"a\nb"', ("a\nb",)),
        ("@@a", ("@a",)),
        ("@Invalid()", ("",)),
        ("@ByteArray(key)", ("key",)),
        ("@String(text)", ("text",)),
        ("@Size(1 2)", ("@Size(1 2)",)),
        ("a=b", ("a=b",)),
        ("a#b", ("a#b",)),
    ],
)
def test_a_value(text: str, parts: tuple[str, ...]) -> None:
    assert parse_value(text) == parts


def entry(section: str, key: str, *parts: str, line: int) -> IniEntry:
    return IniEntry(section=section, key=key, parts=parts, line=line)


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("", ()),
        ("\n\n", ()),
        ("a=1", (entry("General", "a", "1", line=1),)),
        ("[s]\na = 1\n\nb=2\n", (entry("s", "a", "1", line=2), entry("s", "b", "2", line=4))),
        ("[s]\r\na=1\r\nb=2\r\n", (entry("s", "a", "1", line=2), entry("s", "b", "2", line=3))),
        ("[ s ] ; words\na=1", (entry("s", "a", "1", line=2),)),
        ("  [s]\n\ta=1", (entry("s", "a", "1", line=2),)),
        ("[s]\n[t]\na=1", (entry("t", "a", "1", line=3),)),
        ("[s]\na=1\na=2", (entry("s", "a", "1", line=2), entry("s", "a", "2", line=3))),
        ("; a=1\n# b=2\n#c=3\n  # d=4\ne=5", (entry("General", "e", "5", line=5),)),
        ("a=1 ; words\nb=2", (entry("General", "a", "1", line=1), entry("General", "b", "2", line=2))),
        ('a="1;2"\nb=2', (entry("General", "a", "1;2", line=1), entry("General", "b", "2", line=2))),
        ("a=x#y\n", (entry("General", "a", "x#y", line=1),)),
        ('a="x\ny"\nb=2', (entry("General", "a", "x\ny", line=1), entry("General", "b", "2", line=3))),
        ("a=x\\\n y\nb=2", (entry("General", "a", "x y", line=1), entry("General", "b", "2", line=3))),
        ("# it's \"odd\na=1", (entry("General", "a", "1", line=2),)),
        ("a=", (entry("General", "a", "", line=1),)),
        ("=1", (entry("General", "", "1", line=1),)),
        ("a=b=c", (entry("General", "a", "b=c", line=1),)),
    ],
)
def test_entries_and_their_lines(text: str, entries: tuple[IniEntry, ...]) -> None:
    assert parse_ini(text) == IniFile(entries=entries, stray_lines=())


def test_a_line_that_says_nothing_is_told() -> None:
    file = parse_ini("[s]\na=1\nwhat is this\nb=2\n")
    assert ([each.key for each in file.entries], file.stray_lines) == (["a", "b"], (3,))


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ('[s]\na="1\nb=2\n', 2, "a quote is not closed"),
        ("a=1\n\n[s\nb=2", 3, "section '[s' has no closing bracket"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(text: str, line: int, reason: str) -> None:
    with pytest.raises(IniError) as caught:
        parse_ini(text)
    assert (caught.value.line, caught.value.reason, str(caught.value)) == (line, reason, f"line {line}: {reason}")


def test_debians_file_is_read_whole() -> None:
    text = (FILES / "pushpin.conf").read_text("utf-8")
    file = parse_ini(text)
    assert (len(file.entries), file.stray_lines) == (text.count("="), ())
    assert [each.parts for each in file.entries if each.key == "services"] == [
        ("condure", "pushpin-proxy", "pushpin-handler")
    ]


MARKS = st.text(alphabet='ab=\\";#,[]@x0\n\r\t ()', max_size=60)


@given(MARKS | st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    last = 1 + text.count("\n") + text.count("\r")
    try:
        file = parse_ini(text)
    except IniError as error:
        lines = [error.line]
    else:
        lines = [each.line for each in file.entries]
        assert all(each.parts for each in file.entries)
    assert lines == sorted(lines)
    assert all(1 <= line <= last for line in lines)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_what_is_quoted_and_escaped_comes_back(text: str) -> None:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    if not text.startswith("@"):
        assert [each.parts for each in parse_ini(f'a="{escaped}"').entries] == [(text,)]


@given(st.lists(st.text(alphabet="abc:/.0-", min_size=1), min_size=1, max_size=5))
def test_a_list_comes_back(parts: list[str]) -> None:
    assert parse_value(" , ".join(parts)) == tuple(parts)
