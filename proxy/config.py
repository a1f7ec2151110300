"""Where settings come from: holdfast.toml, `HOLDFAST_*` variables over it, command-line assignments over both.

Called by `proxy.__main__` alone, once; what it returns is passed down and never read again. It guesses nothing: an
unknown name, a wrong type or a value out of range is a SettingsError whose one line says where it stands and what
was expected. It opens the settings file and no other.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec
from msgspec.inspect import (
    BoolType,
    FloatType,
    IntType,
    LiteralType,
    NoneType,
    StrType,
    Type,
    UnionType,
    VarTupleType,
    type_info,
)

from handlers.errors import InvalidSetting
from handlers.settings import HoldSettings, WebSocketSettings
from proxy.errors import SettingsError
from proxy.log import LogSettings
from proxy.settings import ProxySettings
from publish_api.settings import PublishSettings

DEFAULT_FILES = (Path("holdfast.toml"), Path("/etc/holdfast/holdfast.toml"))
"""Where the settings file is looked for without `--config`; the first that exists is read, and none is fine."""

_ENVIRONMENT_PREFIX = "HOLDFAST_"

_Section = TypeVar("_Section")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of one process, each section for the part that uses it."""

    proxy: ProxySettings = field(default_factory=ProxySettings)
    hold: HoldSettings = field(default_factory=HoldSettings)
    websocket: WebSocketSettings = field(default_factory=WebSocketSettings)
    publish: PublishSettings = field(default_factory=PublishSettings)
    log: LogSettings = field(default_factory=LogSettings)

    route_lines: tuple[str, ...] = ()
    """Routes given with `--route`. If there are any, the routes file is neither read nor watched."""

    file: str = ""
    """The settings file that was read; empty when there is none."""

    notify_socket: str = ""
    """systemd's `$NOTIFY_SOCKET`; empty when nobody wants to know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One `section.key = value` and where it stands.

    `origin` begins the text of an error. A `value` of text (environment, command line) is read as what the key needs;
    one of TOML must have the right type already. Relative paths start at `base`, or at the settings file's folder.
    """

    name: str
    value: object
    origin: str
    is_text: bool = True
    base: Path | None = None


def load_settings(
    *,
    file: Path | None = None,
    environ: Mapping[str, str],
    assignments: Sequence[Assignment] = (),
    route_lines: tuple[str, ...] = (),
    default_files: Sequence[Path] = DEFAULT_FILES,
) -> Settings:
    """Return the settings in force, or raise SettingsError with one line for the operator.

    Reads `file`, which must exist, or else the first of `default_files` that does. Of `environ` only `HOLDFAST_*` and
    `NOTIFY_SOCKET` count. `assignments` come last and win.
    """
    path, document = _read_file(file, default_files)
    folder = path.parent if path else Path()
    origins: dict[str, str] = {}
    values: dict[str, object] = {"proxy.routes": str(folder / ProxySettings().routes)}
    for each in (*_file_assignments(path, document), *_environment_assignments(environ), *assignments):
        values[each.name] = _resolve(each, _convert(each), folder)
        origins[each.name] = each.origin
    return Settings(
        proxy=_build("proxy", ProxySettings, values, origins),
        hold=_build("hold", HoldSettings, values, origins),
        websocket=_build("websocket", WebSocketSettings, values, origins),
        publish=_build("publish", PublishSettings, values, origins),
        log=_build("log", LogSettings, values, origins),
        route_lines=route_lines,
        file=str(path or ""),
        notify_socket=environ.get("NOTIFY_SOCKET", ""),
    )


def parse_assignment(text: str) -> Assignment:
    """Parse `section.key=value` as given to `--set`; the name is checked by `load_settings`."""
    name, equals, value = text.partition("=")
    if not equals:
        raise SettingsError(f"--set {text}: expected section.key=value, as in proxy.debug=true")
    return Assignment(name=name.strip(), value=value.strip(), origin="--set", base=Path())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    """What is known of one setting: the type to convert to, and whether its value must not be shown."""

    hint: Any
    type: Type
    is_secret: bool


def _known_keys(section: str, settings: type) -> Iterator[tuple[str, _Key]]:
    hints = get_type_hints(settings, include_extras=True)
    for each in fields(settings):
        hint = hints[each.name]
        yield f"{section}.{each.name}", _Key(hint=hint, type=type_info(hint), is_secret=not each.repr)


_SECTIONS = {
    "proxy": ProxySettings,
    "hold": HoldSettings,
    "websocket": WebSocketSettings,
    "publish": PublishSettings,
    "log": LogSettings,
}
_KEYS = {name: key for section, settings in _SECTIONS.items() for name, key in _known_keys(section, settings)}
_VARIABLES = {_ENVIRONMENT_PREFIX + name.upper().replace(".", "_"): name for name in _KEYS}


def _read_file(file: Path | None, default_files: Sequence[Path]) -> tuple[Path | None, dict[str, object]]:
    for path in (file,) if file else default_files:
        try:
            return path, tomllib.loads(path.read_text("utf-8"))
        except FileNotFoundError as error:
            if file:
                raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
        except OSError as error:
            raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise SettingsError(f"{path}: is not UTF-8 (byte {error.start})") from error
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"{path}: is not TOML: {error}") from error
    return None, {}


def _file_assignments(path: Path | None, document: Mapping[str, object]) -> Iterator[Assignment]:
    for section, table in document.items():
        if section not in _SECTIONS:
            if isinstance(table, dict):
                raise SettingsError(f"{path}: unknown section [{section}]{_suggestion(section, _SECTIONS)}")
            raise SettingsError(f"{path}: {section} stands outside of any section{_suggest_key(f'.{section}')}")
        if not isinstance(table, dict):
            raise SettingsError(f"{path}: {section}: expected a section, as in [{section}]")
        for key, value in table.items():
            yield Assignment(name=f"{section}.{key}", value=value, origin=str(path), is_text=False)


def _environment_assignments(environ: Mapping[str, str]) -> Iterator[Assignment]:
    for variable, value in environ.items():
        if variable in _VARIABLES:
            yield Assignment(name=_VARIABLES[variable], value=value, origin=variable)
        elif variable.startswith(_ENVIRONMENT_PREFIX):
            raise SettingsError(f"unknown environment variable {variable}{_suggestion(variable, _VARIABLES)}")


def _convert(assignment: Assignment) -> object:
    key = _KEYS.get(assignment.name)
    if key is None:
        raise SettingsError(f"{assignment.origin}: unknown setting {assignment.name}{_suggest_key(assignment.name)}")
    value = assignment.value
    if assignment.is_text and isinstance(value, str) and isinstance(key.type, VarTupleType):
        value = [part.strip() for part in value.split(",") if part.strip()]
    try:
        return msgspec.convert(value, key.hint, strict=not assignment.is_text)
    except msgspec.ValidationError as error:
        got = "" if key.is_secret else f", got {_shorten(repr(assignment.value))}"
        expected = _describe(key.type)
        raise SettingsError(f"{assignment.origin}: {assignment.name}: expected {expected}{got}") from error


def _resolve(assignment: Assignment, value: object, folder: Path) -> object:
    """Make the paths among the values independent of where they were written."""
    base = folder if assignment.base is None else assignment.base
    if assignment.name == "proxy.routes" and value:
        return str(base / str(value))
    if _KEYS[assignment.name].is_secret and isinstance(value, str) and value.startswith("file:"):
        return f"file:{(base / value.removeprefix('file:')).absolute()}"
    return value


def _build(
    section: str, settings: type[_Section], values: Mapping[str, object], origins: Mapping[str, str]
) -> _Section:
    own = {name.removeprefix(f"{section}."): value for name, value in values.items() if name.startswith(f"{section}.")}
    try:
        return settings(**own)
    except InvalidSetting as error:
        name = f"{section}.{error.key}"
        origin = f"{origins[name]}: " if name in origins else ""
        raise SettingsError(f"{origin}{name}: {error.reason}") from error


def _describe(kind: Type) -> str:
    match kind:
        case BoolType():
            return "true or false"
        case IntType():
            return f"a whole number{_describe_range(kind)}"
        case FloatType():
            return f"a number{_describe_range(kind)}"
        case StrType():
            return "text"
        case LiteralType():
            return " or ".join(repr(value) for value in kind.values)
        case VarTupleType():
            return f"a list of {_describe(kind.item_type)}"
        case UnionType():
            return " or ".join(_describe(each) for each in kind.types)
        case NoneType():
            return "nothing"
        case _:
            raise AssertionError(f"a setting has a type without a description: {kind}")


def _describe_range(kind: IntType | FloatType) -> str:
    if kind.ge is not None and kind.le is not None:
        return f" from {kind.ge:.15g} to {kind.le:.15g}"
    return f" of at least {kind.ge:.15g}" if kind.ge is not None else ""


def _suggest_key(name: str) -> str:
    section, _, key = name.partition(".")
    elsewhere = [known for known in _KEYS if known.endswith(f".{key}")]
    within = [known for known in _KEYS if known.startswith(f"{section}.")]
    if elsewhere:
        return f" (did you mean {elsewhere[0]}?)"
    return _suggestion(name, within) or _suggestion(name, _KEYS)


def _suggestion(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
