from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from handlers.counters import Counters
from publish_api.metrics import GAUGES, PREFIX, encode_metrics, help_texts


def test_every_counter_is_shown_with_its_value_and_its_help() -> None:
    counters = Counters(deliveries=7, sessions_stream=2)
    families = {family.name: family for family in text_string_to_metric_families(encode_metrics(counters).decode())}
    for field in fields(Counters):
        family = families[f"holdfast_{field.name}"]
        [sample] = family.samples
        assert sample.value == getattr(counters, field.name)
        assert family.type == ("gauge" if field.name in GAUGES else "counter")
        assert family.documentation == help_texts()[field.name]


def test_every_field_of_the_counters_says_what_it_counts() -> None:
    assert set(help_texts()) == {field.name for field in fields(Counters)}
    assert all(text.endswith(".") for text in help_texts().values())


def test_the_operators_page_has_a_row_for_every_counter_in_its_words() -> None:
    page = (Path(__file__).parents[2] / "docs/operating.md").read_text()
    for name, text in help_texts().items():
        shown = f"{PREFIX}{name}{'' if name in GAUGES else '_total'}"
        assert f"| `{shown}` | {text} |" in page
