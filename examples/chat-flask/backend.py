"""A chat over WebSockets that holds none: Holdfast does, and tells this Flask application about each by HTTP.

What a client sends comes as a POST of WebSocket events, and the answer has the events for that client. What is for the
whole room goes to Holdfast's publish port. Nothing is kept here, so there may be several workers:

    gunicorn --chdir examples/chat-flask --workers 4 backend:app
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flask import Flask, Response, request, send_file
from gripcontrol import (
    GripPubControl,
    WebSocketEvent,
    WebSocketMessageFormat,
    decode_websocket_events,
    encode_websocket_events,
    parse_grip_uri,
    websocket_control_message,
)
from pubcontrol import Item
from werkzeug.serving import make_server

from records import Records, changing

EVENTS = "application/websocket-events"
LONGEST_NAME, LONGEST_TEXT = 40, 2000  # characters
PING_INTERVAL = 30  # seconds

app = Flask(__name__)
publisher = GripPubControl(parse_grip_uri(os.environ.get("GRIP_URL", "http://127.0.0.1:5561")))


@app.get("/")
def page() -> Response:
    """Answer with the page."""
    return send_file(Path(__file__).with_name("page.html"))


@app.post("/chat")
def chat() -> Response:
    """Answer what a client has sent since its last request."""
    room = request.args.get("room", "")
    if request.mimetype != EVENTS or not 0 < len(room) <= LONGEST_NAME:
        return Response("Open a WebSocket at /chat?room=NAME, through Holdfast.\n", 400, content_type="text/plain")
    events = decode_websocket_events(request.get_data())
    answers = [answer for event in events for answer in answer_to(event, request.headers["Connection-Id"], room)]
    # In the answer to OPEN, this makes `m:` mark what is for the client, and `c:` what is for Holdfast.
    headers = {"Sec-WebSocket-Extensions": "grip"}
    return Response(encode_websocket_events(answers), content_type=EVENTS, headers=headers)


def answer_to(event: WebSocketEvent, client: str, room: str) -> list[WebSocketEvent]:
    """Do what one event asks for, and return the events to answer with."""
    match event.type:
        case "OPEN":
            ping = {"message-type": "ping", "content": "still there?", "timeout": PING_INTERVAL, "mode": "interval"}
            return [event, control("subscribe", channel=f"room-{room}"), control("keep-alive", **ping)]
        case "TEXT":
            return hear(event.content or b"", client, room)
        case "PING":
            return [WebSocketEvent("PONG", event.content)]
        case "PONG":
            return see(client, room)
        case "CLOSE":
            leave(client, room)
            return [event]
        case "DISCONNECT":
            leave(client, room)
        case _:  # BINARY
            pass
    return []


def hear(text: bytes, client: str, room: str) -> list[WebSocketEvent]:
    """Obey what a client sends: JSON, whose `type` is join (with `name` and `after`) or say (with `text`)."""
    try:
        match json.loads(text):
            case {"type": "join", "name": str(name), "after": int(after)} if name.strip():
                return join(client, room, name.strip()[:LONGEST_NAME], after)
            case {"type": "say", "text": str(said)} if said.strip():
                return say(client, room, said.strip()[:LONGEST_TEXT])
            case _:
                return [message(type="problem", text="That was not understood.")]
    except (ValueError, RecursionError) as error:  # it is no JSON, or Holdfast did not take what was published
        return [message(type="problem", text=str(error))]


def join(client: str, room: str, name: str, after: int) -> list[WebSocketEvent]:
    """Add a member, and return the messages whose id is above `after`.

    A client asks for them once it is open, so it is subscribed by now: nothing can be said in between and be missed.
    """
    with changing() as records:
        records.add_member(client, room, name)
        records.remove_silent_members(room)
        tell_who_is_online(records, room)
        said = records.messages(room, after)
    return [message(type="joined", messages=[asdict(each) for each in said])]


def say(client: str, room: str, text: str) -> list[WebSocketEvent]:
    """Keep a message and publish it; its sender gets it from there too."""
    with changing() as records:
        name = records.name_of(client)
        if name is None:
            return [message(type="unknown", text=text)]
        said = records.add_message(room, name, text)
        publish(room, str(said.id), type="message", **asdict(said))
    return []


def see(client: str, room: str) -> list[WebSocketEvent]:
    """Note that a client is there."""
    with changing() as records:
        known = records.see_member(client)
        if records.remove_silent_members(room):
            tell_who_is_online(records, room)
    return [] if known else [message(type="unknown")]


def leave(client: str, room: str) -> None:
    """Note that a client has gone."""
    with changing() as records:
        if records.remove_member(client):
            tell_who_is_online(records, room)


def tell_who_is_online(records: Records, room: str) -> None:
    """Publish the names of a room's members."""
    publish(room, type="online", names=records.names(room))


def publish(room: str, item_id: str | None = None, **what: Any) -> None:
    """Send a message to all clients in a room. Raises ValueError when Holdfast does not take it."""
    publisher.publish(f"room-{room}", Item(WebSocketMessageFormat(json.dumps(what)), item_id), blocking=True)


def message(**what: Any) -> WebSocketEvent:
    """Return a message to the client."""
    return WebSocketEvent("TEXT", "m:" + json.dumps(what))


def control(kind: str, **what: Any) -> WebSocketEvent:
    """Return a message to Holdfast."""
    return WebSocketEvent("TEXT", "c:" + websocket_control_message(kind, what))


def main() -> None:
    """Serve on the port that is given, until interrupted."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # Holdfast logs every request
    server = make_server("127.0.0.1", int(sys.argv[1]), app, threaded=True)
    sys.stdout.write(f"chat backend: listening on 127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()  # run.py waits for it
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
