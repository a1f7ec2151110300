"""Each kind of value: what it becomes, what is said of it, and what is an error."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from proxy.errors import SettingsError
from proxy.migration import pushpin_values as values
from proxy.migration.pushpin_conf import Entry, PushpinConf
from proxy.migration.pushpin_values import Reader, Reading


def reading(**entries: str) -> Reading:
    """Return a reading of a file with these keys of `[handler]`, whose ports are 10 further on."""
    found = {f"handler.{key}": entry(value, f"handler.{key}") for key, value in entries.items()}
    conf = PushpinConf(path=Path("/etc/p/pushpin.conf"), entries=found, port_offset=10, runtime_folder="")
    return Reading(conf=conf)


def entry(value: str | tuple[str, ...], name: str = "s.k") -> Entry:
    return Entry(name=name, parts=(value,) if isinstance(value, str) else value, origin="f:1: k")


@pytest.mark.parametrize(
    ("reader", "value", "expected"),
    [
        (values.text("a.b"), "x", "x"),
        (values.text("a.b"), " x ", " x "),
        (values.texts("a.b"), "x", ["x"]),
        (values.texts("a.b"), ("x", " y ", ""), ["x", "y"]),
        (values.flag("a.b"), "true", True),
        (values.flag("a.b"), "True", True),
        (values.flag("a.b"), "1", True),
        (values.flag("a.b"), "yes", True),
        (values.flag("a.b"), "false", False),
        (values.flag("a.b"), "0", False),
        (values.flag("a.b"), "", False),
        (values.number("a.b"), "5", 5),
        (values.number("a.b"), " 5 ", 5),
        (values.milliseconds("a.b"), "5000", 5.0),
        (values.milliseconds("a.b"), "1500", 1.5),
        (values.milliseconds("a.b"), "-1", 0.0),
        (values.spec("a.b"), "tcp://127.0.0.1:5560", "tcp://127.0.0.1:5570"),
        (values.spec("a.b"), "tcp://*:5560", "tcp://*:5570"),
        (values.spec("a.b"), "tcp://[::1]:5560", "tcp://[::1]:5570"),
        (values.spec("a.b"), "ipc:///run/x:1", "ipc:///run/x:1"),
        (values.spec("a.b"), "tcp://host:*", "tcp://host:*"),
        (values.specs("a.b"), ("tcp://a:1", "ipc://b"), ["tcp://a:11", "ipc://b"]),
        (values.octal("a.b"), "777", "777"),
        (values.octal("a.b"), "-1", ""),
        (values.FORWARDED_PROTO, "true", "true"),
        (values.FORWARDED_PROTO, "proto-only", "proto-only"),
        (values.FORWARDED_PROTO, "false", "off"),
        (values.FORWARDED_PROTO, "nonsense", "off"),
        (values.LOG_LEVEL, "0", "error"),
        (values.LOG_LEVEL, "1", "warn"),
        (values.LOG_LEVEL, "2", "info"),
        (values.LOG_LEVEL, "3", "debug"),
        (values.LOG_LEVEL, "10", "debug"),
        (values.LOG_LEVEL, ("2", "proxy:3", "handler:4"), "debug"),
        (values.LOG_LEVEL, ("1", "proxy:0"), "warn"),
        (values.METRICS_PORT, "9100", "9100"),
        (values.METRICS_PORT, "127.0.0.1:9100", "127.0.0.1:9100"),
        (values.LOCAL_PORTS, ("/run/a?mode=660", "/run/b"), ["/run/a?mode=660", "/run/b"]),
    ],
)
def test_what_a_value_becomes(reader: Reader, value: str | tuple[str, ...], expected: object) -> None:
    (setting,) = reader.read(reading(), entry(value))
    assert (setting.value, type(setting.value)) == (expected, type(expected))
    assert reader.names == (setting.name,)


@pytest.mark.parametrize(
    ("reader", "value", "problem"),
    [
        (values.text("a.b"), ("x", "y"), "expected one value; one with a comma in it goes in quotes"),
        (values.texts("a.b"), "x:1,y", "'x:1,y' in quotes is one value; write the list without the quotes"),
        (values.texts("a.b"), ("x", "y,z"), "'y,z' in quotes is one value; write the list without the quotes"),
        (values.flag("a.b"), "no", "expected true or false, got 'no', which Pushpin takes for true"),
        (values.number("a.b"), "x", "expected a whole number, got 'x'"),
        (values.number("a.b"), "", "expected a whole number, got ''"),
        (values.number("a.b"), "5.0", "expected a whole number, got '5.0'"),
        (values.number("a.b"), "1" * 19, "expected a whole number, got"),
        (values.milliseconds("a.b"), "5s", "expected a whole number, got '5s'"),
        (values.spec("a.b"), "tcp://a:65530", "port 65530 with an offset of 10 is no port"),
        (values.LOG_LEVEL, "loud", "expected numbers, as in '2' or '2,proxy:3', got 'loud'"),
        (values.LOG_LEVEL, "proxy:", "expected numbers"),
    ],
)
def test_what_a_value_cannot_be(reader: Reader, value: str | tuple[str, ...], problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        reader.read(reading(), entry(value))
    assert str(caught.value).startswith(f"f:1: k: {problem}")


@pytest.mark.parametrize(
    ("value", "kept", "remarks"),
    [
        ("5", 5, []),
        ("0", 1, ["s.k (1 instead of 0)"]),
        ("-3", 1, ["s.k (1 instead of -3)"]),
        ("99", 9, ["s.k (9 instead of 99)"]),
    ],
)
def test_a_number_out_of_range_is_brought_into_it_and_said(value: str, kept: int, remarks: list[str]) -> None:
    now = reading()
    (setting,) = values.number("a.b", least=1, most=9).read(now, entry(value))
    assert (setting.value, now.remarks) == (kept, remarks)


@pytest.mark.parametrize(
    ("host", "address"), [("127.0.0.1", "127.0.0.1:5571"), ("::1", "[::1]:5571"), ("", ":5571")]
)  # fmt: skip
def test_the_publish_port_is_of_two_keys(host: str, address: str) -> None:
    (setting,) = values.PUBLISH_PORT.read(reading(push_in_http_addr=host), entry("5561"))
    assert setting.value == address


def test_without_an_address_it_is_every_interface() -> None:
    (setting,) = values.PUBLISH_PORT.read(reading(), entry("5561"))
    assert setting.value == ":5571"


def test_r06_certificates_are_beside_the_file() -> None:
    settings = values.HTTPS_PORTS.read(reading(), entry(("443", "[::1]:8443")))
    assert [(each.name, each.value) for each in settings] == [
        ("proxy.tls_listen", ["443", "[::1]:8443"]),
        ("proxy.tls_certs", "/etc/p/runner/certs"),
    ]


@pytest.mark.parametrize(
    ("value", "shifted"),
    [
        ("9100", "9120"),
        ("127.0.0.1:9100", "127.0.0.1:9120"),
        ("[::1]:9100", "[::1]:9120"),
        (":9100", ":9120"),
        ("localhost", "localhost"),
    ],
)
def test_metrics_of_an_instance_have_a_port_of_their_own(value: str, shifted: str) -> None:
    now = reading()
    now.conf = replace(now.conf, metrics_offset=20)
    (setting,) = values.METRICS_PORT.read(now, entry(value))
    assert setting.value == shifted
    with pytest.raises(SettingsError, match="f:1: k: port 65530 with an offset of 20 is no port"):
        values.METRICS_PORT.read(now, entry("65530"))


def test_metrics_on_a_unix_socket_are_said_to_be_none() -> None:
    now = reading()
    assert values.METRICS_PORT.read(now, entry("ipc:///run/x")) == ()
    assert now.remarks == ["s.k (metrics are served by TCP)"]


def test_o07_a_level_of_one_service_is_said_to_be_of_all() -> None:
    now = reading()
    values.LOG_LEVEL.read(now, entry(("2", "proxy:3")))
    assert now.remarks == ["s.k (proxy:3: one process has one level, the highest of those given)"]
