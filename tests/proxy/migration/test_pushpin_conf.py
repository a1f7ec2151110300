"""Reading pushpin.conf: what is included, what is replaced, where things stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.errors import SettingsError
from proxy.migration.pushpin_conf import Instance, PushpinConf, find_pushpin_conf, read_pushpin_conf
from tests.support.debian_pushpin import CONF, FILES, INTERNAL


def conf(folder: Path, text: str, *, instance: Instance | None = None) -> PushpinConf:
    """Read `text` as a pushpin.conf of `folder`."""
    path = folder / "pushpin.conf"
    path.write_text(text, "utf-8")
    return read_pushpin_conf(path, instance=instance)


def values(read: PushpinConf) -> dict[str, str]:
    return {name: ",".join(entry.parts) for name, entry in read.entries.items()}


def test_variables_are_replaced_in_values(tmp_path: Path) -> None:
    read = conf(
        tmp_path,
        "[global]\nrundir=/run/x\nlibdir=/lib/x\nipc_prefix=my-\n[handler]\nstats_spec=ipc://{rundir}/{ipc_prefix}s,{libdir}\n",
    )
    assert values(read)["handler.stats_spec"] == "ipc:///run/x/my-s,/lib/x"
    assert read.runtime_folder == "/run/x"


def test_what_variables_are_when_the_file_does_not_say(tmp_path: Path) -> None:
    read = conf(tmp_path, "[handler]\na={ipc_prefix},{rundir},{libdir}\n")
    assert values(read)["handler.a"].startswith("pushpin-,,/usr/")
    assert read.runtime_folder == ""


def test_rundir_may_stand_in_runner(tmp_path: Path) -> None:
    assert conf(tmp_path, "[runner]\nrundir=run\n").runtime_folder == "run"


def test_o05_an_instance_has_a_prefix_and_an_offset_in_place_of_the_files(tmp_path: Path) -> None:
    read = conf(
        tmp_path, "[global]\nport_offset=3000\nipc_prefix=x-\n[a]\nb={ipc_prefix}\n", instance=Instance(number=3)
    )
    assert (read.port_offset, read.metrics_offset, values(read)["a.b"]) == (30, 30, "p3-")
    read = conf(tmp_path, "[global]\nport_offset=3000\n")
    assert (read.port_offset, read.metrics_offset) == (3000, 0)


@pytest.mark.parametrize("offset", ["x", "1.5", "1,2", "12345678"])
def test_an_offset_that_is_none(offset: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"pushpin.conf:2: port_offset: expected a whole number"):
        conf(tmp_path, f"[global]\nport_offset={offset}\n")


def test_the_file_goes_before_the_one_it_includes(tmp_path: Path) -> None:
    (tmp_path / "more.conf").write_text("[proxy]\nsig_iss=more\nsig_key=more\n")
    read = conf(tmp_path, "[global]\ninclude=more.conf\n[proxy]\nsig_key=main\n")
    assert (values(read)["proxy.sig_iss"], values(read)["proxy.sig_key"]) == ("more", "main")
    assert read.entries["proxy.sig_iss"].origin == f"{tmp_path / 'more.conf'}:2: sig_iss"
    assert [entry.is_included for name, entry in read.entries.items() if name.startswith("proxy.")] == [True, False]


def test_internal_conf_is_looked_for_in_libdir_and_may_be_gone(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    text = f"[global]\nlibdir={tmp_path / 'lib'}\ninclude=internal.conf\n"
    assert conf(tmp_path, text).oddities == ()
    (tmp_path / "lib" / "internal.conf").write_text("[proxy]\nstats_spec=ipc://x\n")
    assert "proxy.stats_spec" in conf(tmp_path, text).entries


def test_another_included_file_that_is_gone_is_told(tmp_path: Path) -> None:
    read = conf(tmp_path, "[global]\ninclude=more.conf\n")
    assert read.oddities == (f"the included {tmp_path / 'more.conf'}: cannot be read: No such file or directory",)


def test_an_included_file_that_is_broken_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "more.conf").write_text('a="')
    with pytest.raises(SettingsError, match=r"more.conf:1: a quote is not closed"):
        conf(tmp_path, "[global]\ninclude=more.conf\n")


def test_the_last_of_equal_keys_counts_and_empty_ones_are_not_got(tmp_path: Path) -> None:
    read = conf(tmp_path, "[a]\nb=1\nb=2\nc=\n")
    assert values(read) == {"a.b": "2", "a.c": ""}
    assert read.get("a.b") is read.entries["a.b"]
    assert (read.get("a.c"), read.get("a.d")) == (None, None)


def test_a_stray_line_is_told(tmp_path: Path) -> None:
    assert conf(tmp_path, "[a]\nwhat\n").oddities == ("line 2 has no '='",)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pushpin.conf"
    path.write_bytes(b"\x7fELF\0\0=\n")
    with pytest.raises(SettingsError, match=r"pushpin.conf: is no text, and so no pushpin.conf$"):
        read_pushpin_conf(path)


def test_a_file_that_is_not_utf_8_is_latin_1(tmp_path: Path) -> None:
    path = tmp_path / "pushpin.conf"
    path.write_bytes(b"\xef\xbb\xbf[a]\nb=\xc3\xa9\n")
    assert values(read_pushpin_conf(path))["a.b"] == "é"
    path.write_bytes(b"[a]\nb=\xe9\n")
    assert values(read_pushpin_conf(path))["a.b"] == "é"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none.conf: cannot be read: No such file"):
        read_pushpin_conf(tmp_path / "none.conf")


def test_the_file_is_looked_for_where_pushpin_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "proxy.migration.pushpin_conf.DEFAULT_FILES", (Path("config/pushpin.conf"), Path("pushpin.conf"))
    )
    with pytest.raises(SettingsError, match=r"there is no pushpin.conf: looked for config/pushpin.conf, pushpin.conf"):
        find_pushpin_conf()
    (tmp_path / "pushpin.conf").touch()
    assert find_pushpin_conf() == Path("pushpin.conf")


@pytest.mark.skipif(not CONF.exists(), reason="Debian's package pushpin is not installed here")
@pytest.mark.parametrize(("ours", "package"), [("pushpin.conf", CONF), ("internal.conf", INTERNAL)])
def test_our_copy_says_what_debians_files_say(ours: str, package: Path) -> None:
    assert values(read_pushpin_conf(FILES / ours)) == values(read_pushpin_conf(package))
