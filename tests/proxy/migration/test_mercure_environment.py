"""Variables of the Mercure image, each as the setting it comes to (rows of reference 5.2)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config import load_settings
from proxy.errors import SettingsError
from proxy.migration.mercure_environment import mercure_assignments

BOTH = ("1.0", "8")
KEYS = {"MERCURE_PUBLISHER_JWT_KEY": "p", "MERCURE_SUBSCRIBER_JWT_KEY": "s"}
LEGACY = {"publisher_key": "p", "subscriber_key": "s"}
ISSUER = {"id": "https://issuer.example", **LEGACY}
TRUSTED = {"MERCURE_TRUSTED_ISSUERS": "https://issuer.example"}


def values(environ: dict[str, str], protocols: tuple[str, ...] | None = BOTH) -> dict[str, object]:
    found = mercure_assignments(environ, protocols)
    assert found.fallbacks == ()
    return {each.name.removeprefix("mercure."): each.value for each in found.assignments}


@pytest.mark.parametrize(
    ("environ", "protocols", "settings"),
    [
        ({}, BOTH, {}),
        ({"PATH": "/bin", "JWT_KEY": "x", "DEBUG": "1", "SERVER_NAME": ":80"}, BOTH, {}),
        ({"MERCURE_PUBLISHER_JWT_KEY": ""}, BOTH, {}),
        (KEYS, BOTH, LEGACY),
        (KEYS, ("8",), LEGACY),
        (KEYS | {"MERCURE_PUBLISHER_JWT_ALG": "HS512"}, BOTH, LEGACY | {"publisher_algorithm": "HS512"}),
        ({"MERCURE_SUBSCRIBER_JWT_ALG": "HS512"}, BOTH, {"subscriber_algorithm": "HS512"}),
        (KEYS | TRUSTED, BOTH, LEGACY | {"issuers": [ISSUER]}),
        (KEYS | TRUSTED, ("1.0",), {"issuers": [ISSUER]}),
        (KEYS | TRUSTED, ("8",), LEGACY),
        (KEYS | TRUSTED, None, {"issuers": [ISSUER], "protocols": ["1.0"]}),
        (KEYS | {"MERCURE_TRUSTED_ISSUERS": ""}, None, LEGACY),
        (
            KEYS | TRUSTED | {"MERCURE_EXTRA_DIRECTIVES": "protocol_version_compatibility 7"},
            None,
            LEGACY | {"issuers": [ISSUER], "protocols": ["1.0", "8", "7"]},
        ),
        (KEYS, None, LEGACY),
        (KEYS, ("1.0",), {"issuers": [ISSUER | {"id": "https://localhost"}]}),
        ({"MERCURE_TRANSPORT_URL": "bolt:///a.db?size=7"}, BOTH, {"history": "/a.holdfast.db", "history_size": "7"}),
        ({"MERCURE_TRANSPORT_URL": "null://"}, BOTH, {"history": ""}),
        ({"MERCURE_EXTRA_DIRECTIVES": "anonymous\nheartbeat 5s"}, BOTH, {"anonymous": True, "heartbeat": 5.0}),
        (
            KEYS | {"MERCURE_EXTRA_DIRECTIVES": "protocol_version_compatibility 8"},
            ("1.0",),
            LEGACY | {"protocols": ["1.0", "8"]},
        ),
        (
            KEYS | {"MERCURE_EXTRA_DIRECTIVES": "playground"},
            BOTH,
            LEGACY | {"playground": True, "issuers": [ISSUER | {"id": "https://localhost"}]},
        ),
        (
            KEYS | TRUSTED | {"MERCURE_EXTRA_DIRECTIVES": "issuer b {\npublisher {\njwt k\n}\n}"},
            ("1.0",),
            {"issuers": [ISSUER, {"id": "b", "publisher_key": "k", "publisher_algorithm": "HS256"}]},
        ),
    ],
)
def test_a_variable_comes_to_a_setting(
    environ: dict[str, str], protocols: tuple[str, ...] | None, settings: dict[str, object]
) -> None:
    assert values(environ, protocols) == settings


@pytest.mark.parametrize(
    ("environ", "protocols", "warning"),
    [
        ({"MERCURE_LICENSE": "x"}, BOTH, "MERCURE_LICENSE: there is nothing to license; it is not read"),
        ({"MERCURE_URL": "http://hub"}, BOTH, "MERCURE_URL: is for applications, not for hubs; it is not read"),
        (KEYS | {"GLOBAL_OPTIONS": "debug"}, BOTH, "GLOBAL_OPTIONS: is Caddy's; it is not read"),
        (TRUSTED, BOTH, "MERCURE_TRUSTED_ISSUERS: there is no MERCURE_PUBLISHER_JWT_KEY and no MERCURE_SUBSCRIBER"),
        (KEYS | TRUSTED, ("8",), "MERCURE_TRUSTED_ISSUERS: is for protocol 1.0, which mercure.protocols does not list"),
        (
            KEYS | TRUSTED,
            BOTH,
            "MERCURE_TRUSTED_ISSUERS: its keys verify tokens from before 1.0 too, which need no issuer, audience or",
        ),
        (
            KEYS | TRUSTED | {"MERCURE_EXTRA_DIRECTIVES": "protocol_version_compatibility 7"},
            None,
            "MERCURE_TRUSTED_ISSUERS: its keys verify tokens from before 1.0 too",
        ),
        (KEYS, ("1.0",), "MERCURE_TRUSTED_ISSUERS: is not set; the issuer of 1.0 tokens is https://localhost"),
        ({"MERCURE_EXTRA_DIRECTIVES": "dispatch_timeout 1s"}, BOTH, "MERCURE_EXTRA_DIRECTIVES, line 1: dispatch_timeo"),
        (
            {"MERCURE_TRANSPORT_URL": "bolt://a?cleanup_frequency=1"},
            BOTH,
            "MERCURE_TRANSPORT_URL: cleanup_frequency has no equivalent, and is not obeyed",
        ),
    ],
)
def test_what_is_not_obeyed_is_named_in_a_warning(
    environ: dict[str, str], protocols: tuple[str, ...] | None, warning: str
) -> None:
    (found,) = mercure_assignments(environ, protocols).warnings
    assert found.startswith(warning)


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        ({"MERCURE_PUBLISHER_JWT_KEE": "hush"}, "unknown environment variable MERCURE_PUBLISHER_JWT_KEE (did you mean"),
        ({"MERCURE_ZZZ": "hush"}, "unknown environment variable MERCURE_ZZZ"),
        ({"MERCURE_TRANSPORT_URL": "redis://x"}, "MERCURE_TRANSPORT_URL: there is no transport 'redis'"),
        ({"MERCURE_EXTRA_DIRECTIVES": "anonymos"}, "MERCURE_EXTRA_DIRECTIVES, line 1: anonymos: unknown directive"),
        (KEYS | {"SERVER_NAME": "http://a b/c"}, "SERVER_NAME: 'b/c' is not an address"),
    ],
)
def test_o11_what_nobody_knows_is_an_error(environ: dict[str, str], text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        mercure_assignments(environ, BOTH)
    assert str(caught.value).startswith(text)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "listen", "warnings"),
    [
        (":80", [":80"], 0),
        (":8080", [":8080"], 0),
        ("http://hub.example", [":80"], 0),
        ("http://hub.example:8080", [":8080"], 0),
        ("localhost:80", [":80"], 0),
        (":80, http://a:80 http://b:81", [":80", ":81"], 0),
        ("hub.example:8443", [":8443"], 1),
        ("https://[::1]:8443", [":8443"], 1),
        ("hub.example", None, 1),
        ("https://hub.example/", None, 1),
    ],
)
def test_a_server_name_is_where_to_listen_if_it_names_a_port(
    name: str, listen: list[str] | None, warnings: int
) -> None:
    found = mercure_assignments(KEYS | {"SERVER_NAME": name}, BOTH)
    assert [each.value for each in found.fallbacks if each.name == "proxy.listen"] == ([listen] if listen else [])
    assert [each.startswith("SERVER_NAME: ") for each in found.warnings] == [True] * warnings


@pytest.mark.parametrize(
    ("environ", "text", "protocols"),
    [
        ({}, "", ("1.0",)),
        ({"HOLDFAST_MERCURE_PROTOCOLS": "1.0,8"}, "", ("1.0", "8")),
        ({}, '[mercure]\nprotocols = ["1.0", "8"]\n', ("1.0", "8")),
        ({"HOLDFAST_MERCURE_PROTOCOLS": "1.0"}, '[mercure]\nprotocols = ["1.0", "8"]\n', ("1.0",)),
    ],
)
def test_a_trusted_issuers_key_verifies_older_tokens_only_where_they_are_asked_for(
    environ: dict[str, str], text: str, protocols: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "holdfast.toml").write_text(text)
    found = load_settings(environ=KEYS | TRUSTED | environ, file=tmp_path / "holdfast.toml")
    assert found.hub.protocols == protocols
    assert [issuer.publisher_key for issuer in found.hub.issuers] == ["p"]
    assert found.hub.publisher_key == ("p" if "8" in protocols else "")
    assert len(found.warnings) == ("8" in protocols)


def test_a_variable_of_2019_stands_behind_one_of_the_image() -> None:
    environ = {"MERCURE_PUBLISHER_JWT_KEY": "new", "JWT_KEY": "old"}
    hub = load_settings(environ=environ | {"HOLDFAST_MERCURE_PROTOCOLS": "8,2019"}, default_files=()).hub
    assert (hub.publisher_key, hub.subscriber_key) == ("new", "old")


@given(
    st.dictionaries(
        st.sampled_from([*KEYS, *TRUSTED, "MERCURE_TRANSPORT_URL", "MERCURE_EXTRA_DIRECTIVES", "SERVER_NAME"]),
        st.text() | st.sampled_from(["bolt://a?size=1", "issuer a {\n}", "http://a:1", "https://[", "a"]),
    )
)
def test_any_value_gives_settings_or_an_error_that_names_a_variable(environ: dict[str, str]) -> None:
    try:
        load_settings(environ=environ, default_files=())
    except SettingsError as error:
        assert str(error).startswith(("MERCURE_", "SERVER_NAME"))  # noqa: PT017
