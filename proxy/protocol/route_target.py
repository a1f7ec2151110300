"""Targets of a route: section to `Target` and back (reference 1.4, 1.5).

Called by `proxy.protocol.routes`. Refuses addresses that could never be connected to or bound, so that a typo costs
a line of the routes file and not a running proxy (reference 10.1 D4).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import replace

from handlers.protocol.names import Channel
from proxy.protocol.route import Target, TargetKind
from proxy.protocol.route_line import LineError, Section
from proxy.protocol.route_options import OptionReader

_BRACKETED = re.compile(r"\[([0-9A-Za-z:.%_-]+)\]:(.*)")
_HOST = re.compile(r"[\w.-]+")
_PORT = re.compile(r"[0-9]{1,5}")
_TCP_SPEC = re.compile(r"tcp://(?:\*|[\w.-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")
_IPC_SPEC = re.compile(r"ipc://\S+")

_LAST_PORT = 65535
_EXTRA_ZHTTP_PORTS = 2  # zhttp/tcp binds PORT, PORT+1 and PORT+2


def parse_target(section: Section, *, options: OptionReader) -> Target:
    """Read one target; `options` are the section's, and collect the notices.

    Raises LineError: `target bad format`, `target invalid port`, `zhttp spec must be tcp://HOST:PORT or ipc://PATH`
    (also for a port that leaves no room for those above it), `client_key needs client_cert`, and the texts of
    `OptionReader` for `host`, `ipc_file_mode`, `connect_timeout` and `timeout`.
    """
    target = replace(
        _parse_place(section.value),
        ssl=options.flag("ssl"),
        untrusted=options.flag("untrusted"),
        trust_connect_host=options.flag("trust_connect_host"),
        insecure=options.flag("insecure"),
        host_override=options.host("host"),
        subs=tuple(map(Channel, options.texts("sub"))),
        over_http=options.flag("over_http"),
        one_event=options.flag("one_event"),
        ipc_file_mode=options.octal("ipc_file_mode"),
        client_cert=options.text("client_cert") or "",
        client_key=options.text("client_key") or "",
        connect_timeout=options.seconds("connect_timeout"),
        timeout=options.seconds("timeout"),
    )
    if target.client_key and not target.client_cert:
        raise LineError("client_key needs client_cert")
    return target


def encode_target(target: Target) -> Section:
    """Write a target as the section that `parse_target` reads as the same target."""
    flags = {
        "ssl": target.ssl,
        "untrusted": target.untrusted,
        "trust_connect_host": target.trust_connect_host,
        "insecure": target.insecure,
        "over_http": target.over_http,
        "one_event": target.one_event,
    }
    texts = [
        ("host", target.host_override),
        *(("sub", sub) for sub in target.subs),
        ("ipc_file_mode", "" if target.ipc_file_mode is None else f"{target.ipc_file_mode:o}"),
        ("client_cert", target.client_cert),
        ("client_key", target.client_key),
        ("connect_timeout", "" if target.connect_timeout is None else f"{target.connect_timeout:.3f}"),
        ("timeout", "" if target.timeout is None else f"{target.timeout:.3f}"),
    ]
    options = [(name, "") for name, is_on in flags.items() if is_on]
    options.extend((name, text) for name, text in texts if text)
    return Section(value=target.name, options=tuple(options))


def _parse_place(value: str) -> Target:
    if value == "test":
        return Target(kind=TargetKind.TEST)
    for kind in (TargetKind.ZHTTP, TargetKind.ZHTTPREQ):
        if value.startswith(kind.value):
            return _parse_zhttp(kind, value.removeprefix(kind.value))
    return _parse_host_and_port(value)


def _parse_host_and_port(value: str) -> Target:
    if bracketed := _BRACKETED.fullmatch(value):
        host, port = bracketed.groups()
        good_host = _is_ipv6(host)
    else:
        # Split at the first colon (reference 1.4): a bare IPv6 address is a fault and not a guess.
        host, colon, port = value.partition(":")
        good_host = bool(colon) and _HOST.fullmatch(host) is not None
    if not good_host:
        raise LineError("target bad format")
    return Target(kind=TargetKind.HOST, host=host, port=_parse_port(port))


def _parse_port(text: str) -> int:
    if not _PORT.fullmatch(text) or not 1 <= int(text) <= _LAST_PORT:
        raise LineError("target invalid port")
    return int(text)


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _parse_zhttp(kind: TargetKind, spec: str) -> Target:
    last = _LAST_PORT - _EXTRA_ZHTTP_PORTS if kind is TargetKind.ZHTTP else _LAST_PORT
    tcp = _TCP_SPEC.fullmatch(spec)
    good = 1 <= int(tcp[1]) <= last if tcp else _IPC_SPEC.fullmatch(spec) is not None
    if not good:
        raise LineError("zhttp spec must be tcp://HOST:PORT or ipc://PATH")
    return Target(kind=kind, spec=spec)
