"""A Flask backend on gripcontrol and pubcontrol, as their READMEs have it: a program, started by `conftest`.

Environment: PORT to listen on, GRIP_URL of the publish port with its keys. What it answers is plain enough to be
read off the tests that use it.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

import gripcontrol
from flask import Flask, Response, jsonify, request
from gripcontrol import (
    Channel,
    GripPubControl,
    HttpResponseFormat,
    HttpStreamFormat,
    WebSocketContext,
    WebSocketEvent,
    WebSocketMessageFormat,
)
from pubcontrol import Item

from tests.interop.conversation import converse

GRIP = gripcontrol.parse_grip_uri(os.environ["GRIP_URL"])

app = Flask(__name__)
publisher = GripPubControl(GRIP)

PAGE = """<!doctype html>
<title>Live</title>
<ul id="log"></ul>
<script>
  const source = new EventSource("/events/%s");
  const show = (event) => {
    const line = document.createElement("li");
    line.textContent = event.data;
    document.getElementById("log").append(line);
  };
  source.onmessage = show;
  source.addEventListener("note", show);
</script>
"""

SOCKET_PAGE = """<!doctype html>
<title>Live</title>
<ul id="log"></ul>
<script>
  const socket = new WebSocket(`${location.origin.replace("http", "ws")}/socket/%s`);
  const show = (text) => {
    const line = document.createElement("li");
    line.textContent = text;
    document.getElementById("log").append(line);
  };
  socket.onmessage = ({ data }) => {
    show(data);
    if (data === "opened") socket.send("echo ✓");
  };
  socket.onclose = ({ code, reason, wasClean }) => show(`closed ${code} ${reason} ${wasClean}`);
</script>
"""

SOCKJS_PAGE = """<!doctype html>
<title>Live</title>
<script src="/sockjs.js"></script>
<ul id="log"></ul>
<script>
  const socket = new SockJS("/sockjs", null, { transports: ["%s"] });
  const show = (text) => {
    const line = document.createElement("li");
    line.textContent = text;
    document.getElementById("log").append(line);
  };
  socket.onopen = () => show(`open by ${socket.transport}`);
  socket.onmessage = ({ data }) => {
    show(data);
    if (data === "opened") socket.send("echo ✓");
  };
  socket.onclose = ({ code, reason }) => show(`closed ${code} ${reason}`);
</script>
"""

SOCKJS_SCRIPT = Path(__file__).parent / "node/node_modules/sockjs-client/dist/sockjs.min.js"


def held(mode: str, channel: str, body: str, content_type: str = "text/plain") -> Response:
    """Ask for a hold by headers."""
    response = Response(body, content_type=content_type)
    response.headers["Grip-Hold"] = mode
    response.headers["Grip-Channel"] = gripcontrol.create_grip_channel_header(Channel(channel))
    return response


def is_signed() -> bool:
    token = request.headers.get("Grip-Sig", "")
    return bool(gripcontrol.validate_sig(token, GRIP["verify_key"], GRIP["verify_iss"]))


@app.get("/whoami")
def whoami() -> Response:
    token = request.headers.get("Grip-Sig", "")
    return jsonify(
        signed=is_signed(),
        signed_with_another_key=gripcontrol.validate_sig(token, "another", GRIP["verify_iss"]),
        features=request.headers.get("Grip-Feature", "").split(", "),
    )


@app.get("/stream/<channel>")
def stream(channel: str) -> Response:
    return held("stream", channel, "opened\n")


@app.get("/poll/<channel>")
def poll(channel: str) -> Response:
    return held("response", channel, "nothing came\n")


@app.get("/instruct/stream/<channel>")
def instruct_stream(channel: str) -> Response:
    first = gripcontrol.Response(headers={"Content-Type": "text/plain", "X-By": "instruct"}, body="opened\n")
    body = gripcontrol.create_hold_stream([Channel(channel), Channel(f"{channel}-too")], first)
    return Response(body, content_type="application/grip-instruct")


@app.get("/instruct/poll/<channel>")
def instruct_poll(channel: str) -> Response:
    late = gripcontrol.Response(code=404, reason="Nothing Came", headers={"X-By": "instruct"}, body="nothing came\n")
    body = gripcontrol.create_hold_response(channel, late, timeout=30)
    return Response(body, content_type="application/grip-instruct")


@app.get("/events/<channel>")
def events(channel: str) -> Response:
    last = request.headers.get("Last-Event-ID")
    first = "opened" if last is None else f"resumed after {last}"
    return held("stream", channel, f"retry: 10\ndata: {first}\n\n", "text/event-stream")


@app.get("/page/<channel>")
def page(channel: str) -> str:
    return PAGE % channel


@app.post("/socket/<channel>")
def socket(channel: str) -> Response:
    """What a framework's middleware would do: events in, and out again."""
    meta = {name[5:].lower(): value for name, value in request.headers if name.startswith("Meta-")}
    events = gripcontrol.decode_websocket_events(request.get_data())
    context = WebSocketContext(request.headers["Connection-Id"], meta, events)
    converse(context, channel, signed=is_signed(), publish=lambda text: send(channel, WebSocketMessageFormat(text)))
    return answer(context)


@app.post("/socket/<channel>/of-alice")
def socket_of_alice(channel: str) -> Response:
    """Control messages that WebSocketContext has no method for, by `websocket_control_message`."""
    events = gripcontrol.decode_websocket_events(request.get_data())
    context = WebSocketContext(request.headers["Connection-Id"], {}, events)
    if context.is_opening():
        context.accept()
        for kind, fields in (
            ("set-meta", {"name": "user", "value": "alice"}),
            ("subscribe", {"channel": channel, "filters": ["skip-users"]}),
            ("keep-alive", {"timeout": 1, "content": "still here"}),
        ):
            context.send_control(gripcontrol.websocket_control_message(kind, fields))
    return answer(context, protocol=request.headers.get("Sec-WebSocket-Protocol", "").rpartition(",")[2].strip())


@app.post("/socket/<channel>/refused")
def socket_refused(channel: str) -> Response:
    return Response(f"not on {channel}\n", status=403, content_type="text/plain", headers={"X-By": "Flask"})


def answer(context: WebSocketContext, protocol: str = "") -> Response:
    events = [*context.out_events]
    headers = {f"Set-Meta-{name}": value for name, value in context.meta.items() if name not in context.orig_meta}
    if context.accepted:
        events.insert(0, WebSocketEvent("OPEN"))
        headers["Sec-WebSocket-Extensions"] = "grip"
    if context.closed:
        events.append(WebSocketEvent("CLOSE", struct.pack(">H", context.out_close_code)))
    if protocol:
        headers["Sec-WebSocket-Protocol"] = protocol
    body = gripcontrol.encode_websocket_events(events)
    return Response(body, content_type="application/websocket-events", headers=headers)


def send(channel: str, message: WebSocketMessageFormat, meta: dict[str, str] | None = None) -> Response:
    publisher.publish(channel, Item(message, meta=meta or {}), blocking=True)
    return jsonify(ok=True)


@app.post("/publish/message/<channel>")
def publish_message(channel: str) -> Response:
    return send(channel, WebSocketMessageFormat(request.get_data()))


@app.post("/publish/message-not-to-alice/<channel>")
def publish_message_not_to_alice(channel: str) -> Response:
    return send(channel, WebSocketMessageFormat(request.get_data()), {"skip_users": "alice"})


@app.post("/publish/binary/<channel>")
def publish_binary(channel: str) -> Response:
    return send(channel, WebSocketMessageFormat(bytes.fromhex(request.get_data(as_text=True)), binary=True))


@app.post("/publish/leave/<channel>")
def publish_leave(channel: str) -> Response:
    code = request.get_data(as_text=True)
    return send(channel, WebSocketMessageFormat(action="close", code=int(code) if code else None, reason="published"))


@app.get("/socket-page/<channel>")
def socket_page(channel: str) -> str:
    return SOCKET_PAGE % channel


@app.get("/sockjs-page/<transport>")
def sockjs_page(transport: str) -> str:
    return SOCKJS_PAGE % transport


@app.get("/sockjs.js")
def sockjs_script() -> Response:
    return Response(SOCKJS_SCRIPT.read_bytes(), content_type="text/javascript")


@app.post("/publish/stream/<channel>")
def publish_stream(channel: str) -> Response:
    publisher.publish_http_stream(channel, HttpStreamFormat(request.get_data()), blocking=True)
    return jsonify(ok=True)


@app.post("/publish/response/<channel>")
def publish_response(channel: str) -> Response:
    answer = HttpResponseFormat(
        code=201, reason="Made", headers={"X-Said": "by the publisher"}, body=request.get_data()
    )
    publisher.publish_http_response(channel, answer, blocking=True)
    return jsonify(ok=True)


@app.post("/publish/both/<channel>")
def publish_both(channel: str) -> Response:
    text = request.get_data(as_text=True)
    publisher.publish(channel, Item([HttpStreamFormat(text), HttpResponseFormat(body=text)]), blocking=True)
    return jsonify(ok=True)


@app.post("/publish/many/<channel>")
def publish_many(channel: str) -> Response:
    """One item a line, through the asynchronous side, which sends them in batches."""
    outcomes: list[tuple[bool, str]] = []
    for line in request.get_data(as_text=True).split("\n"):
        publisher.publish_http_stream(channel, f"{line}\n", callback=lambda *outcome: outcomes.append(outcome))
    for client in publisher.clients:
        client.wait_all_sent()
    return jsonify(outcomes=outcomes)


@app.post("/publish/close/<channel>")
def publish_close(channel: str) -> Response:
    publisher.publish_http_stream(channel, HttpStreamFormat(close=True), blocking=True)
    return jsonify(ok=True)


@app.post("/publish/hint/<channel>")
def publish_hint(channel: str) -> Response:
    publisher.publish(channel, Item(HttpResponseFormat(action="hint")), blocking=True)
    return jsonify(ok=True)


@app.post("/publish/twice/<channel>")
def publish_twice(channel: str) -> Response:
    """The same id twice, as a retry after a lost answer sends it."""
    for _ in range(2):
        publisher.publish_http_stream(channel, request.get_data(as_text=True), id="only-once", blocking=True)
    return jsonify(ok=True)


@app.post("/publish/refused/<channel>")
def publish_refused(channel: str) -> Response:
    outcomes: list[tuple[bool, str]] = []
    item = Item(HttpStreamFormat(action="juggle"))
    publisher.publish(channel, item, callback=lambda *outcome: outcomes.append(outcome))
    for client in publisher.clients:
        client.wait_all_sent()
    return jsonify(outcomes=outcomes)


if __name__ == "__main__":
    app.run("127.0.0.1", int(os.environ["PORT"]), threaded=True)
