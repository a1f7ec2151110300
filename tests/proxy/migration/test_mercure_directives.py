"""Directives of the Mercure module of Caddy, each as the setting it comes to (rows of reference 5.1)."""

from __future__ import annotations

import pytest

from proxy.errors import SettingsError
from proxy.migration.mercure_directives import DirectiveReader

ORIGIN = "MERCURE_EXTRA_DIRECTIVES"


def read(text: str, protocols: tuple[str, ...] = ("1.0", "8")) -> DirectiveReader:
    reader = DirectiveReader(ORIGIN, protocols)
    reader.read(text, {"KEY": "secret"})
    return reader


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("", {}),
        ("anonymous", {"anonymous": True}),
        ("subscriptions\n\n# more\nanonymous", {"subscriptions": True, "anonymous": True}),
        ("ui", {"debugger": True}),
        ("debugger", {"debugger": True}),
        ("demo", {"playground": True}),
        ("playground", {"playground": True}),
        ("cors_origins *", {"cors_origins": ["*"]}),
        (
            "cors_origins https://a.example https://b.example",
            {"cors_origins": ["https://a.example", "https://b.example"]},
        ),
        ("publish_origins https://a.example", {"publish_origins": ["https://a.example"]}),
        ("public_urls https://hub.example", {"public_urls": ["https://hub.example"]}),
        ("resource_identifier https://hub.example/x", {"resource_identifier": "https://hub.example/x"}),
        ("cookie_name token", {"cookie_name": "token"}),
        ("heartbeat 1m30s", {"heartbeat": 90.0}),
        ("heartbeat 0", {"heartbeat": 0.0}),
        ("write_timeout 0s", {"write_timeout": 0.0}),
        ("publisher_jwt secret", {"publisher_key": "secret", "publisher_algorithm": "HS256"}),
        ("subscriber_jwt {$KEY} HS512", {"subscriber_key": "secret", "subscriber_algorithm": "HS512"}),
        ('publisher_jwt "a\nb" RS256', {"publisher_key": "a\nb", "publisher_algorithm": "RS256"}),
        ("publisher_jwks_url https://a/keys", {"publisher_jwks": "https://a/keys"}),
        ("subscriber_jwks_url https://a/keys", {"subscriber_jwks": "https://a/keys"}),
        ("max_request_body_size 1MiB", {"body_limit": 1_048_576}),
        ("max_request_body_size 2 MB", {"body_limit": 2_000_000}),
        ("max_request_body_size 4096", {"body_limit": 4096}),
        ("max_request_body_size 0", {"body_limit": 2_147_483_647}),
        ("topic_matcher_cache 5", {"matcher_cache": "5"}),
        ("topic_matcher_cache -1", {"matcher_cache": "0"}),
        ("transport local", {"history": ""}),
        ("transport bolt {\n path /a.db\n size 9\n}", {"history": "/a.holdfast.db", "history_size": "9"}),
        ("transport_url bolt:///a.db?size=9", {"history": "/a.holdfast.db", "history_size": "9"}),
        ("protocol_version_compatibility 7", {"protocols": ["1.0", "8", "7"]}),
        ("protocol_version_compatibility 8", {"protocols": ["1.0", "8"]}),
    ],
)
def test_a_directive_comes_to_a_setting(text: str, settings: dict[str, object]) -> None:
    result = read(text).result
    assert {each.name.removeprefix("mercure."): each.value for each in result.assignments} == settings
    assert result.warnings == ()


def test_compatibility_adds_to_the_protocols_that_are_spoken() -> None:
    assert read("protocol_version_compatibility 8", ("1.0",)).protocols == ("1.0", "8")
    assert read("protocol_version_compatibility 7", ("2019",)).protocols == ("2019", "8", "7")
    assert read("anonymous", ("1.0",)).protocols == ("1.0",)


def test_an_issuer_is_a_table() -> None:
    text = """
    issuer https://a.example {
        authorization_server
        publisher {
            jwt {env.KEY} HS384
        }
        subscriber {
            jwks_uri https://a.example/keys ES256 EdDSA
        }
    }
    issuer https://b.example {
        publisher {
            jwt secret
        }
    }
    """
    assert read(text).issuers == [
        {
            "id": "https://a.example",
            "authorization_server": True,
            "publisher_key": "secret",
            "publisher_algorithm": "HS384",
            "subscriber_jwks": "https://a.example/keys",
            "jwks_algorithms": ["ES256", "EdDSA"],
        },
        {"id": "https://b.example", "publisher_key": "secret", "publisher_algorithm": "HS256"},
    ]


@pytest.mark.parametrize(
    "name", ["dispatch_timeout", "topic_selector_cache", "lru_cache", "subscriber_list_cache_size"]
)
def test_a_directive_without_equivalent_is_named_in_a_warning(name: str) -> None:
    result = read(f"anonymous\n{name} 5s").result
    assert result.warnings == (f"{ORIGIN}, line 2: {name}: has no equivalent, and is not obeyed",)
    assert len(result.assignments) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("anonymos", "line 1: anonymos: unknown directive (did you mean anonymous?)"),
        ("zzz", "line 1: zzz: unknown directive"),
        ("anonymous\nanonymous yes", "line 2: anonymous: has 1 arguments"),
        ("anonymous {\n x\n}", "line 1: anonymous: has a block"),
        ("cors_origins", "line 1: cors_origins: has 0 arguments"),
        ("cookie_name a b", "line 1: cookie_name: has 2 arguments"),
        ("heartbeat often", "line 1: heartbeat: expected a time, as '40s' or '1h30m', got 'often'"),
        ("publisher_jwt", "line 1: publisher_jwt: has 0 arguments"),
        ("publisher_jwt hush HS256 x", "line 1: publisher_jwt: has 3 arguments"),
        ("max_request_body_size big", "line 1: max_request_body_size: expected a size, as '1MiB', got 'big'"),
        ("protocol_version_compatibility 9", "line 1: protocol_version_compatibility: expected 7 or 8, got '9'"),
        ("transport redis", "line 1: transport: there is no transport 'redis'"),
        ("transport bolt {\n sice 1\n}", "line 1: transport: the transport bolt has no option 'sice'"),
        ("transport_url x://y", "line 1: transport_url: there is no transport 'x'"),
        ("issuer a {\n key hush\n}", "line 2: key: an issuer has no such directive"),
        ("issuer a {\n publisher {\n key hush\n }\n}", "line 3: key: expected jwt or jwks_uri"),
        (
            "issuer a {\n publisher {\n jwks_uri b ES256\n }\n subscriber {\n jwks_uri b\n }\n}",
            "line 6: jwks_uri: an issuer's key sets have the same algorithms here",
        ),
        ("issuer a {", "line 1: a '{' without its '}'"),
    ],
)
def test_o11_what_cannot_be_obeyed_is_an_error_with_its_line(text: str, reason: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(text)
    assert str(caught.value).startswith(f"{ORIGIN}{': ' if text.endswith('{') else ', '}{reason}")
    assert "hush" not in str(caught.value)


def test_a_playground_is_noticed() -> None:
    assert read("demo").has_playground
    assert not read("ui").has_playground
