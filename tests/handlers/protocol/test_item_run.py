"""What may leave in one write, and what may not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.item_run import RUN_BYTES, split_runs
from handlers.protocol.items import Action, HttpResponseFormat, HttpStreamFormat, Item, WsMessageFormat
from handlers.protocol.names import Channel

A, B = Channel("a"), Channel("b")
STREAM = Item(channel=A, http_stream=HttpStreamFormat(content=b"x"))
MESSAGE = Item(channel=A, ws_message=WsMessageFormat(content=b"x"))
POLL = Item(channel=A, http_response=HttpResponseFormat(body=b"x"))
OTHER = Item(channel=B, http_stream=HttpStreamFormat(content=b"x"))
CLOSE = Item(channel=A, http_stream=HttpStreamFormat(action=Action.CLOSE))
CLOSE_SOCKET = Item(channel=A, ws_message=WsMessageFormat(action=Action.CLOSE))
FILTERED = Item(channel=A, http_stream=HttpStreamFormat(content=b"x", content_filters=("f",)))
FILTERED_SOCKET = Item(channel=A, ws_message=WsMessageFormat(content=b"x", content_filters=()))
BIG = Item(channel=A, http_stream=HttpStreamFormat(content=b"x" * RUN_BYTES))


@pytest.mark.parametrize(
    ("items", "lengths"),
    [
        ((), []),
        ((STREAM,), [1]),
        ((STREAM, STREAM, STREAM), [3]),
        ((STREAM, MESSAGE, POLL, STREAM), [4]),
        ((STREAM, OTHER, STREAM), [1, 1, 1]),
        ((STREAM, STREAM, OTHER, OTHER), [2, 2]),
        ((STREAM, STREAM, CLOSE, STREAM, STREAM), [2, 1, 2]),
        ((CLOSE, STREAM, STREAM), [1, 2]),
        ((CLOSE, CLOSE), [1, 1]),
        ((MESSAGE, CLOSE_SOCKET, MESSAGE), [1, 1, 1]),
        ((STREAM, FILTERED, STREAM), [1, 1, 1]),
        ((MESSAGE, FILTERED_SOCKET, MESSAGE), [1, 1, 1]),
        ((STREAM, BIG, STREAM, STREAM), [2, 2]),
        ((BIG, BIG), [1, 1]),
    ],
)
def test_what_makes_a_run(items: tuple[Item, ...], lengths: list[int]) -> None:
    assert [len(run) for run in split_runs(items)] == lengths


@given(st.lists(st.sampled_from([STREAM, MESSAGE, POLL, OTHER, CLOSE, FILTERED, BIG])))
def test_nothing_is_lost_or_moved(items: list[Item]) -> None:
    runs = list(split_runs(items))
    assert [item for run in runs for item in run] == items
    assert all(runs)
