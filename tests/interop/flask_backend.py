"""A Flask backend on gripcontrol and pubcontrol, as their READMEs have it: a program, started by `conftest`.

Environment: PORT to listen on, GRIP_URL of the publish port with its keys. What it answers is plain enough to be
read off the tests that use it.
"""

from __future__ import annotations

import os

import gripcontrol
from flask import Flask, Response, jsonify, request
from gripcontrol import Channel, GripPubControl, HttpResponseFormat, HttpStreamFormat
from pubcontrol import Item

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


def held(mode: str, channel: str, body: str, content_type: str = "text/plain") -> Response:
    """Ask for a hold by headers."""
    response = Response(body, content_type=content_type)
    response.headers["Grip-Hold"] = mode
    response.headers["Grip-Channel"] = gripcontrol.create_grip_channel_header(Channel(channel))
    return response


@app.get("/whoami")
def whoami() -> Response:
    token = request.headers.get("Grip-Sig", "")
    return jsonify(
        signed=gripcontrol.validate_sig(token, GRIP["verify_key"], GRIP["verify_iss"]),
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
