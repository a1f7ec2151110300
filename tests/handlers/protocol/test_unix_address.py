"""Unix sockets as operators write them: a table in both directions, and what is said of others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.unix_address import PATH_LIMIT, UnixAddress, encode_unix_address, parse_unix_address

ADDRESSES = {
    "/run/a.sock": UnixAddress(path="/run/a.sock"),
    "a": UnixAddress(path="a"),
    "/a?mode=660": UnixAddress(path="/a", mode=0o660),
    "/a?mode=777&user=www-data&group=33": UnixAddress(path="/a", mode=0o777, user="www-data", group="33"),
    "/a?group=web": UnixAddress(path="/a", group="web"),
}


@pytest.mark.parametrize(("text", "address"), ADDRESSES.items())
def test_it_is_read_and_written(text: str, address: UnixAddress) -> None:
    assert parse_unix_address(text) == address
    assert encode_unix_address(address) == text
    assert parse_unix_address(f"unix:{text}") == address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("/a?", UnixAddress(path="/a")),
        ("/a?user=u&mode=0600", UnixAddress(path="/a", mode=0o600, user="u")),
        ("/a?mode=7", UnixAddress(path="/a", mode=7)),
    ],
)
def test_it_may_be_written_otherwise(text: str, address: UnixAddress) -> None:
    assert parse_unix_address(text) == address


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the path is missing"),
        ("unix:", "the path is missing"),
        ("?mode=600", "the path is missing"),
        ("/a\0b", "the path is missing"),
        ("/" + "a" * PATH_LIMIT, f"has {PATH_LIMIT + 1} bytes, {PATH_LIMIT} are possible"),
        ("/" + "é" * 60, "has 121 bytes"),
        ("/a?mode=9", "the mode is octal"),
        ("/a?mode=7777", "the mode is octal"),
        ("/a?mode=", "got 'mode='"),
        ("/a?owner=x", "got 'owner=x'"),
        ("/a?user=x&user=y", "got 'user=y'"),
        ("/a?mode", "got 'mode'"),
    ],
)
def test_what_it_is_not_is_said(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match="is not a Unix socket: ") as refused:
        parse_unix_address(text)
    assert reason in str(refused.value)


@given(st.text(max_size=120))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        address = parse_unix_address(text)
    except ValueError:
        return
    assert parse_unix_address(encode_unix_address(address)) == address or address.path.startswith("unix:")


def test_it_is_this_machines_alone_and_says_where_it_is() -> None:
    address = UnixAddress(path="/run/a", mode=0o600)
    assert address.is_loopback
    assert str(address) == "unix:/run/a"
