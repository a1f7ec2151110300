"""How the values of a pushpin.conf become values of settings: one reader for each kind (reference 2).

Used by the table of `proxy.migration.pushpin_keys`. A reader raises SettingsError, with file and line, for a value that
Pushpin itself could only misread, such as a number that is none, which it takes for 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from proxy.errors import SettingsError
from proxy.migration.pushpin_conf import Entry, PushpinConf

_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", ""})
_TCP_PORT: Final = re.compile(r"(tcp://.*):([0-9]{1,5})")
_PORT_AT_END: Final = re.compile(r"((?:.*:)?)([0-9]{1,5})")
_LEVELS: Final = ("error", "warn", "info", "debug")
_LARGEST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a key comes to: `section.key` of a setting, and its value as TOML has it."""

    name: str
    value: object


@dataclass(slots=True, kw_only=True)
class Reading:
    """One reading of a file. Readers may look at other keys, and say what of theirs has no effect."""

    conf: PushpinConf
    remarks: list[str] = field(default_factory=list)

    def remark(self, entry: Entry, text: str) -> None:
        """Have the operator told of a part of a value that has no effect."""
        self.remarks.append(f"{entry.name} ({text})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """How the value of a key is read: the settings it may come to, and what returns those that it does come to."""

    names: tuple[str, ...]
    read: Callable[[Reading, Entry], tuple[Setting, ...]]
    """Raises SettingsError."""


def text(name: str) -> Reader:
    """Return the reader of one text."""
    return _simple(name, lambda _, entry: one_text(entry))


def texts(name: str) -> Reader:
    """Return the reader of a list of texts."""
    return _simple(name, lambda _, entry: _separate_texts(entry))


def flag(name: str) -> Reader:
    """Return the reader of true or false."""
    return _simple(name, lambda _, entry: _is_true(entry))


def number(name: str, *, least: int = 0, most: int = 2**31 - 1) -> Reader:
    """Return the reader of a whole number; one out of the range that a setting has is brought into it, and said."""

    def read(reading: Reading, entry: Entry) -> int:
        value = whole_number(entry)
        kept = min(max(value, least), most)
        if kept != value:
            reading.remark(entry, f"{kept} instead of {value}")
        return kept

    return _simple(name, read)


def milliseconds(name: str) -> Reader:
    """Return the reader of milliseconds, which become seconds."""
    return _simple(name, lambda _, entry: max(whole_number(entry), 0) / 1000)


def spec(name: str) -> Reader:
    """Return the reader of a ZeroMQ endpoint; the ports' offset is added to one of TCP."""
    return _simple(name, lambda reading, entry: shift_spec(reading, entry, one_text(entry)))


def specs(name: str) -> Reader:
    """Return the reader of ZeroMQ endpoints."""
    return _simple(name, lambda reading, entry: [shift_spec(reading, entry, each) for each in list_of_texts(entry)])


def octal(name: str) -> Reader:
    """Return the reader of permissions; -1 leaves them alone."""
    return _simple(name, lambda _, entry: "" if one_text(entry) == "-1" else one_text(entry))


def name_of_level(level: int) -> str:
    """Return the name of a level of Pushpin's: 0 error, 1 warn, 2 info, 3 and more debug."""
    return _LEVELS[min(level, len(_LEVELS) - 1)]


def one_text(entry: Entry) -> str:
    """Return the value of a key that takes one. A list is an error: Qt would take it for nothing."""
    if len(entry.parts) != 1:
        raise SettingsError(f"{entry.origin}: expected one value; one with a comma in it goes in quotes")
    return entry.parts[0]


def list_of_texts(entry: Entry) -> list[str]:
    """Return the values of a key that takes several, without empty ones."""
    return [part.strip() for part in entry.parts if part.strip()]


def _separate_texts(entry: Entry) -> list[str]:
    """Return the values of a list in whose values there are no commas, so that quotes around all of it show."""
    found = list_of_texts(entry)
    for value in found:
        if "," in value:
            raise SettingsError(f"{entry.origin}: {value!r} in quotes is one value; write the list without the quotes")
    return found


def whole_number(entry: Entry) -> int:
    """Return the value of a key that takes a whole number."""
    value = one_text(entry).strip()
    if not value.isascii() or not value.removeprefix("-").isdigit() or len(value) > 18:
        raise SettingsError(f"{entry.origin}: expected a whole number, got {value!r}")
    return int(value)


def shift_port(reading: Reading, entry: Entry, port: int) -> int:
    """Return a port with the offset of this instance."""
    return _shift(entry, port, reading.conf.port_offset)


def shift_spec(reading: Reading, entry: Entry, value: str) -> str:
    """Return an endpoint with the offset of this instance on its port, if it has one."""
    found = _TCP_PORT.fullmatch(value)
    return f"{found[1]}:{shift_port(reading, entry, int(found[2]))}" if found else value


def _shift(entry: Entry, port: int, offset: int) -> int:
    shifted = port + offset
    if not 0 <= shifted <= _LARGEST_PORT:
        raise SettingsError(f"{entry.origin}: port {port} with an offset of {offset} is no port")
    return shifted


def _simple(name: str, value: Callable[[Reading, Entry], object]) -> Reader:
    return Reader(names=(name,), read=lambda reading, entry: (Setting(name=name, value=value(reading, entry)),))


def _is_true(entry: Entry) -> bool:
    value = one_text(entry).strip().lower()
    if value not in _TRUE and value not in _FALSE:
        raise SettingsError(f"{entry.origin}: expected true or false, got {value!r}, which Pushpin takes for true")
    return value in _TRUE


def _read_forwarded_proto(_: Reading, entry: Entry) -> tuple[Setting, ...]:
    """Read `set_x_forwarded_protocol`: `true`, `proto-only`, or anything else, which is neither."""
    value = one_text(entry)
    return (Setting(name="proxy.set_x_forwarded_proto", value=value if value in {"true", "proto-only"} else "off"),)


def _read_publish_port(reading: Reading, entry: Entry) -> tuple[Setting, ...]:
    """Read `push_in_http_port` together with `push_in_http_addr`, without which it is every interface."""
    host = reading.conf.get("handler.push_in_http_addr")
    port = shift_port(reading, entry, whole_number(entry))
    address = one_text(host) if host else ""
    return (Setting(name="publish.listen", value=f"[{address}]:{port}" if ":" in address else f"{address}:{port}"),)


def _read_https_ports(reading: Reading, entry: Entry) -> tuple[Setting, ...]:
    """Read `https_ports`, whose certificates are in a folder of a fixed name (reference 2.5)."""
    return (
        Setting(name="proxy.tls_listen", value=list_of_texts(entry)),
        Setting(name="proxy.tls_certs", value=str((reading.conf.folder / "runner" / "certs").absolute())),
    )


def _read_local_ports(_: Reading, entry: Entry) -> tuple[Setting, ...]:
    """Read `local_ports`: relative paths start at the working directory."""
    return (Setting(name="proxy.unix_listen", value=[str(Path(each).absolute()) for each in list_of_texts(entry)]),)


def _read_log_level(reading: Reading, entry: Entry) -> tuple[Setting, ...]:
    """Read `log_level`: a number, and others for single services, the highest of which is for all."""
    found: list[int] = []
    for part in list_of_texts(entry):
        service, _, level = part.rpartition(":")
        if not level.isascii() or not level.isdigit() or len(level) > 3:
            raise SettingsError(f"{entry.origin}: expected numbers, as in '2' or '2,proxy:3', got {part!r}")
        found.append(int(level))
        if service:
            reading.remark(entry, f"{part}: one process has one level, the highest of those given")
    return (Setting(name="log.level", value=name_of_level(max(found, default=2))),)


def _read_metrics_port(reading: Reading, entry: Entry) -> tuple[Setting, ...]:
    """Read `prometheus_port`: a port, an address, or a Unix socket, which Prometheus itself cannot read from."""
    value = one_text(entry)
    if value.startswith("ipc://"):
        reading.remark(entry, "metrics are served by TCP")
        return ()
    found = _PORT_AT_END.fullmatch(value)
    if found:
        value = f"{found[1]}{_shift(entry, int(found[2]), reading.conf.metrics_offset)}"
    return (Setting(name="metrics.listen", value=value),)


FORWARDED_PROTO: Final = Reader(names=("proxy.set_x_forwarded_proto",), read=_read_forwarded_proto)
"""Reads `set_x_forwarded_protocol`."""

PUBLISH_PORT: Final = Reader(names=("publish.listen",), read=_read_publish_port)
"""Reads `push_in_http_port`, and `push_in_http_addr` with it."""

HTTPS_PORTS: Final = Reader(names=("proxy.tls_listen", "proxy.tls_certs"), read=_read_https_ports)
"""Reads `https_ports`."""

LOCAL_PORTS: Final = Reader(names=("proxy.unix_listen",), read=_read_local_ports)
"""Reads `local_ports`."""

LOG_LEVEL: Final = Reader(names=("log.level",), read=_read_log_level)
"""Reads `log_level`."""

METRICS_PORT: Final = Reader(names=("metrics.listen",), read=_read_metrics_port)
"""Reads `prometheus_port`."""
