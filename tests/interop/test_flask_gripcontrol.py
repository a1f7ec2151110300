"""A Flask backend on gripcontrol and pubcontrol works behind Holdfast."""

from __future__ import annotations

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from tests.interop.grip_site import Site


def test_gripcontrol_finds_a_proxied_request_signed(flask_site: Site) -> None:
    seen = flask_site.get("/whoami").json()
    assert seen["signed"] is True
    assert seen["signed_with_another_key"] is False


def test_a_request_around_the_proxy_is_not_signed(flask_site: Site) -> None:
    assert flask_site.ask_backend("/whoami").json()["signed"] is False


def test_a_clients_own_signature_and_features_never_reach_the_backend(flask_site: Site) -> None:
    forged = {"Grip-Sig": "forged", "Grip-Feature": "forged"}
    seen = flask_site.get("/whoami", headers=forged).json()
    assert seen["signed"] is True
    assert "forged" not in seen["features"]


@pytest.mark.parametrize("path", ["stream", "instruct/stream"])
def test_a_stream_shows_the_first_body_and_then_what_is_published(flask_site: Site, channel: str, path: str) -> None:
    with flask_site.stream(f"/{path}/{channel}") as stream:
        assert stream.head.status_code == 200
        assert stream.head.headers["Content-Type"].startswith("text/plain")
        assert not [name for name in stream.head.headers if name.lower().startswith("grip-")]
        stream.expect("opened\n")
        flask_site.publish(f"stream/{channel}", "grüße ✓\n")
        stream.expect("grüße ✓\n")


def test_an_instruct_body_sets_headers_and_several_channels(flask_site: Site, channel: str) -> None:
    with flask_site.stream(f"/instruct/stream/{channel}") as stream:
        assert stream.head.headers["X-By"] == "instruct"
        stream.expect("opened\n")
        flask_site.publish(f"stream/{channel}", "one\n")
        flask_site.publish(f"stream/{channel}-too", "two\n")
        stream.expect("one\ntwo\n")


def test_bytes_that_are_no_text_arrive_unchanged(flask_site: Site, channel: str) -> None:
    with flask_site.stream(f"/stream/{channel}") as stream:
        stream.expect("opened\n")
        flask_site.publish(f"stream/{channel}", b"\x00\xff\xfe\r\n\x80")
        stream.expect(b"\x00\xff\xfe\r\n\x80")


def test_every_client_of_a_channel_gets_an_item_and_nobody_else(flask_site: Site, channel: str) -> None:
    with (
        flask_site.stream(f"/stream/{channel}") as first,
        flask_site.stream(f"/stream/{channel}") as second,
        flask_site.stream(f"/stream/{channel}-other") as other,
    ):
        for stream in (first, second, other):
            stream.expect("opened\n")
        flask_site.publish(f"stream/{channel}", "for two\n")
        flask_site.publish(f"stream/{channel}-other", "for one\n")
        first.expect("for two\n")
        second.expect("for two\n")
        other.expect("for one\n")


@pytest.mark.parametrize("path", ["poll", "instruct/poll"])
def test_a_publication_answers_a_long_poll(flask_site: Site, channel: str, path: str) -> None:
    answer = flask_site.poll(f"/{path}/{channel}", lambda: flask_site.publish(f"response/{channel}", "here"))
    assert (answer.status_code, answer.reason, answer.text) == (201, "Made", "here")
    assert answer.headers["X-Said"] == "by the publisher"


def test_an_item_with_two_formats_serves_streams_and_long_polls(flask_site: Site, channel: str) -> None:
    with flask_site.stream(f"/stream/{channel}") as stream:
        stream.expect("opened\n")
        answer = flask_site.poll(f"/poll/{channel}", lambda: flask_site.publish(f"both/{channel}", "both\n"))
        assert answer.text == "both\n"
        stream.expect("both\n")


def test_a_hint_asks_the_backend_again_for_the_long_poll(flask_site: Site, channel: str) -> None:
    def hint_and_answer() -> None:
        flask_site.publish(f"hint/{channel}")
        flask_site.publish(f"response/{channel}", "after the hint")

    # The backend holds again at each hint, so an answer says that the poll outlived one.
    answer = flask_site.poll(f"/poll/{channel}", hint_and_answer)
    assert answer.text == "after the hint"


def test_batches_of_the_asynchronous_publisher_arrive_whole_and_in_order(flask_site: Site, channel: str) -> None:
    lines = [f"line {number}" for number in range(35)]  # it sends ten a request
    with flask_site.stream(f"/stream/{channel}") as stream:
        stream.expect("opened\n")
        outcomes = flask_site.publish(f"many/{channel}", "\n".join(lines))["outcomes"]
        assert [accepted for accepted, _ in outcomes] == [True] * len(lines)
        stream.expect("".join(f"{line}\n" for line in lines))


def test_an_item_sent_twice_under_one_id_arrives_once(flask_site: Site, channel: str) -> None:
    with flask_site.stream(f"/stream/{channel}") as stream:
        stream.expect("opened\n")
        flask_site.publish(f"twice/{channel}", "once\n")
        flask_site.publish(f"stream/{channel}", "next\n")
        stream.expect("once\nnext\n")


def test_a_close_ends_the_stream_cleanly_and_the_client_can_go_on(flask_site: Site, channel: str) -> None:
    with flask_site.stream(f"/stream/{channel}") as stream:
        stream.expect("opened\n")
        flask_site.publish(f"stream/{channel}", "last\n")
        flask_site.publish(f"close/{channel}")
        stream.expect("last\n")
        stream.expect_end()
        assert stream.ask_again(f"{flask_site.url}/whoami").json()["signed"] is True


def test_a_refused_item_tells_the_publishers_callback_why(flask_site: Site, channel: str) -> None:
    [(accepted, reason)] = flask_site.publish(f"refused/{channel}")["outcomes"]
    assert accepted is False
    assert "received failed status code 400 with message: Invalid format:" in reason


# -- WebSockets, beside what test_websocket_over_http.py asks of all backends ---------------------------------------


async def test_control_messages_set_meta_filters_and_a_keep_alive(flask_site: Site, channel: str) -> None:
    async with (
        connect(flask_site.socket_url(f"/socket/{channel}/of-alice"), proxy=None) as alice,
        connect(flask_site.socket_url(f"/socket/{channel}"), proxy=None) as somebody,
    ):
        assert await somebody.recv() == "opened"
        flask_site.publish(f"message-not-to-alice/{channel}", "not to alice")
        flask_site.publish(f"message/{channel}", "to all")
        assert [await somebody.recv(), await somebody.recv()] == ["not to alice", "to all"]
        assert [await alice.recv(), await alice.recv()] == ["to all", "still here"]


@pytest.mark.parametrize("offered", [["v2.chat", "v1.chat"], ["v1.chat"]])
async def test_the_backend_chooses_the_subprotocol(flask_site: Site, channel: str, offered: list[Subprotocol]) -> None:
    url = flask_site.socket_url(f"/socket/{channel}/of-alice")
    async with connect(url, proxy=None, subprotocols=offered) as socket:
        assert socket.subprotocol == "v1.chat"


async def test_a_websocket_around_the_proxy_is_none(flask_site: Site, channel: str) -> None:
    url = f"{flask_site.backend_url}/socket/{channel}".replace("http", "ws", 1)
    with pytest.raises(InvalidStatus) as refused:
        await connect(url, proxy=None)
    assert refused.value.response.status_code == 405
