"""Pushpin's own command line publisher works against Holdfast's publish port.

It speaks HTTP/1.0 and reads its answer to the end of the connection, sends all three formats in each item, and adds
a newline to what it publishes.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from websockets.asyncio.client import connect

from tests.interop.grip_site import Site
from tests.interop.program import Program, installed

Publish = Callable[..., None]


@pytest.fixture
def pushpin_publish(flask_site: Site) -> Publish:
    """Return a call that runs the command, with its arguments, to its end."""
    tool = installed("pushpin-publish", "Debian's pushpin")

    def run(*arguments: str) -> None:
        with Program("pushpin-publish", [tool, "--spec", flask_site.publish_url, *arguments]) as command:
            assert command.line() == "Published"
            assert command.await_end() == 0

    return run


def test_its_content_goes_to_a_stream(flask_site: Site, channel: str, pushpin_publish: Publish) -> None:
    with flask_site.stream(f"/stream/{channel}") as stream:
        stream.expect("opened\n")
        pushpin_publish(channel, "grüße ✓")
        pushpin_publish("--no-eol", channel, "no newline.")
        stream.expect("grüße ✓\nno newline.")


def test_its_code_and_headers_answer_a_long_poll(flask_site: Site, channel: str, pushpin_publish: Publish) -> None:
    answer = flask_site.poll(
        f"/poll/{channel}", lambda: pushpin_publish("-H", "X-Said: by hand", "--code", "404", channel, "gone")
    )
    assert (answer.status_code, answer.text) == (404, "gone\n")
    assert answer.headers["X-Said"] == "by hand"


def test_an_id_published_twice_arrives_once(flask_site: Site, channel: str, pushpin_publish: Publish) -> None:
    with flask_site.stream(f"/stream/{channel}") as stream:
        stream.expect("opened\n")
        for _ in range(2):
            pushpin_publish("--id", "only-once", channel, "once")
        pushpin_publish(channel, "next")
        stream.expect("once\nnext\n")


def test_its_close_ends_a_stream(flask_site: Site, channel: str, pushpin_publish: Publish) -> None:
    with flask_site.stream(f"/stream/{channel}") as stream:
        stream.expect("opened\n")
        pushpin_publish("--close", channel)
        stream.expect_end()


async def test_its_content_goes_to_a_websocket_too(flask_site: Site, channel: str, pushpin_publish: Publish) -> None:
    async with connect(flask_site.socket_url(f"/socket/{channel}"), proxy=None) as socket:
        assert await socket.recv() == "opened"
        pushpin_publish(channel, "grüße ✓")
        pushpin_publish("--id", "only-once", channel, "once")
        pushpin_publish("--id", "only-once", channel, "once")
        pushpin_publish("--close", channel)
        assert [message async for message in socket] == ["grüße ✓", "once"]
        assert socket.close_code == 1000
