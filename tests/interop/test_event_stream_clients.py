"""Event stream clients read what a backend publishes through Holdfast, and come back after a close."""

from __future__ import annotations

import pytest

from tests.interop.event_stream_clients import (
    Event,
    Open,
    by_aiohttp_sse_client,
    by_eventsource,
    by_fetch_event_source,
    by_httpx_sse,
    by_sseclient_py,
)
from tests.interop.grip_site import Site

RETURNING = [by_aiohttp_sse_client, by_eventsource, by_fetch_event_source]
ENDING = [by_httpx_sse, by_sseclient_py]

NOTE = "event: note\nid: 7\ndata: grüße ✓\ndata: two\n\n"
NOTED = Event(type="note", id="7", data="grüße ✓\ntwo")


@pytest.mark.parametrize("client", RETURNING + ENDING)
def test_a_client_reads_a_published_event_whole(flask_site: Site, channel: str, client: Open) -> None:
    with client(f"{flask_site.url}/events/{channel}") as events:
        assert next(events) == Event(data="opened")
        flask_site.publish(f"stream/{channel}", NOTE)
        assert next(events) == NOTED


@pytest.mark.parametrize("client", RETURNING + ENDING)
def test_a_client_reads_an_event_that_is_published_in_pieces(flask_site: Site, channel: str, client: Open) -> None:
    with client(f"{flask_site.url}/events/{channel}") as events:
        assert next(events) == Event(data="opened")
        for piece in ("event: no", "te\nid: 7\nda", "ta: grüße ✓\ndata: two\n", "\n"):
            flask_site.publish(f"stream/{channel}", piece)
        assert next(events) == NOTED


@pytest.mark.parametrize("client", RETURNING)
def test_a_client_comes_back_after_a_close_with_its_last_event_id(flask_site: Site, channel: str, client: Open) -> None:
    with client(f"{flask_site.url}/events/{channel}") as events:
        assert next(events) == Event(data="opened")
        flask_site.publish(f"stream/{channel}", NOTE)
        assert next(events) == NOTED
        flask_site.publish(f"close/{channel}")
        assert next(events).data == "resumed after 7"


@pytest.mark.parametrize("client", ENDING)
def test_a_client_that_does_not_come_back_sees_a_close_as_a_clean_end(
    flask_site: Site, channel: str, client: Open
) -> None:
    with client(f"{flask_site.url}/events/{channel}") as events:
        assert next(events) == Event(data="opened")
        flask_site.publish(f"close/{channel}")
        assert list(events) == []
