"""The headers of the subscription API: ETag, If-None-Match and Link (reference 1.12, 2.1, defect B19)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.http1 import is_field_value
from handlers.protocol.mercure.subscription import LONGEST_ID, api_headers, etag_of, is_unchanged, link_of
from handlers.protocol.names import EventId

HUB = "/.well-known/mercure"
LONG = EventId("x" * (LONGEST_ID + 1))


@pytest.mark.parametrize(
    ("event_id", "tag", "legacy"),
    [
        ("urn:uuid:1", '"urn:uuid:1"', "urn:uuid:1"),
        ("earliest", '"earliest"', "earliest"),
        ('my id é"x%', '"my%20id%20é%22x%25"', 'my id é"x%'),
        ("a\r\n\x7f", '"a%0D%0A%7F"', "a%0D%0A%7F"),
        ("!\\~", '"!\\~"', "!\\~"),
    ],
)
def test_l08_the_entity_tag_is_the_last_event_id(event_id: str, tag: str, legacy: str) -> None:
    assert etag_of(EventId(event_id), legacy=False) == tag.encode()
    # Row L15: without quotes, for those who expect no others.
    assert etag_of(EventId(event_id), legacy=True) == legacy.encode()


@given(st.text(max_size=20))
def test_l08_an_entity_tag_holds_nothing_it_may_not(event_id: str) -> None:
    # RFC 9110 section 8.8.3
    assert re.fullmatch(rb'"[\x21\x23-\x7e\x80-\xff]*"', etag_of(EventId(event_id), legacy=False))


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_l08_other_ids_have_other_tags(one: str, other: str) -> None:
    is_same = etag_of(EventId(one), legacy=False) == etag_of(EventId(other), legacy=False)
    assert is_same is (one == other)


@pytest.mark.parametrize(
    ("asked", "legacy", "unchanged"),
    [
        (None, False, False),
        (b'"x"', False, True),
        (b"x", False, False),
        (b'W/"x"', False, False),
        (b'"x", "y"', False, False),
        (b"*", False, False),
        (b'"y"', False, False),
        (b"x", True, True),
        (b'"x"', True, True),
        (b"y", True, False),
        (None, True, False),
    ],
)
def test_l08_what_the_client_has_is_compared_as_one_whole(asked: bytes | None, legacy: bool, unchanged: bool) -> None:
    assert is_unchanged(asked, EventId("x"), legacy=legacy) is unchanged


@pytest.mark.parametrize(
    ("event_id", "cursor"), [("urn:uuid:1", "urn:uuid:1"), ('a "é" \\', 'a \\"é\\" \\\\'), ("a\r\nb", "a%0D%0Ab")]
)
def test_l09_the_link_has_four_attributes(event_id: str, cursor: str) -> None:
    link = (
        f'</.well-known/mercure>; rel="mercure"; last-event-id="{cursor}"; type="mercure"; '
        'content-type="application/json"'
    )
    assert link_of(EventId(event_id), HUB) == link.encode()


def test_a_long_id_makes_no_long_header() -> None:
    assert etag_of(LONG, legacy=True) == etag_of(LONG, legacy=False).strip(b'"')
    assert len(etag_of(LONG, legacy=True)) == 64
    assert etag_of(EventId(LONG + "y"), legacy=False) != etag_of(LONG, legacy=False)
    assert (
        link_of(LONG, HUB) == b'</.well-known/mercure>; rel="mercure"; type="mercure"; content-type="application/json"'
    )
    assert is_unchanged(etag_of(LONG, legacy=False), LONG, legacy=False)


@given(st.text())
def test_no_id_ends_a_header_line(event_id: str) -> None:
    for legacy in (False, True):
        assert all(is_field_value(value) for _, value in api_headers(EventId(event_id), HUB, legacy=legacy))


def test_l15_older_clients_get_no_link() -> None:
    assert api_headers(EventId("x"), HUB, legacy=True) == ((b"Content-Type", b"application/ld+json"), (b"ETag", b"x"))
    assert api_headers(EventId("x"), HUB, legacy=False) == (
        (b"Content-Type", b"application/json"),
        (b"ETag", b'"x"'),
        (b"Link", link_of(EventId("x"), HUB)),
    )
