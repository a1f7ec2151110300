"""The console script `holdfast`, also `python -m proxy`: run, check, publish, import-pushpin, mercure-token, version.

Reads the command line and the environment, which nothing below it does, and hands settings to the command. Whatever
keeps a command from starting is one line on stderr, `holdfast: <text>`, and exit status 1; a wrong command line is
argparse's usage text and status 2. Holds no logic of its own.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from handlers.errors import InvalidSetting
from proxy.check import check_configuration
from proxy.config import Assignment, Settings, load_settings, parse_assignment
from proxy.errors import RoutesFileError, SettingsError
from proxy.log import configure, escape
from proxy.mercure_commands import add_mercure_commands
from proxy.pushpin_commands import (
    add_import_command,
    add_pushpin_options,
    make_runtime_folder,
    pushpin_assignments,
    read_named_conf,
    run_import,
)
from publish_api.authorization import Authorization
from publish_api.commands import add_publish_command, run_publish
from publish_api.control_commands import add_control_commands, run_control

_STOPPED_BY_KEYBOARD = 130  # what a shell reports for SIGINT

_DESCRIPTION = """\
Holdfast holds the long-lived connections (server-sent events, long polls, WebSockets) that an ordinary HTTP
backend cannot, and pushes to them what is POSTed to its publish port. It is a Mercure hub as well."""

_EPILOG = """\
Without a command it is `run`; its options are listed by `holdfast run --help`.

  holdfast --route '* 127.0.0.1:8000'     try it out in front of a backend on port 8000
  holdfast check                          say what the settings and routes mean, and what is wrong
  holdfast publish CHANNEL TEXT           push TEXT to everybody who is held on CHANNEL
  holdfast connections                    list who is held; see also `channels` and `disconnect`
  holdfast mercure-token --dev            print a token to try the Mercure hub with
  holdfast --pushpin-conf FILE            run in Pushpin's place; `import-pushpin` writes a holdfast.toml of it"""

_SETTINGS_EPILOG = """\
Settings come from the file, then MERCURE_* and HOLDFAST_<SECTION>_<KEY> variables, then these options;
the later wins. Without --config, ./holdfast.toml is read or else /etc/holdfast/holdfast.toml, if there is one.
Every setting is described in docs/configuration.md."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` (default: the process's arguments) asks for and return its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    args = _make_parser().parse_args(_with_command(words))
    try:
        return _run_command(args, os.environ)
    except (SettingsError, RoutesFileError) as error:
        return _fail(str(error))
    except OSError as error:  # a port that is taken, an interface that is not there
        return _fail(_describe_os_error(error))
    except KeyboardInterrupt:  # before the event loop has taken over the signals
        return _STOPPED_BY_KEYBOARD


def _run_command(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    match args.command:
        case "version":
            print(f"holdfast {_version()}")
            return 0
        case "publish":
            return run_publish(args, environ)
        case "channels" | "connections" | "disconnect":
            return run_control(args, environ)
        case "import-pushpin":
            return run_import(args)
        case "check":
            settings = _load(args, environ)
            problems = (*_publish_problems(settings), *_hub_problems(settings))
            return check_configuration(settings, sys.stdout, problems=problems)
        case "mercure-token":
            from proxy.mercure_token import run_token

            return run_token(args, _load(args, environ).hub, sys.stdout)
        case "mercure-check":
            from proxy.mercure_check import run_check

            return run_check(args, _load(args, environ).hub, sys.stdin, sys.stdout)
        case _:
            return _run_proxy(_load(args, environ))


def _run_proxy(settings: Settings) -> int:
    # Imported here, since `publish` and `check` run in shell loops and need no server.
    from proxy.app import run

    _open_log(settings)
    make_runtime_folder(settings)
    if settings.proxy.workers == 1:
        return run(settings)
    from proxy.workers.parent import Parent  # with ZeroMQ, which one process does not need

    return run(settings, Parent)


def _open_log(settings: Settings) -> None:
    try:
        configure(settings.log, sys.stderr)
    except OSError as error:
        raise SettingsError(f"log.file (--logfile): {settings.log.file} cannot be opened: {error.strerror}") from error


def _publish_problems(settings: Settings) -> tuple[str, ...]:
    try:
        Authorization(settings.publish)
    except InvalidSetting as error:
        return (f"publish.{error}",)
    return ()


def _hub_problems(settings: Settings) -> tuple[str, ...]:
    if not settings.hub.is_enabled:
        return ()
    from proxy.mercure_check import find_key_problems

    return find_key_problems(settings.hub)


def _load(args: argparse.Namespace, environ: Mapping[str, str]) -> Settings:
    if args.route and args.routes is not None:
        raise SettingsError("--route and --routes: give one of the two; with --route no file is read")
    flags = (
        ("--listen", "proxy.listen", args.listen),
        ("--publish", "publish.listen", args.publish),
        ("--routes", "proxy.routes", args.routes),
        ("--workers", "proxy.workers", args.workers),
        ("--log-level", "log.level", args.log_level),
        ("--log-format", "log.format", args.log_format),
    )
    given = [
        Assignment(name=name, value=value, origin=flag, base=Path()) for flag, name, value in flags if value is not None
    ]
    return load_settings(
        file=args.config,
        pushpin=read_named_conf(args),
        environ=environ,
        assignments=(*pushpin_assignments(args), *(parse_assignment(text) for text in args.set), *given),
        route_lines=tuple(args.route),
    )


def _make_parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="holdfast", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=raw, allow_abbrev=False
    )
    parser.add_argument("-V", "--version", action="version", version=f"holdfast {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    run = commands.add_parser(
        "run", help="run the proxy (the default)", epilog=_SETTINGS_EPILOG, formatter_class=raw, allow_abbrev=False
    )
    check = commands.add_parser(
        "check",
        help="validate settings and routes, and say in plain words what they mean",
        description="Say what each route means and what is wrong. Exit status 1 if anything is. Opens no port.",
        epilog=_SETTINGS_EPILOG,
        formatter_class=raw,
        allow_abbrev=False,
    )
    for command in (run, check):
        _add_settings_options(command)
        add_pushpin_options(command)
    add_publish_command(commands)
    add_control_commands(commands)
    add_mercure_commands(commands)
    add_import_command(commands)
    commands.add_parser("version", help="print the version")
    return parser


def _add_settings_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--config", metavar="FILE", type=Path, help="the settings file")
    parser.add_argument(
        "--listen",
        metavar="ADDR",
        action="append",
        help="listen for clients on [HOST:]PORT; may be repeated (proxy.listen)",
    )
    parser.add_argument("--publish", metavar="ADDR", help="listen for publishers on [HOST:]PORT (publish.listen)")
    parser.add_argument("--routes", metavar="FILE", help="the routes file (proxy.routes)")
    parser.add_argument(
        "--route",
        metavar="LINE",
        action="append",
        default=[],
        help="a route, written as in the routes file, which is then not read; may be repeated",
    )
    parser.add_argument("--workers", metavar="N", help="processes that serve clients (proxy.workers)")
    parser.add_argument("--log-level", metavar="LEVEL", help="error, warn, info or debug (log.level)")
    parser.add_argument("--log-format", metavar="FORMAT", help="text or json (log.format)")
    parser.add_argument(
        "--set",
        metavar="SECTION.KEY=VALUE",
        action="append",
        default=[],
        help="set anything, as in proxy.debug=true; lists with commas; may be repeated",
    )


def _with_command(words: list[str]) -> list[str]:
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help", "-V", "--version")):
        return ["run", *words]
    return words


def _version() -> str:
    try:
        return version("holdfast")
    except PackageNotFoundError:
        return "(not installed)"


def _fail(text: str) -> int:
    print(f"holdfast: {escape(text)}", file=sys.stderr)
    return 1


def _describe_os_error(error: OSError) -> str:
    text = error.strerror or str(error)
    return f"{error.filename}: {text}" if error.filename else text


if __name__ == "__main__":
    sys.exit(main())
