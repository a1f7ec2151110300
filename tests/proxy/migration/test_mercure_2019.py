"""Variables of the stand-alone hubs, each as the setting it comes to (row O12, reference 5.3)."""

from __future__ import annotations

import pytest

from proxy.errors import SettingsError
from proxy.migration.mercure_2019 import translate_2019


@pytest.mark.parametrize(
    ("environ", "settings"),
    [
        ({}, {}),
        ({"JWT_KEY": ""}, {}),
        ({"JWT_KEY": "x"}, {"mercure.publisher_key": "x", "mercure.subscriber_key": "x"}),
        (
            {"PUBLISHER_JWT_KEY": "p", "JWT_KEY": "x"},
            {"mercure.publisher_key": "p", "mercure.subscriber_key": "x"},
        ),
        ({"SUBSCRIBER_JWT_KEY": "s"}, {"mercure.subscriber_key": "s"}),
        ({"JWT_ALGORITHM": "HS384"}, {"mercure.publisher_algorithm": "HS384", "mercure.subscriber_algorithm": "HS384"}),
        ({"PUBLISHER_JWT_ALGORITHM": "RS256"}, {"mercure.publisher_algorithm": "RS256"}),
        ({"SUBSCRIBER_JWT_ALGORITHM": "RS256"}, {"mercure.subscriber_algorithm": "RS256"}),
        ({"ALLOW_ANONYMOUS": "1"}, {"mercure.anonymous": True}),
        ({"ALLOW_ANONYMOUS": "0"}, {"mercure.anonymous": False}),
        ({"CORS_ALLOWED_ORIGINS": "a, b c"}, {"mercure.cors_origins": ["a", "b", "c"]}),
        ({"PUBLISH_ALLOWED_ORIGINS": "a,b"}, {"mercure.publish_origins": ["a", "b"]}),
        ({"DEMO": "1"}, {"mercure.playground": True}),
        ({"DEBUG": "0"}, {}),
        ({"ADDR": ":3000"}, {"proxy.listen": ":3000"}),
        ({"DB_PATH": "/var/updates.db"}, {"mercure.history": "/var/updates.holdfast.db"}),
        ({"HISTORY_SIZE": "9"}, {"mercure.history_size": "9"}),
        ({"TRANSPORT_URL": "null://"}, {"mercure.history": ""}),
        ({"HEARTBEAT_INTERVAL": "15s"}, {"mercure.heartbeat": 15.0}),
        ({"DISPATCH_SUBSCRIPTIONS": "1"}, {"mercure.subscriptions": True}),
        ({"SUBSCRIPTIONS": "true"}, {"mercure.subscriptions": True}),
        ({"LOG_FORMAT": "JSON"}, {"log.format": "json"}),
        ({"LOG_FORMAT": "text"}, {"log.format": "text"}),
        ({"COMPRESS": "0"}, {}),
    ],
)
def test_o12_a_variable_comes_to_a_setting(environ: dict[str, str], settings: dict[str, object]) -> None:
    found = translate_2019(environ)
    # A later one goes before an earlier one.
    assert {each.name: each.value for each in found.assignments} == settings
    assert (found.warnings, found.fallbacks) == ((), ())


@pytest.mark.parametrize(("value", "origins"), [("*", []), ("https://a *,https://*.b", ["https://a"])])
def test_o12_an_origin_with_a_star_may_not_publish_as_it_could_not_then(value: str, origins: list[str]) -> None:
    found = translate_2019({"PUBLISH_ALLOWED_ORIGINS": value})
    assert [(each.name, each.value) for each in found.assignments] == [("mercure.publish_origins", origins)]
    (warning,) = found.warnings
    assert warning.startswith("PUBLISH_ALLOWED_ORIGINS: what has a * in it")
    assert translate_2019({"CORS_ALLOWED_ORIGINS": "*"}).assignments[0].value == ["*"]


@pytest.mark.parametrize(
    "name",
    [
        *("HISTORY_CLEANUP_FREQUENCY", "COMPRESS", "READ_TIMEOUT", "WRITE_TIMEOUT", "ACME_HOSTS", "ACME_CERT_DIR"),
        *("CERT_FILE", "KEY_FILE", "USE_FORWARDED_HEADERS", "METRICS_ADDR"),
    ],
)
def test_o12_what_has_no_equivalent_is_named_in_a_warning(name: str) -> None:
    found = translate_2019({name: "1"})
    assert (found.assignments, found.warnings) == ((), (f"{name}: has no equivalent, and is not obeyed",))


def test_o12_debug_shows_more_and_lets_nobody_in() -> None:
    found = translate_2019({"DEBUG": "1"})
    assert {each.name: each.value for each in found.assignments} == {"mercure.debugger": True, "log.level": "debug"}
    assert found.warnings == ("DEBUG: the demo, which those hubs turn on with it, needs DEMO=1 here",)


def test_o12_a_log_format_that_is_not_there_is_the_nearest() -> None:
    found = translate_2019({"LOG_FORMAT": "FLUENTD"})
    assert [each.value for each in found.assignments] == ["json"]
    assert found.warnings == ("LOG_FORMAT: FLUENTD is json here",)


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        ({"ALLOW_ANONYMOUS": "yes"}, "ALLOW_ANONYMOUS: expected 1 or 0, got 'yes'"),
        ({"DEBUG": "*"}, "DEBUG: expected 1 or 0, got '*'"),
        ({"HEARTBEAT_INTERVAL": "15"}, "HEARTBEAT_INTERVAL: expected a time, as '40s' or '1h30m', got '15'"),
        ({"LOG_FORMAT": "XML"}, "LOG_FORMAT: expected JSON, FLUENTD or TEXT, got 'XML'"),
        ({"TRANSPORT_URL": "kafka://"}, "TRANSPORT_URL: there is no transport 'kafka'"),
    ],
)
def test_o12_a_value_that_those_hubs_would_not_take_is_an_error(environ: dict[str, str], text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        translate_2019(environ)
    assert str(caught.value).startswith(text)
