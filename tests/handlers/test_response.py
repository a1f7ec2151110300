"""A long poll on a real connection: the first of publication, timeout, hint and drain ends it, and nothing follows."""

from __future__ import annotations

import dataclasses
import json

import pytest
from msgspec import structs

from handlers.protocol.answers import AnswerForm
from handlers.protocol.cross_origin import CrossOrigin
from handlers.protocol.http1 import Headers
from handlers.protocol.items import Action, HttpResponseFormat
from handlers.protocol.jsonp import Jsonp
from handlers.protocol.presentation import Presentation
from handlers.response import Encoded
from handlers.timers import NOWHERE, TimerWheel
from tests.handlers.recording import RecordingStreamLink
from tests.handlers.room import FORM, OUTBOX, TIMEOUT_ANSWER, TIMEOUT_BYTES, Room, response_item

LATE = TimerWheel.RESOLUTION


# -- the time is up -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0, 1, 55, 100_000])
async def test_the_backends_answer_comes_when_the_time_is_up(room: Room, seconds: float) -> None:
    client, session = await room.poll("room", seconds=seconds, kept=b"GET /next")
    if seconds:
        room.clock.advance(seconds - 0.001)
        assert session in room.edge.sessions
    room.clock.advance(0.001 + LATE)
    assert await client.read_exactly(len(TIMEOUT_BYTES)) == TIMEOUT_BYTES
    assert session not in room.edge.sessions
    assert room.door.taken == [(session.transport, b"GET /next", False)]
    room.clock.advance(seconds + 100)
    assert client.pending() == b""


async def test_a_poll_whose_client_is_gone_times_out_in_silence(room: Room) -> None:
    _, session = await room.poll("room")
    session.transport.abort()
    room.clock.advance(60)
    assert session not in room.edge.sessions
    assert room.door.taken == []


# -- a publication --------------------------------------------------------------------------------------------------


async def test_the_first_publication_answers_and_the_timeout_does_not_follow(room: Room) -> None:
    client, session = await room.poll("room", kept=b"early")
    assert room.edge.deliver(response_item("room", b"first")) == 1
    assert room.edge.deliver(response_item("room", b"second")) == 0
    assert (await client.response()).body == b"first"
    room.clock.advance(100)
    assert client.pending() == b""
    assert session.tick == NOWHERE
    assert room.door.taken == [(session.transport, b"early", False)]


@pytest.mark.parametrize(
    ("published", "line"),
    [
        (HttpResponseFormat(body=b""), b"HTTP/1.1 200 OK"),
        (HttpResponseFormat(body=b"", code=404), b"HTTP/1.1 404 Not Found"),
        (HttpResponseFormat(body=b"", code=299), b"HTTP/1.1 299 Undefined Reason"),
        (HttpResponseFormat(body=b"", code=404, reason=b"Gone Fishing"), b"HTTP/1.1 404 Gone Fishing"),
        (HttpResponseFormat(body=b"", code=404, reason=b""), b"HTTP/1.1 404 "),
    ],
)
async def test_status_and_reason_are_the_publications(room: Room, published: HttpResponseFormat, line: bytes) -> None:
    client, session = await room.poll("room")
    session.publish(published, {})
    assert await client.read_until(b"\r\n") == line + b"\r\n"


async def test_published_headers_are_laid_over_the_held_ones(room: Room) -> None:
    held: Headers = ((b"X-Held", b"yes"), (b"X-Both", b"held"))
    client, _ = await room.poll("room", answer=dataclasses.replace(TIMEOUT_ANSWER, headers=held))
    headers: Headers = ((b"x-both", b"published"), (b"X-New", b"1"), (b"Content-Length", b"99"), (b"Grip-X", b"y"))
    room.edge.deliver(response_item("room", b"body", headers=headers))
    head = await client.head()
    assert head.headers == (
        (b"X-Held", b"yes"),
        (b"x-both", b"published"),
        (b"X-New", b"1"),
        (b"Content-Length", b"4"),
    )


async def test_equal_polls_share_one_encoding_and_unequal_ones_do_not(room: Room) -> None:
    other = dataclasses.replace(TIMEOUT_ANSWER, headers=((b"X-Other", b"yes"),))
    old = AnswerForm(version=b"1.0", reusable=False, method=b"GET")
    # Held headers that are equal, and not the same object, as they are in life.
    copies = [dataclasses.replace(TIMEOUT_ANSWER, headers=((b"X-" + name, b"yes"),)) for name in [b"Held"] * 3]
    held = [await room.poll("room", answer=answer) for answer in (*copies, other)]
    held.append(await room.poll("room", form=old))
    encoded: Encoded = {}
    published = HttpResponseFormat(body=b"news")
    for _, session in held:
        session.publish(published, encoded)
    assert len(encoded) == 3
    responses = [await client.response() for client, _ in held]
    assert [response.body for response in responses] == [b"news"] * 5
    assert [response.values(b"x-held") for response in responses] == [(b"yes",)] * 3 + [(), (b"yes",)]
    assert [response.head.version for response in responses] == [b"HTTP/1.1"] * 4 + [b"HTTP/1.0"]


async def test_an_encoding_is_not_carried_over_to_the_next_publication(room: Room) -> None:
    for body in (b"first", b"second"):
        client, _ = await room.poll("room")
        room.edge.deliver(response_item("room", body))
        assert (await client.response()).body == body


async def test_an_answer_larger_than_the_outbox_reaches_a_client_that_reads(room: Room) -> None:
    """It is the last thing written: nothing more can pile up behind it."""
    client, _ = await room.poll("room", is_slow=True)
    body = b"x" * (4 * OUTBOX)
    room.edge.deliver(response_item("room", body))
    assert room.door.taken[0][2], "it goes back while the client is behind"
    assert (await client.response()).body == body
    assert room.counters.slow_clients == 0


@pytest.mark.parametrize(
    ("version", "reusable", "connection"),
    [(b"1.1", True, ()), (b"1.1", False, (b"close",)), (b"1.0", True, (b"keep-alive",)), (b"1.0", False, ())],
)
async def test_the_connection_goes_on_or_ends_as_the_answer_says(
    room: Room, version: bytes, reusable: bool, connection: tuple[bytes, ...]
) -> None:
    form = AnswerForm(version=version, reusable=reusable, method=b"GET")
    client, session = await room.poll("room", form=form)
    room.edge.deliver(response_item("room", b"news"))
    response = await client.response()
    assert (response.head.version, response.values(b"connection")) == (b"HTTP/" + version, connection)
    if reusable:
        assert [transport for transport, _, _ in room.door.taken] == [session.transport]
    else:
        assert await client.until_closed() == b""
        assert room.door.taken == []


async def test_a_head_request_gets_the_head_alone(room: Room) -> None:
    client, _ = await room.poll("room", form=structs.replace(FORM, method=b"HEAD"))
    room.edge.deliver(response_item("room", b"news"))
    response = await client.response(method="HEAD")
    assert response.values(b"content-length") == (b"4",)
    assert client.pending() == b""


# -- a patch of the held body ---------------------------------------------------------------------------------------

PATCH = HttpResponseFormat(body_patch=b'[{"op": "add", "path": "/new", "value": 1}]')


async def test_a_patch_is_applied_to_each_held_body_and_once_to_equal_ones(room: Room) -> None:
    bodies = [b'{"held": 1}', b'{"held": 1}', b'{"held": 2}']
    held = [await room.poll("room", answer=dataclasses.replace(TIMEOUT_ANSWER, body=body)) for body in bodies]
    encoded: Encoded = {}
    for _, session in held:
        session.publish(PATCH, encoded)
    answers = [json.loads((await client.response()).body) for client, _ in held]
    assert answers == [{"held": 1, "new": 1}, {"held": 1, "new": 1}, {"held": 2, "new": 1}]
    assert len(encoded) == 2


async def test_a_body_that_cannot_be_patched_is_sent_as_it_is_counted_and_logged(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    client, session = await room.poll("room")
    session.publish(PATCH, {})
    assert (await client.response()).body == TIMEOUT_ANSWER.body
    assert room.counters.patches_failed == 1
    assert f"{session.label}: body-patch failed" in caplog.text


# -- hint, drain ----------------------------------------------------------------------------------------------------


async def test_a_hint_gives_the_request_back_to_be_asked_again(room: Room) -> None:
    client, session = await room.poll("room", kept=b"GET /next")
    room.edge.deliver(response_item("room", action=Action.HINT))
    assert room.door.retried == [(session.transport, b"GET /next", b"the request", False)]
    assert session not in room.edge.sessions
    room.clock.advance(100)
    assert client.pending() == b""
    assert room.counters.retries == 1


async def test_a_hint_to_a_client_that_is_gone_asks_nobody(room: Room) -> None:
    _, session = await room.poll("room")
    session.transport.abort()
    session.hint()
    assert room.door.retried == []
    assert room.counters.retries == 0


async def test_draining_answers_early_and_says_that_the_connection_closes(room: Room) -> None:
    client, session = await room.poll("room", kept=b"GET /next")
    session.drain()
    response = await client.response()
    assert (response.status, response.body) == (200, b"timeout\n")
    assert response.values(b"connection") == (b"close",)
    assert await client.until_closed() == b""
    assert room.door.taken == []


async def test_a_retry_goes_with_what_was_seen(room: Room) -> None:
    _, session = await room.poll("p-room", prefix="p-", prev_id="1")
    session.update()
    assert room.door.last_seen == [(("room", "1"),)]


async def test_the_end_of_a_hold_is_told_once(room: Room) -> None:
    link = RecordingStreamLink()
    _, session = await room.poll("room", link=link)
    room.edge.deliver(response_item("room", b"news"))
    session.leave()
    assert link.ends == 1


async def test_a_retry_is_no_end_unless_the_client_is_gone(room: Room) -> None:
    links = [RecordingStreamLink() for _ in range(2)]
    for link in links:
        _, session = await room.poll("room", link=link)
        if link is links[1]:
            session.transport.abort()
        session.update()
    assert [link.ends for link in links] == [0, 1]
    assert len(room.door.retried) == 1


# -- for pages of other origins -------------------------------------------------------------------------------------


OPEN = Presentation(cross_origin=CrossOrigin(origin=b"http://o"))
SCRIPT = Presentation(cross_origin=CrossOrigin(), jsonp=Jsonp(callback="cb"))


@pytest.mark.parametrize("presentation", [OPEN, SCRIPT])
async def test_h43_h44_every_way_to_end_presents_the_answer(room: Room, presentation: Presentation) -> None:
    expected = presentation.answer(TIMEOUT_ANSWER, is_held=True)
    for drains in (False, True):
        client, session = await room.poll("room", seconds=5)
        session.presentation = presentation
        if drains:
            session.drain()
        else:
            room.clock.advance(5 + LATE)
        found = await client.response()
        assert (found.status, found.body) == (expected.status, expected.body)
        assert found.head.headers[: len(expected.headers)] == expected.headers


async def test_h43_h44_one_publication_is_encoded_once_for_each_presentation(room: Room) -> None:
    encoded: Encoded = {}
    published = HttpResponseFormat(body=b"now")
    bodies = []
    for presentation in (None, OPEN, SCRIPT, OPEN, structs.replace(OPEN)):
        client, session = await room.poll("room")
        session.presentation = presentation
        session.publish(published, encoded)
        bodies.append((await client.response()).body)
    assert bodies[:2] == [b"now", b"now"]
    assert bodies[2].startswith(b'/**/cb({"body":"now","code":200,')
    assert len(encoded) == 3


async def test_h44_a_patch_is_made_before_the_script(room: Room) -> None:
    held = dataclasses.replace(TIMEOUT_ANSWER, body=b'{"a":1}\n')
    client, session = await room.poll("room", answer=held)
    session.presentation = Presentation(cross_origin=CrossOrigin(), jsonp=Jsonp(callback="cb", is_extended=False))
    session.publish(HttpResponseFormat(body_patch=b'[{"op":"add","path":"/b","value":2}]'), {})
    assert (await client.response()).body == b'/**/cb({"a":1,"b":2});\n'


async def test_h44_what_cannot_be_a_script_is_a_500_and_counted(room: Room) -> None:
    client, session = await room.poll("room")
    session.presentation = SCRIPT
    session.publish(HttpResponseFormat(body=b"\xff"), {})
    found = await client.response()
    assert (found.status, found.body) == (500, b"Upstream response could not be JSON-P encoded.\n")
    assert room.counters.jsonp_failures == 1
