"""Where settings come from, what goes before what, and the one line an operator gets for a mistake."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config import Assignment, Settings, load_settings, parse_assignment
from proxy.errors import SettingsError
from tests.support.settings_reference import (
    DOCUMENT_FILE,
    EXAMPLE_FILE,
    document_text,
    example_text,
    field_docstrings,
    sections,
)


def load(
    *sets: str, text: str | None = None, folder: Path | None = None, environ: Mapping[str, str] | None = None
) -> Settings:
    """Load `text` as holdfast.toml of `folder`, with these variables and `--set`s over it."""
    file = None
    if text is not None:
        assert folder is not None
        file = folder / "holdfast.toml"
        file.write_text(text, "utf-8")
    return load_settings(
        file=file, environ=environ or {}, assignments=[parse_assignment(each) for each in sets], default_files=()
    )


def test_without_anything_it_is_the_defaults() -> None:
    assert load() == Settings()


def test_a_later_source_goes_before_an_earlier_one(tmp_path: Path) -> None:
    text = "[proxy]\nhead_limit = 2000\nheader_limit = 20\nconnect_timeout = 2"
    environ = {"HOLDFAST_PROXY_HEADER_LIMIT": "30", "HOLDFAST_PROXY_CONNECT_TIMEOUT": "3"}
    settings = load("proxy.connect_timeout=4", text=text, folder=tmp_path, environ=environ)
    assert (settings.proxy.head_limit, settings.proxy.header_limit, settings.proxy.connect_timeout) == (2000, 30, 4.0)
    assert settings.file == str(tmp_path / "holdfast.toml")


def test_the_last_of_several_assignments_wins() -> None:
    assert load("hold.outbox_limit=2048", "hold.outbox_limit=4096").hold.outbox_limit == 4096


@pytest.mark.parametrize(
    ("assignment", "section", "value"),
    [
        ("proxy.listen=:80", "proxy", (":80",)),
        ("proxy.listen=:80, [::1]:81 ,", "proxy", (":80", "[::1]:81")),
        ("proxy.x_forwarded_for=", "proxy", ()),
        ("proxy.debug=true", "proxy", True),
        ("proxy.debug=0", "proxy", False),
        ("proxy.connect_timeout=0.25", "proxy", 0.25),
        ("proxy.sig_key=a=b", "proxy", "a=b"),
        ("proxy.sig_iss=null", "proxy", "null"),
        ("hold.idle_timeout=0", "hold", 0.0),
        ("log.format=json", "log", "json"),
    ],
)
def test_text_is_read_as_what_the_key_needs(assignment: str, section: str, value: object) -> None:
    key = assignment.partition("=")[0].partition(".")[2]
    variable = f"HOLDFAST_{section}_{key}".upper()
    for settings in (load(assignment), load(environ={variable: assignment.partition("=")[2]})):
        found = getattr(getattr(settings, section), key)
        assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[proxy]\nhead_limt = 1", "unknown setting proxy.head_limt (did you mean proxy.head_limit?)"),
        ("[log]\nhead_limit = 4096", "unknown setting log.head_limit (did you mean proxy.head_limit?)"),
        ("[log]\nzzz = 1", "unknown setting log.zzz"),
        ("[prxy]\nlisten = []", "unknown section [prxy] (did you mean proxy?)"),
        ("[zzz]", "unknown section [zzz]"),
        ("head_limit = 1", "head_limit stands outside of any section (did you mean proxy.head_limit?)"),
        ("proxy = 1", "proxy: expected a section, as in [proxy]"),
        ("[proxy]\nlisten = ':80'", "proxy.listen: expected a list of text, got ':80'"),
        ("[proxy]\nlisten = [80]", "proxy.listen: expected a list of text, got [80]"),
        ("[proxy]\nlisten = []", "proxy.listen: expected at least one address"),
        ("[proxy]\nlisten = ['x']", "proxy.listen: 'x' is not an address: the port must be"),
        ("[proxy]\nhead_limit = '4096'", "proxy.head_limit: expected a whole number from 1024 to 16777216, got '4096'"),
        ("[proxy]\nhead_limit = 1", "proxy.head_limit: expected a whole number from 1024 to 16777216, got 1"),
        ("[proxy]\nhead_limit = true", "proxy.head_limit: expected a whole number from 1024 to 16777216, got True"),
        ("[proxy]\nhead_limit = 4096.0", "proxy.head_limit: expected a whole number from 1024 to 16777216, got 4096.0"),
        ("[proxy]\nconnect_timeout = -1", "proxy.connect_timeout: expected a number from 0 to 31536000, got -1"),
        ("[proxy]\nconnect_timeout = inf", "proxy.connect_timeout: expected a number from 0 to 31536000, got inf"),
        ("[proxy]\nconnect_timeout = nan", "proxy.connect_timeout: expected a number from 0 to 31536000, got nan"),
        ("[proxy]\ndebug = 1", "proxy.debug: expected true or false, got 1"),
        ("[proxy]\nsig_iss = 2024-01-01", "proxy.sig_iss: expected text, got datetime.date(2024, 1, 1)"),
        ("[proxy.sig_iss]", "proxy.sig_iss: expected text, got {}"),
        ("[proxy]\nsig_key = 123456", "proxy.sig_key: expected text"),
        ("[proxy]\nsig_key = 'x'\nsig_iss = ''", "proxy.sig_iss: is empty although sig_key is set"),
        ("[publish]\nlisten = 'a b:80'", "publish.listen: 'a b:80' is not an address"),
        ("[log]\nlevel = 'warning'", "log.level: expected 'debug' or 'error' or 'info' or 'warn', got 'warning'"),
        (
            "[metrics]\nprefix = 'my-x_'",
            "metrics.prefix: expected letters, digits, _ and :, not beginning with a digit, got 'my-x_'",
        ),
        (
            "[zeromq]\nipc_file_mode = 'rw'",
            "zeromq.ipc_file_mode: expected up to four octal digits, as in '660', got 'rw'",
        ),
        ("[log]\nlevel = ?", "is not TOML: Invalid value (at line 2, column 9)"),
        ("[log]\n[log]", "is not TOML: "),
    ],
)
def test_a_mistake_in_the_file_is_one_line_with_file_key_and_what_was_expected(
    text: str, problem: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(text=text, folder=tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'holdfast.toml'}: {problem}")
    assert "\n" not in str(caught.value)
    assert "123456" not in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        (
            {"HOLDFAST_PROXY_LISTN": ":80"},
            "unknown environment variable HOLDFAST_PROXY_LISTN (did you mean HOLDFAST_PRO",
        ),
        ({"HOLDFAST_": ""}, "unknown environment variable HOLDFAST_"),
        ({"HOLDFAST_PROXY_DEBUG": "yes"}, "HOLDFAST_PROXY_DEBUG: proxy.debug: expected true or false, got 'yes'"),
        ({"HOLDFAST_PROXY_HEAD_LIMIT": ""}, "HOLDFAST_PROXY_HEAD_LIMIT: proxy.head_limit: expected a whole number"),
        ({"HOLDFAST_PROXY_LISTEN": ""}, "HOLDFAST_PROXY_LISTEN: proxy.listen: expected at least one address"),
        ({"HOLDFAST_PROXY_CDN_LOOP": "a,b"}, "HOLDFAST_PROXY_CDN_LOOP: proxy.cdn_loop: expected one token"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(environ: Mapping[str, str], text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(environ=environ)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    ("assignment", "text"),
    [
        ("proxy.debug", "--set proxy.debug: expected section.key=value, as in proxy.debug=true"),
        ("debug=true", "--set: unknown setting debug (did you mean proxy.debug?)"),
        ("proxy.debug=perhaps", "--set: proxy.debug: expected true or false, got 'perhaps'"),
    ],
)
def test_a_mistake_on_the_command_line_names_the_option(assignment: str, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(assignment)
    assert str(caught.value) == text


def test_variables_of_others_do_not_matter() -> None:
    assert load(environ={"PATH": "/bin", "HOLDFASTER": "1", "holdfast_proxy_debug": "true"}) == Settings()


def test_the_service_managers_socket_is_taken_along() -> None:
    assert load(environ={"NOTIFY_SOCKET": "@x"}).notify_socket == "@x"


def test_relative_paths_start_where_they_were_written(tmp_path: Path) -> None:
    text = "[proxy]\nroutes = 'r.conf'\nsig_key = 'file:k.pem'\nupstream_key = 'file:/abs.pem'"
    written = load(text=text, folder=tmp_path).proxy
    assert written.routes == str(tmp_path / "r.conf")
    assert written.sig_key == f"file:{tmp_path / 'k.pem'}"
    assert written.upstream_key == "file:/abs.pem"
    assert load("publish.token=file:t").publish.token == f"file:{Path('t').absolute()}"
    assert load("proxy.routes=r.conf", text="", folder=tmp_path).proxy.routes == "r.conf"
    environ = {"HOLDFAST_PROXY_ROUTES": "e.conf"}
    assert load(text="", folder=tmp_path, environ=environ).proxy.routes == str(tmp_path / "e.conf")
    assert load(environ=environ).proxy.routes == "e.conf"


def test_files_of_tls_and_unix_sockets_start_at_the_settings_files_folder(tmp_path: Path) -> None:
    text = """
    [proxy]
    tls_certs = 'tls'
    unix_listen = ['a?mode=600', '/abs/b', 'unix:c']
    [publish]
    tls_cert = 'p.crt'
    tls_key = '/abs/p.key'
    """
    settings = load(text=text, folder=tmp_path)
    assert settings.proxy.tls_certs == str(tmp_path / "tls")
    assert settings.proxy.unix_listen == (f"{tmp_path}/a?mode=600", "/abs/b", f"{tmp_path}/c")
    assert (settings.publish.tls_cert, settings.publish.tls_key) == (f"{tmp_path}/p.crt", "/abs/p.key")
    assert load(text="", folder=tmp_path).proxy.tls_certs == str(tmp_path / "certs")
    assert load(text="[publish]\nlisten = 'unix:p'", folder=tmp_path).publish.listen == f"unix:{tmp_path}/p"


def test_the_default_routes_file_is_beside_the_settings_file(tmp_path: Path) -> None:
    assert load(text="", folder=tmp_path).proxy.routes == str(tmp_path / "routes.conf")


def test_the_first_default_file_that_exists_is_read_and_no_other(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.toml", "b.toml", "c.toml")]
    files[1].write_text("[log]\nlevel = 'warn'")
    files[2].write_text("this is no TOML")
    settings = load_settings(environ={}, default_files=files)
    assert (settings.log.level, settings.file) == ("warn", str(files[1]))


def test_a_file_asked_for_must_be_readable(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as missing:
        load_settings(file=tmp_path / "none.toml", environ={})
    assert str(missing.value) == f"{tmp_path / 'none.toml'}: cannot be read: No such file or directory"
    with pytest.raises(SettingsError) as directory:
        load_settings(file=tmp_path, environ={})
    assert str(directory.value) == f"{tmp_path}: cannot be read: Is a directory"


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b"# \xff")
    with pytest.raises(SettingsError) as caught:
        load_settings(file=tmp_path / "x.toml", environ={})
    assert str(caught.value) == f"{tmp_path / 'x.toml'}: is not UTF-8 (byte 2)"


names = st.sampled_from([f"{section}.{each.name}" for section, kind in sections().items() for each in fields(kind)])


@given(name=names | st.text(), value=st.text())
def test_any_assignment_gives_settings_or_the_documented_error(name: str, value: str) -> None:
    try:
        load_settings(environ={}, assignments=[Assignment(name=name, value=value, origin="--set")], default_files=())
    except SettingsError as error:
        assert str(error).startswith("--set: ")  # noqa: PT017


@given(variable=names.map(lambda name: f"HOLDFAST_{name.upper().replace('.', '_')}"), value=st.text())
def test_any_value_of_a_variable_gives_settings_or_an_error_that_names_it(variable: str, value: str) -> None:
    try:
        load_settings(environ={variable: value}, default_files=())
    except SettingsError as error:
        assert str(error).startswith(f"{variable}: ")  # noqa: PT017


@given(entries=st.lists(st.sampled_from([":80", "[::1]:81", "h:0", "127.0.0.1:9"]), min_size=1))
def test_a_list_survives_the_environment(entries: list[str]) -> None:
    assert load(environ={"HOLDFAST_PROXY_LISTEN": ",".join(entries)}).proxy.listen == tuple(entries)


@pytest.mark.parametrize("section", sections())
def test_every_setting_has_a_docstring_for_operators(section: str) -> None:
    settings = sections()[section]
    assert list(field_docstrings(settings)) == [each.name for each in fields(settings)]


def test_the_example_file_shows_every_setting_at_its_default(tmp_path: Path) -> None:
    text = EXAMPLE_FILE.read_text("utf-8")
    assert text == example_text()
    in_force = "\n".join(line.removeprefix("#") if line[:2] not in {"# ", "#"} else "" for line in text.split("\n"))
    written = tomllib.loads(in_force)
    assert {section: list(table) for section, table in written.items()} == {
        section: [each.name for each in fields(kind)] for section, kind in sections().items()
    }
    settings, defaults = load(text=in_force, folder=tmp_path), load(text="", folder=tmp_path)
    assert settings == defaults


def test_the_documentation_has_every_setting() -> None:
    text = DOCUMENT_FILE.read_text("utf-8")
    assert text == document_text(text)
    for settings in sections().values():
        for each in fields(settings):
            assert f"| `{each.name}` | `" in text


@pytest.mark.parametrize(
    ("assignments", "needed"),
    [
        ((), True),
        (("mercure.anonymous=true",), False),
        (("mercure.anonymous=true", "proxy.routes=r.conf"), True),
    ],
)
def test_a_routes_file_must_be_there_unless_there_is_a_hub_and_nobody_has_named_one(
    assignments: tuple[str, ...], needed: bool
) -> None:
    parsed = tuple(map(parse_assignment, assignments))
    assert load_settings(environ={}, assignments=parsed, default_files=()).needs_routes is needed
