from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from handlers.protocol.http1 import Headers, header_values
from proxy.protocol.headers import (
    GRIP_FEATURES,
    RequestOptions,
    XffRules,
    client_address,
    forwarded_scheme,
    request_headers,
    response_headers,
    xff_rules,
)

HOST = b"golden.example"
PLAIN = RequestOptions(host=HOST, grip=False)
SIGNED = RequestOptions(host=HOST, grip_sig=b"JWT", strip_forwarded_proto=True)
FEATURES = (b"Grip-Feature", GRIP_FEATURES)

NAMES = st.sampled_from([b"Host", b"connection", b"Grip-Last", b"X-Forwarded-For", b"CDN-Loop", b"TE", b"X", b"Expect"])
HEADERS = st.lists(st.tuples(NAMES | st.binary(), st.binary()), max_size=8).map(tuple)


def lines(text: str) -> Headers:
    """Read `Name: value` lines."""
    pairs = (line.strip().partition(":") for line in text.strip().splitlines())
    return tuple((name.encode(), value.strip().encode()) for name, _, value in pairs)


# The requests and answers of the recorded cases, without what Pushpin 1.36's own HTTP client adds.


def test_a_plain_request_keeps_its_headers_in_order_and_gains_a_signature() -> None:
    sent = lines("""
        Host: golden.example
        User-Agent: golden/1
        Accept: */*
        Accept-Encoding: gzip
        Cookie: s=1
        X-Dup: 1
        X-Dup: 2
        x-lower: Yes
    """)
    assert request_headers(sent, options=SIGNED) == (
        *lines("""
            Host: golden.example
            User-Agent: golden/1
            Accept: */*
            Cookie: s=1
            X-Dup: 1
            X-Dup: 2
            x-lower: Yes
            Grip-Sig: JWT
        """),
        FEATURES,
    )


HOP_HEADERS = lines("""
    Host: golden.example
    Connection: keep-alive, X-Hop
    X-Hop: 1
    Keep-Alive: timeout=5
    TE: trailers
    Trailer: X-T
    Upgrade: h2c
    Proxy-Connection: keep-alive
    Proxy-Authorization: Basic eDp5
    Via: 1.1 other
    X-Forwarded-For: 10.1.2.3
    X-Forwarded-Proto: https
    X-Forwarded-Host: fwd.example
    Forwarded: for=10.9.9.9
    X-Real-IP: 10.4.4.4
    Grip-Sig: spoof
    Grip-Feature: spoof
    Grip-Last: x; last-id=1
    Grip-Anything: 1
    Connection-Id: spoof
    Meta-User: spoof
    Content-Encoding: gzip
    Content-Length: 5
    Transfer-Encoding: chunked
    Expect: 100-continue
    Authorization: Bearer t
    Range: bytes=0-1
""")
END_TO_END = lines("""
    Host: golden.example
    Proxy-Authorization: Basic eDp5
    Via: 1.1 other
    X-Forwarded-Host: fwd.example
    Forwarded: for=10.9.9.9
    X-Real-IP: 10.4.4.4
    Connection-Id: spoof
    Meta-User: spoof
    Content-Encoding: gzip
    Authorization: Bearer t
    Range: bytes=0-1
""")


def test_hop_by_hop_and_spoofed_headers_do_not_reach_the_backend() -> None:
    assert request_headers(HOP_HEADERS, options=SIGNED) == (
        *END_TO_END,
        (b"Grip-Sig", b"JWT"),
        FEATURES,
        (b"X-Forwarded-For", b"10.1.2.3"),
    )


def test_forwarded_headers_come_last_as_the_settings_say() -> None:
    options = replace(
        SIGNED,
        forwarded_proto=b"https",
        also_forwarded_protocol=True,
        xff=XffRules(truncate=0, append=True),
        peer=b"127.0.0.1",
    )
    assert request_headers(HOP_HEADERS, options=options) == (
        *END_TO_END,
        (b"Grip-Sig", b"JWT"),
        FEATURES,
        (b"X-Forwarded-Proto", b"https"),
        (b"X-Forwarded-Protocol", b"https"),
        (b"X-Forwarded-For", b"127.0.0.1"),
    )


def test_original_headers_are_copied_before_anything_is_removed() -> None:
    sent = lines("Host: golden.example\nX-A: 1\nAccept-Encoding: gzip")
    assert request_headers(sent, options=replace(PLAIN, orig_headers=True)) == lines("""
        Host: golden.example
        X-A: 1
        eb9bf0f5-Host: golden.example
        eb9bf0f5-X-A: 1
        eb9bf0f5-Accept-Encoding: gzip
    """)


MARKED = lines("Host: golden.example\nEB9BF0F5-X-A: 0\nX-A: 1\nX-B: 2\neb9bf0f5-X-C: 3")


@pytest.mark.parametrize(
    ("options", "received"),
    [
        (PLAIN, "Host: golden.example\nX-A: 1\nX-B: 2"),
        (replace(PLAIN, trusted=True), "Host: golden.example\nX-A: 1\nX-B: 2"),
        (
            replace(PLAIN, orig_headers=True, trusted=True),
            "Host: golden.example\nEB9BF0F5-X-A: 0\nX-A: 1\nX-B: 2\neb9bf0f5-X-C: 3",
        ),
        (
            replace(PLAIN, orig_headers=True, orig_headers_need_mark=(b"x-a", b"HOST")),
            "Host: golden.example\nX-A: 1\nX-B: 2\nEB9BF0F5-X-A: 0\neb9bf0f5-X-B: 2\neb9bf0f5-X-C: 3",
        ),
    ],
)
def test_marked_copies_pass_only_where_originals_are_wanted(options: RequestOptions, received: str) -> None:
    assert request_headers(MARKED, options=options) == lines(received)


@pytest.mark.parametrize(
    ("sent", "route_headers", "received"),
    [
        ("X: 1", "X-Route: yes", "X: 1\nX-Route: yes"),
        ("x-route: a\nX: 1\nX-ROUTE: b", "X-Route: yes", "X: 1\nX-Route: yes"),
        ("Cookie: s\nX: 1", "Cookie:", "X: 1"),
        ("X: 1", "A: 1\nA: 2", "X: 1\nA: 1\nA: 2"),
        ("Connection: X-Route\nX-Route: a", "X-Route: yes", "X-Route: yes"),
        ("X: 1", "Content-Length: 5\nTransfer-Encoding: chunked", "X: 1"),
    ],
)
def test_a_routes_headers_replace_the_clients(sent: str, route_headers: str, received: str) -> None:
    options = replace(PLAIN, route_headers=lines(route_headers))
    assert request_headers(lines("Host: golden.example\n" + sent), options=options) == (
        (b"Host", HOST),
        *lines(received),
    )


@pytest.mark.parametrize(
    ("options", "added"),
    [
        (RequestOptions(host=HOST), (FEATURES,)),
        (replace(SIGNED, grip=False), ()),
        (replace(SIGNED, grip=False, grip_last=(("c", "1"),)), ()),
        (
            replace(SIGNED, grip_last=(("c", "5"), ("é", 'a"; b'))),
            (
                (b"Grip-Sig", b"JWT"),
                FEATURES,
                (b"Grip-Last", b"c; last-id=5"),
                (b"Grip-Last", 'é; last-id="a\\"; b"'.encode()),
            ),
        ),
        (
            replace(SIGNED, grip_last=(("c\r\nX: 1", "5"), ("c", "5\n"), ("d", ""))),
            ((b"Grip-Sig", b"JWT"), FEATURES, (b"Grip-Last", b"d; last-id=")),
        ),
    ],
)
def test_a_route_that_speaks_grip_says_so(options: RequestOptions, added: Headers) -> None:
    assert request_headers(((b"Host", HOST), (b"Grip-Last", b"spoof")), options=options) == ((b"Host", HOST), *added)


def test_a_trusted_clients_grip_headers_pass_and_none_are_added() -> None:
    sent = lines("Host: golden.example\nGrip-Sig: theirs\nGrip-Last: c; last-id=1")
    options = replace(SIGNED, trusted=True, grip_last=(("c", "2"),))
    assert request_headers(sent, options=options) == sent


def test_the_features_are_what_the_protocol_lists() -> None:
    assert GRIP_FEATURES.decode() == (
        "status, session, link:next, link:gone, filter:skip-self, filter:skip-users, filter:require-sub, "
        "filter:build-id, filter:var-subst"
    )


@pytest.mark.parametrize(("accepted", "received"), [(True, ()), (False, ((b"Pushpin-Route", b"r"),))])
def test_an_obeyed_pushpin_route_is_removed(accepted: bool, received: Headers) -> None:
    options = replace(PLAIN, accept_pushpin_route=accepted)
    sent = ((b"Host", HOST), (b"Pushpin-Route", b"r"))
    assert request_headers(sent, options=options) == ((b"Host", HOST), *received)


@pytest.mark.parametrize(
    ("sent", "token", "received"),
    [
        ("X: 1", b"", "X: 1"),
        ("CDN-Loop: a\nCDN-Loop: b", b"", "CDN-Loop: a\nCDN-Loop: b"),
        ("X: 1", b"me", "X: 1\nCDN-Loop: me"),
        ('cdn-loop: a, b; v="1,2"\nX: 1\nCDN-Loop: c', b"me", 'X: 1\nCDN-Loop: a, b; v="1,2", c, me'),
    ],
)
def test_a_cdn_loop_is_merged_and_lengthened(sent: str, token: bytes, received: str) -> None:
    options = replace(PLAIN, cdn_loop=token)
    assert request_headers(((b"Host", HOST), *lines(sent)), options=options) == ((b"Host", HOST), *lines(received))


@pytest.mark.parametrize(
    ("strip", "proto", "also", "received"),
    [
        (False, None, False, "X-Forwarded-Proto: a\nX-FORWARDED-PROTOCOL: b"),
        (True, None, True, ""),
        (False, b"https", False, "X-Forwarded-Proto: https"),
        (True, b"wss", True, "X-Forwarded-Proto: wss\nX-Forwarded-Protocol: wss"),
    ],
)
def test_the_forwarded_scheme_is_ours_to_say(strip: bool, proto: bytes | None, also: bool, received: str) -> None:
    options = replace(PLAIN, strip_forwarded_proto=strip, forwarded_proto=proto, also_forwarded_protocol=also)
    sent = lines("Host: golden.example\nX-Forwarded-Proto: a\nX-FORWARDED-PROTOCOL: b")
    assert request_headers(sent, options=options) == ((b"Host", HOST), *lines(received))


@pytest.mark.parametrize(
    ("values", "rules", "peer", "received"),
    [
        ([], XffRules(), b"9.9.9.9", None),
        ([], XffRules(append=True), b"9.9.9.9", b"9.9.9.9"),
        ([], XffRules(append=True), b"", None),
        ([b"1.1.1.1,2.2.2.2", b" 3.3.3.3"], XffRules(), b"9.9.9.9", b"1.1.1.1, 2.2.2.2, 3.3.3.3"),
        ([b"1.1.1.1,2.2.2.2", b" 3.3.3.3"], XffRules(truncate=2), b"9.9.9.9", b"2.2.2.2, 3.3.3.3"),
        ([b"1.1.1.1"], XffRules(truncate=2, append=True), b"9.9.9.9", b"1.1.1.1, 9.9.9.9"),
        ([b"1.1.1.1"], XffRules(truncate=0, append=True), b"9.9.9.9", b"9.9.9.9"),
        ([b"1.1.1.1"], XffRules(truncate=0), b"9.9.9.9", None),
        ([b"\xff, 2.2.2.2"], XffRules(), b"9.9.9.9", b"\xff, 2.2.2.2"),
    ],
)
def test_forwarded_for_follows_the_rules(
    values: list[bytes], rules: XffRules, peer: bytes, received: bytes | None
) -> None:
    sent = ((b"Host", HOST), *((b"x-forwarded-for", value) for value in values))
    expected: Headers = () if received is None else ((b"X-Forwarded-For", received),)
    assert request_headers(sent, options=replace(PLAIN, xff=rules, peer=peer)) == ((b"Host", HOST), *expected)


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        ("A: 1\nhost: golden.example\nB: 2", "A: 1\nhost: other:81\nB: 2"),
        ("A: 1\nB: 2", "Host: other:81\nA: 1\nB: 2"),
        ("A: 1\nHost: a\nB: 2\nhost: b", "A: 1\nHost: other:81\nB: 2"),
        ("Connection: host\nA: 1\nHost: a", "A: 1\nHost: other:81"),
    ],
)
def test_there_is_one_host_where_the_client_had_it(sent: str, received: str) -> None:
    assert request_headers(lines(sent), options=replace(PLAIN, host=b"other:81")) == lines(received)


@given(HEADERS, st.booleans(), st.booleans())
def test_no_client_can_pass_on_what_is_not_its_to_say(headers: Headers, grip: bool, orig: bool) -> None:
    received = request_headers(headers, options=RequestOptions(host=HOST, grip=grip, orig_headers=orig, grip_sig=b"S"))
    grip_lines = tuple(pair for pair in received if pair[0].lower().startswith(b"grip-"))
    assert grip_lines == (((b"Grip-Sig", b"S"), FEATURES) if grip else ())
    assert header_values(received, b"host") == (HOST,)
    assert len(header_values(received, b"x-forwarded-for")) <= 1
    assert not {b"connection", b"te", b"expect", b"content-length"} & {name.lower() for name, _ in received}


ANSWER = lines("""
    Content-Type: text/plain
    Connection: X-Hop
    X-Hop: 1
    Keep-Alive: timeout=5
    Transfer-Encoding: chunked
    Proxy-Connection: close
    Upgrade: h2c
    Trailer: X-T
    Via: 1.1 origin
    Proxy-Authenticate: Basic
    Grip-Foo: 1
    grip-session-id: s
    Content-Encoding: identity
    Set-Cookie: a=1
    Set-Cookie: b=2
    ETag: "e"
    Content-Length: 2
""")
PASSED = lines("""
    Content-Type: text/plain
    Via: 1.1 origin
    Proxy-Authenticate: Basic
    Content-Encoding: identity
    Set-Cookie: a=1
    Set-Cookie: b=2
    ETag: "e"
""")


def test_hop_by_hop_and_grip_headers_do_not_reach_the_client() -> None:
    assert response_headers(ANSWER, grip=True, keep_length=True) == (*PASSED, (b"Content-Length", b"2"))
    assert response_headers(ANSWER, grip=True, keep_length=False) == PASSED


def test_a_route_without_grip_passes_grip_headers_on() -> None:
    answer = lines("Grip-Hold: stream\nGrip-Channel: c\nContent-Length: 2")
    assert response_headers(answer, grip=False, keep_length=True) == answer


@pytest.mark.parametrize(
    ("values", "rules"),
    [
        ([], XffRules()),
        (["append"], XffRules(append=True)),
        (["truncate:0", "append"], XffRules(truncate=0, append=True)),
        (["truncate:3"], XffRules(truncate=3)),
    ],
)
def test_forwarded_for_rules_are_read_from_a_setting(values: list[str], rules: XffRules) -> None:
    assert xff_rules(values) == rules


@pytest.mark.parametrize(
    "value", ["", "trim", "append ", "append:1", "truncate", "truncate:", "truncate: 3", "truncate:x"]
)
def test_a_forwarded_for_rule_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=rf"^expected 'append' or 'truncate:N', got '{value}'$"):
        xff_rules(["append", value])


@pytest.mark.parametrize(
    ("headers", "scheme"),
    [
        ("X: 1", None),
        ("X-Forwarded-Proto: https", b"https"),
        ("x-forwarded-proto: WSS", b"https"),
        ("X-Forwarded-Proto: http", b"http"),
        ("X-Forwarded-Protocol: ws", b"http"),
        ("X-Forwarded-Protocol: https\nX-Forwarded-Proto: http", b"http"),
        ("X-Forwarded-Proto: https, http", None),
        ("X-Forwarded-Proto: nonsense\nX-Forwarded-Protocol: https", None),
    ],
)
def test_a_proxy_in_front_tells_the_scheme(headers: str, scheme: bytes | None) -> None:
    assert forwarded_scheme(lines(headers)) == scheme


@pytest.mark.parametrize(
    ("value", "rules", "address"),
    [
        (None, XffRules(), "9.9.9.9"),
        (b"1.1.1.1, 2.2.2.2", XffRules(), "1.1.1.1"),
        (b"1.1.1.1, 2.2.2.2", XffRules(truncate=1, append=True), "1.1.1.1"),
        (b"1.1.1.1, 2.2.2.2", XffRules(truncate=0, append=True), "9.9.9.9"),
        (b"2001:DB8::1", XffRules(), "2001:db8::1"),
        (b"unknown, 2.2.2.2", XffRules(), "9.9.9.9"),
        (b"1.1.1.1:80", XffRules(), "9.9.9.9"),
        (b"\xff", XffRules(), "9.9.9.9"),
    ],
)
def test_the_logical_address_is_the_first_forwarded_one(value: bytes | None, rules: XffRules, address: str) -> None:
    headers: Headers = () if value is None else ((b"X-Forwarded-For", value),)
    assert client_address(headers, "9.9.9.9", rules) == address
