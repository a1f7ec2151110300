"""Publishers that speak ZeroMQ work unmodified: pubcontrol's, which finds the way by itself, and Pushpin's own."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pubcontrol
import pytest
import tnetstring
import zmq

from handlers.protocol.tnetstring import Value, encode_tnetstring, parse_tnetstring
from tests.interop.conftest import HERE
from tests.interop.grip_site import Site, site
from tests.interop.program import LOOPBACK, Program, free_ports, installed


class Stream(pubcontrol.Format):
    """Content of a stream, as gripcontrol has it."""

    def __init__(self, content: str | bytes) -> None:
        self.content = content

    def name(self) -> str:
        return "http-stream"

    def export(self) -> dict[str, object]:
        return {"content": self.content}


PULL, SUB, COMMAND = (f"tcp://{LOOPBACK}:{port}" for port in free_ports(3))


@pytest.fixture(scope="session")
def zeromq_site() -> Iterator[Site]:
    """The Flask backend behind a Holdfast with the sockets of a Pushpin."""
    settings = [f"zeromq.pull={PULL}", f"zeromq.sub={SUB}", f"zeromq.command={COMMAND}"]
    command = [sys.executable, str(HERE / "flask_backend.py")]
    with site("zeromq flask", lambda _: command, settings) as started:
        yield started


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    """A context of the test's own, left to the end of the process by pubcontrol's threads."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield context
    context.destroy(linger=0)


def test_pubcontrol_finds_out_where_to_push_and_pushes(
    zeromq_site: Site, channel: str, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    client = pubcontrol.ZmqPubControlClient(COMMAND, context=context)
    with zeromq_site.stream(f"/stream/{channel}") as stream:
        stream.expect("opened\n")
        for content in ("grüße ✓\n", b"\x00\xff\n"):
            client.publish(channel, pubcontrol.Item(Stream(content)), blocking=True)
        stream.expect("grüße ✓\n".encode() + b"\x00\xff\n")
    assert (client.push_uri, client.pub_uri) == (PULL, SUB)
    client.close()


def test_its_ids_are_known_to_be_the_same(
    zeromq_site: Site, channel: str, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    client = pubcontrol.ZmqPubControlClient(None, push_uri=PULL, context=context)
    with zeromq_site.stream(f"/stream/{channel}") as stream:
        stream.expect("opened\n")
        for identity in ("1", "1", "2"):
            client.publish(channel, pubcontrol.Item(Stream(f"{identity}\n"), identity), blocking=True)
        stream.expect("1\n2\n")
    client.close()


def test_it_publishes_on_the_sub_socket_when_it_is_to_know_of_subscribers(
    zeromq_site: Site, channel: str, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    told: list[tuple[str, str]] = []
    client = pubcontrol.ZmqPubControlClient(
        COMMAND, require_subscribers=True, sub_callback=lambda *what: told.append(what), context=context
    )
    with zeromq_site.stream(f"/stream/{channel}") as stream:
        stream.expect("opened\n")
        # An XPUB drops what nobody has subscribed to yet, and nothing says when somebody has.
        while not told:
            client.publish(channel, pubcontrol.Item(Stream("")), blocking=True)
        client.publish(channel, pubcontrol.Item(Stream("here\n")), blocking=True)
        stream.expect("here\n")
    # Pushpin would name the channel: here everything is subscribed to (docs/publishing.md).
    assert told == [("sub", "")]
    client.close()


def test_pushpins_own_command_pushes_too(zeromq_site: Site, channel: str) -> None:
    tool = installed("pushpin-publish", "Debian's pushpin")
    with zeromq_site.stream(f"/stream/{channel}") as stream:
        stream.expect("opened\n")
        with Program("pushpin-publish", [tool, "--spec", PULL, channel, "grüße ✓"]) as command:
            assert command.await_end() == 0
        stream.expect("grüße ✓\n")


def test_the_tagged_netstrings_of_others_are_ours() -> None:
    """Against the library that pubcontrol uses."""
    value: dict[str, Value] = {"a": [b"\x00\xff", -5, 1.5, True, False, None, {}, []], "b": b""}
    named = {key.encode(): each for key, each in value.items()}
    assert parse_tnetstring(tnetstring.dumps(named)) == (value, b"")
    assert tnetstring.loads(encode_tnetstring(value)) == named
