"""Names that PHP, CGI and WSGI backends cannot tell from those that only the proxy may set."""

from __future__ import annotations

import pytest

from proxy.protocol.headers import RequestOptions, request_headers


@pytest.mark.parametrize(
    "name",
    [
        b"Grip_Sig",
        b"GRIP_last",
        b"X_Forwarded_For",
        b"X-Forwarded_Proto",
        b"Content_Length",
        b"CDN_Loop",
        b"eb9bf0f5_a",
    ],
)
def test_a_name_that_cgi_folds_into_one_of_ours_does_not_pass(name: bytes) -> None:
    sent = request_headers(((name, b"1"), (b"X_Own", b"2")), options=RequestOptions(host=b"h", grip=False))
    assert [pair[0] for pair in sent] == [b"Host", b"X_Own"]


def test_a_name_that_cgi_folds_into_one_the_route_sets_does_not_pass() -> None:
    options = RequestOptions(host=b"h", grip=False, route_headers=((b"X-Own", b"route"),))
    assert request_headers(((b"X_Own", b"client"), (b"X_Other", b"1")), options=options) == (
        (b"Host", b"h"),
        (b"X_Other", b"1"),
        (b"X-Own", b"route"),
    )
