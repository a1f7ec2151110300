"""That these answers are what the OpenAPI document says is in tests/e2e/test_openapi.py."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from handlers.protocol.hold_id import HoldId
from handlers.protocol.survey import (
    ChannelRow,
    CloseConnection,
    ConnectionRow,
    CountChannel,
    FindConnections,
    Findings,
    Kind,
    ListChannels,
    ListConnections,
    Question,
    RefreshConnection,
)
from publish_api.errors import RequestRefused
from publish_api.protocol.control_answer import encode_findings

NEWS = {"channel": "news", "subscribers": {"stream": 1, "response": 2, "ws": 3}}
STAMP = 1_000_000_123_456
CONNECTION = {
    "id": "1-e8d4a6f240",
    "kind": "stream",
    "protocol": "grip",
    "peer": "::1",
    "route": "r",
    "uri": "http://a/b",
    "channels": ["news"],
    "topics": [],
    "since": "1970-01-12T13:46:40.123000Z",
}


def connection(stamp: int = STAMP, *, is_hub: bool = False) -> ConnectionRow:
    hold_id = HoldId(stamp, 1)
    protocol = "mercure" if is_hub else "grip"
    return ConnectionRow(hold_id, hold_id.text, Kind.STREAM, protocol, "::1", "r", "http://a/b", ("news",))  # type: ignore[arg-type]


ONE_CHANNEL = Findings(channels=(ChannelRow("news", 1, 2, 3),))
NO_TEXT = Findings(channels=(ChannelRow("\0a\xff", 1),))
NO_TEXT_ANSWER = {"channel": "a\ufffd", "channel-bin": "Yf8=", "subscribers": {"stream": 1, "response": 0, "ws": 0}}
ONE = Findings(connections=(connection(),))


@pytest.mark.parametrize(
    ("question", "found", "answer"),
    [
        (ListChannels(), Findings(), {"channels": [], "next": None}),
        (ListChannels(limit=2), ONE_CHANNEL, {"channels": [NEWS], "next": None}),
        (
            ListChannels(limit=2),
            Findings(channels=(ChannelRow("news", 1, 2, 3), ChannelRow("old"))),
            {"channels": [NEWS], "next": "news"},
        ),
        (CountChannel("news"), ONE_CHANNEL, NEWS),
        (CountChannel("\0a\xff"), NO_TEXT, NO_TEXT_ANSWER),
        (
            ListChannels(limit=2),
            Findings(channels=(*NO_TEXT.channels, ChannelRow("old"))),
            {"channels": [NO_TEXT_ANSWER], "next": "\0a\xff"},
        ),
        (
            FindConnections(("x",)),
            Findings(connections=(replace(connection(), channels=("news", "\0a\xff")),)),
            {**CONNECTION, "channels": ["news", "a\ufffd"], "channels-bin": ["bmV3cw==", "Yf8="]},
        ),
        (ListConnections(), Findings(), {"connections": [], "next": None}),
        (ListConnections(limit=2), ONE, {"connections": [CONNECTION], "next": None}),
        (
            ListConnections(limit=2),
            Findings(connections=(connection(), connection(STAMP + 1))),
            {"connections": [CONNECTION], "next": "1-e8d4a6f240"},
        ),
        (FindConnections(("x",)), ONE, CONNECTION),
        (
            FindConnections(("x",)),
            Findings(connections=(connection(is_hub=True),)),
            {**CONNECTION, "protocol": "mercure", "channels": [], "topics": ["news"]},
        ),
        (FindConnections(("x",)), Findings(connections=(connection(),), missing=(2,)), CONNECTION),
        (CloseConnection("x"), ONE, {"message": "Closed"}),
        (RefreshConnection("x"), ONE, {"message": "Refreshed"}),
    ],
)
def test_what_was_found_is_told(question: Question, found: Findings, answer: object) -> None:
    told = encode_findings(question, found)
    assert (told.status, told.content_type, told.body[-1:]) == (200, b"application/json", b"\n")
    assert json.loads(told.body) == answer


@pytest.mark.parametrize(
    ("question", "found", "status", "text"),
    [
        (CountChannel("x"), Findings(), 404, "Nobody is on this channel."),
        (FindConnections(("x",)), Findings(), 404, "No such connection."),
        (CloseConnection("x"), Findings(), 404, "No such connection."),
        (RefreshConnection("x"), Findings(), 404, "No such connection."),
        (ListChannels(), Findings(missing=(2,)), 503, "Not answered yet by worker 2."),
        (
            ListChannels(),
            Findings(channels=(ChannelRow("a"),), missing=(1, 3)),
            503,
            "Not answered yet by worker 1, 3.",
        ),
        (CountChannel("a"), Findings(channels=(ChannelRow("a"),), missing=(1,)), 503, "Not answered yet by worker 1."),
        (ListConnections(), Findings(connections=(connection(),), missing=(1,)), 503, "Not answered yet by worker 1."),
        (FindConnections(("x",)), Findings(missing=(1,)), 503, "Not answered yet by worker 1."),
        (CloseConnection("x"), Findings(missing=(1,)), 503, "Not answered yet by worker 1."),
    ],
)
def test_what_was_not_found_is_told_or_that_it_is_not_known(
    question: Question, found: Findings, status: int, text: str
) -> None:
    with pytest.raises(RequestRefused) as caught:
        encode_findings(question, found)
    assert (caught.value.status, caught.value.text) == (status, text)
    assert caught.value.headers == (((b"Retry-After", b"1"),) if status == 503 else ())
