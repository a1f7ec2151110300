from __future__ import annotations

import pytest

from publish_api.protocol.answer import PublishAnswer, encode_answer

ANSWER = PublishAnswer(status=405, body=b"no\n", headers=((b"Allow", b"POST"),))
BARE = b"HTTP/1.1 405 Method Not Allowed\r\nAllow: POST\r\nContent-Type: text/plain\r\nConnection: close\r\n"
CLOSING = BARE + b"Content-Length: 3\r\n\r\n"
KEPT = CLOSING.replace(b"close", b"keep-alive")


@pytest.mark.parametrize(
    ("version", "is_head", "keeps_open", "expected"),
    [
        (b"1.1", False, False, CLOSING + b"no\n"),
        (b"1.1", False, True, KEPT + b"no\n"),
        (b"1.0", False, False, CLOSING.replace(b"1.1", b"1.0") + b"no\n"),
        (b"2.0", False, False, CLOSING + b"no\n"),
        (b"1.1", True, False, CLOSING + b"no\n"),
        (b"1.1", True, True, KEPT),
    ],
)
def test_an_answer_is_framed(version: bytes, is_head: bool, keeps_open: bool, expected: bytes) -> None:
    assert encode_answer(ANSWER, version=version, is_head=is_head, keeps_open=keeps_open) == expected


def test_it_says_what_it_is_made_of() -> None:
    answer = PublishAnswer(status=200, body=b"{}", content_type=b"application/json")
    assert b"\r\nContent-Type: application/json\r\n" in encode_answer(
        answer, version=b"1.1", is_head=False, keeps_open=False
    )
