"""Who the hub says it is (RFC 9728, reference 1.9.5, 1.10)."""

from __future__ import annotations

import pytest

from handlers.errors import Challenge
from handlers.hub.settings import HubSettings, IssuerSettings
from handlers.protocol.mercure.identity import (
    challenge,
    encode_metadata,
    is_public,
    metadata_path,
    metadata_url,
    origin_of,
    resource_of,
)

WELL_KNOWN = "/.well-known/oauth-protected-resource"


@pytest.mark.parametrize(
    ("scheme", "authority", "origin"),
    [
        ("https", "hub.example", "https://hub.example"),
        ("HTTPS", "HUB.example:443", "https://hub.example"),
        ("https", "hub.example:", "https://hub.example"),
        ("https", "hub.example:80", "https://hub.example:80"),
        ("http", "hub.example:80", "http://hub.example"),
        ("http", "hub.example:8080", "http://hub.example:8080"),
        ("http", "[::1]", "http://[::1]"),
        ("http", "[::80]", "http://[::80]"),
        ("http", "[::1]:80", "http://[::1]"),
        ("http", "[::1]:8080", "http://[::1]:8080"),
        ("http", "", "http://localhost"),
    ],
)
def test_an_origin_has_one_spelling(scheme: str, authority: str, origin: str) -> None:
    assert origin_of(scheme, authority) == origin


@pytest.mark.parametrize("origin", ["https://hub.example", "https://other.example:88"])
def test_a26_a_derived_identity_is_the_requests(origin: str) -> None:
    authority = origin.removeprefix("https://")
    assert resource_of(HubSettings(), scheme="https", authority=authority) == f"{origin}/.well-known/mercure"
    url = f"{origin}{WELL_KNOWN}/.well-known/mercure"
    assert metadata_url(HubSettings(), scheme="https", authority=authority) == url


@pytest.mark.parametrize(
    ("pinned", "url"),
    [
        ("https://hub.example/.well-known/mercure", f"https://hub.example{WELL_KNOWN}/.well-known/mercure"),
        ("https://hub.example:8443/a/b?c=d", f"https://hub.example:8443{WELL_KNOWN}/a/b?c=d"),
        ("https://hub.example", f"https://hub.example{WELL_KNOWN}"),
        ("https://hub.example/", f"https://hub.example{WELL_KNOWN}"),
        ("https://hub.example/?c", f"https://hub.example{WELL_KNOWN}?c"),
        ("urn:our:hub", f"http://asked.example{WELL_KNOWN}/hub"),
    ],
)
def test_a_pinned_identity_does_not_depend_on_the_request(pinned: str, url: str) -> None:
    settings = HubSettings(path="/hub", resource_identifier=pinned)
    assert resource_of(settings, scheme="http", authority="asked.example") == pinned
    assert metadata_url(settings, scheme="http", authority="asked.example") == url


def test_o04_the_metadata_lie_under_a_path_made_from_the_hubs() -> None:
    assert metadata_path(HubSettings()) == "/.well-known/oauth-protected-resource/.well-known/mercure"
    assert metadata_path(HubSettings(path="/hub")) == "/.well-known/oauth-protected-resource/hub"


@pytest.mark.parametrize(
    ("public_urls", "scheme", "authority", "public"),
    [
        ((), "http", "anything:1", True),
        (("https://hub.example",), "https", "hub.example", True),
        (("https://hub.example",), "https", "HUB.example:443", True),
        (("https://hub.example:443/",), "https", "hub.example", True),
        (("https://Hub.example/.well-known/mercure",), "https", "hub.example", True),
        (("http://a.example:8080", "https://hub.example"), "https", "hub.example", True),
        (("https://hub.example",), "http", "hub.example", False),
        (("https://hub.example",), "http", "hub.example:443", False),
        (("https://hub.example",), "https", "hub.example:8443", False),
        (("https://hub.example",), "https", "sub.hub.example", False),
        (("https://hub.example",), "https", "", False),
    ],
)
def test_a27_the_hub_answers_on_its_public_origins(
    public_urls: tuple[str, ...], scheme: str, authority: str, public: bool
) -> None:
    assert is_public(HubSettings(public_urls=public_urls), scheme, authority) is public


@pytest.mark.parametrize(
    ("error", "value"),
    [
        (Challenge.NO_TOKEN, b'Bearer resource_metadata="https://h/m"'),
        (Challenge.INVALID_TOKEN, b'Bearer error="invalid_token", resource_metadata="https://h/m"'),
        (Challenge.INSUFFICIENT_SCOPE, b'Bearer error="insufficient_scope", resource_metadata="https://h/m"'),
        (Challenge.INVALID_REQUEST, b'Bearer error="invalid_request", resource_metadata="https://h/m"'),
    ],
)
def test_a_challenge_names_the_fault_and_the_metadata(error: Challenge, value: bytes) -> None:
    assert challenge(error, "https://h/m") == value


def test_a_challenge_stays_within_its_quotes() -> None:
    assert challenge(Challenge.NO_TOKEN, 'h"\\') == b'Bearer resource_metadata="h\\"\\\\"'


# The whole bytes, because the members' order is told too.
PLAIN = (
    b'{"resource":"https://hub.example/.well-known/mercure","bearer_methods_supported":["header"],'
    b'"authorization_details_types_supported":["https://mercure.rocks/authorization-detail"],'
    b'"mercure_cookie":"__Secure-mercure_access_token"}\n'
)
SERVERS = PLAIN.replace(b'"bearer', b'"authorization_servers":["https://a","https://c"],"bearer')


@pytest.mark.parametrize(
    ("settings", "subscriptions_active", "document"),
    [
        pytest.param(HubSettings(), False, PLAIN, id="o04-nothing but what must be, l14"),
        pytest.param(
            HubSettings(), True, PLAIN.replace(b"}", b',"mercure_subscriptions":true}'), id="o04-subscriptions"
        ),
        pytest.param(
            HubSettings(cookie_name="token"),
            False,
            PLAIN.replace(b"__Secure-mercure_access_token", b"token"),
            id="cookie",
        ),
        pytest.param(
            HubSettings(issuers=(IssuerSettings(id="https://b", publisher_key="key"),)),
            False,
            PLAIN,
            id="o05-no flagged issuer",
        ),
        pytest.param(
            HubSettings(
                issuers=(
                    IssuerSettings(id="https://a", publisher_key="key", authorization_server=True),
                    IssuerSettings(id="https://b", publisher_key="key"),
                    IssuerSettings(id="https://c", publisher_key="key", authorization_server=True),
                )
            ),
            False,
            SERVERS,
            id="o05-flagged issuers only",
        ),
    ],
)
def test_the_metadata_are_one_object_and_a_line_end(
    settings: HubSettings, subscriptions_active: bool, document: bytes
) -> None:
    resource = "https://hub.example/.well-known/mercure"
    assert encode_metadata(settings, resource, subscriptions_active=subscriptions_active) == document
