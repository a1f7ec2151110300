"""What the hub's settings may be, and what of them contradicts itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from handlers.errors import InvalidSetting
from handlers.hub.settings import HubSettings, IssuerSettings

PEM = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"
ISSUER = IssuerSettings(id="https://issuer.example", publisher_key="secret")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("path", "/hub"),
        ("path", "/a/b%20c"),
        ("protocols", ("1.0",)),
        ("protocols", ("2019", "8")),
        ("publisher_key", "base64:c2VjcmV0"),
        ("publisher_key", "file:/nowhere"),
        ("subscriber_jwks", "https://issuer.example/keys"),
        ("public_urls", ("https://hub.example", "http://localhost:3000")),
        ("resource_identifier", "https://hub.example/.well-known/mercure"),
        ("resource_identifier", "urn:our:hub"),
        ("cors_origins", ("*",)),
        ("publish_origins", ("https://*.example", "null")),
        ("issuers", (ISSUER, replace(ISSUER, id="https://other.example"))),
    ],
)
def test_what_can_be_obeyed_is_taken(key: str, value: object) -> None:
    settings: dict[str, Any] = {key: value}
    assert getattr(HubSettings(**settings), key) == value


@pytest.mark.parametrize(
    ("settings", "key", "reason"),
    [
        ({"path": ""}, "path", "expected a path"),
        ({"path": "hub"}, "path", "expected a path"),
        ({"path": "/"}, "path", "expected a path"),
        ({"path": "/hub/"}, "path", "without slash or query"),
        ({"path": "/hub?x"}, "path", "without slash or query"),
        ({"path": "/a//b"}, "path", "expected a path"),
        ({"path": "/hub\n"}, "path", "expected a path"),
        ({"protocols": ()}, "protocols", "at least one"),
        ({"protocols": ("8", "8")}, "protocols", "'8' stands there twice"),
        ({"issuers": (ISSUER, ISSUER)}, "issuers[1].id", "the id of another issuer"),
        ({"issuers": (ISSUER,), "protocols": ("8",)}, "issuers", "are of protocol 1.0"),
        ({"protocols": ("1.0",), "publisher_key": "x"}, "publisher_key", "protocols lists 1.0 only"),
        ({"protocols": ("1.0",), "subscriber_jwks": "https://a/b"}, "subscriber_jwks", "protocols lists 1.0 only"),
        ({"publisher_key": "x", "publisher_jwks": "https://a/b"}, "publisher_jwks", "beside publisher_key"),
        ({"publisher_algorithm": "none"}, "publisher_algorithm", "expected one of HS256"),
        ({"subscriber_algorithm": "hs256"}, "subscriber_algorithm", "got 'hs256'"),
        ({"publisher_key": PEM}, "publisher_key", "is PEM, and publisher_algorithm is HS256"),
        ({"subscriber_key": "base64:!"}, "subscriber_key", "is not base64"),
        ({"cors_origins": ("https://a.example/",)}, "cors_origins", "without a slash"),
        ({"publish_origins": ("a.example",)}, "publish_origins", "begin with a scheme"),
        ({"public_urls": ("*",)}, "public_urls", "expected origins as"),
        ({"public_urls": ("ftp://a.example",)}, "public_urls", "expected origins as"),
        ({"public_urls": ("https://*.example",)}, "public_urls", "expected origins as"),
        ({"public_urls": ("https://a.example?x",)}, "public_urls", "expected origins as"),
        ({"public_urls": ("https://",)}, "public_urls", "expected origins as"),
        ({"public_urls": ("https://a:99999",)}, "public_urls", "is not a URL"),
        ({"resource_identifier": "hub.example/x"}, "resource_identifier", "expected a URL"),
        ({"resource_identifier": "https://a/#b"}, "resource_identifier", "without fragment"),
        ({"resource_identifier": "https://a/ b"}, "resource_identifier", "expected a URL"),
        ({"cookie_name": ""}, "cookie_name", "expected a cookie's name"),
        ({"cookie_name": "a b"}, "cookie_name", "expected a cookie's name"),
        ({"cookie_name": "é"}, "cookie_name", "expected a cookie's name"),
        ({"history": "", "history_size": 1}, "history_size", "although history is empty"),
        ({"history": "", "history_age": 1.0}, "history_age", "although history is empty"),
        ({"history": "", "history_bytes": 1}, "history_bytes", "although history is empty"),
        ({"history": "", "on_unknown_cursor": "error"}, "on_unknown_cursor", "although history is empty"),
    ],
)
def test_o11_what_cannot_be_obeyed_is_refused_under_its_key(settings: dict[str, Any], key: str, reason: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        HubSettings(**settings)
    assert caught.value.key == key
    assert reason in caught.value.reason


@pytest.mark.parametrize(
    ("settings", "key", "reason"),
    [
        ({"id": "", "publisher_key": "x"}, "id", "expected the 'iss' claim"),
        ({"id": "a"}, "id", "has no key"),
        ({"id": "a", "authorization_server": True}, "id", "has no key"),
        ({"id": "a", "publisher_key": PEM}, "publisher_key", "is PEM"),
        ({"id": "a", "publisher_jwks": "https://a/b", "jwks_algorithms": ("HS256",)}, "jwks_algorithms", "got 'HS256'"),
        ({"id": "a", "subscriber_key": "x", "subscriber_jwks": "y"}, "subscriber_jwks", "beside subscriber_key"),
    ],
)
def test_o11_an_issuer_that_cannot_be_obeyed_is_refused(settings: dict[str, Any], key: str, reason: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        IssuerSettings(**settings)
    assert caught.value.key == key
    assert reason in caught.value.reason
