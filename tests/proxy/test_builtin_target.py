"""The `test` target: what it answers, and that its holds hold."""

from __future__ import annotations

import pytest

from proxy.builtin_target import answer_test
from proxy.protocol.route import Route, Target, TargetKind
from tests.proxy.in_process import client_of, running
from tests.support.client import encode_request
from tests.support.publisher import publish, response_item, stream_item
from tests.support.turns import until

TARGET = Target(kind=TargetKind.TEST)


def route_of(path_beg: bytes = b"") -> Route:
    return Route(host="*", targets=(TARGET,), path_beg=path_beg)


@pytest.mark.parametrize(
    ("path", "path_beg", "status", "body"),
    [
        (b"/", b"", 200, b"Hello from the Holdfast test handler!\n"),
        (b"/?x", b"", 200, b"Hello from the Holdfast test handler!\n"),
        (b"/try", b"/try", 200, b"Hello from the Holdfast test handler!\n"),
        (b"/try/stream", b"/try", 200, b"[stream opened]\n"),
        (b"/response", b"", 200, b"nothing for now\n"),
        (b"/streams", b"", 404, b"no such test resource\n"),
        (b"*", b"", 404, b"no such test resource\n"),
    ],
)
async def test_a_resource_has_its_answer(path: bytes, path_beg: bytes, status: int, body: bytes) -> None:
    answer = answer_test(path, route_of(path_beg))
    assert (answer.status, await answer.read(), await answer.read()) == (status, body, b"")
    assert answer.length == len(body)


@pytest.mark.parametrize(
    ("query", "channels"),
    [
        (b"", [b"test"]),
        (b"?channel=a", [b"a"]),
        (b"?channel=a&x=y&channel=b", [b"a", b"b"]),
        (b"?channel=", [b"test"]),
        (b"?channel=%C3%A4+b", ["ä b".encode()]),
        (b"?channel=%ff&%=\xff", ["\ufffd".encode()]),
    ],
)
def test_a_hold_is_on_the_channels_of_the_query(query: bytes, channels: list[bytes]) -> None:
    answer = answer_test(b"/stream" + query, route_of())
    assert [value for name, value in answer.headers if name == b"Grip-Channel"] == channels


async def test_its_holds_hold() -> None:
    async with running("* test") as app, await client_of(app) as stream, await client_of(app) as poll:
        await stream.send(encode_request("/stream"))
        await poll.send(encode_request("/response"))
        await until(lambda: len(app.edge.sessions) == 2)
        await stream.head()
        assert await stream.chunk() == b"[stream opened]\n"
        await publish(app, stream_item("test", "news"), response_item("test", "news"))
        assert await stream.chunk() == b"news"
        assert (await poll.response()).body == b"news"
