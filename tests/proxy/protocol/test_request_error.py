from __future__ import annotations

from proxy.protocol.request_error import Refusal, RequestError, head_too_large, too_many_headers
from tests.proxy.protocol import test_chunked, test_framing


def test_every_refusal_has_a_stream_that_meets_it() -> None:
    met = {refusal for _, refusal in [*test_framing.UNSOUND, *test_chunked.UNSOUND]}
    assert met == set(Refusal)


def test_a_refusal_is_a_400_unless_the_rfc_names_another_status() -> None:
    others = {refusal: refusal.error().status for refusal in Refusal if refusal.error().status != 400}
    assert others == {
        Refusal.EXPECTATION: 417,
        Refusal.CONNECT: 501,
        Refusal.CODING_UNKNOWN: 501,
        Refusal.VERSION: 505,
    }


def test_the_text_is_what_the_client_reads() -> None:
    error = Refusal.HOST_MISSING.error()
    assert str(error) == error.text == "Failed to parse request: missing Host header"
    assert str(head_too_large(9)) == "Request header size exceeded limit of 9 bytes."
    assert str(too_many_headers(9)) == "Failed to parse request: more than 9 headers"
    assert str(RequestError(400, "text")) == "text"
