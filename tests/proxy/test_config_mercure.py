"""The section of the Mercure hub: its issuers, its paths, its secrets, and other hubs' variables among the sources."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.hub.settings import DEVELOPMENT_KEY, HubSettings, IssuerSettings
from proxy.config import Settings, load_settings, parse_assignment
from proxy.errors import SettingsError

ISSUERS = """
[mercure]
anonymous = true
[[mercure.issuers]]
id = "https://a.example"
publisher_key = "hush"
authorization_server = true
[[mercure.issuers]]
id = "https://b.example"
subscriber_jwks = "https://b.example/keys"
jwks_algorithms = ["ES256"]
"""
A = IssuerSettings(id="https://a.example", publisher_key="hush", authorization_server=True)
B = IssuerSettings(id="https://b.example", subscriber_jwks="https://b.example/keys", jwks_algorithms=("ES256",))


def load(
    *sets: str, text: str | None = None, folder: Path = Path(), environ: Mapping[str, str] | None = None
) -> Settings:
    """Load `text` as holdfast.toml of `folder`, with these variables and `--set`s over it."""
    file = None
    if text is not None:
        file = folder / "holdfast.toml"
        file.write_text(text, "utf-8")
    return load_settings(
        file=file, environ=environ or {}, assignments=[parse_assignment(each) for each in sets], default_files=()
    )


def test_issuers_are_tables_of_the_file(tmp_path: Path) -> None:
    hub = load(text=ISSUERS, folder=tmp_path).hub
    assert (hub.issuers, hub.anonymous) == ((A, B), True)


def test_issuers_are_json_elsewhere_and_a_later_source_replaces_them_all(tmp_path: Path) -> None:
    text = json.dumps([{"id": "https://a.example", "publisher_key": "hush", "authorization_server": True}])
    assert load(environ={"HOLDFAST_MERCURE_ISSUERS": text}).hub.issuers == (A,)
    assert load(f"mercure.issuers={text}", text=ISSUERS, folder=tmp_path).hub.issuers == (A,)
    assert load("mercure.issuers=", text=ISSUERS, folder=tmp_path).hub.issuers == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[mercure.issuers]\nid = 'a'", "mercure.issuers: expected tables, as in [[mercure.issuers]]"),
        ("[mercure]\nissuers = ['hush']", "mercure.issuers: expected tables, as in [[mercure.issuers]]"),
        ("[[mercure.issuers]]\npublisher_key = 'hush'", "mercure.issuers[0]: has no id"),
        (
            "[[mercure.issuers]]\nid = 'a'\npublisher_kee = 'hush'",
            "unknown setting mercure.issuers[0].publisher_kee (did you mean publisher_key?)",
        ),
        ("[[mercure.issuers]]\nid = 'a'\npublisher_key = 5", "mercure.issuers[0].publisher_key: expected text"),
        ("[[mercure.issuers]]\nid = 5", "mercure.issuers[0].id: expected text, got 5"),
        ("[[mercure.issuers]]\nid = 'a'", "mercure.issuers[0].id: the issuer 'a' has no key"),
        (
            "[[mercure.issuers]]\nid = 'a'\npublisher_key = 'hush'\npublisher_algorithm = 'none'",
            "mercure.issuers[0].publisher_algorithm: expected one of HS256",
        ),
        (
            "[[mercure.issuers]]\nid='a'\npublisher_key='hush'\n[[mercure.issuers]]\nid='a'\nsubscriber_key='x'",
            "mercure.issuers[1].id: 'a' is the id of another issuer, too",
        ),
        ("[mercure]\nprotocols = ['9']", "mercure.protocols: expected a list of '1.0' or '2019' or '7' or '8', got"),
        ("[mercure]\ncors_origins = ['x']", "mercure.cors_origins: 'x' is not an origin"),
        ("[mercure]\npublisher_key = '-----BEGIN PUBLIC KEY-----hush'", "mercure.publisher_key: is PEM, and"),
        ("[mercure]\npublisher_key = ['hush']", "mercure.publisher_key: expected text"),
        ("[mercure]\nheartbeet = 1", "unknown setting mercure.heartbeet (did you mean mercure.heartbeat?)"),
        ("[mercury]", "unknown section [mercury] (did you mean mercure?)"),
    ],
)
def test_o11_a_mistake_in_the_file_is_one_line_that_shows_no_key(text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(text=text, folder=tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'holdfast.toml'}: {problem}")
    assert "\n" not in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("hush", "mercure.issuers: expected a JSON list of objects"),
        ('{"id":"hush"}', "mercure.issuers: expected a JSON list of objects"),
        ('["hush"]', "mercure.issuers: expected a JSON list of objects"),
        ('[{"id":"a","publisher_key":["hush"]}]', "mercure.issuers[0].publisher_key: expected text"),
        ('[{"id":"a","authorization_server":"true"}]', "mercure.issuers[0].authorization_server: expected true or"),
        ('[{"id":"a","key":"hush"}]', "unknown setting mercure.issuers[0].key"),
    ],
)
def test_o11_a_mistake_in_the_json_names_its_place_and_shows_no_key(value: str, problem: str) -> None:
    for origin, arguments in (("--set", (f"mercure.issuers={value}",)), ("HOLDFAST_MERCURE_ISSUERS", ())):
        with pytest.raises(SettingsError) as caught:
            load(*arguments, environ={} if arguments else {origin: value})
        assert str(caught.value).startswith(f"{origin}: {problem}")
        assert "hush" not in str(caught.value)


scalars = st.none() | st.booleans() | st.integers() | st.text()
names = st.sampled_from(["id", "publisher_key", "jwks_algorithms", "x"])


@given(st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(names, inner)))
def test_any_json_gives_issuers_or_the_documented_error(value: object) -> None:
    try:
        load(f"mercure.issuers={json.dumps(value)}")
    except SettingsError as error:
        assert str(error).startswith("--set: ")  # noqa: PT017


def test_relative_paths_start_where_they_were_written(tmp_path: Path) -> None:
    text = ISSUERS.replace('"hush"', '"file:a.pem"').replace("[mercure]\n", "[mercure]\nsubscriber_key = 'file:s'\n")
    hub = load(text=text, folder=tmp_path).hub
    assert hub.issuers[0].publisher_key == f"file:{tmp_path / 'a.pem'}"
    assert hub.subscriber_key == f"file:{tmp_path / 's'}"
    assert hub.history == str(tmp_path / "mercure.db")
    assert load(text="[mercure]\nhistory = ''", folder=tmp_path).hub.history == ""
    assert load(text="[mercure]\nhistory = '/x.db'", folder=tmp_path).hub.history == "/x.db"
    assert load("mercure.history=x.db", text="", folder=tmp_path).hub.history == "x.db"
    environ = {"HOLDFAST_MERCURE_HISTORY": "x.db"}
    assert load(text="", folder=tmp_path, environ=environ).hub.history == str(tmp_path / "x.db")
    issuer = json.dumps([{"id": "a", "publisher_key": "file:k"}])
    assert load(f"mercure.issuers={issuer}").hub.issuers[0].publisher_key == f"file:{Path('k').absolute()}"


def test_other_hubs_variables_go_before_the_file_and_behind_our_own(tmp_path: Path) -> None:
    text = "[mercure]\npublisher_key = 'file'\nsubscriber_key = 'file'\nheartbeat = 1\nhistory = 'f.db'"
    environ = {
        "MERCURE_PUBLISHER_JWT_KEY": "theirs",
        "MERCURE_SUBSCRIBER_JWT_KEY": "theirs",
        "MERCURE_EXTRA_DIRECTIVES": "heartbeat 2s\nwrite_timeout 2s",
        "HOLDFAST_MERCURE_SUBSCRIBER_KEY": "ours",
        "HOLDFAST_MERCURE_HEARTBEAT": "3",
    }
    hub = load("mercure.heartbeat=4", text=text, folder=tmp_path, environ=environ).hub
    assert (hub.publisher_key, hub.subscriber_key, hub.heartbeat, hub.write_timeout) == ("theirs", "ours", 4.0, 2.0)
    assert hub.history == str(tmp_path / "f.db")


def test_a_server_name_stands_behind_the_file(tmp_path: Path) -> None:
    environ = {"SERVER_NAME": ":80", "MERCURE_PUBLISHER_JWT_KEY": "x"}
    assert load(environ=environ).proxy.listen == (":80",)
    assert load(text="[proxy]\nlisten = [':90']", folder=tmp_path, environ=environ).proxy.listen == (":90",)
    assert load(environ={**environ, "HOLDFAST_PROXY_LISTEN": ":91"}).proxy.listen == (":91",)


def test_a_value_that_cannot_be_obeyed_is_told_with_the_variable_that_has_it() -> None:
    with pytest.raises(SettingsError) as caught:
        load(environ={"MERCURE_EXTRA_DIRECTIVES": "anonymous\ncors_origins example.com"})
    assert str(caught.value).startswith(
        "MERCURE_EXTRA_DIRECTIVES, line 2: cors_origins: mercure.cors_origins: 'example.com' is not an origin"
    )
    with pytest.raises(SettingsError) as caught:
        load(environ={"MERCURE_PUBLISHER_JWT_KEY": "-----BEGIN PUBLIC KEY-----"})
    assert str(caught.value).startswith("MERCURE_PUBLISHER_JWT_KEY: mercure.publisher_key: is PEM, and")


@pytest.mark.parametrize("source", ["file", "environment", "command line"])
def test_o12_variables_of_2019_count_where_2019_is_spoken(source: str, tmp_path: Path) -> None:
    environ = {"JWT_KEY": "x", "ALLOW_ANONYMOUS": "1"}
    assert load(environ=environ).hub == HubSettings()
    text = "[mercure]\nprotocols = ['2019']" if source == "file" else ""
    ours = {"HOLDFAST_MERCURE_PROTOCOLS": "2019"} if source == "environment" else {}
    sets = ("mercure.protocols=2019",) if source == "command line" else ()
    hub = load(*sets, text=text, folder=tmp_path, environ={**environ, **ours}).hub
    assert (hub.publisher_key, hub.subscriber_key, hub.anonymous) == ("x", "x", True)


def test_o12_a_hub_of_2019_needs_a_key_and_the_error_names_the_variables() -> None:
    with pytest.raises(SettingsError) as caught:
        load("mercure.protocols=2019", environ={"ALLOW_ANONYMOUS": "1"})
    assert str(caught.value).startswith("--set: mercure.protocols: is 2019 alone, and there is no key: set JWT_KEY")
    assert "PUBLISHER_JWT_KEY and SUBSCRIBER_JWT_KEY" in str(caught.value)
    for key in ("publisher_key", "subscriber_key"):
        assert load("mercure.protocols=2019", f"mercure.{key}=x").hub.is_enabled
    assert load("mercure.protocols=2019,8", environ={}).hub.is_enabled is False
    assert load("mercure.protocols=2019", environ={"DEMO": "1"}).hub.publisher_key == DEVELOPMENT_KEY


def test_a_playground_is_opened_once_for_all() -> None:
    settings = load("mercure.playground=true", "mercure.cors_origins=https://a.example")
    assert (settings.hub.anonymous, settings.hub.cors_origins) == (True, ("*",))
    assert settings.hub.publisher_key == settings.hub.issuers[0].subscriber_key == DEVELOPMENT_KEY
    assert settings.warnings == ("mercure.playground is on: everybody may publish and read everything",)


def test_the_key_that_everybody_knows_is_warned_of() -> None:
    issuers = json.dumps([{"id": "a", "subscriber_key": DEVELOPMENT_KEY}])
    for assignment in (f"mercure.publisher_key={DEVELOPMENT_KEY}", f"mercure.issuers={issuers}"):
        (warning,) = load(assignment).warnings
        assert warning.startswith("the hub's key is the development key")
        assert DEVELOPMENT_KEY not in warning
    assert load("mercure.publisher_key=x").warnings == ()
