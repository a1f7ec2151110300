"""Names that TLS clients ask for, and the files that may be meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.protocol.server_name import certificate_names

LONG = ("a" * 60 + ".") * 4 + "b" * 6
"""250 characters."""


@pytest.mark.parametrize(
    ("name", "stems"),
    [
        ("example.com", ("example.com", "_.com")),
        ("a.example.com", ("a.example.com", "_.example.com")),
        ("A.Example.COM", ("a.example.com", "_.example.com")),
        ("a.example.com.", ("a.example.com", "_.example.com")),
        ("localhost", ("localhost",)),
        ("xn--mnchen-3ya.de", ("xn--mnchen-3ya.de", "_.de")),
        ("a_b.c", ("a_b.c", "_.c")),
        ("127.0.0.1", ("127.0.0.1", "_.0.0.1")),
        ("a" * 63 + ".b", ("a" * 63 + ".b", "_.b")),
        (LONG + "a", (LONG + "a", "_" + LONG[60:] + "a")),
    ],
)
def test_the_name_itself_comes_before_the_one_for_its_parent(name: str, stems: tuple[str, ...]) -> None:
    assert certificate_names(name) == stems


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../a",
        "a/b",
        "a..b",
        ".a",
        "-a",
        "a b",
        "a\0",
        "a\n",
        "é.de",
        "_.example.com",
        "a" * 64,
        LONG + "aa",  # with its end too long for a file
        LONG + "aaa",
        "a." * 127 + "a",
    ],
)
def test_what_is_no_hosts_name_asks_for_nothing(name: str) -> None:
    assert certificate_names(name) == ()


@given(st.text())
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    for stem in certificate_names(name):
        assert not set(stem) & set("/\\\0")
        assert stem.strip(".") == stem
