from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from handlers.counters import GAUGES, Counters
from publish_api.metrics import HUB_NAMES, PREFIX, encode_metrics, help_texts


def test_every_counter_is_shown_with_its_value_and_its_help() -> None:
    counters = Counters(deliveries=7, sessions_stream=2)
    families = {family.name: family for family in text_string_to_metric_families(encode_metrics(counters).decode())}
    for field in fields(Counters):
        family = families[f"holdfast_{field.name}"]
        [sample] = family.samples
        assert sample.value == getattr(counters, field.name)
        assert family.type == ("gauge" if field.name in GAUGES else "counter")
        assert family.documentation == help_texts()[field.name]


def test_o07_three_metrics_have_the_names_that_dashboards_of_other_hubs_look_for() -> None:
    counters = Counters(mercure_subscribers=2, mercure_subscribers_opened=5, mercure_updates=7)
    page = encode_metrics(counters).decode().splitlines()
    samples = [line for line in page if line.startswith("mercure_")]
    assert samples == [
        "mercure_subscribers_connected 2.0",
        "mercure_subscribers_total 5.0",
        "mercure_updates_total 7.0",
    ]
    assert [line for line in page if line.startswith("# TYPE mercure_")] == [
        "# TYPE mercure_subscribers_connected gauge",
        "# TYPE mercure_subscribers_total counter",
        "# TYPE mercure_updates_total counter",
    ]
    assert all(text.endswith(".") for _, text in HUB_NAMES.values())


def test_every_field_of_the_counters_says_what_it_counts() -> None:
    assert set(help_texts()) == {field.name for field in fields(Counters)}
    assert all(text.endswith(".") for text in help_texts().values())


def test_the_operators_page_has_a_row_for_every_counter_in_its_words() -> None:
    page = (Path(__file__).parents[2] / "docs/operating.md").read_text()
    for name, text in help_texts().items():
        shown = f"{PREFIX}{name}{'' if name in GAUGES else '_total'}"
        assert f"| `{shown}` | {text} |" in page
