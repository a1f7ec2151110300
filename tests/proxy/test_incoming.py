"""What is recalled of a connection's last request is what would be found anew, or nothing is."""

from __future__ import annotations

import pytest

from handlers.protocol.http1 import Headers
from proxy.incoming import Incoming, Repetition, Written
from proxy.protocol.repeated_head import REMEMBERED_BYTES, HeadReader
from proxy.router import LoadedRoute, Router, choose_source

REST = b" HTTP/1.1\r\nHost: a\r\n\r\n"
HEADERS: Headers = ((b"Host", b"a"),)


@pytest.fixture
def loaded() -> LoadedRoute:
    router = Router(choose_source(lines=("* test",), file=""), default_iss="", default_key=None)
    (route,) = router.load().routes
    return LoadedRoute(route=route, signer=None)


def incoming(*, is_trusted: bool = False) -> Incoming:
    return Incoming(authority=b"a", path=b"/", is_tls=False, is_trusted=is_trusted, uri="http://a/", client="::1")


def test_the_facts_are_recalled_for_the_same_head_and_the_same_trust() -> None:
    reader, repetition = HeadReader(max_headers=9), Repetition()
    head = reader.read(b"GET /" + REST)
    assert repetition.same_incoming(head, is_trusted=False) is None
    facts = incoming()
    repetition.keep_incoming(head, facts)
    assert repetition.same_incoming(reader.read(b"GET /" + REST), is_trusted=False) is facts
    assert repetition.same_incoming(head, is_trusted=True) is None
    other = reader.read(b"GET /other" + REST)
    assert repetition.same_incoming(other, is_trusted=False) is None
    assert repetition.same_client(other, is_trusted=False) is facts
    assert repetition.same_client(other, is_trusted=True) is None
    stranger = HeadReader(max_headers=9).read(b"GET /" + REST)
    assert repetition.same_client(stranger, is_trusted=False) is None


def test_headers_are_recalled_where_all_that_made_them_is_the_same(loaded: LoadedRoute) -> None:
    repetition = Repetition()
    assert repetition.same_headers(HEADERS, loaded, b"a", b"s", is_trusted=False) is None
    written = Written(
        received=HEADERS, headers=((b"X", b"y"),), loaded=loaded, host=b"a", signature=b"s", is_trusted=False
    )
    repetition.keep_headers(written)
    assert repetition.same_headers(HEADERS, loaded, b"a", b"s", is_trusted=False) is written.headers
    equal = (*HEADERS,)
    other = LoadedRoute(route=loaded.route, signer=None)
    for recalled in (
        repetition.same_headers(equal, loaded, b"a", b"s", is_trusted=False),
        repetition.same_headers(HEADERS, other, b"a", b"s", is_trusted=False),
        repetition.same_headers(HEADERS, loaded, b"b", b"s", is_trusted=False),
        repetition.same_headers(HEADERS, loaded, b"a", b"t", is_trusted=False),
        repetition.same_headers(HEADERS, loaded, b"a", None, is_trusted=False),
        repetition.same_headers(HEADERS, loaded, b"a", b"s", is_trusted=True),
    ):
        assert recalled is None


def test_what_a_large_head_came_to_goes_with_its_request() -> None:
    repetition = Repetition()
    assert repetition.unless_large(b"x" * REMEMBERED_BYTES) is repetition
    assert repetition.unless_large(b"x" * (REMEMBERED_BYTES + 1)) is not repetition
