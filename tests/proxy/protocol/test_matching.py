from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.protocol.matching import RouteTable, host_of
from proxy.protocol.routes import Proto, Route, RouteNotice, Target, TargetKind, parse_lines


def table(*lines: str) -> RouteTable:
    parsed = parse_lines(lines, source="routes")
    assert parsed.problems == ()
    return RouteTable(parsed.routes)


def name(route: Route | None) -> str | None:
    return route.targets[0].name if route else None


@pytest.mark.parametrize(
    ("lines", "host", "proto", "ssl", "path", "target"),
    [
        # R01 to R03: hosts
        (["* any:1"], "whoever.example", "http", False, b"/", "any:1"),
        (["a.com named:1", "* any:1"], "a.com", "http", False, b"/", "named:1"),
        (["a.com named:1", "* any:1"], "b.com", "http", False, b"/", "any:1"),
        (["a.com,path_beg=/x named:1", "* any:1"], "a.com", "http", False, b"/y", None),
        (["a.com named:1"], "b.com", "http", False, b"/", None),
        (["[::1] named:1", "* any:1"], "::1", "http", False, b"/", "named:1"),
        ([",id=x hidden:1"], "", "http", False, b"/", None),
        # R04: the longest path_beg, a plain prefix of bytes
        (["*,path_beg=/a short:1", "*,path_beg=/ab long:1"], "h", "http", False, b"/abc", "long:1"),
        (["*,path_beg=/a short:1", "*,path_beg=/ab long:1"], "h", "http", False, b"/a/b", "short:1"),
        (["*,path_beg=/a short:1"], "h", "http", False, b"/", None),
        (["*,path_beg=/%C3 x:1"], "h", "http", False, b"/%c3", None),
        # R05, R06: proto and ssl
        (["*,proto=ws ws:1", "* both:1"], "h", "ws", False, b"/", "ws:1"),
        (["*,proto=ws ws:1", "* both:1"], "h", "http", False, b"/", "both:1"),
        (["*,proto=ws ws:1"], "h", "http", False, b"/", None),
        (["*,ssl=yes tls:1", "*,ssl=no plain:1"], "h", "http", True, b"/", "tls:1"),
        (["*,ssl=yes tls:1", "*,ssl=no plain:1"], "h", "http", False, b"/", "plain:1"),
        (["*,ssl=yes tls:1", "* both:1"], "h", "http", True, b"/", "tls:1"),
        # proto beats the length of the path, which beats ssl (D6)
        (["*,proto=http http:1", "*,path_beg=/long/path path:1"], "h", "http", False, b"/long/path", "http:1"),
        (["*,path_beg=/a path:1", "*,ssl=yes tls:1"], "h", "http", True, b"/a/x", "path:1"),
        (["*,proto=ws ws:1", "*,ssl=yes,path_beg=/a tls:1"], "h", "ws", True, b"/a", "ws:1"),
    ],
)
def test_the_best_route_is_taken_whatever_the_order_of_the_lines(
    lines: list[str], host: str, proto: str, ssl: bool, path: bytes, target: str | None
) -> None:
    for order in itertools.permutations(lines):
        assert name(table(*order).select(host=host, proto=Proto(proto), ssl=ssl, path=path)) == target


def test_of_two_routes_with_the_same_condition_the_first_is_kept() -> None:
    routes = table("*,path_beg=/a,proto=ws first:1", "*,path_beg=/b other:1", "*,proto=ws,path_beg=/a,id=x second:1")
    assert name(routes.select(host="h", proto=Proto.WS, ssl=False, path=b"/a")) == "first:1"
    assert routes.notices == (RouteNotice(line=3, text="skipping duplicate condition"),)
    assert len(routes.routes) == 2


def test_routes_reached_by_id_only_are_never_duplicates_of_each_other() -> None:
    routes = table(",id=a one:1", ",id=b two:1")
    assert [name(route) for route in routes.routes] == ["one:1", "two:1"]
    assert routes.notices == ()


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("example.com", "example.com"),
        ("Example.COM:8080", "example.com"),
        (" example.com ", "example.com"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("[::1]", "::1"),
        ("[FE80::1]:80", "fe80::1"),
        ("::1", "::1"),
        ("[::1", "[::1"),
        ("[]:80", "[]:80"),
        ("example.com:", "example.com"),
        ("", "localhost"),
        (":80", "localhost"),
    ],
)
def test_the_host_of_a_request_has_no_port_no_brackets_and_small_letters(header: str, host: str) -> None:
    assert host_of(header) == host


routes = st.builds(
    Route,
    host=st.sampled_from(["*", "a"]),
    proto=st.none() | st.sampled_from(Proto),
    ssl=st.none() | st.booleans(),
    path_beg=st.sampled_from([b"", b"/", b"/a", b"/ab", b"/b"]),
    targets=st.just((Target(kind=TargetKind.TEST),)),
)


@given(
    st.lists(routes),
    st.sampled_from(["a", "b"]),
    st.sampled_from(Proto),
    st.booleans(),
    st.sampled_from([b"/", b"/a", b"/abc"]),
)
def test_no_route_that_fits_is_better_than_the_one_selected(
    rules: list[Route], host: str, proto: Proto, ssl: bool, path: bytes
) -> None:
    selected = RouteTable(rules).select(host=host, proto=proto, ssl=ssl, path=path)
    bucket = host if any(rule.host == host for rule in rules) else "*"
    ranks = [
        (rule.proto is not None, len(rule.path_beg), rule.ssl is not None)
        for rule in rules
        if rule.host == bucket
        and rule.proto in (None, proto)
        and rule.ssl in (None, ssl)
        and path.startswith(rule.path_beg)
    ]
    if selected is None:
        assert ranks == []
    else:
        assert (selected.proto is not None, len(selected.path_beg), selected.ssl is not None) == max(ranks)


@pytest.mark.parametrize(
    ("route_id", "path", "target"),
    [
        ("one", b"/a/x", "one:1"),
        ("one", b"/b", None),
        ("hidden", b"/b", "hidden:1"),
        ("unknown", b"/a", None),
        ("shared", b"/a", "one:1"),
        ("shared", b"/z", "any:1"),
        ("", b"/z", "any:1"),
    ],
)
def test_r11_an_id_leads_to_its_route_whatever_the_condition(route_id: str, path: bytes, target: str | None) -> None:
    """An unknown id and another path lead nowhere; one that several routes have counts for nothing."""
    routes = table(
        "* any:1", "*,path_beg=/a,id=one one:1", ",id=hidden hidden:1", "a.com,id=shared s:1", "b.com,id=shared s:2"
    )
    assert name(routes.select(host="h", proto=Proto.HTTP, ssl=False, path=path, route_id=route_id)) == target


@given(st.text() | st.text("[]:a "))
def test_any_host_header_gives_a_host(header: str) -> None:
    assert host_of(header) != ""
