"""Subscribers of other people's come back to the hub by themselves: they miss nothing, and see nothing twice."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import pytest

from tests.interop.event_stream_clients import Event
from tests.interop.mercure_clients import CLIENTS, IN_CHROMIUM, Open, in_chromium
from tests.interop.mercure_site import CURRENT, OLD, Dialect, HubSite, Subscription, hub_site
from tests.interop.program import LINE_LIMIT, free_ports
from tests.interop.relay import Relay

RETRY = "20"
"""Milliseconds: what the updates tell clients to wait before they come back."""

clients = pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
dialects = pytest.mark.parametrize("dialect", [CURRENT, OLD], ids=lambda dialect: dialect.name)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubSite]:
    with hub_site(tmp_path_factory.mktemp("hub")) as started:
        yield started


@pytest.fixture(scope="module")
def restless_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubSite]:
    """A hub that ends every stream after half a second at the most."""
    with hub_site(tmp_path_factory.mktemp("restless"), ["mercure.write_timeout=0.5"]) as started:
        yield started


@pytest.fixture
def topic() -> str:
    """Return a topic of the test's own."""
    return f"https://example.com/books/{uuid.uuid4().hex}"


@clients
@dialects
def test_a_client_whose_connection_is_cut_misses_nothing_and_sees_nothing_twice(
    site: HubSite, topic: str, client: Open, dialect: Dialect
) -> None:
    published = [Event(id=site.publish(topic, "before it came", retry=RETRY), data="before it came")]
    with Relay(site.port) as relay:
        subscription = Subscription(site=site, dialect=dialect, topic=topic, port=relay.port)
        with client(subscription) as events:
            assert next(events) == published[0]
            live = Event(id=site.publish(topic, "grüße ✓\n two", private="on", retry=RETRY), data="grüße ✓\n two")
            assert next(events) == live
            relay.cut()
            missed = [
                Event(id=site.publish(topic, f"missed {number}", type="note"), type="note", data=f"missed {number}")
                for number in range(3)
            ]
            relay.mend()
            assert list(islice(events, 3)) == missed
            last = Event(id=site.publish(topic, "live again", id=f"é {topic}"), data="live again")
            assert next(events) == last
            relay.cut()
            relay.mend()
            site.publish(topic, "the end")
            assert next(events).data == "the end"


@clients
def test_e09_a_client_whose_stream_the_hub_ends_goes_on_where_it_was(
    restless_site: HubSite, topic: str, client: Open
) -> None:
    with Relay(restless_site.port) as relay:
        subscription = Subscription(site=restless_site, dialect=CURRENT, topic=topic, port=relay.port)
        restless_site.publish(topic, "0", retry=RETRY)
        with client(subscription) as events:
            assert next(events).data == "0"
            first, deadline = relay.requests, time.monotonic() + LINE_LIMIT
            for number in itertools.count(1):
                restless_site.publish(topic, str(number), retry=RETRY)
                if relay.requests >= first + 3:
                    break
                assert time.monotonic() < deadline, f"{number} published, {relay.requests - first} came back"
            assert [event.data for event in islice(events, number)] == [str(each) for each in range(1, number + 1)]


@pytest.mark.parametrize("client", [IN_CHROMIUM["EventSource"], IN_CHROMIUM["WebSocket"]], ids=["cookie", "WebSocket"])
def test_a22_a_page_without_the_grant_gets_the_public_updates_alone(site: HubSite, topic: str, client: Open) -> None:
    with client(Subscription(site=site, dialect=CURRENT, topic=topic, port=site.port, private=False)) as events:
        site.publish(topic, "secret", private="on")
        site.publish(topic, "first")
        assert next(events).data == "first"
        site.publish(topic, "another secret", private="on")
        site.publish(topic, "second")
        assert next(events).data == "second"


def test_o03_a_page_of_a_foreign_origin_may_neither_read_nor_publish(site: HubSite, topic: str) -> None:
    own = Subscription(site=site, dialect=CURRENT, topic=topic, port=site.port)
    (foreign_port,) = free_ports(1)
    foreign = replace(own, site=replace(site, page_port=foreign_port))
    with in_chromium("EventSource", foreign) as events:
        assert next(events).type == "closed"
    with in_chromium("publisher", replace(foreign, publishes=True)) as answers:
        assert next(answers).type == "TypeError"
    with in_chromium("EventSource", own) as events:
        site.publish(topic, "the first there is")
        assert next(events).data == "the first there is"


def test_a16_a_page_of_a_known_origin_publishes_with_its_cookie(site: HubSite, topic: str) -> None:
    own = Subscription(site=site, dialect=CURRENT, topic=topic, port=site.port)
    with in_chromium("publisher", replace(own, publishes=True)) as answers:
        answer = next(answers)
        assert answer.type == "answered 200"
    with in_chromium("EventSource", own) as events:
        assert next(events) == Event(id=answer.id, data="from a page")
