"""Routes in plain words."""

from __future__ import annotations

import pytest

from proxy.explain import explain_route
from proxy.protocol.routes import parse_line
from proxy.settings import ProxySettings

SIGNING = ProxySettings(sig_key="k" * 32)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("* a:1", "any host, any path -> a:1 (plain HTTP), signed as 'pushpin'"),
        ("*,path_beg=/api/ a:1", "any host, path /api/ -> a:1 (plain HTTP), signed as 'pushpin'"),
        ("h.example test", "host h.example, any path -> test (built-in test backend), signed as 'pushpin'"),
        ("*,proto=http a:1", "any host, HTTP only, any path -> a:1 (plain HTTP), signed as 'pushpin'"),
        ("*,proto=ws,ssl=yes a:1", "any host, WebSocket only, over TLS only, any path -> a:1 (plain HTTP), signed as"),
        ("*,ssl=no a:1", "any host, not over TLS, any path -> a:1"),
        (",id=x a:1", "reached by its id 'x' only -> a:1"),
        (",path_beg=/x a:1", "never reached -> a:1"),
        ("* a:1 b:2,ssl", "any host, any path -> a:1 (plain HTTP), then b:2 (TLS), signed as 'pushpin'"),
        ("* a:1,ssl,insecure", "any host, any path -> a:1 (TLS, certificate not checked), signed"),
        ("* a:1,ssl,client_cert=c.pem", "any host, any path -> a:1 (TLS, client certificate c.pem), signed"),
        ("* a:1,host=b,sub=news", "any host, any path -> a:1 (plain HTTP, as host b, always subscribed to 'news')"),
        ("* a:1,over_http", "any host, any path -> a:1 (plain HTTP, WebSocket-over-HTTP), signed"),
        ("* zhttp/tcp://h:1", "any host, any path -> zhttp/tcp://h:1 (ZeroMQ), signed"),
        (
            "*,session zhttpreq/ipc://x a:1",
            "any host, any path -> zhttpreq/ipc://x (ZeroMQ), then a:1 (plain HTTP), sessions",
        ),
        ("*,path_rem=3 a:1", "any host, any path -> a:1 (plain HTTP), first 3 bytes of the path removed, signed"),
        (
            "*,path_beg=/x,replace_beg=/y a:1",
            "any host, path /x -> a:1 (plain HTTP), path begins with /y instead, signed",
        ),
        ("*,as_host=b:8 a:1", "any host, any path -> a:1 (plain HTTP), sent as host b:8, signed"),
        (
            "*,header=A:b,header=C: a:1",
            "any host, any path -> a:1 (plain HTTP), header A set to 'b', header C removed, signed",
        ),
        ("*,orig_headers a:1", "any host, any path -> a:1 (plain HTTP), client's own headers copied, signed"),
        ("*,prefix=x- a:1", "any host, any path -> a:1 (plain HTTP), channels prefixed 'x-', signed as 'pushpin'"),
        ("* a:1,untrusted,over_http", "any host, any path -> a:1 (plain HTTP, public addresses only, WebSocket-over"),
        ("*,aco a:1", "any host, any path -> a:1 (plain HTTP), open to pages of every origin, by JSON-P too, signed"),
        ("*,debug a:1", "any host, any path -> a:1 (plain HTTP), reasons of failures shown to clients, signed"),
        ("*,sig_iss=me a:1", "any host, any path -> a:1 (plain HTTP), signed as 'me'"),
        ("*,no_grip a:1", "any host, any path -> a:1 (plain HTTP), no GRIP"),
        ("*,mercure_link a:1", "any host, any path -> a:1 (plain HTTP), linked to this process's Mercure hub, signed"),
        (
            "*,mercure_link=https://h/hub a:1",
            "any host, any path -> a:1 (plain HTTP), linked to the Mercure hub https://h/hub",
        ),
    ],
)
def test_a_route_says_who_gets_where_and_what_is_changed(line: str, words: str) -> None:
    route = parse_line(line, source="routes.conf", line=1)
    assert route is not None
    assert explain_route(route, SIGNING).startswith(words)


@pytest.mark.parametrize(
    ("line", "settings", "ending"),
    [
        ("* a:1", ProxySettings(), ", not signed"),
        ("*,sig_key=x a:1", ProxySettings(), ", signed as 'pushpin'"),
        ("*,sig_key=x,sig_iss=me a:1", ProxySettings(sig_iss=""), ", signed as 'me'"),
        ("* a:1", ProxySettings(sig_key="x", sig_iss="all"), ", signed as 'all'"),
    ],
)
def test_signing_takes_key_and_issuer_of_the_route_before_those_of_the_settings(
    line: str, settings: ProxySettings, ending: str
) -> None:
    route = parse_line(line, source="routes.conf", line=1)
    assert route is not None
    assert explain_route(route, settings).endswith(ending)


def test_debug_of_the_settings_counts_for_every_route() -> None:
    route = parse_line("* a:1", source="routes.conf", line=1)
    assert route is not None
    assert "reasons of failures shown" in explain_route(route, ProxySettings(debug=True))
