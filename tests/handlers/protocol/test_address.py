"""Listening addresses: the four ways to write one, both directions, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.address import Address, encode_address, parse_address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("7999", None, 7999),
        (":7999", None, 7999),
        ("0", None, 0),
        ("65535", None, 65535),
        ("127.0.0.1:80", "127.0.0.1", 80),
        ("0.0.0.0:80", "0.0.0.0", 80),
        ("localhost:80", "localhost", 80),
        ("my-host.example:80", "my-host.example", 80),
        ("[::1]:80", "::1", 80),
        ("[::]:80", "::", 80),
    ],
)
def test_an_address_is_a_port_with_or_without_a_host(text: str, host: str | None, port: int) -> None:
    assert parse_address(text) == Address(host=host, port=port)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the port must be a number from 0 to 65535"),
        (":", "the port must be a number from 0 to 65535"),
        ("localhost", "the port must be a number from 0 to 65535"),
        ("localhost:", "the port must be a number from 0 to 65535"),
        (":65536", "the port must be a number from 0 to 65535"),
        (":-1", "the port must be a number from 0 to 65535"),
        (":٣", "the port must be a number from 0 to 65535"),
        (":000080", "the port must be a number from 0 to 65535"),
        ("::1:80", "an IPv6 address goes in brackets, as in '[::1]:7999'"),
        ("[::1]", "the port must be a number from 0 to 65535"),
        ("[localhost]:80", "'localhost' is not an IPv6 address"),
        ("[]:80", "'' is not an IPv6 address"),
        ("http://host:80", "an IPv6 address goes in brackets, as in '[::1]:7999'"),
        ("a b:80", "'a b' is not a host name"),
        ("a/b:80", "'a/b' is not a host name"),
    ],
)
def test_anything_else_is_refused_with_the_text_and_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match="is not an address") as caught:
        parse_address(text)
    assert str(caught.value).startswith(f"{text!r} is not an address: {reason}")


@pytest.mark.parametrize(
    ("text", "is_loopback"),
    [
        ("127.0.0.1:1", True),
        ("127.9.9.9:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("LOCALHOST:1", True),
        (":1", False),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("10.0.0.1:1", False),
        ("example.com:1", False),
    ],
)
def test_only_addresses_of_this_machine_are_loopback(text: str, is_loopback: bool) -> None:
    assert parse_address(text).is_loopback is is_loopback


hosts = st.none() | st.ip_addresses().map(str) | st.from_regex(r"[a-z][a-z0-9.-]{0,20}", fullmatch=True)


@given(host=hosts, port=st.integers(0, 65535))
def test_an_address_survives_being_written_and_read(host: str | None, port: int) -> None:
    address = Address(host=host, port=port)
    assert parse_address(encode_address(address)) == address


@given(text=st.text())
def test_any_text_is_an_address_or_the_documented_error(text: str) -> None:
    try:
        address = parse_address(text)
    except ValueError as error:
        assert str(error).startswith(f"{text!r} is not an address: ")  # noqa: PT017
    else:
        assert 0 <= address.port <= 65535
