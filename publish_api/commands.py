"""`holdfast publish`: send one item from a terminal or a script (reference 8.4; flags as pushpin-publish has them).

Called by the console script. It is a publisher like any other: it knows the publish port by its URL only, or the PULL
socket by its endpoint.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping

from handlers.errors import ItemError
from handlers.protocol.item_json import encode_publish, parse_publish
from handlers.protocol.items import Item
from publish_api.command_client import add_port_options, call, find_port, find_spec
from publish_api.command_item import make_item
from publish_api.errors import CommandError

_ZEROMQ = ("tcp://", "ipc://")


def add_publish_command(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],  # pyright: ignore[reportPrivateUsage]
) -> None:
    """Add `publish` and its options to the console script's commands."""
    parser = subparsers.add_parser(
        "publish",
        help="send an item to a channel",
        description="Send an item to everyone on CHANNEL: as stream content, long-poll answer and WebSocket message.",
    )
    parser.add_argument("channel", metavar="CHANNEL", help="channel to send to")
    parser.add_argument("content", metavar="CONTENT", nargs="?", help="what to send; @FILE sends a file, @- stdin")
    add_item_options(parser)
    add_action_options(parser)
    add_port_options(parser, also="a ZeroMQ endpoint, tcp://HOST:PORT or ipc://PATH")


def run_publish(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Publish what `args` say; return the exit status. `GRIP_URL` is read from `environ`."""
    try:
        spec = find_spec(args, environ)
        send = _push if spec.startswith(_ZEROMQ) else _post
        send(spec, args)
    except (CommandError, ItemError) as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    sys.stdout.write("Published\n")
    return 0


def add_item_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what the item is."""
    parser.add_argument("--id", metavar="ID", help="id of the item")
    parser.add_argument("--prev-id", metavar="ID", help="id of the item before it")
    parser.add_argument("--sender", metavar="NAME", help="set the meta value `sender`")
    parser.add_argument("--code", metavar="N", default="200", help="status of the long-poll answer (default: 200)")
    parser.add_argument(
        "-H", "--header", metavar='"K: V"', action="append", default=[], help="add a header to the long-poll answer"
    )
    parser.add_argument("-M", "--meta", metavar="K=V", action="append", default=[], help="add a meta value")
    parser.add_argument("--no-seq", action="store_true", help="deliver without waiting for the item before it")
    parser.add_argument("--no-eol", action="store_true", help="add no line end to the HTTP content")
    parser.add_argument("--binary", action="store_true", help="send the WebSocket message as binary; adds no line end")


def add_action_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that send something else than content."""
    actions = parser.add_mutually_exclusive_group()
    actions.add_argument("--patch", action="store_true", help="CONTENT is a JSON patch for long-poll answers")
    actions.add_argument("--hint", action="store_true", help="send a hint instead of content")
    actions.add_argument("--close", action="store_true", help="close streams and WebSockets")
    actions.add_argument("--refresh", action="store_true", help="refresh WebSocket sessions")
    parser.add_argument("--close-code", metavar="N", help="code of the WebSocket close (with --close)")
    parser.add_argument("--close-reason", metavar="TEXT", help="reason of the WebSocket close (with --close)")


def _post(spec: str, args: argparse.Namespace) -> None:
    port = find_port(spec, args)
    _, body = _make(args)
    asyncio.run(call(port, "POST", "publish/", body=body))


def _push(spec: str, args: argparse.Namespace) -> None:
    if args.user is not None or args.bearer is not None:
        raise CommandError("ZeroMQ knows no credentials: leave -u and -B out")
    from publish_api.command_zeromq import push  # with ZeroMQ, which others need not wait for

    item, _ = _make(args)
    push(spec, item)


def _make(args: argparse.Namespace) -> tuple[Item, bytes]:
    """Return the item, and the request's body. What would be refused is told without asking anybody."""
    item = make_item(args)
    body = encode_publish([item])
    parse_publish(body)
    return item, body
