from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from handlers.counters import GAUGES, Counters, Latencies
from handlers.latency import BOUNDS
from publish_api.metrics import HUB_NAMES, PREFIX, encode_metrics, help_texts


def test_every_counter_is_shown_with_its_value_and_its_help() -> None:
    counters = Counters(deliveries=7, sessions_stream=2)
    families = {family.name: family for family in text_string_to_metric_families(encode_metrics(counters).decode())}
    for field in fields(Counters):
        family = families[f"holdfast_{field.name}"]
        [sample] = family.samples
        assert sample.value == getattr(counters, field.name)
        assert family.type == ("gauge" if field.name in GAUGES else "counter")
        assert family.documentation == help_texts(Counters)[field.name]


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


@pytest.mark.parametrize("prefix", ["", "edge_"])
def test_p10_five_metrics_have_the_names_that_pushpin_gives_them(prefix: str) -> None:
    counters = Counters(requests=5, connections=3, connection_seconds=179, publications=4, deliveries=40)
    lines = encode_metrics(counters, prefix=prefix).decode().splitlines()
    assert lines[-15:] == [
        f"# HELP {prefix}request_received Requests received from clients.",
        f"# TYPE {prefix}request_received counter",
        f"{prefix}request_received 5",
        f"# HELP {prefix}connection_connected Clients connected now.",
        f"# TYPE {prefix}connection_connected gauge",
        f"{prefix}connection_connected 3",
        f"# HELP {prefix}connection_minute Minutes for which clients were connected.",
        f"# TYPE {prefix}connection_minute counter",
        f"{prefix}connection_minute 2",
        f"# HELP {prefix}message_received Items accepted for delivery.",
        f"# TYPE {prefix}message_received counter",
        f"{prefix}message_received 4",
        f"# HELP {prefix}message_sent Items written to held connections.",
        f"# TYPE {prefix}message_sent counter",
        f"{prefix}message_sent 40",
    ]


def test_latencies_are_histograms_in_seconds() -> None:
    counters = Counters()
    for seconds in (0.0002, 0.3, 60):
        counters.backend.observe(seconds)
    page = encode_metrics(counters).decode()
    families = {family.name: family for family in text_string_to_metric_families(page)}
    family = families["holdfast_backend_seconds"]
    assert (family.type, family.documentation) == ("histogram", help_texts(Latencies)["backend"])
    values = {
        (sample.name.removeprefix(family.name), sample.labels.get("le")): sample.value for sample in family.samples
    }
    assert values["_bucket", "0.0001"] == 0
    assert values["_bucket", "0.00025"] == values["_bucket", "0.25"] == 1
    assert values["_bucket", "0.5"] == values["_bucket", "10.0"] == 2
    assert values["_bucket", "+Inf"] == values["_count", None] == 3
    assert values["_sum", None] == pytest.approx(60.3002)
    assert len(values) == len(BOUNDS) + 3
    assert "holdfast_fanout_seconds" in families


def test_every_field_of_the_counters_says_what_it_counts() -> None:
    assert set(help_texts(Counters)) == {field.name for field in fields(Counters)}
    assert set(help_texts(Latencies)) == set(Latencies.__slots__)
    assert all(text.endswith(".") for cls in (Counters, Latencies) for text in help_texts(cls).values())


def test_the_operators_page_has_a_row_for_every_counter_in_its_words() -> None:
    page = (Path(__file__).parents[2] / "docs/operating.md").read_text()
    for name, text in help_texts(Counters).items():
        shown = f"{PREFIX}{name}{'' if name in GAUGES else '_total'}"
        assert f"| `{shown}` | {text} |" in page
    for name, text in help_texts(Latencies).items():
        assert f"| `{PREFIX}{name}_seconds` | {text} |" in page
