"""The command socket, row by row of reference 7.3. Silence and replies were recorded of Pushpin 1.36 (row P08)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import pytest
import zmq

from handlers.counters import Counters
from handlers.errors import Busy, StorageError
from handlers.protocol.items import Action, HttpStreamFormat, Item, WsMessageFormat
from handlers.protocol.names import Channel
from handlers.protocol.survey import FindConnections, Findings, RefreshConnection
from handlers.protocol.tnetstring import Encodable, encode_tnetstring, parse_tnetstring
from handlers.protocol.zmq_spec import parse_spec
from handlers.zeromq.binding import bind, open_socket
from publish_api.zeromq.commands import Commands
from publish_api.zeromq.reader import SocketReader
from tests.support.surveying import ScriptedSurveyor, connection
from tests.support.turns import settle, until
from tests.support.zeromq import ZeroMQPeer, zeromq_peer

GOOD: dict[str, Encodable] = {"channel": "c", "http-stream": {"content": b"\xff"}}
ITEM = Item(channel=Channel("c"), http_stream=HttpStreamFormat(content=b"\xff"))
URIS = {"publish-pull": "tcp://127.0.0.1:5560", "publish-sub": "tcp://127.0.0.1:5562", "command": "tcp://*:5563"}


CHECK: tuple[str, dict[str, Encodable]] = ("conncheck", {"ids": ["a"]})
REFRESH: tuple[str, dict[str, Encodable]] = ("refresh", {"cid": "a"})


class Sink:
    """Keeps what is published. Raises `failure`, or has `waiting` waited for, when they are set."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.failure: Exception | None = None
        self.waiting: asyncio.Future[None] | None = None

    def publish(self, items: Sequence[Item]) -> asyncio.Future[None] | None:
        if self.failure is not None:
            raise self.failure
        self.items.extend(items)
        return self.waiting


class Commanding:
    """A command socket, and whoever gives it commands."""

    def __init__(
        self, socket: zmq.Socket[bytes], endpoint: str, peer: ZeroMQPeer, *, recovers: bool, surveys: bool
    ) -> None:
        self.surveyor = ScriptedSurveyor()
        self.sink = Sink()
        self.endpoint = endpoint
        self.peer = peer
        self.counters = Counters()
        self.recovered = 0
        self.commands = Commands(
            self.sink,
            uris=URIS,
            max_message=1000,
            counters=self.counters,
            recover=self.recover if recovers else None,
            surveyor=self.surveyor if surveys else None,
        )
        self.commands.begin(SocketReader(socket, self.commands.take))

    def recover(self) -> None:
        self.recovered += 1

    async def ask(self, method: str, args: dict[str, Encodable] | None = None) -> object:
        return await self.peer.ask(self.endpoint, method, args)


@asynccontextmanager
async def commanding(*, recovers: bool = True, surveys: bool = True) -> AsyncGenerator[Commanding]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = open_socket(context, zmq.ROUTER)
    async with zeromq_peer() as peer:
        endpoint = bind(socket, parse_spec("tcp://127.0.0.1:0"))
        each = Commanding(socket, endpoint, peer, recovers=recovers, surveys=surveys)
        try:
            yield each
        finally:
            each.commands.close()
            context.term()


def done(value: object = None) -> dict[str, object]:
    return {"id": b"1", "success": True, "value": value}


def refused(condition: bytes, value: bytes | None = None) -> dict[str, object]:
    reply = {"id": b"1", "success": False, "condition": condition}
    return reply if value is None else reply | {"value": value}


@pytest.mark.parametrize(
    ("method", "args", "reply"),
    [
        ("get-zmq-uris", None, done({name: uri.encode() for name, uri in URIS.items()})),
        ("get-zmq-uris", {"x": 1}, done({name: uri.encode() for name, uri in URIS.items()})),
        ("", None, refused(b"method-not-found")),
        ("nope", None, refused(b"method-not-found")),
        ("conncheck", None, refused(b"bad-request")),
        ("conncheck", {"ids": "a"}, refused(b"bad-request")),
        ("conncheck", {"ids": [1]}, refused(b"bad-request")),
        ("conncheck", {"ids": []}, done([])),
        ("conncheck", {"ids": ["a"]}, done([])),
        ("refresh", None, refused(b"bad-request")),
        ("refresh", {"cid": 1}, refused(b"bad-request")),
        ("refresh", {"cid": None, "channel": "c"}, refused(b"bad-request")),
        ("refresh", {"channel": 4}, refused(b"bad-request")),
        ("refresh", {"cid": "x"}, refused(b"item-not-found")),
        ("refresh", {"cid": "x", "channel": "c"}, refused(b"item-not-found")),
        ("publish", None, refused(b"bad-request", b"Invalid format: object does not contain 'items'")),
        ("publish", {}, refused(b"bad-request", b"Invalid format: object does not contain 'items'")),
        (
            "publish",
            {"items": "x"},
            refused(b"bad-request", b"Invalid format: object contains 'items' with wrong type"),
        ),
        ("publish", {"items": {}}, refused(b"bad-request", b"Invalid format: object contains 'items' with wrong type")),
        (
            "publish",
            {"items": [{}]},
            refused(b"bad-request", b"Invalid format: publish item object does not contain 'channel'"),
        ),
        (
            "publish",
            {"items": ["x"]},
            refused(b"bad-request", b"Invalid format: publish item object is not an object"),
        ),
        (
            "publish",
            {"items": [GOOD, {"channel": "c"}]},
            refused(b"bad-request", b"Invalid format: no formats specified"),
        ),
        ("publish", {"items": []}, done()),
    ],
)
async def test_a_command_that_publishes_nothing_has_its_reply(
    method: str, args: dict[str, Encodable] | None, reply: object
) -> None:
    async with commanding() as each:
        assert await each.ask(method, args) == reply
        assert each.sink.items == []
        assert each.counters.zeromq_commands == 1


async def test_items_are_published_when_the_reply_comes() -> None:
    async with commanding() as each:
        assert await each.ask("publish", {"items": [GOOD, GOOD]}) == done()
        assert each.sink.items == [ITEM, ITEM]


async def test_a_refresh_of_a_channel_is_published_to_it() -> None:
    async with commanding() as each:
        assert await each.ask("refresh", {"channel": "c"}) == done()
        assert each.sink.items == [Item(channel=Channel("c"), ws_message=WsMessageFormat(action=Action.REFRESH))]


async def test_recover_does_what_it_was_given_to_do() -> None:
    async with commanding() as each:
        assert await each.ask("recover") == done()
        assert await each.ask("recover", {}) == done()
        assert each.recovered == 2
    async with commanding(recovers=False) as each:
        assert await each.ask("recover") == refused(b"not-supported", b"Not supported: recover.")


async def test_connections_are_asked_for_by_their_ids() -> None:
    async with commanding() as each:
        each.surveyor.found = Findings(connections=(connection("ws-id", 5), connection("1-7", 7)))
        # By either of the ids that a WebSocket over HTTP has; in the order asked for.
        ids: list[Encodable] = ["1-7", b"\xff", "gone", "1-5", "ws-id", ""]
        assert await each.ask("conncheck", {"ids": ids}) == done([b"1-7", b"1-5", b"ws-id"])
        assert each.surveyor.asked == [
            FindConnections(("1-7", "\N{REPLACEMENT CHARACTER}", "gone", "1-5", "ws-id", ""))
        ]


async def test_one_connection_is_refreshed() -> None:
    async with commanding() as each:
        each.surveyor.found = Findings(connections=(connection("ws-id", 5),))
        assert await each.ask("refresh", {"cid": "ws-id"}) == done()
        assert each.surveyor.asked == [RefreshConnection("ws-id")]
        each.surveyor.found = Findings(connections=(connection("ws-id", 5),), missing=(2,))
        assert await each.ask("refresh", {"cid": "ws-id"}) == done()


async def test_that_not_everybody_has_answered_is_told() -> None:
    async with commanding() as each:
        each.surveyor.found = Findings(missing=(2,))
        assert await each.ask("refresh", {"cid": "x"}) == refused(b"proxy-request-failed")
        each.surveyor.found = Findings(connections=(connection("a", 5),), missing=(2,))
        assert await each.ask("conncheck", {"ids": ["a"]}) == refused(b"proxy-request-failed")


async def test_where_nobody_can_be_asked_that_is_told() -> None:
    async with commanding(surveys=False) as each:
        not_supported = refused(b"not-supported", b"Not supported: asking for connections.")
        assert await each.ask("conncheck", {"ids": ["a"]}) == not_supported
        assert await each.ask("refresh", {"cid": "a"}) == not_supported
        assert await each.ask("conncheck", {"ids": []}) == done([])


async def test_publications_do_not_wait_for_an_answer_to_who_is_there() -> None:
    async with commanding() as each:
        each.surveyor.waits = True
        asking = asyncio.create_task(each.ask("conncheck", {"ids": ["a"]}))
        await until(lambda: each.surveyor.waiting)
        assert await each.ask("publish", {"items": [GOOD]}) == done()
        assert each.sink.items == [ITEM]
        assert not asking.done()
        each.surveyor.waiting[0].set_result(Findings())
        assert await asking == done([])


async def test_an_answer_to_who_is_there_lets_nobody_in_before_what_is_being_stored() -> None:
    async with commanding() as each:
        each.surveyor.waits = True
        each.sink.waiting = asyncio.get_running_loop().create_future()
        asking = asyncio.create_task(each.ask("conncheck", {"ids": ["a"]}))
        await until(lambda: each.surveyor.waiting)
        storing = asyncio.create_task(each.ask("publish", {"items": [GOOD]}))
        await until(lambda: each.sink.items)
        later = asyncio.create_task(each.ask("recover"))
        each.surveyor.waiting[0].set_result(Findings())
        assert await asking == done([])
        assert (each.recovered, storing.done()) == (0, False)
        each.sink.waiting.set_result(None)
        assert await storing == await later == done()


async def test_questions_are_refused_while_too_many_are_unanswered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("publish_api.zeromq.commands.OPEN_BYTES", 2 * 4_000 + 100)
    async with commanding() as each:
        each.surveyor.waits = True
        asking = [asyncio.create_task(each.ask(*command)) for command in [CHECK, REFRESH]]
        await until(lambda: len(each.surveyor.waiting) == 2)
        busy = refused(b"busy", b"Too many questions for connections are unanswered.")
        assert await each.ask(*CHECK) == busy
        assert await each.ask(*REFRESH) == busy
        assert await each.ask("conncheck", {"ids": []}) == done([])
        assert await each.ask("publish", {"items": [GOOD]}) == done()
        assert each.counters.questions_refused == 2
        for waiting in each.surveyor.waiting:
            waiting.set_result(Findings())
        await asyncio.gather(*asking)
        each.surveyor.waits = False
        assert await each.ask(*CHECK) == done([])


async def test_a_question_with_many_ids_is_let_in_alone_and_leaves_no_room_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("publish_api.zeromq.commands.OPEN_BYTES", 8_500)
    async with commanding() as each:
        each.surveyor.waits = True
        large = asyncio.create_task(each.ask("conncheck", {"ids": ["x" * 300, "y" * 300]}))
        await until(lambda: each.surveyor.waiting)
        assert await each.ask(*CHECK) == refused(b"busy", b"Too many questions for connections are unanswered.")
        each.surveyor.waiting[0].set_result(Findings())
        assert await large == done([])


async def test_the_reply_to_what_must_be_stored_comes_when_it_is() -> None:
    async with commanding() as each:
        each.sink.waiting = asyncio.get_running_loop().create_future()
        asking = asyncio.create_task(each.ask("publish", {"items": [GOOD]}))
        await until(lambda: each.sink.items)
        later = asyncio.create_task(each.ask("get-zmq-uris"))
        await settle()
        assert not asking.done()
        assert not later.done()
        each.sink.waiting.set_result(None)
        assert await asking == done()
        assert await later == done({name: uri.encode() for name, uri in URIS.items()})


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize(
    ("failure", "reply", "is_logged"),
    [
        (Busy(1), refused(b"busy", b"a worker is too far behind; to be tried again in 1 seconds"), False),
        (StorageError("disk full\n"), refused(b"failed", b"Internal server error."), True),
    ],
)
async def test_what_cannot_be_published_is_told(
    failure: Exception, reply: object, is_logged: bool, is_late: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with commanding() as each:
        if is_late:
            each.sink.waiting = asyncio.get_running_loop().create_future()
            each.sink.waiting.set_exception(failure)
        else:
            each.sink.failure = failure
        assert await each.ask("publish", {"items": [GOOD]}) == reply
        each.sink.failure = each.sink.waiting = None
        assert await each.ask("publish", {"items": [GOOD]}) == done()
    assert (r"command: publish failed: StorageError('disk full\n')" in caplog.text) == is_logged


@pytest.mark.parametrize(
    "request_",
    [
        b"",
        b"garbage",
        b"T" + encode_tnetstring({"method": "recover"}),
        b'J{"method":"recover"}',
        encode_tnetstring("x"),
        encode_tnetstring({"id": "1"}),
        encode_tnetstring({"method": "recover", "id": 5}),
        encode_tnetstring({"method": "recover", "args": None}),
        encode_tnetstring({"method": "recover", "x": "x" * 1000}),
    ],
)
async def test_a_message_that_is_no_command_gets_no_reply(request_: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with commanding() as each:
        dealer = each.peer.socket(zmq.DEALER, each.endpoint)
        await dealer.send_multipart([b"", request_])
        await dealer.send_multipart([b"", encode_tnetstring({"method": "recover"})])
        assert await dealer.recv_multipart() == [b"", b"28:7:success,4:true!5:value,0:~}"]
        assert each.counters.zeromq_refused == 1
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert warnings[0].startswith("command: received message with invalid format (")


@pytest.mark.parametrize("parts", [[b"recover"], [b"", b"recover", b"x"], [b"", b"", b"recover"]])
async def test_a_message_of_other_parts_is_no_command(parts: list[bytes]) -> None:
    async with commanding() as each:
        dealer = each.peer.socket(zmq.DEALER, each.endpoint)
        recover = encode_tnetstring({"method": "recover"})
        await dealer.send_multipart([recover if part == b"recover" else part for part in parts])
        await dealer.send_multipart([b"a", b"b", b"", recover])
        assert (await dealer.recv_multipart())[:3] == [b"a", b"b", b""]
        assert (each.recovered, each.counters.zeromq_refused) == (1, 1)


async def test_many_commands_at_once_get_a_reply_each_in_their_order() -> None:
    async with commanding() as each:
        dealer = each.peer.socket(zmq.DEALER, each.endpoint)
        for number in range(1000):
            await dealer.send_multipart([b"", encode_tnetstring({"id": str(number), "method": "recover"})])
        for number in range(1000):
            reply, _ = parse_tnetstring((await dealer.recv_multipart())[1])
            assert isinstance(reply, dict)
            assert reply["id"] == b"%d" % number


async def test_who_is_gone_when_the_reply_comes_harms_nobody() -> None:
    async with commanding() as each:
        each.sink.waiting = asyncio.get_running_loop().create_future()
        dealer = each.peer.socket(zmq.DEALER, each.endpoint)
        await dealer.send_multipart([b"", encode_tnetstring({"method": "publish", "args": {"items": [GOOD]}})])
        await until(lambda: each.sink.items)
        dealer.close(linger=0)
        each.sink.waiting.set_result(None)
        await settle()
        assert await each.ask("recover") == done()


async def test_a_reply_that_comes_after_the_end_is_not_sent() -> None:
    async with commanding() as each:
        waiting = each.sink.waiting = asyncio.get_running_loop().create_future()
        dealer = each.peer.socket(zmq.DEALER, each.endpoint)
        await dealer.send_multipart([b"", encode_tnetstring({"method": "publish", "args": {"items": [GOOD]}})])
        await until(lambda: each.sink.items)
        each.commands.close()
        waiting.set_result(None)
        await settle()
