"""Which addresses an `untrusted` target may have (row R16): the first and last of each range that it may not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.protocol.public_address import is_public


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("0.0.0.0", "0.255.255.255"),
        ("10.0.0.0", "10.255.255.255"),
        ("100.64.0.0", "100.127.255.255"),
        ("127.0.0.1", "127.255.255.255"),
        ("168.63.129.16", "168.63.129.16"),
        ("169.254.0.0", "169.254.169.254"),
        ("172.16.0.0", "172.31.255.255"),
        ("192.0.0.0", "192.0.0.255"),
        ("192.0.2.0", "192.0.2.255"),
        ("192.168.0.0", "192.168.255.255"),
        ("198.18.0.0", "198.19.255.255"),
        ("198.51.100.0", "203.0.113.255"),
        ("224.0.0.0", "239.255.255.255"),
        ("240.0.0.0", "255.255.255.255"),
        ("::", "::1"),
        ("fc00::", "fdff::1"),
        ("fe80::1", "fe80::1%eth0"),
        ("fec0::1", "febf::1"),
        ("ff02::1", "ff0e::1"),
        ("2001::1", "2001:1ff::1"),
        ("2001:db8::1", "3fff::1"),
        ("2002:7f00:1::", "2002:808:808::1"),
        ("64:ff9b:1::a00:1", "100::1"),
        ("::ffff:127.0.0.1", "::ffff:10.1.2.3"),
        ("::ffff:0:0", "::7f00:1"),
        ("64:ff9b::7f00:1", "64:ff9b::c0a8:1"),
    ],
)
def test_r16_addresses_that_are_not_public(first: str, last: str) -> None:
    assert not is_public(first)
    assert not is_public(last)


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0"),
        *("168.63.129.15", "168.63.129.17"),
        *("169.253.255.255", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0", "223.255.255.255"),
        *("2606:4700::1111", "2001:200::1", "2a00::1", "::ffff:1.1.1.1", "64:ff9b::101:101"),
    ],
)
def test_r16_addresses_that_are(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("text", ["", "localhost", "127.1", "1.1.1.1:80", "[::1]"])
def test_what_is_no_address_is_not_public(text: str) -> None:
    assert not is_public(text)


@given(st.ip_addresses(v=4))
def test_r16_an_address_within_another_is_as_public_as_it_is(address: object) -> None:
    assert is_public(f"::ffff:{address}") == is_public(f"64:ff9b::{address}") == is_public(str(address))
