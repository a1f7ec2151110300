"""A PHP script that sets the headers by hand works behind Holdfast."""

from __future__ import annotations

import pytest

from tests.interop.grip_site import Site


@pytest.mark.parametrize("repetition", [1, 2])
def test_a_stream_shows_what_a_stream_context_posts(php_site: Site, channel: str, repetition: int) -> None:
    with php_site.stream(f"/stream/{channel}") as stream:
        stream.expect("opened\n")
        assert php_site.publish(channel, f"grüße {repetition}\n") == "Published\n"
        stream.expect(f"grüße {repetition}\n")


def test_a_publisher_that_expects_a_100_before_its_body_gets_it(php_site: Site, channel: str) -> None:
    with php_site.stream(f"/stream/{channel}") as stream:
        stream.expect("opened\n")
        answer = php_site.publish(f"expect/{channel}", "after the 100\n")
        assert answer.startswith("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
        assert answer.endswith("\r\n\r\nPublished\n")
        stream.expect("after the 100\n")
