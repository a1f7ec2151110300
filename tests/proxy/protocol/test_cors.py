"""The preflight matrix and the answers' headers (reference 4.1)."""

from __future__ import annotations

import pytest

from handlers.protocol.http1 import Headers
from proxy.protocol.cors import answer_headers, is_allowed, preflight_headers

ORIGIN = b"https://app.example"
ORIGINS = ("https://app.example", "https://*.foo.example")
CREDENTIALS = (b"Access-Control-Allow-Credentials", b"true")
EXPOSED = (b"Access-Control-Expose-Headers", b"Link, Mercure-Last-Event-ID, Last-Event-ID")
VARY = (b"Vary", b"Origin")
VARY_ALL = (b"Vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers")


def allow(origin: bytes) -> tuple[bytes, bytes]:
    return b"Access-Control-Allow-Origin", origin


def methods(method: bytes) -> tuple[bytes, bytes]:
    return b"Access-Control-Allow-Methods", method


def names(value: bytes) -> tuple[bytes, bytes]:
    return b"Access-Control-Allow-Headers", value


# -- preflights -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST", b"QUERY"])
@pytest.mark.parametrize(
    "requested",
    [
        b"authorization",
        b"cache-control,last-event-id",
        b"Authorization, Last-Event-ID",
        # Defect B17: a browser's QUERY asks for this one.
        b"content-type",
    ],
)
def test_o01_a_preflight_is_allowed_what_it_asks_for(method: bytes, requested: bytes) -> None:
    headers = preflight_headers(ORIGINS, ORIGIN, method, requested)
    assert headers == (allow(ORIGIN), CREDENTIALS, methods(method), names(requested), VARY_ALL)


@pytest.mark.parametrize("requested", [None, b""])
def test_o01_a_preflight_may_ask_for_no_headers(requested: bytes | None) -> None:
    headers = preflight_headers(ORIGINS, ORIGIN, b"POST", requested)
    assert headers == (allow(ORIGIN), CREDENTIALS, methods(b"POST"), VARY_ALL)


@pytest.mark.parametrize(
    ("origins", "origin", "method", "requested"),
    [
        pytest.param(ORIGINS, b"https://other.example", b"GET", None, id="origin"),
        pytest.param(ORIGINS, None, b"GET", None, id="no origin"),
        pytest.param((), ORIGIN, b"GET", None, id="no origins set"),
        pytest.param(ORIGINS, ORIGIN, b"PUT", None, id="method"),
        pytest.param(ORIGINS, ORIGIN, b"get", None, id="method in lower case"),
        pytest.param(ORIGINS, ORIGIN, b"GET", b"x-custom", id="header"),
        pytest.param(ORIGINS, ORIGIN, b"GET", b"authorization, x-custom", id="one header of two"),
        pytest.param(("*",), ORIGIN, b"DELETE", None, id="method, any origin"),
    ],
)
def test_o01_a_preflight_that_may_not_is_told_nothing(
    origins: tuple[str, ...], origin: bytes | None, method: bytes, requested: bytes | None
) -> None:
    assert preflight_headers(origins, origin, method, requested) == (VARY_ALL,)


def test_o02_any_origin_is_allowed_without_credentials() -> None:
    headers = preflight_headers(("*", "https://app.example"), ORIGIN, b"POST", b"authorization")
    assert headers == (allow(b"*"), methods(b"POST"), names(b"authorization"), VARY_ALL)


# -- answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origins", "origin", "headers"),
    [
        pytest.param((), ORIGIN, (), id="no origins set"),
        pytest.param(ORIGINS, ORIGIN, (allow(ORIGIN), CREDENTIALS, EXPOSED, VARY), id="o03-allowed"),
        pytest.param(
            ORIGINS, b"HTTPS://App.example", (allow(b"HTTPS://App.example"), CREDENTIALS, EXPOSED, VARY), id="echoed"
        ),
        pytest.param(ORIGINS, b"https://other.example", (VARY,), id="other"),
        pytest.param(ORIGINS, None, (VARY,), id="same origin"),
        pytest.param(("*",), ORIGIN, (allow(b"*"), EXPOSED, VARY), id="o02-any"),
        pytest.param(("*",), None, (VARY,), id="any, same origin"),
        pytest.param(("null",), b"null", (allow(b"null"), CREDENTIALS, EXPOSED, VARY), id="null"),
    ],
)
def test_answers_say_who_may_read_them(origins: tuple[str, ...], origin: bytes | None, headers: Headers) -> None:
    assert answer_headers(origins, origin) == headers


def test_origins_are_compared_as_patterns_whatever_the_bytes() -> None:
    assert is_allowed(("https://*.foo.example", "null"), b"https://A.foo.example")
    assert is_allowed(("https://*.foo.example", "null"), b"null")
    assert not is_allowed(("https://app.example",), b"\xff")
