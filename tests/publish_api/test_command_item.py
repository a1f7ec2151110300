from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

import pytest

from handlers.protocol.items import (
    Action,
    HttpResponseFormat,
    HttpStreamFormat,
    Item,
    MessageKind,
    WsMessageFormat,
)
from handlers.protocol.names import Channel, ItemId
from publish_api.command_item import make_item
from publish_api.commands import add_publish_command
from publish_api.errors import CommandError


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_publish_command(parser.add_subparsers())
    return parser.parse_args(["publish", *words])


def content_of(item: Item) -> tuple[bytes | None, bytes | None, bytes | None]:
    assert item.http_response is not None
    assert item.http_stream is not None
    assert item.ws_message is not None
    return item.http_response.body, item.http_stream.content, item.ws_message.content


@pytest.mark.parametrize(
    ("words", "item"),
    [
        (
            ("c", "x"),
            Item(
                channel=Channel("c"),
                http_response=HttpResponseFormat(body=b"x\n"),
                http_stream=HttpStreamFormat(content=b"x\n"),
                ws_message=WsMessageFormat(content=b"x"),
            ),
        ),
        (
            ("c", "", "--no-eol", "--id=2", "--prev-id=1", "--no-seq", "--sender=s", "-M", "a= b", "--meta", "n=v=w"),
            Item(
                channel=Channel("c"),
                id=ItemId("2"),
                prev_id=ItemId("1"),
                no_seq=True,
                meta=(("sender", "s"), ("a", "b"), ("n", "v=w")),
                http_response=HttpResponseFormat(body=b""),
                http_stream=HttpStreamFormat(content=b""),
                ws_message=WsMessageFormat(content=b""),
            ),
        ),
        (
            ("c", "x", "--binary", "--code=404", "-H", "A: b", "--header", "C:d:e"),
            Item(
                channel=Channel("c"),
                http_response=HttpResponseFormat(code=404, headers=((b"A", b"b"), (b"C", b"d:e")), body=b"x"),
                http_stream=HttpStreamFormat(content=b"x"),
                ws_message=WsMessageFormat(kind=MessageKind.BINARY, content=b"x"),
            ),
        ),
        (
            ("c", "[1]", "--patch", "--code=201"),
            Item(channel=Channel("c"), http_response=HttpResponseFormat(code=201, body_patch=b"[1]")),
        ),
        (
            ("c", "--hint"),
            Item(
                channel=Channel("c"),
                http_response=HttpResponseFormat(action=Action.HINT),
                http_stream=HttpStreamFormat(action=Action.HINT),
                ws_message=WsMessageFormat(action=Action.HINT),
            ),
        ),
        (
            ("c", "--close"),
            Item(
                channel=Channel("c"),
                http_stream=HttpStreamFormat(action=Action.CLOSE),
                ws_message=WsMessageFormat(action=Action.CLOSE),
            ),
        ),
        (
            ("c", "--close", "--close-code=4002", "--close-reason=bye"),
            Item(
                channel=Channel("c"),
                http_stream=HttpStreamFormat(action=Action.CLOSE),
                ws_message=WsMessageFormat(action=Action.CLOSE, code=4002, reason="bye"),
            ),
        ),
        (("c", "--refresh"), Item(channel=Channel("c"), ws_message=WsMessageFormat(action=Action.REFRESH))),
    ],
    ids=range(8),
)
def test_arguments_make_an_item(words: tuple[str, ...], item: Item) -> None:
    assert make_item(arguments(*words)) == item


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("c",), "must specify content"),
        (("c", "x", "--code=1000"), "code must be an integer between 0 and 999"),
        (("c", "x", "--code=-1"), "code must be an integer between 0 and 999"),
        (("c", "x", "--code=٣"), "code must be an integer between 0 and 999"),
        (("c", "x", "-H", "a"), 'header must be in the form "name: value"'),
        (("c", "x", "-M", "a"), 'meta must be in the form "name=value"'),
        (("c", "{", "--patch"), "patch content is not valid JSON"),
        (("c", "{}", "--patch"), "patch content must be a JSON array"),
        (("c", "@/no/such/file"), "can't read file /no/such/file: No such file or directory"),
        (("c", "--close", "--close-code=65536"), "close code must be an integer between 0 and 65535"),
        (("c", "x", "--close-code=1000"), "--close-code and --close-reason need --close"),
        (("\udcff", "x"), "not UTF-8: b'\\xff'"),
        (("c", "x", "--sender=\udcff"), "not UTF-8: b'\\xff'"),
    ],
    ids=range(13),
)
def test_arguments_that_make_none_are_told_why(words: tuple[str, ...], error: str) -> None:
    with pytest.raises(CommandError) as caught:
        make_item(arguments(*words))

    assert str(caught.value) == error


def test_a_file_is_sent_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "content"
    path.write_bytes(b"\xff\n")

    item = make_item(arguments("c", f"@{path}"))

    assert content_of(item) == (b"\xff\n", b"\xff\n", b"\xff\n")
    assert item.ws_message is not None
    assert item.ws_message.kind is MessageKind.BINARY


def test_standard_input_is_sent_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"typed")))

    assert content_of(make_item(arguments("c", "@-"))) == (b"typed", b"typed", b"typed")


def test_content_that_is_not_utf_8_is_binary_too() -> None:
    assert content_of(make_item(arguments("c", "\udcff"))) == (b"\xff\n", b"\xff\n", b"\xff")
