"""A Django project on django-eventstream works behind Holdfast: the hardest of the real backends.

It has every connection ask by next links for what it missed, counts events by channel in ids that the proxy builds, and
tells users apart by filters.
"""

from __future__ import annotations

import ast
import asyncio
import json
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager

import httpx
import httpx_sse
import pytest

from tests.interop.event_stream_clients import Event, Open, by_eventsource, by_fetch_event_source
from tests.interop.grip_site import SIG_KEY, TIMEOUT, Site
from tests.interop.relay import Relay
from tests.support.app_process import AppProcess
from tests.support.client import RawClient

OPENED = Event(type="stream-open", data="")


class Reader:
    """One client on an event stream. It passes over the notice that the stream is open, which every one begins with."""

    def __init__(self, source: httpx_sse.EventSource) -> None:
        self._events = (Event(type=event.event, id=event.id, data=event.data) for event in source.iter_sse())
        assert next(self._events) == OPENED

    def next(self) -> Event:
        return next(self._events)

    def rest(self) -> list[Event]:
        """Read to the end."""
        return list(self._events)


@contextmanager
def reading(site: Site, *channels: str, user: str = "", last: str = "") -> Generator[Reader]:
    query: list[tuple[str, str]] = [("channel", channel) for channel in channels]
    query += [("as", user)] if user else []
    headers = {"Last-Event-ID": last} if last else {}
    url = str(httpx.URL(f"{site.url}/events/", params=query))
    with (
        httpx.Client(trust_env=False, timeout=TIMEOUT[1]) as client,
        httpx_sse.connect_sse(client, "GET", url, headers=headers) as source,
    ):
        yield Reader(source)


def send(site: Site, channel: str, data: object, **fields: object) -> None:
    assert site.publish(f"event/{channel}", json.dumps({"data": data, **fields})) == "sent\n"


def lose(site: Site, channel: str, *data: object) -> None:
    """Have events happen that are never published."""
    assert site.publish(f"lost/{channel}", json.dumps(data)) == "stored\n"


def note(data: object, event_id: str = "", kind: str = "note") -> Event:
    return Event(type=kind, id=event_id, data=json.dumps(data))


def test_what_send_event_sends_comes_with_an_id_that_the_proxy_has_built(eventstream_site: Site, channel: str) -> None:
    with reading(eventstream_site, channel) as reader:
        send(eventstream_site, channel, {"text": "100% grüße\n%I %(x)I"})
        send(eventstream_site, channel, "second", type="other")
        assert reader.next() == note({"text": "100% grüße\n%I %(x)I"}, f"{channel}:1")
        assert reader.next() == note("second", f"{channel}:2", "other")


def test_with_several_channels_the_id_says_where_each_of_them_stands(eventstream_site: Site, channel: str) -> None:
    other = f"{channel}-too"
    send(eventstream_site, other, "before")
    with reading(eventstream_site, channel, other) as reader:
        send(eventstream_site, channel, "a")
        assert places(reader.next()) == {channel: "1", other: "1"}
        send(eventstream_site, other, "b")
        assert places(reader.next()) == {channel: "1", other: "2"}


def test_a_channel_whose_name_needs_quoting_is_found_again(eventstream_site: Site, channel: str) -> None:
    with reading(eventstream_site, f"{channel} é") as reader:
        send(eventstream_site, f"{channel} é", "spaced")
        assert reader.next() == note("spaced", f"{channel}%20%C3%A9:1")


def test_who_comes_back_with_its_last_event_id_gets_what_it_missed_first(eventstream_site: Site, channel: str) -> None:
    for number in (1, 2, 3):
        send(eventstream_site, channel, f"{number}0%")
    with reading(eventstream_site, channel, last=f"{channel}:1") as reader:
        assert [reader.next(), reader.next()] == [note("20%", f"{channel}:2"), note("30%", f"{channel}:3")]
        send(eventstream_site, channel, "live")
        assert reader.next() == note("live", f"{channel}:4")


def test_what_is_more_than_a_page_comes_page_by_page_and_the_stream_goes_on(
    eventstream_site: Site, channel: str
) -> None:
    send(eventstream_site, channel, 1)
    lose(eventstream_site, channel, *range(2, 352))
    with reading(eventstream_site, channel, last=f"{channel}:1") as reader:
        assert [reader.next().id for _ in range(2, 352)] == [f"{channel}:{number}" for number in range(2, 352)]
        send(eventstream_site, channel, "live")
        assert reader.next() == note("live", f"{channel}:352")


def test_events_whose_publication_is_lost_are_asked_for_and_come_in_order(eventstream_site: Site, channel: str) -> None:
    with reading(eventstream_site, channel) as one, reading(eventstream_site, channel) as two:
        send(eventstream_site, channel, "first")
        lose(eventstream_site, channel, "lost", "lost too")
        send(eventstream_site, channel, "last")
        for reader in (one, two):
            assert reader.next() == note("first", f"{channel}:1")
            assert [reader.next().id for _ in range(3)] == [f"{channel}:{number}" for number in (2, 3, 4)]
        send(eventstream_site, channel, "live")
        assert one.next() == two.next() == note("live", f"{channel}:5")


def test_who_was_away_for_longer_than_events_are_kept_is_told_to_begin_anew(
    eventstream_site: Site, channel: str
) -> None:
    send(eventstream_site, channel, "known")
    with reading(eventstream_site, channel, last=f"{channel}:77") as reader:
        assert reader.next() == note({"channels": [channel]}, f"{channel}:1", "stream-reset")
        send(eventstream_site, channel, "live")
        assert reader.next() == note("live", f"{channel}:2")


def test_users_that_an_event_skips_do_not_get_it_and_their_ids_go_on(eventstream_site: Site, channel: str) -> None:
    with (
        reading(eventstream_site, channel, user="ann") as ann,
        reading(eventstream_site, channel, user="bob") as bob,
        reading(eventstream_site, channel) as anonymous,
    ):
        send(eventstream_site, channel, "not for ann", skip=["ann"])
        send(eventstream_site, channel, "for all")
        for reader in (bob, anonymous):
            assert reader.next() == note("not for ann", f"{channel}:1")
        for reader in (ann, bob, anonymous):
            assert reader.next() == note("for all", f"{channel}:2")


def test_a_user_that_may_not_read_a_channel_any_more_is_told_and_ended(eventstream_site: Site, channel: str) -> None:
    with (
        reading(eventstream_site, channel, user="ann") as kicked,
        reading(eventstream_site, f"{channel}-too", user="ann") as elsewhere,
        reading(eventstream_site, channel, user="bob") as other,
    ):
        assert eventstream_site.publish(f"forbidden/{channel}", "ann") == "done\n"
        error = kicked.next()
        assert (error.type, error.id) == ("stream-error", "error")
        assert forbidden_by(error) == [channel]
        assert kicked.rest() == []
        send(eventstream_site, channel, "bob is still there")
        send(eventstream_site, f"{channel}-too", "so is ann")
        assert other.next() == note("bob is still there", f"{channel}:1")
        assert elsewhere.next() == note("so is ann", f"{channel}-too:1")


def test_a_user_that_may_not_read_a_channel_is_refused(eventstream_site: Site, channel: str) -> None:
    eventstream_site.publish(f"forbidden/{channel}", "bob")
    answer = eventstream_site.get(f"/events/?channel={channel}&as=bob")
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert '"condition": "forbidden"' in answer.text


def test_events_that_are_not_stored_have_no_id(eventstream_site: Site, channel: str) -> None:
    with reading(eventstream_site, f"loose-{channel}", channel) as reader:
        send(eventstream_site, f"loose-{channel}", "100%")
        send(eventstream_site, channel, "stored")
        assert reader.next() == note("100%")
        assert reader.next() == note("stored", f"{channel}:1")


@pytest.mark.parametrize("client", [by_eventsource, by_fetch_event_source])
def test_a_client_whose_network_fails_comes_back_and_misses_nothing(
    eventstream_site: Site, channel: str, client: Open
) -> None:
    port = int(eventstream_site.url.rpartition(":")[2])
    with Relay(port) as relay, client(f"http://127.0.0.1:{relay.port}/rooms/{channel}/") as events:
        notes: Iterator[Event] = (event for event in events if event.type == "note")
        while not relay.requests:
            pass
        send(eventstream_site, f"room-{channel}", "before")
        assert next(notes) == note("before", f"room-{channel}:1")
        relay.cut()
        send(eventstream_site, f"room-{channel}", "meanwhile")
        relay.mend()
        assert next(notes) == note("meanwhile", f"room-{channel}:2")
        send(eventstream_site, f"room-{channel}", "after")
        assert next(notes) == note("after", f"room-{channel}:3")


def places(event: Event) -> Mapping[str, str]:
    return dict(part.split(":") for part in event.id.split(","))


def forbidden_by(error: Event) -> object:
    # Of a connection that is ended it shows Python's dict and not JSON (5.3.4).
    return ast.literal_eval(error.data)["channels"]


async def test_an_idle_stream_is_kept_alive_and_asks_what_came_meanwhile(eventstream_site: Site, channel: str) -> None:
    """The same backend behind a second Holdfast, whose clock the test turns."""
    address = eventstream_site.backend_url.removeprefix("http://")
    async with (
        AppProcess(f"* {address}", settings=[f"proxy.sig_key={SIG_KEY}"]) as app,
        await RawClient.connect(app.proxy_address) as client,
    ):
        await client.send_request(f"/events/?channel={channel}")
        await client.head()
        assert b"event: stream-open\n" in await client.chunk()
        await app.advance(20.5)
        assert await client.chunk() == b"event: keep-alive\ndata:\n\n"
        await asyncio.to_thread(lose, eventstream_site, channel, "nobody was told")
        await app.advance(121)
        while b"nobody was told" not in (piece := await client.chunk()):
            assert piece == b"event: keep-alive\ndata:\n\n"
        assert f"id: {channel}:1\n".encode() in piece
