"""The table of keys: it has every key of Pushpin's, and leads to settings that there are."""

from __future__ import annotations

import pytest

from proxy.assignment import known_keys
from proxy.config import SECTIONS
from proxy.migration.pushpin_conf import read_pushpin_conf
from proxy.migration.pushpin_keys import FALLBACKS, INTERNAL, KEYS, ROWS, KeyRow
from tests.support.debian_pushpin import FILES
from tests.support.pushpin_reference import DOCUMENT_FILE, document_text

SETTINGS = {name for section, settings in SECTIONS.items() for name, _ in known_keys(settings, prefix=f"{section}.")}

# Reference 2.1 to 2.4.
DOCUMENTED = {
    "global": "include rundir libdir ipc_prefix port_offset stats_connection_ttl stats_connection_send",
    "runner": """
        services http_port https_ports local_ports logdir log_level client_buffer_size client_maxconn allow_compression
        mongrel2_bin m2sh_bin zurl_bin rundir
    """,
    "proxy": """
        routesfile debug auto_cross_origin accept_x_forwarded_protocol set_x_forwarded_protocol x_forwarded_for
        x_forwarded_for_trusted orig_headers_need_mark accept_pushpin_route cdn_loop log_from log_user_agent sig_iss
        sig_key upstream_key sockjs_url workers max_open_requests ipc_file_mode stats_connections_max_ttl
        stats_report_interval prometheus_port prometheus_prefix updates_check organization_name
    """,
    "handler": """
        ipc_file_mode push_in_spec push_in_sub_specs push_in_sub_connect push_in_http_addr push_in_http_port
        push_in_http_max_headers_size push_in_http_max_body_size stats_spec command_spec message_rate message_hwm
        message_block_size message_wait id_cache_ttl update_on_first_subscription connection_subscription_max
        subscription_linger stats_subscription_ttl stats_report_interval stats_format prometheus_port prometheus_prefix
        state_spec share_all push_in_sub_spec proxy_inspect_spec
    """,
}


@pytest.mark.parametrize("name", [f"{section}.{key}" for section, keys in DOCUMENTED.items() for key in keys.split()])
def test_every_documented_key_is_in_the_table(name: str) -> None:
    assert name in KEYS


@pytest.mark.parametrize("file", ["pushpin.conf", "internal.conf"])
def test_every_key_of_debians_files_is_in_the_table(file: str) -> None:
    assert [name for name in read_pushpin_conf(FILES / file).entries if name not in KEYS] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_key_leads_to_settings_or_says_why_not(row: KeyRow) -> None:
    if row.reader is None:
        assert row.note
    else:
        assert [name for name in row.reader.names if name not in SETTINGS] == []


def test_no_key_is_there_twice() -> None:
    names = [row.name for row in (*ROWS, *INTERNAL)]
    assert sorted(names) == sorted(set(names))


def test_what_holds_for_missing_keys_are_settings() -> None:
    assert [name for name in FALLBACKS if name not in SETTINGS] == []


def test_the_table_in_the_documentation_is_current() -> None:
    text = DOCUMENT_FILE.read_text("utf-8")
    assert document_text(text) == text, "run python -m tests.support.pushpin_reference"
