"""Links to the hub: nothing that a URL or an attribute holds breaks out of the header."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.http1 import is_field_value
from handlers.protocol.mercure.link_header import encode_attribute, encode_hub_link


@pytest.mark.parametrize(
    ("url", "value"),
    [
        ("/.well-known/mercure", b'</.well-known/mercure>; rel="mercure"'),
        ("https://hub.example:8443/a?b=c&d", b'<https://hub.example:8443/a?b=c&d>; rel="mercure"'),
        ("https://[::1]/a%2Fb", b'<https://[::1]/a%2Fb>; rel="mercure"'),
        ("/caf\u00e9 >\r\n", b'</caf%C3%A9%20%3E%0D%0A>; rel="mercure"'),
    ],
)
def test_a_link_names_the_hub(url: str, value: bytes) -> None:
    assert encode_hub_link(url) == value


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_url_stays_within_its_brackets(url: str) -> None:
    value = encode_hub_link(url)
    assert is_field_value(value)
    assert value.isascii()
    assert (value.count(b"<"), value.count(b">"), value.count(b'"')) == (1, 1, 2)


def test_quotes_and_backslashes_of_an_attribute_are_escaped() -> None:
    assert encode_attribute(b"last-event-id", 'a"b\\c é'.encode()) == '; last-event-id="a\\"b\\\\c é"'.encode()
