"""A whole pushpin.conf as settings: every key is obeyed, or named in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.config import Settings, load_settings, parse_assignment
from proxy.errors import SettingsError
from proxy.migration.pushpin_conf import Instance, read_pushpin_conf
from proxy.migration.pushpin_keys import INTERNAL, KEYS
from tests.support.debian_pushpin import FILES, debian_conf


def load(folder: Path, text: str, *sets: str, instance: Instance | None = None) -> Settings:
    """Return what `text` as the pushpin.conf of `folder` comes to, with these `--set`s over it."""
    path = folder / "pushpin.conf"
    path.write_text(text, "utf-8")
    conf = read_pushpin_conf(path, instance=instance)
    return load_settings(pushpin=conf, environ={}, assignments=[parse_assignment(each) for each in sets])


PORT = "[runner]\nhttp_port=7999\n"
"""The least that a file must have."""

VALUES = {
    "global.stats_connection_ttl": ("30", 30),
    "global.stats_connection_send": ("false", False),
    "runner.http_port": ("80,127.0.0.1:81,[::1]:82", ("80", "127.0.0.1:81", "[::1]:82")),
    "runner.https_ports": ("443", ("443",)),
    "runner.local_ports": ("/run/x?mode=660", ("/run/x?mode=660",)),
    "runner.log_level": ("3", "debug"),
    "runner.client_buffer_size": ("4096", 4096),
    "runner.client_maxconn": ("100", 100),
    "runner.allow_compression": ("true", True),
    "proxy.routesfile": ("my routes", "{folder}/my routes"),
    "proxy.debug": ("true", True),
    "proxy.auto_cross_origin": ("true", True),
    "proxy.accept_x_forwarded_protocol": ("true", True),
    "proxy.set_x_forwarded_protocol": ("true", "true"),
    "proxy.x_forwarded_for": ("truncate:0,append", ("truncate:0", "append")),
    "proxy.x_forwarded_for_trusted": ("append", ("append",)),
    "proxy.orig_headers_need_mark": ("X-A,X-B", ("X-A", "X-B")),
    "proxy.accept_pushpin_route": ("true", True),
    "proxy.cdn_loop": ("me", "me"),
    "proxy.log_from": ("true", True),
    "proxy.log_user_agent": ("true", True),
    "proxy.sig_iss": ("me", "me"),
    "proxy.sig_key": ("changeme", "changeme"),
    "proxy.upstream_key": ("base64:AAAA", "base64:AAAA"),
    "proxy.sockjs_url": ("http://x.example/sockjs.js", "http://x.example/sockjs.js"),
    "proxy.workers": ("4", 4),
    "proxy.prometheus_port": ("9100", "9100"),
    "proxy.prometheus_prefix": ("pp_", "pp_"),
    "handler.ipc_file_mode": ("777", "777"),
    "handler.push_in_spec": ("tcp://127.0.0.1:5560", "tcp://127.0.0.1:5560"),
    "handler.push_in_sub_spec": ("tcp://127.0.0.1:5562", ("tcp://127.0.0.1:5562",)),
    "handler.push_in_sub_specs": ("tcp://127.0.0.1:5562,ipc://a", ("tcp://127.0.0.1:5562", "ipc://a")),
    "handler.push_in_sub_connect": ("true", True),
    "handler.push_in_http_port": ("5571", ":5571"),
    "handler.push_in_http_max_headers_size": ("20000", 20_000),
    "handler.push_in_http_max_body_size": ("5", 5),
    "handler.stats_spec": ("ipc://{ipc_prefix}s", "ipc://pushpin-s"),
    "handler.command_spec": ("tcp://127.0.0.1:5563", "tcp://127.0.0.1:5563"),
    "handler.message_wait": ("2500", 2.5),
    "handler.id_cache_ttl": ("30", 30.0),
    "handler.update_on_first_subscription": ("false", False),
    "handler.connection_subscription_max": ("50", 50),
    "handler.subscription_linger": ("5", 5.0),
    "handler.stats_subscription_ttl": ("30", 30),
    "handler.stats_report_interval": ("0", 0.0),
    "handler.stats_format": ("json", "json"),
    "handler.prometheus_port": ("127.0.0.1:9100", "127.0.0.1:9100"),
    "handler.prometheus_prefix": ("pp_", "pp_"),
    "handler.state_spec": ("ipc:///run/state", "ipc:///run/state"),
    "handler.share_all": ("true", True),
}


def test_every_key_that_is_obeyed_is_tested_here() -> None:
    assert sorted(VALUES) == sorted(name for name, row in KEYS.items() if row.reader is not None)


@pytest.mark.parametrize("name", VALUES)
def test_a_key_is_obeyed(name: str, tmp_path: Path) -> None:
    text, expected = VALUES[name]
    section, _, key = name.partition(".")
    row = KEYS[name]
    assert row.reader is not None
    head = "" if name == "runner.http_port" else PORT
    settings = load(tmp_path, f"{head}[{section}]\n{key}={text}\n[handler]\npush_in_http_addr=\n")
    where, _, setting = row.reader.names[0].partition(".")
    value = getattr(getattr(settings, where), setting)
    if isinstance(expected, str):
        expected = expected.replace("{folder}", str(tmp_path))
    assert (value, type(value)) == (expected, type(expected))
    assert not any(name in warning for warning in settings.warnings)


@pytest.mark.parametrize("name", [name for name, row in KEYS.items() if not row.is_obeyed])
def test_a_key_without_effect_is_named_with_the_reason(name: str, tmp_path: Path) -> None:
    section, _, key = name.partition(".")
    (warning,) = load(tmp_path, f"{PORT}[{section}]\n{key}=1\n").warnings
    assert f"without effect: {name} ({KEYS[name].plain_note})" in warning


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    text = f"{PORT}[proxy]\nsig_keys=x\n[mine]\nwhat=1\n[handler]\npush_in_http_port=5561\nwhat is this\n"
    (warning,) = load(tmp_path, text).warnings
    expected = "unknown: proxy.sig_keys (did you mean proxy.sig_key?), mine.what; line 9 has no '='"
    assert warning == f"{tmp_path / 'pushpin.conf'}: {expected}"


def test_keys_with_the_same_reason_stand_together_and_many_are_counted(tmp_path: Path) -> None:
    inside = "".join(f"{row.name.removeprefix('proxy.')}=x\n" for row in INTERNAL if row.name.startswith("proxy."))
    text = f"{PORT}[handler]\npush_in_http_port=5561\nmessage_rate=1\nmessage_hwm=2\n[proxy]\n{inside}"
    (warning,) = load(tmp_path, text).warnings
    assert "handler.message_rate and handler.message_hwm (deliveries have no limit" in warning
    count = sum(row.name.startswith("proxy.") for row in INTERNAL)
    assert f" and {count - 1} more (sockets between Pushpin's processes, which are one here)" in warning


def test_what_has_no_value_is_not_named(tmp_path: Path) -> None:
    text = f"{PORT}[proxy]\norganization_name=\nsig_key=\n[handler]\npush_in_http_port=5561\nmessage_rate=\n"
    assert load(tmp_path, text).warnings == ()


def test_what_pushpin_does_without_a_key_is_done(tmp_path: Path) -> None:
    settings = load(tmp_path, PORT)
    assert settings.proxy.routes == str(tmp_path / "routes")
    assert settings.proxy.set_x_forwarded_proto == "off"
    assert settings.proxy.sig_key == ""
    assert settings.hold.id_cache_ttl == 0
    assert not settings.zeromq.is_enabled
    assert settings.needs_routes


def test_there_always_is_a_publish_port(tmp_path: Path) -> None:
    settings = load(tmp_path, f"[global]\nport_offset=10\n{PORT}")
    assert settings.publish.listen == "127.0.0.1:5571"
    (warning,) = settings.warnings
    assert "in part: handler.push_in_http_port is missing" in warning


def test_no_port_for_clients_is_an_error_unless_an_option_names_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, "[proxy]\ndebug=true\n")
    assert str(caught.value) == (
        f"{tmp_path}/pushpin.conf: [runner] has none of http_port, https_ports, local_ports: "
        "there is nowhere for clients to connect"
    )
    with pytest.raises(SettingsError, match=r"pushpin.conf: has no keys at all, such as runner.http_port: "):
        load(tmp_path, "")
    with pytest.raises(SettingsError, match=r"pushpin.conf:2: http_port: proxy.listen: expected at least one address"):
        load(tmp_path, "[runner]\nhttp_port=,\n")
    assert load(tmp_path, "[proxy]\ndebug=true\n", "proxy.listen=:1").proxy.listen == (":1",)


def test_a_mistyped_key_is_told_with_what_keeps_it_from_starting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"connect; unknown: runner.htp_port \(did you mean runner.http_port\?\)$"):
        load(tmp_path, "[runner]\nhtp_port=7999\n")
    with pytest.raises(SettingsError, match=r"expected a whole number, got 'x'; unknown: z.y; line 5 has no '='$"):
        load(tmp_path, "[runner]\nclient_maxconn=x\n[z]\ny=1\nstray\n")
    with pytest.raises(SettingsError, match=r"; line 7 has no '='; line 8 has no '='; and 2 more such$"):
        load(tmp_path, "stray\n" * 10)


def test_metrics_of_the_handler_go_before_those_of_the_proxy(tmp_path: Path) -> None:
    text = f"{PORT}[handler]\nprometheus_port=1\n[proxy]\nprometheus_port=2\n"
    assert load(tmp_path, text).metrics.listen == "1"


def test_a_key_file_is_looked_for_beside_the_file(tmp_path: Path) -> None:
    assert load(tmp_path, f"{PORT}[proxy]\nsig_key=file:grip.key\n").proxy.sig_key == f"file:{tmp_path / 'grip.key'}"


def test_a_value_that_a_setting_refuses_is_named_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, f"{PORT}[handler]\nstats_format=xml\n")
    assert str(caught.value).startswith(f"{tmp_path / 'pushpin.conf'}:4: stats_format: zeromq.stats_format: expected")


def test_debians_file(tmp_path: Path) -> None:
    settings = load_settings(pushpin=read_pushpin_conf(debian_conf(tmp_path)), environ={})
    assert settings.zeromq.pull == "tcp://127.0.0.1:5560"
    assert settings.zeromq.sub == ("tcp://127.0.0.1:5562",)
    assert settings.zeromq.command == "tcp://127.0.0.1:5563"
    assert settings.zeromq.stats == f"ipc://{tmp_path / 'run'}/pushpin-stats"
    assert settings.publish.listen == "127.0.0.1:5561"
    assert settings.proxy.listen == ("7999",)
    assert settings.proxy.sig_key == "changeme"
    assert settings.runtime_folder == str(tmp_path / "run")
    assert settings.file == str(tmp_path / "pushpin.conf")


def test_o05_an_instance_moves_every_port_but_the_clients(tmp_path: Path) -> None:
    text = (FILES / "pushpin.conf").read_text("utf-8").replace("[proxy]\n", "[proxy]\nprometheus_port=9100\n")
    settings = load(tmp_path, text, instance=Instance(number=2))
    assert settings.metrics.listen == "9120"
    assert load(tmp_path, text.replace("port_offset=0", "port_offset=20")).metrics.listen == "9100"
    assert settings.zeromq.pull == "tcp://127.0.0.1:5580"
    assert settings.zeromq.command == "tcp://127.0.0.1:5583"
    assert settings.publish.listen == "127.0.0.1:5581"
    assert settings.proxy.listen == ("7999",)
    assert settings.zeromq.stats.endswith("/p2-stats")


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    conf = read_pushpin_conf(debian_conf(tmp_path))
    assert load_settings(pushpin=conf, environ={"HOLDFAST_PROXY_SIG_KEY": "k"}).proxy.sig_key == "k"
