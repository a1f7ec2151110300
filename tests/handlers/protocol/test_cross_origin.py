"""Headers for pages of other origins: the set of reference 3.13 (row H43), each only where the answer has none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.cross_origin import CrossOrigin, read_cross_origin
from handlers.protocol.http1 import Headers

METHODS = (b"Access-Control-Allow-Methods", b"OPTIONS, HEAD, GET, POST, PUT, DELETE")
CREDENTIALS = (b"Access-Control-Allow-Credentials", b"true")
ANY = (b"Access-Control-Allow-Origin", b"*")
AGE = (b"Access-Control-Max-Age", b"3600")


def exposing(names: bytes) -> Headers:
    return METHODS, (b"Access-Control-Expose-Headers", names), CREDENTIALS, ANY, AGE


@pytest.mark.parametrize(
    ("sent", "asked"),
    [
        ((), CrossOrigin()),
        (((b"origin", b"http://a"), (b"Origin", b"http://b")), CrossOrigin(origin=b"http://a")),
        (((b"Access-Control-Request-Method", b"PUT"),), CrossOrigin(method=b"PUT")),
        (
            ((b"Access-Control-Request-Headers", b"X-A,X-B"), (b"access-control-request-headers", b"X-C")),
            CrossOrigin(headers=b"X-A,X-B, X-C"),
        ),
        (((b"Access-Control-Request-Headers", b""),), CrossOrigin()),
    ],
)
def test_what_a_request_says_of_its_page(sent: Headers, asked: CrossOrigin) -> None:
    assert read_cross_origin(sent) == asked


def test_h43_a_plain_answer_is_open_to_all() -> None:
    assert CrossOrigin().opened(()) == (METHODS, CREDENTIALS, ANY, AGE)


def test_h43_the_answer_to_a_preflight_repeats_what_was_asked() -> None:
    asked = CrossOrigin(origin=b"http://o.example", method=b"PUT", headers=b"X-A, X-B")
    assert asked.opened(()) == (
        (b"Access-Control-Allow-Methods", b"PUT"),
        (b"Access-Control-Allow-Headers", b"X-A, X-B"),
        CREDENTIALS,
        (b"Access-Control-Allow-Origin", b"http://o.example"),
        AGE,
    )


@pytest.mark.parametrize(
    ("headers", "names"),
    [
        (((b"X-One", b"1"), (b"Set-Cookie", b"a"), (b"Set-Cookie", b"b"), (b"Date", b"d")), b"X-One, Set-Cookie, Date"),
        (((b"x-one", b"1"), (b"X-ONE", b"2")), b"x-one"),
        (((b"Grip-X", b"1"), (b"ETag", b"e")), b"ETag"),
        (((b"Content-Type", b"t"), (b"CACHE-CONTROL", b"c"), (b"Link", b"l")), b"Link"),
    ],
)
def test_h43_scripts_may_read_every_header_that_is_the_backends(headers: Headers, names: bytes) -> None:
    assert CrossOrigin().opened(headers) == headers + exposing(names)


SAFE = (b"Cache-Control", b"Content-Language", b"Content-Length", b"Content-Type", b"Expires", b"Last-Modified")


@pytest.mark.parametrize("name", [*SAFE, b"Pragma"])
def test_h43_what_scripts_may_read_in_any_case_is_not_named(name: bytes) -> None:
    assert CrossOrigin().opened(((name, b"x"),))[1:] == (METHODS, CREDENTIALS, ANY, AGE)


EVERY = (METHODS, (b"Access-Control-Allow-Headers", b"X"), *exposing(b"X-A")[1:])


@pytest.mark.parametrize("present", EVERY, ids=lambda pair: pair[0].decode())
def test_h43_what_the_backend_says_stays_alone(present: tuple[bytes, bytes]) -> None:
    theirs = (present[0].lower(), b"theirs")
    asked = CrossOrigin(origin=b"http://o", method=b"PUT", headers=b"X")
    opened = asked.opened((theirs, (b"X-A", b"1")))
    assert [value for name, value in opened if name.lower() == theirs[0]] == [b"theirs"]
    assert len(opened) == 7


values = st.binary(max_size=8)
names = st.sampled_from([b"X-A", b"access-control-allow-origin", b"Access-Control-Max-Age", b"Grip-X", b"Date"])
headers = st.lists(st.tuples(names, values)).map(tuple)


@given(st.builds(CrossOrigin, origin=values, method=values, headers=values), headers)
def test_nothing_is_taken_away_and_twice_is_once(asked: CrossOrigin, given_headers: Headers) -> None:
    opened = asked.opened(given_headers)
    assert opened[: len(given_headers)] == given_headers
    assert asked.opened(opened) == opened
