"""The item that `holdfast publish` sends, made from its arguments (reference 8.4).

Called by `publish_api.commands`. Values are checked where any publisher's are, when the item is parsed.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import msgspec

from handlers.protocol.format_json import as_text
from handlers.protocol.items import (
    Action,
    HttpResponseFormat,
    HttpStreamFormat,
    Item,
    MessageKind,
    WsMessageFormat,
)
from handlers.protocol.names import Channel, ItemId
from publish_api.errors import CommandError


def make_item(args: argparse.Namespace) -> Item:
    """Return the item that `args` describe; raises CommandError."""
    if not args.close and (args.close_code is not None or args.close_reason is not None):
        raise CommandError("--close-code and --close-reason need --close")
    response, stream, message = make_formats(args)
    return Item(
        channel=Channel(as_argument(args.channel)),
        id=ItemId(as_argument(args.id)) if args.id else None,
        prev_id=ItemId(as_argument(args.prev_id)) if args.prev_id else None,
        no_seq=args.no_seq,
        meta=make_meta(args),
        http_response=response,
        http_stream=stream,
        ws_message=message,
    )


Formats = tuple[HttpResponseFormat | None, HttpStreamFormat | None, WsMessageFormat | None]


def make_formats(args: argparse.Namespace) -> Formats:
    """Return the formats of the action asked for, in the order in which `Item` has them."""
    if args.hint:
        action = Action.HINT
        return HttpResponseFormat(action=action), HttpStreamFormat(action=action), WsMessageFormat(action=action)
    if args.close:
        code = None if args.close_code is None else as_integer("close code", args.close_code, 65535)
        close = WsMessageFormat(action=Action.CLOSE, code=code, reason=as_argument(args.close_reason or ""))
        return None, HttpStreamFormat(action=Action.CLOSE), close
    if args.refresh:
        return None, None, WsMessageFormat(action=Action.REFRESH)
    content, is_file = read_content(args.content)
    code = as_integer("code", args.code, 999)
    headers = tuple(as_header(text) for text in args.header)
    if args.patch:
        return HttpResponseFormat(code=code, headers=headers, body_patch=as_patch(content)), None, None
    body = content if args.no_eol or args.binary or is_file else content + b"\n"
    kind = MessageKind.BINARY if args.binary or as_text(content) is None else MessageKind.TEXT
    return (
        HttpResponseFormat(code=code, headers=headers, body=body),
        HttpStreamFormat(content=body),
        WsMessageFormat(kind=kind, content=content),
    )


def make_meta(args: argparse.Namespace) -> tuple[tuple[str, str], ...]:
    """Return the meta values; of two with one name the later counts, and a `sender` among them more than `--sender`."""
    meta: dict[str, str] = {"sender": as_argument(args.sender)} if args.sender else {}
    for text in args.meta:
        name, equals, value = as_argument(text).partition("=")
        if not equals:
            raise CommandError('meta must be in the form "name=value"')
        meta[name] = value.strip()
    return tuple(meta.items())


def read_content(argument: str | None) -> tuple[bytes, bool]:
    """Return the content, and whether it comes from a file or standard input and is to be sent as it is."""
    if argument is None:
        raise CommandError("must specify content")
    if argument == "@-":
        return sys.stdin.buffer.read(), True
    if not argument.startswith("@"):
        return os.fsencode(argument), False
    path = Path(argument[1:])
    try:
        return path.read_bytes(), True
    except OSError as error:
        raise CommandError(f"can't read file {path}: {error.strerror}") from error


def as_header(text: str) -> tuple[bytes, bytes]:
    """Return the header line written as `name: value`."""
    name, colon, value = as_argument(text).partition(":")
    if not colon:
        raise CommandError('header must be in the form "name: value"')
    return name.encode(), value.strip().encode()


def as_patch(content: bytes) -> bytes:
    """Return `content` if it is a JSON array."""
    try:
        patch: object = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CommandError("patch content is not valid JSON") from error
    if not isinstance(patch, list):
        raise CommandError("patch content must be a JSON array")
    return content


def as_integer(name: str, text: str, highest: int) -> int:
    """Return a number from 0 to `highest`."""
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) > highest:
        raise CommandError(f"{name} must be an integer between 0 and {highest}")
    return int(text)


def as_argument(text: str) -> str:
    """Return an argument that must be text: names and headers cannot carry what is not UTF-8."""
    if as_text(os.fsencode(text)) is None:
        raise CommandError(f"not UTF-8: {os.fsencode(text)!r}")
    return text
