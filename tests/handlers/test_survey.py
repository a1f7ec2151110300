"""What is found among real sessions. Whole answers are in tests/e2e/test_control.py."""

from __future__ import annotations

import pytest
from websockets.frames import Opcode

from handlers.protocol.hold_id import HoldId
from handlers.protocol.names import Channel
from handlers.protocol.subscribing import Subscription
from handlers.protocol.survey import (
    ChannelRow,
    CloseConnection,
    CountChannel,
    FindConnections,
    Findings,
    Kind,
    ListChannels,
    ListConnections,
    Question,
    RefreshConnection,
)
from handlers.session import Session
from handlers.survey import LocalSurvey, Survey
from tests.handlers.hub.hub_room import HubRoom, exact


def survey_of(room: HubRoom, worker: int = 1) -> Survey:
    return Survey(edge=room.edge, audience=room.audience, counters=room.counters, worker=worker)


def id_of(session: Session, worker: int = 1) -> str:
    return HoldId(session.stamp, worker).text


def ids(found: Findings) -> list[str]:
    return [row.id for row in found.connections]


async def test_channels_are_counted_by_kind() -> None:
    async with HubRoom() as room:
        await room.stream("b", "a")
        await room.stream("b", chunked=False)
        await room.poll("b")
        await room.websocket("b")
        await room.websocket("b", is_deflated=True)
        await room.listen(exact("topic"))
        survey = survey_of(room)
        b = ChannelRow("b", stream=2, response=1, ws=2)
        assert survey.answer(ListChannels()).channels == (ChannelRow("a", stream=1), b)
        assert survey.answer(CountChannel("b")).channels == (b,)
        assert survey.answer(CountChannel("c")) == Findings()


async def test_channels_come_page_by_page() -> None:
    async with HubRoom() as room:
        await room.stream("a", "ab", "abc", "b")
        survey = survey_of(room)

        def names(question: ListChannels) -> str:
            return " ".join(row.channel for row in survey.answer(question).channels)

        assert names(ListChannels(limit=2)) == "a ab"
        assert names(ListChannels(after="ab")) == "abc b"
        assert names(ListChannels(prefix="ab")) == "ab abc"
        assert names(ListChannels(prefix="a", after="ab", limit=5)) == "abc"
        assert names(ListChannels(prefix="x")) == ""


async def test_names_that_are_no_utf8_stay_apart() -> None:
    async with HubRoom() as room:
        _, session = await room.stream("a")
        room.edge.subscribe(session, Subscription(channel=Channel("b\udcff")))
        await room.stream("b\udcfe")
        survey = survey_of(room)
        names = ["\0b\xfe", "\0b\xff", "a"]
        assert [row.channel for row in survey.answer(ListChannels()).channels] == names
        for number, name in enumerate(names):
            (row,) = survey.answer(ListChannels(after=names[number - 1] if number else None, limit=1)).channels
            assert row.channel == name
            (row,) = survey.answer(CountChannel(name)).channels
            assert (row.channel, row.stream) == (name, 1)
        assert [row.channel for row in survey.answer(ListChannels(prefix="b")).channels] == names[:2]
        assert [row.channel for row in survey.answer(ListChannels(prefix="\0b\xff")).channels] == names[1:2]
        (found,) = survey.answer(ListConnections(channel="\0b\xff")).connections
        assert found.channels == ("a", "\0b\xff")


async def test_what_a_list_begins_with_may_be_a_part_of_a_character() -> None:
    async with HubRoom() as room:
        await room.stream("\u00e4")
        (row,) = survey_of(room).answer(ListChannels(prefix="\0\xc3")).channels
        assert row.channel == "\u00e4"


async def test_a_connection_is_described() -> None:
    async with HubRoom() as room:
        client, stream = await room.stream("a", "b")
        stream.route = "site"
        _, poll = await room.poll("a")
        _, socket, _ = await room.websocket("a")
        socket.connection_id = b"its-id"
        _, listener = await room.listen(exact("topic"))
        found = survey_of(room, 3).answer(ListConnections()).connections
        assert [row.kind for row in found] == [Kind.STREAM, Kind.RESPONSE, Kind.WS, Kind.STREAM]
        assert [row.id for row in found] == [id_of(stream, 3), id_of(poll, 3), "its-id", id_of(listener, 3)]
        assert [row.protocol for row in found] == ["grip", "grip", "grip", "mercure"]
        assert [row.channels for row in found] == [("a", "b"), ("a",), ("a",), ("topic",)]
        assert (found[0].peer, found[0].route, found[0].uri) == ("127.0.0.1", "site", f"/stream of {client.local_port}")


async def test_a_token_in_a_uri_is_not_shown() -> None:
    async with HubRoom() as room:
        _, session = await room.stream("a")
        session.label = "http://a/?authorization=secret&x=1"
        (row,) = survey_of(room).answer(ListConnections()).connections
        assert "secret" not in row.uri


async def test_connections_are_chosen_by_channel_and_kind_and_come_page_by_page() -> None:
    async with HubRoom() as room:
        _, first = await room.stream("a")
        _, second = await room.poll("a", "b")
        _, third, _ = await room.websocket("b")
        _, fourth = await room.poll("b")
        survey = survey_of(room)

        def found(question: ListConnections) -> list[str]:
            return ids(survey.answer(question))

        every = [id_of(each) for each in (first, second, third, fourth)]
        assert found(ListConnections()) == every
        assert found(ListConnections(limit=2)) == every[:2]
        assert found(ListConnections(after=HoldId(second.stamp, 1))) == every[2:]
        assert found(ListConnections(channel="b")) == every[1:]
        assert found(ListConnections(channel="b", kind=Kind.RESPONSE)) == [every[1], every[3]]
        assert found(ListConnections(channel="b", kind=Kind.RESPONSE, after=HoldId(second.stamp, 1))) == [every[3]]
        assert found(ListConnections(kind=Kind.STREAM)) == [every[0]]
        assert found(ListConnections(channel="nobody")) == []


async def test_of_one_moment_workers_come_by_their_numbers() -> None:
    async with HubRoom() as room:
        _, session = await room.stream("a")
        second = survey_of(room, 2)
        assert ids(second.answer(ListConnections(after=HoldId(session.stamp, 1)))) == [id_of(session, 2)]
        for number in (2, 3):
            assert ids(second.answer(ListConnections(after=HoldId(session.stamp, number)))) == []


async def test_connections_are_found_by_either_id() -> None:
    async with HubRoom() as room:
        _, stream = await room.stream("a")
        _, socket, _ = await room.websocket("a")
        _, other, _ = await room.websocket("a")
        socket.connection_id = b"its-id"
        survey = survey_of(room)

        def found(*asked: str) -> list[str]:
            return ids(survey.answer(FindConnections(asked)))

        assert found(id_of(stream), "gone", id_of(stream)) == [id_of(stream)]
        assert found("its-id") == found(id_of(socket)) == found("its-id", id_of(socket)) == ["its-id"]
        assert found(id_of(other)) == [id_of(other)]
        assert found(id_of(stream, 2)) == []  # another worker's
        assert found("", "\udcff", "1-0") == []


async def test_no_two_sessions_ever_have_one_id() -> None:
    async with HubRoom() as room:
        client, first = await room.stream("a")
        client.close()
        await room.until_closed(first.transport)
        _, second = await room.stream("a")
        _, listener = await room.listen(exact("t"))
        assert len({first.stamp, second.stamp, listener.stamp}) == 3
        assert ids(survey_of(room).answer(FindConnections((id_of(first),)))) == []


@pytest.mark.parametrize("code", [None, 4001])
async def test_connections_are_ended_in_good_order(code: int | None) -> None:
    async with HubRoom() as room:
        survey = survey_of(room)
        streaming, stream = await room.stream("a")
        polling, poll = await room.poll("a")
        talking, socket, _ = await room.websocket("a")
        listening, listener = await room.listen(exact("t"))
        watching, watcher = await room.socket(exact("t"))
        for session in (stream, poll, socket, listener, watcher):
            reason = "" if code is None else "enough"
            found = survey.answer(CloseConnection(id_of(session), code, reason))
            assert ids(found) == [id_of(session)]
        assert await streaming.until_closed() == b"0\r\n\r\n"
        assert b"Connection: close" in await polling.until_closed()
        assert (await listening.until_closed()).endswith(b"0\r\n\r\n")
        for client in (talking, watching):
            frame = await client.frame()
            assert frame.opcode is Opcode.CLOSE
            assert bytes(frame.data) == (b"\x03\xe9" if code is None else b"\x0f\xa1enough")
        assert room.counters.sessions_disconnected == 5
        assert survey.answer(ListChannels()).channels == ()


async def test_what_is_not_there_is_not_ended() -> None:
    async with HubRoom() as room:
        _, session = await room.stream("a")
        survey = survey_of(room)
        questions: tuple[Question, ...] = (CloseConnection("1-0"), CloseConnection(""), RefreshConnection("x"))
        for question in questions:
            assert survey.answer(question) == Findings()
        assert (room.counters.sessions_disconnected, len(room.edge.sessions)) == (0, 1)
        assert session in room.edge.sessions


async def test_the_backend_of_a_websocket_is_asked_once_more_and_of_no_other() -> None:
    async with HubRoom() as room:
        _, socket, link = await room.websocket("a")
        _, stream = await room.stream("a")
        socket.connection_id = b"its-id"
        survey = survey_of(room)
        assert ids(survey.answer(RefreshConnection("its-id"))) == ["its-id"]
        assert link.told == ["refresh"]
        assert survey.answer(RefreshConnection(id_of(stream))) == Findings()


async def test_who_is_asked_in_the_same_process_answers_at_once() -> None:
    async with HubRoom() as room:
        await room.stream("a")
        answer = LocalSurvey(survey_of(room)).ask(CountChannel("a"))
        assert answer.result().channels == (ChannelRow("a", stream=1),)


async def test_without_a_hub_only_the_edge_is_looked_at() -> None:
    async with HubRoom() as room:
        _, session = await room.stream("a")
        await room.listen(exact("t"))
        survey = Survey(edge=room.edge, audience=None, counters=room.counters)
        assert ids(survey.answer(ListConnections())) == [id_of(session)]
