"""Where a link leads from where it stands."""

from __future__ import annotations

import pytest

from proxy.protocol.link_uri import LinkError, follow, request_uri

BASE = request_uri(is_tls=False, authority=b"Site.example", path=b"/c/base/x?y=1")


@pytest.mark.parametrize(
    ("reference", "leads_to"),
    [
        ("/a/next", "http://site.example/a/next"),
        ("rel?x=%zz&y", "http://site.example/c/base/rel?x=%zz&y"),
        ("?q=2", "http://site.example/c/base/x?q=2"),
        ("../z", "http://site.example/c/z"),
        ("../../../../z", "http://site.example/z"),
        ("//Other.example:81/y", "http://other.example:81/y"),
        ("https://site.example", "https://site.example/"),
        ("http://site.example/x#part", "http://site.example/x"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
        ("#part", "http://site.example/c/base/x?y=1"),
    ],
)
def test_a_reference_is_resolved(reference: str, leads_to: str) -> None:
    assert follow(BASE, reference).text == leads_to


def test_the_bytes_of_a_path_stay_what_they_are() -> None:
    base = request_uri(is_tls=True, authority=b"a", path=b"/\xc3\xa4/\xff?\xfe")
    assert base.path == b"/\xc3\xa4/\xff?\xfe"
    assert follow(base, "b").path == b"/\xc3\xa4/b"


def test_host_and_port_are_those_to_connect_to() -> None:
    found = follow(BASE, "http://[::1]:8080/x")
    assert (found.host, found.port, found.authority) == ("::1", 8080, b"[::1]:8080")
    assert follow(BASE, "https://a/").port == 443


@pytest.mark.parametrize(
    ("reference", "is_same"),
    [
        ("/x", True),
        ("http://SITE.example:80/x", True),
        ("https://site.example/x", True),
        ("https://site.example:443/x", False),
        ("https://site.example:80/x", False),
        ("http://site.example:81/x", False),
        ("http://example/x", False),
    ],
)
def test_the_same_place_has_one_host_and_port(reference: str, is_same: bool) -> None:
    assert follow(BASE, reference).is_same_place(BASE) is is_same


@pytest.mark.parametrize("reference", ["http://user@host/", "http://user:pass@host/", "//:80/", "http://[::1/x"])
def test_some_lead_nowhere(reference: str) -> None:
    with pytest.raises(LinkError):
        follow(BASE, reference)


@pytest.mark.parametrize("authority", [b"a:b", b"[::1", b"a:99999", b""])
def test_a_request_may_be_for_what_is_no_host(authority: bytes) -> None:
    with pytest.raises(LinkError):
        request_uri(is_tls=False, authority=authority, path=b"/")
