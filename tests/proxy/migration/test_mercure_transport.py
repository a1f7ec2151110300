"""Transports of other hubs, and the history that stands in their place."""

from __future__ import annotations

import pytest

from proxy.assignment import Translation
from proxy.errors import SettingsError
from proxy.migration.mercure_transport import translate_transport, translate_transport_url


def values(translation: Translation) -> dict[str, object]:
    return {each.name.removeprefix("mercure."): each.value for each in translation.assignments}


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("bolt:///data/updates.db", {"history": "/data/updates.holdfast.db"}),
        ("bolt://updates.db", {"history": "updates.holdfast.db"}),
        ("bolt://data/updates.db?size=1000", {"history": "data/updates.holdfast.db", "history_size": "1000"}),
        ("bolt:///data/history", {"history": "/data/history.holdfast.db"}),
        ("bolt:///a%20b.db", {"history": "/a b.holdfast.db"}),
        ("bolt://?size=5", {"history_size": "5"}),
        ("local://", {"history": ""}),
        ("local://local", {"history": ""}),
        ("null://", {"history": ""}),
    ],
)
def test_the_history_gets_a_file_of_its_own_beside_the_other_hubs(url: str, settings: dict[str, object]) -> None:
    found = translate_transport_url("TRANSPORT_URL", url)
    assert (values(found), found.warnings) == (settings, ())


def test_what_has_no_equivalent_is_named() -> None:
    found = translate_transport_url("T", "bolt://a.db?bucket_name=b&cleanup_frequency=0.5&size=1")
    assert values(found) == {"history": "a.holdfast.db", "history_size": "1"}
    assert found.warnings == (
        "T: bucket_name has no equivalent, and is not obeyed",
        "T: cleanup_frequency has no equivalent, and is not obeyed",
    )


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis://host:6379", "there is no transport 'redis'"),
        ("kafka://host", "there is no transport 'kafka'"),
        ("updates.db", "expected bolt://PATH"),
        ("bolt:updates.db", "expected bolt://PATH"),
        ("bolt://a.db?sice=1", "has no option 'sice'"),
        ("bolt://a.db?size", "is not a URL"),
        ("bolt://[a.db", "is not a URL"),
        ("bolt:///", "expected the path of a file, got '/'"),
        ("bolt:///a%00b", "expected the path of a file"),
    ],
)
def test_o11_any_other_transport_is_an_error_that_names_it(url: str, reason: str) -> None:
    with pytest.raises(SettingsError, match="TRANSPORT_URL: ") as caught:
        translate_transport_url("TRANSPORT_URL", url)
    assert reason in str(caught.value)


def test_a_bolt_transport_without_a_path_keeps_our_own() -> None:
    assert values(translate_transport("x", "bolt", {"size": "3"})) == {"history_size": "3"}
