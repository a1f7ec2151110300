"""The filter `build-id`: the ids in content (reference 6.6, row H40)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.build_id import build_ids, make_id
from handlers.protocol.percent_template import FilterError

SEEN: Mapping[str, str] = {"room": "3", "b)c": "x/y", "new": "", "é": "ü", "raw": "\udcff"}


def built(content: bytes, id_format: str = "room:%(room)s", **meta: str) -> bytes:
    return build_ids(content, meta={"id_format": id_format, **meta}, id_on=SEEN.get)


@pytest.mark.parametrize(
    ("content", "id_format", "expected"),
    [
        (b"id: %I\n\n", "room:%(room)s", b"id: room:3\n\n"),
        (b"%I%I", "%(room)s", b"33"),
        (b"%(x:1)I", "%(room)s", b"x:1"),
        (b"%()I", "%(room)s", b""),
        (b"no directive, 100%%", "%(room)s", b"no directive, 100%"),
        (b"%I", "", b""),
        (b"%I", "100%%", b"100%"),
        (b"%I", "[%(new)s]", b"[]"),
        (b"%I", "%(room)s,%(b\\)c)s", b"3,x/y"),
        (b"%I", "%(é)s", "ü".encode()),
        (b"%I", "%(raw)s", b"\xff"),
        (b"%(a\\)b)I", "%(room)s", b"a)b"),
        (b"%(x)I", "%(nowhere)s", b"x"),
    ],
)
def test_h40_ids_are_built_of_what_was_seen_last(content: bytes, id_format: str, expected: bytes) -> None:
    assert built(content, id_format) == expected


def test_h40_ids_are_hexadecimal_where_meta_says_so() -> None:
    assert built(b"%I %(a)I 100%%", id_encoding="hex") == b"726f6f6d3a33 61 100%"
    assert built(b"%I", id_encoding="") == b"room:3"


@pytest.mark.parametrize(
    ("content", "meta", "reason"),
    [
        (b"", {}, "build-id: no meta 'id_format'"),
        (b"%I", {"id_format": "%(lobby)s"}, "build-id: 'id_format' names a channel that is not held: 'lobby'"),
        (b"%I", {"id_format": "%I"}, "build-id: 'id_format': '%' at byte 0 begins neither '%(channel)s' nor '%%'"),
        (b"%I", {"id_format": "%s"}, "build-id: 'id_format': '%' at byte 0 begins neither '%(channel)s' nor '%%'"),
        (b"%I", {"id_format": "x%"}, "build-id: 'id_format': '%' at byte 1 begins neither '%(channel)s' nor '%%'"),
        (b"%(room)s", {"id_format": ""}, "build-id: '%' at byte 0 begins neither '%I', '%(id)I' nor '%%'"),
        (b"my%20room", {"id_format": ""}, "build-id: '%' at byte 2 begins neither '%I', '%(id)I' nor '%%'"),
        (b"", {"id_format": "", "id_encoding": "base64"}, "build-id: 'id_encoding' is not known: 'base64'"),
    ],
)
def test_h40_what_cannot_be_built_is_an_error(content: bytes, meta: Mapping[str, str], reason: str) -> None:
    with pytest.raises(FilterError, match=f"^{re.escape(reason)}$"):
        build_ids(content, meta=meta, id_on=SEEN.get)


@given(st.binary(), st.sampled_from(("", "hex")))
def test_content_with_its_percent_signs_doubled_comes_out_as_it_was(content: bytes, encoding: str) -> None:
    assert built(content.replace(b"%", b"%%"), id_encoding=encoding) == content


@given(st.dictionaries(st.text().filter(lambda name: ")" not in name and "\\" not in name), st.text()))
def test_any_channels_and_ids_come_out(seen: dict[str, str]) -> None:
    id_format = ",".join(f"{quote(name).replace('%', '%%')}:%({name})s" for name in seen)
    expected = ",".join(f"{quote(name)}:{seen[name]}" for name in seen)
    assert make_id(id_format, seen.get) == expected.encode()
