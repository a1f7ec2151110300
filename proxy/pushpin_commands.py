"""The options with which Pushpin is started, and `holdfast import-pushpin`.

`proxy.__main__` adds and obeys them. Options of ours that say the same (`--listen`, `--log-level`, `--set`) go before
these.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from proxy.assignment import Assignment
from proxy.config import Settings, load_settings
from proxy.errors import SettingsError
from proxy.log import escape
from proxy.migration.pushpin_conf import Entry, Instance, PushpinConf, find_pushpin_conf, read_pushpin_conf
from proxy.migration.pushpin_import import holdfast_toml, needs_runtime_folder
from proxy.migration.pushpin_translation import translate_pushpin_conf
from proxy.migration.pushpin_values import LOG_LEVEL, Reading

_LARGEST_ID = 5997
"""With it the last port of Pushpin's four is still one."""

_ABOUT_IMPORT = """\
Write the holdfast.toml that means what FILE means. What has no effect here is a comment in it, and a line on stderr.
Without FILE it is the one Pushpin would read: ./config/pushpin.conf, ./pushpin.conf, or /etc/pushpin/pushpin.conf."""


def add_pushpin_options(parser: argparse.ArgumentParser) -> None:
    """Add Pushpin's own options to a command that serves."""
    group = parser.add_argument_group("instead of Pushpin", "Options that Pushpin has under the same names.")
    group.add_argument(
        "--pushpin-conf", metavar="FILE", type=Path, help="settings from a pushpin.conf instead of holdfast.toml"
    )
    group.add_argument("--port", metavar="[ADDR:]PORT", help="listen for clients there, and nowhere else")
    group.add_argument(
        "--id", metavar="N", type=_instance, help="which of several: ports 10 N further on, own names of sockets"
    )
    group.add_argument("--loglevel", metavar="X", help="0 error, 1 warn, 2 info, 3 debug; or 2,proxy:3")
    group.add_argument("--verbose", action="store_true", help="the same as --loglevel 3")
    group.add_argument("--logfile", metavar="FILE", help="write log lines to a file (log.file)")
    group.add_argument("-m", "--merge-output", action="store_true", help="nothing: there is one output in any case")


def without_pushpin_options(parser: argparse.ArgumentParser) -> None:
    """Give a command that does not have these options their defaults."""
    parser.set_defaults(pushpin_conf=None, port=None, id=None, loglevel=None, verbose=False, logfile=None)


def add_import_command(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],  # pyright: ignore[reportPrivateUsage]
) -> None:
    """Add `import-pushpin` to the commands of the console script."""
    parser = subparsers.add_parser(
        "import-pushpin",
        help="write the holdfast.toml that means what a pushpin.conf means",
        description=_ABOUT_IMPORT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", type=Path, nargs="?", help="the pushpin.conf")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="where to (default: to standard output)")
    parser.add_argument("--force", action="store_true", help="replace the output if it is there")
    parser.add_argument("--id", metavar="N", type=_instance, help="as Pushpin's --id: which of several it is")


def read_named_conf(args: argparse.Namespace) -> PushpinConf | None:
    """Return what `--pushpin-conf` names, None without it. Raises SettingsError."""
    if args.pushpin_conf is None:
        if args.id is not None:
            raise SettingsError("--id: only together with --pushpin-conf; it moves what that file names")
        return None
    if args.config is not None:
        raise SettingsError("--config and --pushpin-conf: give one of the two")
    return read_pushpin_conf(args.pushpin_conf, instance=args.id)


def pushpin_assignments(args: argparse.Namespace) -> Iterator[Assignment]:
    """Yield what Pushpin's options set. Raises SettingsError."""
    if args.port is not None:
        yield _given("--port", "proxy.listen", args.port)
        yield from (_given("--port", name, "") for name in ("proxy.tls_listen", "proxy.unix_listen"))
    level = "3" if args.verbose and args.loglevel is None else args.loglevel
    if level is not None:
        entry = Entry(name="--loglevel", parts=tuple(level.split(",")), origin="--loglevel")
        nothing = PushpinConf(path=Path(), entries={}, port_offset=0, runtime_folder="")
        for setting in LOG_LEVEL.read(Reading(conf=nothing), entry):
            yield _given("--loglevel", setting.name, str(setting.value))
    if args.logfile is not None:
        yield _given("--logfile", "log.file", args.logfile)


def make_runtime_folder(settings: Settings) -> None:
    """Make the folder of the Unix sockets, as Pushpin does, if there are any and its parent is.

    Raises SettingsError, with where the file names it.
    """
    if not needs_runtime_folder(settings):
        return
    try:
        Path(settings.runtime_folder).mkdir(exist_ok=True)
    except OSError as error:
        text = f"the folder {settings.runtime_folder} cannot be made: {error.strerror}"
        raise SettingsError(f"{settings.runtime_origin}: {text}") from error


def run_import(args: argparse.Namespace) -> int:
    """Run the command; return its exit status. Raises SettingsError or OSError."""
    path = (args.file or find_pushpin_conf()).absolute()
    conf = read_pushpin_conf(path, instance=args.id)
    settings = load_settings(pushpin=conf, environ={})
    text = holdfast_toml(conf, translate_pushpin_conf(conf), settings)
    if args.output is None:
        sys.stdout.write(text)
    else:
        _write(args.output, text, like=path, replace=args.force)
    for warning in settings.warnings:
        sys.stderr.write(f"holdfast: {escape(warning)}\n")
    return 0


def _write(path: Path, text: str, *, like: Path, replace: bool) -> None:
    """Write a file that only those may read who may read `like`: there may be keys in it."""
    if not replace:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise SettingsError(f"{path}: is there already; --force replaces it") from error
        _fill(descriptor, text, like)
    elif path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")  # a terminal or a pipe, which is not to be replaced
    else:
        _replace(path.resolve(), text, like)


def _replace(path: Path, text: str, like: Path) -> None:
    """Put a file in the place of another: who has that one open, or may read it, sees nothing of this one."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        _fill(descriptor, text, like)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise


def _fill(descriptor: int, text: str, like: Path) -> None:
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        status = like.stat()
        mode = status.st_mode & 0o666
        try:
            os.fchown(descriptor, -1, status.st_gid)
        except PermissionError:
            mode &= ~0o060  # the group that it has instead may be another
        os.fchmod(descriptor, mode)
        file.write(text)


def _given(flag: str, name: str, value: str) -> Assignment:
    return Assignment(name=name, value=value, origin=flag, base=Path())


def _instance(text: str) -> Instance:
    if not text.isascii() or not text.isdigit() or not 0 <= int(text) <= _LARGEST_ID:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to {_LARGEST_ID}, got {text!r}")
    return Instance(number=int(text))
