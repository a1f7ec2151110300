from __future__ import annotations

from contextlib import suppress
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.carried_name import carry
from handlers.protocol.hold_id import HoldId
from handlers.protocol.survey import (
    CloseConnection,
    CountChannel,
    FindConnections,
    Kind,
    ListChannels,
    ListConnections,
    Question,
)
from publish_api.errors import RequestRefused
from publish_api.protocol.control_target import is_control, page_of, parse_control


@pytest.mark.parametrize(
    ("path", "yes"),
    [
        ("/channels", True),
        ("/channels/", True),
        ("/channels/a", True),
        ("/channels/a/b/", True),
        ("/connections", True),
        ("/connections/1-a/", True),
        ("/channelsx", False),
        ("/channel/", False),
        ("/Channels/", False),
        ("/openapi.json", False),
        ("/publish/", False),
        ("/", False),
        ("", False),
    ],
)
def test_which_paths_are_control(path: str, yes: bool) -> None:
    assert is_control(path) == yes


@pytest.mark.parametrize(
    ("method", "target", "question"),
    [
        ("GET", "/channels/", ListChannels(limit=101)),
        ("GET", "/channels", ListChannels(limit=101)),
        ("HEAD", "/channels?", ListChannels(limit=101)),
        ("GET", "/channels/?prefix=a%2Fb&limit=1000", ListChannels(prefix="a/b", limit=1001)),
        ("GET", "/channels/?after=&limit=1", ListChannels(after="", limit=2)),
        ("GET", "/channels/?after=a+b%C3%BC", ListChannels(after="a bü", limit=101)),
        ("GET", "/channels/?after=%FFa", ListChannels(after="\0\xffa", limit=101)),
        ("GET", "/channels/?after=%00%C3%BFa", ListChannels(after="\0\xffa", limit=101)),
        ("GET", "/channels/?prefix=%FF", ListChannels(prefix="\0\xff", limit=101)),
        ("GET", "/channels/a%FF/", CountChannel("\0a\xff")),
        ("GET", "/channels/%00a/", CountChannel("\0\0a")),
        ("GET", "/connections/?channel=%FF", ListConnections(channel="\0\xff", limit=101)),
        ("GET", "/channels/news", CountChannel("news")),
        ("GET", "/channels/news/", CountChannel("news")),
        ("GET", "/channels/a%2Fb%3F/", CountChannel("a/b?")),
        ("GET", "/channels/a/b/", CountChannel("a/b")),
        ("GET", "/channels/a+b/", CountChannel("a+b")),
        ("GET", "/channels/%2F", CountChannel("/")),
        ("GET", "/channels//", CountChannel("")),
        ("GET", "/channels/100%/", CountChannel("100%")),
        ("GET", "/connections/", ListConnections(limit=101)),
        (
            "GET",
            "/connections?channel=c&kind=ws&after=2-ff&limit=5",
            ListConnections("c", Kind.WS, HoldId(255, 2), 6),
        ),
        ("GET", "/connections/?channel=", ListConnections("", limit=101)),
        ("GET", "/connections/2-ff/", FindConnections(("2-ff",))),
        ("HEAD", "/connections/2-ff", FindConnections(("2-ff",))),
        ("DELETE", "/connections/2-ff/", CloseConnection("2-ff")),
        ("DELETE", "/connections/a%2Fb", CloseConnection("a/b")),
        ("DELETE", "/connections/x/?code=4000&reason=b%C3%BC", CloseConnection("x", 4000, "bü")),
        ("DELETE", "/connections/x/?code=1001", CloseConnection("x", 1001)),
        ("DELETE", f"/connections/x/?code=1000&reason={'r' * 123}", CloseConnection("x", 1000, "r" * 123)),
    ],
)
def test_what_is_asked_for(method: str, target: str, question: Question) -> None:
    assert parse_control(method, target) == question


CODE = "code must be one that may be sent: 1000, 1001, 3000 to 4999 and the like."


@pytest.mark.parametrize(
    ("method", "target", "status", "text"),
    [
        ("GET", "/channels/?x=1", 400, "Unknown parameter: x."),
        ("GET", "/channels/?kind=ws", 400, "Unknown parameter: kind."),
        ("GET", "/channels/a/?limit=1", 400, "Unknown parameter: limit."),
        ("GET", "/channels/?limit=1&limit=1", 400, "Parameter given twice: limit."),
        ("GET", "/channels/?limit", 400, "Query is not name=value in UTF-8."),
        ("GET", "/channels/?limit=%ff", 400, "Query is not name=value in UTF-8."),
        ("GET", "/channels/?%ff=1", 400, "Unknown parameter: \ufffd."),
        ("GET", "/connections/?kind=%ff", 400, "Query is not name=value in UTF-8."),
        ("DELETE", "/connections/x/?code=1000&reason=%ff", 400, "Query is not name=value in UTF-8."),
        ("GET", "/connections/%ff/", 400, "Path is not UTF-8."),
        ("DELETE", "/connections/%ff/", 400, "Path is not UTF-8."),
        ("GET", "/channels/?limit=0", 400, "limit must be a number from 1 to 1000."),
        ("GET", "/channels/?limit=1001", 400, "limit must be a number from 1 to 1000."),
        ("GET", "/channels/?limit=-1", 400, "limit must be a number from 1 to 1000."),
        ("GET", "/channels/?limit=%D9%A1", 400, "limit must be a number from 1 to 1000."),
        ("GET", "/channels/?limit=9999999999999999999999", 400, "limit must be a number from 1 to 1000."),
        ("GET", "/connections/?kind=websocket", 400, "kind must be stream, response or ws."),
        ("GET", "/connections/?after=x", 400, "after must be what next was."),
        ("DELETE", "/connections/x/?code=x", 400, CODE),
        ("DELETE", "/connections/x/?code=1005", 400, CODE),
        ("DELETE", "/connections/x/?code=999", 400, CODE),
        ("DELETE", "/connections/x/?code=5000", 400, CODE),
        ("DELETE", f"/connections/x/?code=1000&reason={'r' * 124}", 400, "reason must have 123 bytes at most."),
        ("DELETE", "/connections/x/?reason=r", 400, "reason needs a code."),
        ("POST", "/channels/", 405, "Method not allowed: POST."),
        ("DELETE", "/channels/a/", 405, "Method not allowed: DELETE."),
        ("DELETE", "/connections/", 405, "Method not allowed: DELETE."),
        ("PUT", "/connections/x/", 405, "Method not allowed: PUT."),
    ],
)
def test_what_is_wrong_is_said(method: str, target: str, status: int, text: str) -> None:
    with pytest.raises(RequestRefused) as caught:
        parse_control(method, target)
    assert (caught.value.status, caught.value.text) == (status, text)
    if status == 405:
        has_delete = target.startswith("/connections/x")
        assert caught.value.headers == ((b"Allow", b"GET, HEAD, DELETE" if has_delete else b"GET, HEAD"),)


def test_a_list_asks_for_one_more_than_the_page_holds() -> None:
    asked = parse_control("GET", "/channels/?limit=7")
    assert isinstance(asked, ListChannels)
    assert (asked.limit, page_of(asked)) == (8, 7)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_any_name_can_be_asked_for(name: str) -> None:
    assert parse_control("GET", f"/channels/{quote(name, safe='')}/") == CountChannel(carry(name))
    assert parse_control("GET", "/channels/?" + urlencode({"prefix": name})) == ListChannels(
        prefix=carry(name), limit=101
    )


@given(st.sampled_from(["GET", "HEAD", "DELETE", "POST"]), st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_any_target_is_a_question_or_is_refused(method: str, rest: str) -> None:
    for room in ("/channels", "/connections"):
        with suppress(RequestRefused):
            parse_control(method, f"{room}/{rest}")
