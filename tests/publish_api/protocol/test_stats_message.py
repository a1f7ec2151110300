from __future__ import annotations

from publish_api.protocol.stats_message import encode_stats


def test_a_message_is_its_kind_and_a_tagged_netstring() -> None:
    fields: dict[str, str | int | bool] = {"from": "me", "mode": "ws", "unavailable": True, "channel": "ü"}
    assert (
        encode_stats("sub", fields, "tnetstring")
        == b"sub T61:4:from,2:me,4:mode,2:ws,11:unavailable,4:true!7:channel,2:\xc3\xbc,}"
    )


def test_or_json_with_its_keys_sorted() -> None:
    fields: dict[str, str | int | bool] = {"from": "me", "count": 1, "ssl": True, "channel": "ü"}
    assert (
        encode_stats("message", fields, "json") == 'message J{"channel":"ü","count":1,"from":"me","ssl":true}'.encode()
    )
