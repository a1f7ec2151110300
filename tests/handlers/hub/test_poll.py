"""A subscriber's long poll: one answer, with the first update or without any, and the cursor to come back with."""

from __future__ import annotations

import json

import pytest

from handlers.hub.poll import poll_answer
from handlers.protocol.answers import AnswerForm
from handlers.protocol.names import EventId
from handlers.timers import NOWHERE, TimerWheel
from tests.handlers.hub.hub_room import HUB_PATH, HubRoom, RecordingTransport, exact, pattern, update
from tests.support.client import RawClient
from tests.support.http import Response
from tests.support.turns import settle

LATE = TimerWheel.RESOLUTION
NEWS = {"last_event_id": "#1", "updates": [{"id": "1", "data": "x"}]}


async def answer(client: RawClient) -> object:
    """Read the answer, and return what its JSON says."""
    return said(await client.response())


def said(response: Response) -> object:
    assert response.head.status == 200
    assert response.head.values(b"content-type") == (b"application/json",)
    assert response.head.values(b"cache-control") == (b"no-store",)
    return json.loads(response.body)


async def test_the_first_update_answers_it_and_the_connection_goes_on(hub_room: HubRoom) -> None:
    client, session = await hub_room.ask(exact("a"), kept=b"GET /next")
    hub_room.hub.publish(update("a"))
    assert hub_room.audience.deliver(update("a", event_id="2")) == 0
    assert await answer(client) == NEWS
    assert hub_room.door.taken == [(session.transport, b"GET /next", False)]
    assert hub_room.is_empty()
    assert session.tick == NOWHERE


async def test_two_updates_of_one_batch_answer_it_once(hub_room: HubRoom) -> None:
    client, session = await hub_room.ask(exact("*"))
    hub_room.hub.publish(update("a"))
    hub_room.hub.publish(update("b", event_id="2"))
    assert await answer(client) == NEWS
    session.transport.write(b"end")
    assert await client.read_until(b"end") == b"end"


async def test_without_an_update_it_is_answered_in_time_with_how_far_the_hub_has_come(hub_room: HubRoom) -> None:
    client, session = await hub_room.ask(exact("a"), seconds=25)
    hub_room.clock.advance(24.9)
    hub_room.hub.publish(update("b", event_id="elsewhere"))
    await settle()
    assert client.pending() == b""
    hub_room.clock.advance(0.1 + LATE)
    assert await answer(client) == {"last_event_id": "#1", "updates": []}
    assert hub_room.door.taken == [(session.transport, b"", False)]
    assert hub_room.is_empty()


async def test_where_there_never_was_an_event_it_is_to_come_back_with_earliest(hub_room: HubRoom) -> None:
    client, _ = await hub_room.ask(exact("a"), seconds=1)
    hub_room.clock.advance(1 + LATE)
    assert await answer(client) == {"last_event_id": "earliest", "updates": []}


async def test_the_cursor_is_no_id_of_an_update_that_its_client_may_not_read(hub_room: HubRoom) -> None:
    client, _ = await hub_room.ask(exact("a"), seconds=1)
    hub_room.hub.publish(update("a", event_id="secret", is_private=True))
    hub_room.clock.advance(1 + LATE)
    assert await answer(client) == {"last_event_id": "#1", "updates": []}


async def test_e14_drained_it_is_answered_early_and_closed(hub_room: HubRoom) -> None:
    client, session = await hub_room.ask(exact("a"))
    session.drain()
    response = await client.response()
    assert said(response) == {"last_event_id": "earliest", "updates": []}
    assert response.head.values(b"connection") == (b"close",)
    assert await client.until_closed() == b""
    assert not hub_room.door.taken


async def test_an_http_1_0_client_is_answered_and_closed(hub_room: HubRoom) -> None:
    client, _ = await hub_room.ask(exact("a"), form=AnswerForm(version=b"1.0", reusable=False, method=b"GET"))
    hub_room.hub.publish(update("a"))
    assert await answer(client) == NEWS
    assert await client.until_closed() == b""


async def test_one_that_is_gone_is_neither_answered_nor_given_back(hub_room: HubRoom) -> None:
    client, session = await hub_room.ask(exact("a"))
    session.transport.abort()
    session.transport = recording = RecordingTransport()
    recording.abort()
    hub_room.audience.deliver(update("a"))
    assert recording.written == []
    assert await client.until_cut() == b""
    assert not hub_room.door.taken
    assert hub_room.is_empty()


@pytest.mark.parametrize("fault", [RuntimeError("closed"), AssertionError("no server")], ids=repr)
async def test_a_door_at_fault_costs_one_client_its_connection(hub_room: HubRoom, fault: Exception) -> None:
    (_, faulty), (client, _) = [await hub_room.ask(exact("a")) for _ in range(2)]
    hub_room.door.fault = fault
    hub_room.hub.publish(update("a"))
    assert hub_room.counters.deliveries == 2
    assert await answer(client) == NEWS
    assert faulty.transport.is_closing()
    assert hub_room.is_empty()


async def test_l03_one_that_watches_is_told_of_itself_although_it_comes_before_it_is_attached(telling: HubRoom) -> None:
    """Without a history an update is delivered before the call of `publish` returns, within `join`."""
    watched = pattern(f"{HUB_PATH}/subscriptions/*"), exact("a")
    client, session = await telling.ask(*watched, grants=(exact("*"),), is_attached=False)
    assert client.pending() == b""
    session.attach(b"GET /next", is_behind=False)
    told = await answer(client)
    assert isinstance(told, dict)
    documents = [json.loads(each["data"]) for each in told["updates"]]
    assert [(each["match"], each["active"]) for each in documents] == [(each.value, True) for each in watched]
    assert told["last_event_id"] == "#2"
    assert telling.door.taken == [(session.transport, b"GET /next", False)]
    assert telling.is_empty()
    assert session.tick == NOWHERE


def test_updates_from_the_history_are_answered_all_at_once() -> None:
    found = poll_answer((update("a"), update("a", event_id="2", kind="t")), EventId("#2"), ((b"X-Own", b"yes"),))
    assert found.headers == ((b"Content-Type", b"application/json"), (b"X-Own", b"yes"))
    assert json.loads(found.body) == {
        "last_event_id": "#2",
        "updates": [{"id": "1", "data": "x"}, {"id": "2", "type": "t", "data": "x"}],
    }


async def test_updates_that_leave_together_are_answered_together(hub_room: HubRoom) -> None:
    client, _ = await hub_room.ask(exact("a"))
    early, session = await hub_room.ask(exact("a"), is_attached=False)
    hub_room.hub.last_seq = 2
    assert hub_room.audience.deliver(*(update("a", event_id=number) for number in "12")) == 2
    session.attach(b"", is_behind=False)
    news = {"last_event_id": "#2", "updates": [{"id": number, "data": "x"} for number in "12"]}
    assert await answer(client) == await answer(early) == news
