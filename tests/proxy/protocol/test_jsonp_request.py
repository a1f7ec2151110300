"""Requests by JSON-P: which they are, what is meant by them, and what they can't be made to mean (row H44)."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json, structs

from handlers.protocol.http1 import Headers, is_field_value, is_token
from handlers.protocol.jsonp import Jsonp
from proxy.protocol.jsonp_request import JsonpRequest, JsonpRequestError, read_jsonp
from proxy.protocol.route import JsonpMode, Route, Target, TargetKind

ROUTE = Route(host="*", targets=(Target(kind=TargetKind.HOST, host="b", port=80),), aco=True)
SENT: Headers = ((b"Host", b"h"), (b"Cookie", b"a=b"))
MEANT = JsonpRequest(jsonp=Jsonp(callback="cb"), method=b"GET", path=b"/", headers=SENT, body=b"")


def read(query: str, route: Route = ROUTE, sent: Headers = SENT) -> JsonpRequest | None:
    return read_jsonp(b"/?" + query.encode(), sent, route)


def refused(query: str, route: Route = ROUTE) -> str:
    with pytest.raises(JsonpRequestError) as caught:
        read(query, route)
    return str(caught.value)


@pytest.mark.parametrize("path", [b"/", b"/?", b"/?a=b", b"/?Callback=cb", b"/?_method=POST&_body=x", b"/?a%=callback"])
def test_a_request_without_a_callback_is_just_that(path: bytes) -> None:
    assert read_jsonp(path, SENT, ROUTE) is None


@pytest.mark.parametrize(
    ("path", "left"),
    [
        (b"/a%2Fb?callback=cb", b"/a%2Fb"),
        (b"/?x=%20&callback=cb&y=1+2&&z", b"/?x=%20&y=1+2&&z"),
        (b"/?c%61llback=cb&callback=other", b"/"),
        (b"/?callback=cb&_method=GET&_headers=%7B%7D&_body=&_=17", b"/?_=17"),
        (b"/?a%zz=1&callback=cb", b"/?a%zz=1"),
    ],
)
def test_h44_what_is_not_the_backends_is_taken_from_the_query(path: bytes, left: bytes) -> None:
    assert read_jsonp(path, SENT, ROUTE) == structs.replace(MEANT, path=left)


def test_h44_method_headers_and_body_are_the_querys() -> None:
    meant = read('callback=cb&_method=PUT&_headers={"X-A":+"1",+"Content-Type":+"text/x"}&_body=%7b%22a%22%3a+1%7d%FF')
    assert meant == structs.replace(
        MEANT, method=b"PUT", headers=(*SENT, (b"X-A", b"1"), (b"Content-Type", b"text/x")), body=b'{"a": 1}\xff'
    )


def test_h44_the_routes_own_names_and_defaults() -> None:
    route = replace(ROUTE, jsonp_mode=JsonpMode.BASIC, jsonp_cb="jp", jsonp_body="q", jsonp_defmethod="POST")
    assert read("callback=cb", route) is None
    assert read("q=1", route) is None
    assert read("jp=a.b&q=1&callback=x&_body=y", route) == JsonpRequest(
        jsonp=Jsonp(callback="a.b", is_extended=False),
        method=b"POST",
        path=b"/?callback=x&_body=y",
        headers=(*SENT, (b"Content-Type", b"application/json")),
        body=b"1",
    )


def test_h44_a_body_alone_is_enough_where_the_route_names_a_callback() -> None:
    route = replace(ROUTE, jsonp_defcb="fallback")
    assert read("x=1", route) is None
    assert read("_body=1", route) == structs.replace(MEANT, jsonp=Jsonp(callback="fallback"), body=b"1")


def test_a_json_body_is_json_whatever_was_said_of_it() -> None:
    sent = ((b"content-type", b"text/a"),)
    meant = read('callback=cb&q={}&_headers={"Content_Type":"text/b"}', replace(ROUTE, jsonp_body="q"), sent)
    assert meant is not None
    assert meant.headers == ((b"Content-Type", b"application/json"),)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("callback=", "Invalid callback parameter."),
        ("callback", "Invalid callback parameter."),
        ("callback=%zz", "Invalid callback parameter."),
        ("callback=%FF", "Invalid callback parameter."),
        ("callback=alert(1)//", "Invalid callback parameter."),
        ("callback=cb&_method=", "Invalid _method parameter."),
        ("callback=cb&_method=A%20B", "Invalid _method parameter."),
        ("callback=cb&_method=GET%0D%0AX", "Invalid _method parameter."),
        ("callback=cb&_method=CONNECT", "Invalid _method parameter."),
        ("callback=cb&_headers=", "Invalid _headers parameter."),
        ("callback=cb&_headers=[]", "Invalid _headers parameter."),
        ('callback=cb&_headers={"A":1}', "Invalid _headers parameter."),
        ('callback=cb&_headers={"A%20B":"1"}', "Invalid _headers parameter."),
        ('callback=cb&_headers={"":"1"}', "Invalid _headers parameter."),
        ('callback=cb&_headers={"A":"1\\r\\nB:2"}', "Invalid _headers parameter."),
        ('callback=cb&_headers={"A":"%FF"}', "Invalid _headers parameter."),
        ("callback=cb&_headers=" + "[" * 10_000, "Invalid _headers parameter."),
        ("callback=cb&_body=%", "Invalid _body parameter."),
        ("callback=cb&_body=%0g", "Invalid _body parameter."),
    ],
)
def test_h44_a_bad_parameter_is_named(query: str, text: str) -> None:
    assert refused(query) == text


def test_h44_a_body_under_another_name_is_called_body() -> None:
    assert refused("callback=cb&q=%", replace(ROUTE, jsonp_body="q")) == "Invalid body parameter."


@pytest.mark.parametrize(
    "name",
    [
        *("Host", "Accept", "Cookie", "Connection", "Transfer-Encoding", "Content-Length", "Expect", "Origin"),
        *("Grip-Sig", "X-Forwarded-For", "x_forwarded.proto", "Forwarded", "X-Real-IP", "Sec-Fetch-Site", "Via"),
    ],
)
def test_a_page_cannot_say_what_a_proxy_or_a_browser_vouches_for(name: str) -> None:
    assert read(f'callback=cb&_headers={{"{name}":"x"}}', sent=()) == structs.replace(MEANT, headers=())


@pytest.mark.parametrize("name", ["X-User", "x_user", "X.USER"])
def test_a_page_cannot_replace_a_header_that_came(name: str) -> None:
    sent: Headers = ((b"X-User", b"of the proxy in front"),)
    assert read(f'callback=cb&_headers={{"{name}":"admin"}}', sent=sent) == structs.replace(MEANT, headers=sent)


texts = st.text(st.characters(codec="utf-8"), max_size=8)


@given(texts, st.dictionaries(texts, texts), st.binary(max_size=8))
def test_whatever_is_asked_the_request_stays_one(method: str, asked: dict[str, str], body: bytes) -> None:
    query = f"callback=cb&_method={quote(method)}&_headers={quote(json.encode(asked))}&_body={quote(body)}"
    try:
        meant = read(query)
    except JsonpRequestError:
        assert not is_token(method.encode()) or not all(
            is_token(name.encode()) and is_field_value(value.encode()) for name, value in asked.items()
        )
        return
    assert meant is not None
    assert is_token(meant.method)
    assert all(is_token(name) and is_field_value(value) for name, value in meant.headers)
    assert meant.body == body


@given(st.binary(max_size=40).filter(lambda query: b" " not in query))
def test_any_query_is_read_or_refused(query: bytes) -> None:
    try:
        meant = read_jsonp(b"/?callback=cb&" + query, SENT, ROUTE)
    except JsonpRequestError:
        return
    assert meant is not None
    sent = iter(query.split(b"&"))
    assert all(part in sent for part in meant.path.removeprefix(b"/").removeprefix(b"?").split(b"&") if part)
