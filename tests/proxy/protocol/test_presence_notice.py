"""The bodies of presence notices, as docs/operating.md shows them."""

from __future__ import annotations

import json

from handlers.protocol.carried_name import carry
from handlers.protocol.names import Channel
from proxy.protocol.presence_notice import (
    ChannelSubscribed,
    ChannelUnsubscribed,
    ConnectionEnded,
    Started,
    encode_notices,
)

C, D = Channel("c"), Channel("d\u00e4")


def test_each_kind_is_written_with_its_name() -> None:
    body = encode_notices(
        "me",
        [
            Started(seq=1, at=1.5),
            ChannelSubscribed(seq=2, at=2.0, channel=D),
            ChannelUnsubscribed(seq=3, at=3.25, channel=D),
            ConnectionEnded(seq=4, at=4.0, id="a", kind="ws", channels=(), route="r"),
            ConnectionEnded(seq=5, at=5.0, id="1-b", kind="stream", channels=(C,)),
        ],
    )
    assert json.loads(body) == {
        "from": "me",
        "events": [
            {"event": "started", "seq": 1, "at": 1.5},
            {"event": "channel-subscribed", "seq": 2, "at": 2.0, "channel": "d\u00e4"},
            {"event": "channel-unsubscribed", "seq": 3, "at": 3.25, "channel": "d\u00e4"},
            {"event": "connection-ended", "seq": 4, "at": 4.0, "id": "a", "kind": "ws", "channels": [], "route": "r"},
            {"event": "connection-ended", "seq": 5, "at": 5.0, "id": "1-b", "kind": "stream", "channels": ["c"]},
        ],
    }  # fmt: skip


def test_names_that_are_no_text_have_their_bytes_beside_them() -> None:
    odd = Channel(carry("d\udcff"))
    body = encode_notices(
        "me",
        [
            ChannelSubscribed(seq=1, at=1.0, channel=odd),
            ChannelUnsubscribed(seq=2, at=1.0, channel=Channel(carry("\0d"))),
            ConnectionEnded(seq=3, at=1.0, id="a", kind="ws", channels=(C, odd)),
        ],
    )
    first, second, third = json.loads(body)["events"]
    assert (first["channel"], first["channel-bin"]) == ("d\ufffd", "ZP8=")
    assert (second["channel"], second.get("channel-bin")) == ("\0d", None)
    assert (third["channels"], third["channels-bin"]) == (["c", "d\ufffd"], ["Yw==", "ZP8="])
