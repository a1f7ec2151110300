"""Every key that a pushpin.conf may have, and what it comes to here: one row for each (reference 2).

Read by `proxy.migration.pushpin_translation`; docs/migrating-from-pushpin.md has a table made of these rows. A test
holds them against Pushpin's own files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxy.migration.pushpin_values import (
    FORWARDED_PROTO,
    HTTPS_PORTS,
    LOCAL_PORTS,
    LOG_LEVEL,
    METRICS_PORT,
    PUBLISH_PORT,
    Reader,
    flag,
    milliseconds,
    number,
    octal,
    spec,
    specs,
    text,
    texts,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """One key. Without a reader it has an effect of its own (`is_used`), or none, for the reason in `note`."""

    name: str
    """`section.key`."""

    reader: Reader | None = None
    note: str = ""
    """What is different here, or what happens instead."""

    is_used: bool = False
    """Whether the file is read by it, as by `include`."""

    @property
    def plain_note(self) -> str:
        """The note for a log line, in which nothing is set in code."""
        return self.note.replace("`", "")

    @property
    def is_obeyed(self) -> bool:
        """Whether what it says is done."""
        return self.reader is not None or self.is_used


def _read(name: str, reader: Reader, note: str = "") -> KeyRow:
    return KeyRow(name=name, reader=reader, note=note)


def _used(name: str, note: str) -> KeyRow:
    return KeyRow(name=name, note=note, is_used=True)


def _without(note: str, *names: str) -> tuple[KeyRow, ...]:
    return tuple(KeyRow(name=name, note=note) for name in names)


_ONE_PROCESS = "there are no further programs to start"
_ONE_TIME = "stats have the times of `[handler]` and `[global]`"
_NO_RATE = "deliveries have no limit, and nothing is dropped"
_INSIDE = "sockets between Pushpin's processes, which are one here"

_GLOBAL: Final = (
    _used("global.include", "keys of the main file go before its"),
    _used("global.rundir", "`{rundir}`; made if it is not there"),
    _used("global.libdir", "`{libdir}`"),
    _used("global.ipc_prefix", "`{ipc_prefix}`"),
    _used("global.port_offset", "added to the publish port and to the ports of ZeroMQ endpoints"),
    _read("global.stats_connection_ttl", number("zeromq.stats_connection_ttl", least=1, most=31_536_000)),
    _read("global.stats_connection_send", flag("zeromq.stats_connection_send")),
)

_RUNNER: Final = (
    *_without("one process does the work of all of them", "runner.services"),
    _used("runner.rundir", "`{rundir}`, where `[global]` has none"),
    _read("runner.http_port", texts("proxy.listen"), "a port alone is that of IPv6, too"),
    _read("runner.https_ports", HTTPS_PORTS, "certificates are those of `runner/certs` beside the file"),
    _read("runner.local_ports", LOCAL_PORTS),
    *_without("lines go to stderr, or to the file of `--logfile`", "runner.logdir"),
    _read("runner.log_level", LOG_LEVEL, "of levels for single services the highest is for all; 3 and more are debug"),
    _read("runner.client_buffer_size", number("proxy.head_limit", least=1024, most=16_777_216)),
    _read("runner.client_maxconn", number("proxy.connection_limit"), "further connections are closed at once"),
    _read("runner.allow_compression", flag("websocket.compression")),
    *_without(_ONE_PROCESS, "runner.mongrel2_bin", "runner.m2sh_bin", "runner.zurl_bin", "runner.condure_bin"),
    *_without(_ONE_PROCESS, "runner.connmgr_bin", "runner.proxy_bin", "runner.handler_bin", "runner.m2adapter_bin"),
)

_PROXY: Final = (
    _read("proxy.routesfile", text("proxy.routes")),
    _read("proxy.debug", flag("proxy.debug")),
    _read("proxy.auto_cross_origin", flag("proxy.auto_cross_origin")),
    _read("proxy.accept_x_forwarded_protocol", flag("proxy.accept_x_forwarded_proto")),
    _read("proxy.set_x_forwarded_protocol", FORWARDED_PROTO, "without this key: `off`"),
    _read("proxy.x_forwarded_for", texts("proxy.x_forwarded_for")),
    _read("proxy.x_forwarded_for_trusted", texts("proxy.x_forwarded_for_trusted")),
    _read("proxy.orig_headers_need_mark", texts("proxy.orig_headers_need_mark")),
    _read("proxy.accept_pushpin_route", flag("proxy.accept_pushpin_route")),
    _read("proxy.cdn_loop", text("proxy.cdn_loop")),
    _read("proxy.log_from", flag("log.log_from")),
    _read("proxy.log_user_agent", flag("log.log_user_agent")),
    _read("proxy.sig_iss", text("proxy.sig_iss")),
    _read("proxy.sig_key", text("proxy.sig_key"), "`changeme` too, of which `holdfast check` warns"),
    _read("proxy.upstream_key", text("proxy.upstream_key")),
    _read("proxy.sockjs_url", text("proxy.sockjs_url")),
    _read("proxy.workers", number("proxy.workers", least=1, most=256), "processes, each with clients of its own"),
    *_without("`client_maxconn` bounds connections, and so requests", "proxy.max_open_requests"),
    *_without("`ipc_file_mode` of the route's target says it", "proxy.ipc_file_mode"),
    *_without(_ONE_TIME, "proxy.stats_connections_max_ttl", "proxy.stats_report_interval"),
    _read("proxy.prometheus_port", METRICS_PORT, "that of `[handler]` goes before it: one port has all metrics"),
    _read("proxy.prometheus_prefix", text("metrics.prefix"), "that of `[handler]` goes before it"),
    *_without("nothing is ever reported to anybody", "proxy.updates_check", "proxy.organization_name"),
)

_HANDLER: Final = (
    _read("handler.ipc_file_mode", octal("zeromq.ipc_file_mode")),
    _read("handler.push_in_spec", spec("zeromq.pull")),
    _read("handler.push_in_sub_spec", specs("zeromq.sub"), "the old name of `push_in_sub_specs`"),
    _read(
        "handler.push_in_sub_specs",
        specs("zeromq.sub"),
        "all are bound, not only the first; `zeromq.subscribe` is `channels`",
    ),
    _read("handler.push_in_sub_connect", flag("zeromq.sub_connect")),
    _used("handler.push_in_http_addr", "`publish.listen`; without this key: every interface"),
    _read(
        "handler.push_in_http_port", PUBLISH_PORT, "without this key: 5561 of this machine, since there always is one"
    ),
    _read("handler.push_in_http_max_headers_size", number("publish.max_head", least=1024, most=1_048_576)),
    _read("handler.push_in_http_max_body_size", number("publish.max_body", least=1)),
    _read("handler.stats_spec", spec("zeromq.stats")),
    _read("handler.command_spec", spec("zeromq.command")),
    *_without(_NO_RATE, "handler.message_rate", "handler.message_hwm"),
    *_without("sizes are not counted in blocks", "handler.message_block_size"),
    _read("handler.message_wait", milliseconds("hold.message_wait"), "milliseconds there, seconds here"),
    _read("handler.id_cache_ttl", number("hold.id_cache_ttl", most=31_536_000), "without this key: 0, which is off"),
    _read("handler.update_on_first_subscription", flag("hold.update_on_first_subscription")),
    _read("handler.connection_subscription_max", number("hold.subscription_limit", least=1, most=100_000)),
    _read("handler.subscription_linger", number("zeromq.subscription_linger", most=31_536_000)),
    _read("handler.stats_subscription_ttl", number("zeromq.stats_subscription_ttl", least=1, most=31_536_000)),
    _read("handler.stats_report_interval", number("zeromq.stats_interval", most=31_536_000)),
    _read("handler.stats_format", text("zeromq.stats_format")),
    _read("handler.prometheus_port", METRICS_PORT),
    _read("handler.prometheus_prefix", text("metrics.prefix")),
    _read("handler.state_spec", spec("session.state")),
    _read("handler.share_all", flag("proxy.share_all")),
)

INTERNAL: Final = _without(
    _INSIDE,
    *(
        f"proxy.{kind}_{end}"
        for kind in ("condure", "connmgr", "m2a", "intreq")
        for end in ("in_spec", "in_specs", "in_stream_spec", "in_stream_specs", "out_spec", "out_specs")
    ),
    *(
        f"proxy.{kind}_{end}"
        for kind in ("zurl", "condure_client", "connmgr_client")
        for end in ("out_spec", "out_specs", "out_stream_spec", "out_stream_specs", "in_spec", "in_specs")
    ),
    *(
        f"proxy.handler_{end}"
        for kind in ("inspect", "accept", "retry_in", "ws_control_in", "ws_control_out", "ws_control_init")
        for end in (f"{kind}_spec", f"{kind}_specs")
    ),
    *(f"proxy.handler_ws_control_{end}" for end in ("stream_spec", "stream_specs")),
    *("proxy.stats_spec", "proxy.command_spec"),
    *(
        f"handler.{kind}_{end}"
        for kind in ("condure", "connmgr", "m2a")
        for end in ("in_stream_spec", "in_stream_specs", "out_spec", "out_specs")
    ),
    *(
        f"handler.proxy_{end}"
        for kind in ("inspect", "accept", "retry_out", "ws_control_in", "ws_control_out", "stats", "command")
        for end in (f"{kind}_spec", f"{kind}_specs")
    ),
    *(f"handler.proxy_ws_control_{end}" for end in ("init_spec", "init_specs", "stream_spec", "stream_specs")),
    *(
        f"handler.proxy_intreq_{end}"
        for kind in ("out", "out_stream", "in")
        for end in (f"{kind}_spec", f"{kind}_specs")
    ),
)
"""Those of `internal.conf`: sockets that Pushpin's processes have between them, under their names of all times."""

ROWS: Final = (*_GLOBAL, *_RUNNER, *_PROXY, *_HANDLER)
"""Those an operator writes, in the order of Pushpin's own file."""

KEYS: Final = {row.name: row for row in (*ROWS, *INTERNAL)}
"""All of them by name. Where several come to the same setting, the later one in this order goes before the others."""

FALLBACKS: Final = {
    "proxy.listen": [],
    "proxy.routes": "routes",
    "proxy.set_x_forwarded_proto": "off",
    "hold.id_cache_ttl": 0,
    "zeromq.subscribe": "channels",
}
"""What Pushpin does about a key that is missing, where the setting's own default does something else."""
