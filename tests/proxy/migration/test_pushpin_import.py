"""The holdfast.toml that is written: it loads, and means what the pushpin.conf means."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config import Settings, load_settings
from proxy.migration.pushpin_conf import Instance, read_pushpin_conf
from proxy.migration.pushpin_import import encode_toml, holdfast_toml
from proxy.migration.pushpin_translation import translate_pushpin_conf
from tests.support.debian_pushpin import debian_conf

EVERYTHING = """\
[global]
rundir={folder}/run
port_offset=100
stats_connection_ttl=30

[runner]
http_port=8000,127.0.0.1:8001,[::1]:8002
https_ports=8443
local_ports={{rundir}}/clients?mode=660
log_level=3
client_buffer_size=4096
client_maxconn=500
allow_compression=true

[proxy]
routesfile=more/routes
debug=true
auto_cross_origin=true
accept_x_forwarded_protocol=true
set_x_forwarded_protocol=true
x_forwarded_for="truncate:0",append
orig_headers_need_mark=X-A
accept_pushpin_route=true
cdn_loop=me
log_from=true
sig_iss="a, \\"b\\""
sig_key=file:grip.key
upstream_key=base64:AAAA
workers=2
prometheus_port=9100
prometheus_prefix=pp_
max_open_requests=5

[handler]
ipc_file_mode=660
push_in_spec=ipc://{{rundir}}/{{ipc_prefix}}pull
push_in_sub_specs=tcp://127.0.0.1:5562,tcp://127.0.0.1:5572
push_in_sub_connect=true
push_in_http_addr=::1
push_in_http_port=5561
message_wait=1500
id_cache_ttl=5
message_rate=10
mine=x
"""


def imported(path: Path, *, instance: Instance | None = None) -> tuple[str, Settings, Settings]:
    """Return the text for a pushpin.conf, what it loads as, and what the pushpin.conf itself loads as."""
    conf = read_pushpin_conf(path, instance=instance)
    settings = load_settings(pushpin=conf, environ={})
    text = holdfast_toml(conf, translate_pushpin_conf(conf), settings)
    output = path.parent / "holdfast.toml"
    output.write_text(text, "utf-8")
    return text, load_settings(file=output, environ={}), settings


def same(settings: Settings) -> Settings:
    """Return the settings without what tells where they come from."""
    return replace(settings, file="", warnings=(), runtime_folder="", runtime_origin="")


@pytest.mark.parametrize("instance", [None, Instance(number=3)])
def test_debians_file_comes_back(tmp_path: Path, instance: Instance | None) -> None:
    text, written, settings = imported(debian_conf(tmp_path), instance=instance)
    assert same(written) == same(settings)
    assert re.search(r'\n# http_port, line [0-9]+\nlisten = \["7999"\]\n', text)
    assert f"\n# The folder {tmp_path / 'run'} must be there" in text
    assert "#   handler.message_rate = 2500: deliveries have no limit" in text


def test_a_file_with_everything_comes_back(tmp_path: Path) -> None:
    conf = tmp_path / "pushpin.conf"
    conf.write_text(EVERYTHING.format(folder=tmp_path))
    text, written, settings = imported(conf)
    assert same(written) == same(settings)
    assert settings.proxy.sig_iss == 'a, "b"'
    assert "#   handler.mine: no key of Pushpin's" in text
    assert written.proxy.routes == str(tmp_path / "more" / "routes")


def test_what_a_missing_key_means_is_written_too(tmp_path: Path) -> None:
    conf = tmp_path / "pushpin.conf"
    conf.write_text("[runner]\nhttp_port=7999\n")
    text, written, settings = imported(conf)
    assert same(written) == same(settings)
    assert "\n# what Pushpin does without a key for it\nid_cache_ttl = 0.0\n" in text
    assert "Without effect" not in text


def test_text_of_the_file_cannot_leave_its_comment(tmp_path: Path) -> None:
    conf = tmp_path / "pushpin.conf"
    conf.write_text('[runner]\nhttp_port=7999\nlogdir="a\\n[proxy]\\nsig_key = 1"\n"x\ny"=1\n')
    text, written, settings = imported(conf)
    assert same(written) == same(settings)
    assert "\n[proxy]\nsig_key" not in text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_toml(text: str) -> None:
    assert tomllib.loads(f"a = {encode_toml(text)}") == {"a": text}


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (5, "5"), (2.5, "2.5"), (5.0, "5.0"), ("a", '"a"'), ((), "[]"), (("a", "b"), '["a", "b"]')],
)
def test_values_of_settings(value: object, text: str) -> None:
    assert encode_toml(value) == text
