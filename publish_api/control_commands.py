"""`holdfast channels`, `connections` and `disconnect`: who is there, and ending connections, from a terminal.

Called by the console script. They ask the publish port, of which they know the URL only (`command_client`).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from publish_api.command_client import Port, add_port_options, call, find_port, find_spec
from publish_api.errors import CommandError

NAMES = ("channels", "connections", "disconnect")

PAGE = 1000


class Subscribers(msgspec.Struct):
    """How many of each kind are on a channel."""

    stream: int
    response: int
    ws: int


class ChannelLine(msgspec.Struct):
    """One channel."""

    channel: str
    subscribers: Subscribers

    def __str__(self) -> str:
        """Return the columns."""
        there = self.subscribers
        return columns(there.stream, there.response, there.ws, self.channel)


class ConnectionLine(msgspec.Struct):
    """One connection."""

    id: str
    kind: str
    peer: str
    since: str
    uri: str
    channels: list[str]
    topics: list[str]

    def __str__(self) -> str:
        """Return the columns."""
        return columns(self.id, self.kind, self.peer, self.since, self.uri, " ".join(self.channels or self.topics))


class Page(msgspec.Struct):
    """A page of either list."""

    next: str | None
    channels: list[msgspec.Raw] = []
    connections: list[msgspec.Raw] = []


def add_control_commands(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],  # pyright: ignore[reportPrivateUsage]
) -> None:
    """Add the commands and their options to the console script's."""
    channels = subparsers.add_parser(
        "channels",
        help="list the channels that somebody is on",
        description="List channels, a line each: how many streams, long polls and WebSockets are on it, and its name.",
    )
    channels.add_argument("--prefix", metavar="TEXT", help="only those that begin with TEXT")
    connections = subparsers.add_parser(
        "connections",
        help="list the connections that are held",
        description="List connections, a line each: id, kind, peer, since when, URI, and channels or topics.",
    )
    connections.add_argument("--channel", metavar="CHANNEL", help="only those on CHANNEL")
    connections.add_argument("--kind", metavar="KIND", help="only stream, response or ws")
    disconnect = subparsers.add_parser(
        "disconnect",
        help="end a connection that is held",
        description="End the connection with this id in good order: streams end, long polls are answered as at their "
        "timeout, WebSockets are closed with 1001.",
    )
    disconnect.add_argument("id", metavar="ID", help="the id, as `holdfast connections` shows it")
    disconnect.add_argument("--code", metavar="N", help="close a WebSocket with this code")
    disconnect.add_argument("--reason", metavar="TEXT", help="and this reason")
    for parser in (channels, connections):
        parser.add_argument("--json", action="store_true", help="print each as a line of JSON, with all that is known")
    for parser in (channels, connections, disconnect):
        add_port_options(parser)


def run_control(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Do what `args` say; return the exit status. `GRIP_URL` is read from `environ`."""
    runs: dict[str, Callable[[Port, argparse.Namespace], Coroutine[Any, Any, None]]] = {
        "channels": list_channels,
        "connections": list_connections,
        "disconnect": disconnect,
    }
    try:
        asyncio.run(runs[args.command](find_port(find_spec(args, environ), args), args))
    except CommandError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    return 0


async def list_channels(port: Port, args: argparse.Namespace) -> None:
    """Print all channels."""
    show = as_json if args.json else partial(as_line, ChannelLine)
    async for page in pages(port, "channels/", {"prefix": args.prefix}):
        sys.stdout.writelines(map(show, page.channels))


async def list_connections(port: Port, args: argparse.Namespace) -> None:
    """Print all connections."""
    show = as_json if args.json else partial(as_line, ConnectionLine)
    async for page in pages(port, "connections/", {"channel": args.channel, "kind": args.kind}):
        sys.stdout.writelines(map(show, page.connections))


async def disconnect(port: Port, args: argparse.Namespace) -> None:
    """End a connection."""
    wanted = encode_query({"code": args.code, "reason": args.reason})
    await call(port, "DELETE", f"connections/{quote(args.id, safe='', errors='surrogateescape')}/{wanted}")
    sys.stdout.write("Closed\n")


async def pages(port: Port, path: str, wanted: Mapping[str, str | None]) -> AsyncIterator[Page]:
    """Yield a list page by page. Raises CommandError."""
    after: str | None = None
    while True:
        query = encode_query({**wanted, "after": after, "limit": str(PAGE)})
        try:
            page = msgspec.json.decode(await call(port, "GET", path + query), type=Page)
        except msgspec.DecodeError as error:
            raise CommandError(f"the answer is not what a publish port says: {error}") from error
        yield page
        after = page.next
        if after is None:
            return


def encode_query(wanted: Mapping[str, str | None]) -> str:
    """Return the query of what is not None."""
    given = {name: value for name, value in wanted.items() if value is not None}
    return f"?{urlencode(given, errors='surrogateescape')}" if given else ""


def as_json(row: msgspec.Raw) -> str:
    """Return a line of JSON."""
    return bytes(row).decode() + "\n"


def as_line(kind: type[ChannelLine | ConnectionLine], row: msgspec.Raw) -> str:
    """Return a line of columns. Raises CommandError."""
    try:
        return f"{msgspec.json.decode(row, type=kind)}\n"
    except msgspec.DecodeError as error:
        raise CommandError(f"the answer is not what a publish port says: {error}") from error


def columns(*values: object) -> str:
    """Return values with tabs between them; what a terminal would obey in them is written as an escape."""
    return "\t".join(
        "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(value))
        for value in values
    )
