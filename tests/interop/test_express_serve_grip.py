"""An Express backend on @fanoutio/serve-grip and @fanoutio/grip works behind Holdfast."""

from __future__ import annotations

import base64

from tests.interop.grip_site import Site


def test_serve_grip_finds_a_proxied_request_proxied(express_site: Site) -> None:
    # It takes any Grip-Sig for valid, so only gripcontrol and django-grip prove the signature itself.
    assert express_site.get("/whoami").json() == {"proxied": True, "signed": True}
    assert express_site.ask_backend("/whoami").json() == {"proxied": False, "signed": False}


def test_a_chunked_first_body_is_held_and_followed_by_what_is_published(express_site: Site, channel: str) -> None:
    with express_site.stream(f"/stream/{channel}") as stream:
        stream.expect("opened\n")
        express_site.publish(f"stream/{channel}", "grüße ✓\n")
        stream.expect("grüße ✓\n")


def test_bytes_that_are_no_text_arrive_unchanged(express_site: Site, channel: str) -> None:
    with express_site.stream(f"/stream/{channel}") as stream:
        stream.expect("opened\n")
        express_site.publish(f"bytes/{channel}", base64.b64encode(b"\x00\xff\xfe\r\n\x80"))
        stream.expect(b"\x00\xff\xfe\r\n\x80")


def test_items_published_at_once_over_several_connections_all_arrive(express_site: Site, channel: str) -> None:
    lines = {f"{number:02}" for number in range(50)}
    with express_site.stream(f"/stream/{channel}") as stream:
        stream.expect("opened\n")
        express_site.publish(f"many/{channel}", "\n".join(lines))
        assert {stream.read(3).decode().rstrip("\n") for _ in lines} == lines


def test_a_publication_answers_a_long_poll_over_the_holds_own_headers(express_site: Site, channel: str) -> None:
    answer = express_site.poll(f"/poll/{channel}", lambda: express_site.publish(f"response/{channel}", "here"))
    assert (answer.status_code, answer.reason, answer.text) == (201, "Made", "here")
    assert (answer.headers["X-Said"], answer.headers["X-Kept"]) == ("by the publisher", "from the hold")


def test_a_close_ends_the_stream_cleanly(express_site: Site, channel: str) -> None:
    with express_site.stream(f"/stream/{channel}") as stream:
        stream.expect("opened\n")
        express_site.publish(f"close/{channel}")
        stream.expect_end()
