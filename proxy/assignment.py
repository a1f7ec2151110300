"""One setting as it was written, and how it becomes a value of its type.

Used by `proxy.config`, for everything that a file, a variable or an option sets, and made by those who translate other
programs' variables. Knows types, and no setting by its name but those that hold paths. A secret is never shown.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any, cast, get_type_hints

import msgspec
from msgspec.inspect import (
    BoolType,
    DataclassType,
    FloatType,
    IntType,
    LiteralType,
    Metadata,
    NoneType,
    StrType,
    Type,
    UnionType,
    VarTupleType,
    type_info,
)

from handlers.errors import InvalidSetting
from handlers.protocol.unix_address import PREFIX as UNIX_PREFIX
from proxy.errors import SettingsError

_PATHS = ("proxy.routes", "mercure.history", "proxy.tls_certs", "publish.tls_cert", "publish.tls_key", "log.file")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """What the variables of another program come to. `fallbacks` stand behind the settings file, too."""

    assignments: tuple[Assignment, ...] = ()
    fallbacks: tuple[Assignment, ...] = ()
    warnings: tuple[str, ...] = ()

    def __add__(self, other: Translation) -> Translation:
        return Translation(
            assignments=self.assignments + other.assignments,
            fallbacks=self.fallbacks + other.fallbacks,
            warnings=self.warnings + other.warnings,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What is known of one setting: the type to convert to, and whether its value must not be shown."""

    hint: Any
    type: Type
    is_secret: bool


def known_keys(settings: type, *, prefix: str) -> Iterator[tuple[str, Key]]:
    """Return the name of each setting of a dataclass, with `prefix` before it, and what is known of it."""
    hints = get_type_hints(settings, include_extras=True)
    for each in fields(settings):
        hint = hints[each.name]
        yield f"{prefix}{each.name}", Key(hint=hint, type=type_info(hint), is_secret=not each.repr)


def convert(assignment: Assignment, key: Key, folder: Path) -> object:
    """Return the value as the type that the setting has, its paths resolved; raises SettingsError.

    `folder` is the settings file's.
    """
    if isinstance(key.type, VarTupleType) and isinstance(key.type.item_type, DataclassType):
        return _convert_tables(assignment, key.type.item_type.cls, folder)
    value = assignment.value
    if assignment.is_text and isinstance(value, str) and isinstance(key.type, VarTupleType):
        value = [part.strip() for part in value.split(",") if part.strip()]
    try:
        converted = msgspec.convert(value, key.hint, strict=not assignment.is_text)
    except msgspec.ValidationError as error:
        got = "" if key.is_secret else f", got {_shorten(repr(assignment.value))}"
        raise SettingsError(f"{assignment.origin}: {assignment.name}: expected {describe(key.type)}{got}") from error
    return _resolve(assignment, converted, key, folder)


def describe(kind: Type) -> str:
    """Return what a value of this type looks like, in an operator's words: of a pattern, those of its `description`."""
    match kind:
        case BoolType():
            return "true or false"
        case IntType():
            return f"a whole number{_describe_range(kind)}"
        case FloatType():
            return f"a number{_describe_range(kind)}"
        case StrType():
            return "text"
        case Metadata(extra_json_schema={"description": str(text)}):
            return text
        case LiteralType():
            return " or ".join(repr(value) for value in kind.values)
        case VarTupleType():
            return f"a list of {describe(kind.item_type)}"
        case UnionType():
            return " or ".join(describe(each) for each in kind.types)
        case NoneType():
            return "nothing"
        case _:
            raise AssertionError(f"a setting has a type without a description: {kind}")


def suggest(name: str, known: Iterable[str]) -> str:
    """Return what was meant by `name`, in brackets, to end the text of an error with; empty when nothing is close."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""


def _convert_tables(assignment: Assignment, settings: type, folder: Path) -> tuple[object, ...]:
    expected = "a JSON list of objects" if assignment.is_text else f"tables, as in [[{assignment.name}]]"
    tables = assignment.value
    if assignment.is_text and isinstance(tables, str):
        try:
            # Nothing is an empty list, as with the other lists.
            tables = msgspec.json.decode(tables) if tables.strip() else []
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            tables = None
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        # What was got may hold keys.
        raise SettingsError(f"{assignment.origin}: {assignment.name}: expected {expected}")
    names = (f"{assignment.name}[{index}]" for index in range(len(tables)))
    return tuple(
        _convert_table(replace(assignment, name=name, value=table), settings, folder)
        for name, table in zip(names, tables, strict=True)
    )


def _convert_table(assignment: Assignment, settings: type, folder: Path) -> object:
    table = cast("Mapping[str, object]", assignment.value)
    keys = dict(known_keys(settings, prefix=""))
    values: dict[str, object] = {}
    for name, value in table.items():
        # JSON has types, as TOML has.
        part = replace(assignment, name=f"{assignment.name}.{name}", value=value, is_text=False)
        if name not in keys:
            raise SettingsError(f"{part.origin}: unknown setting {part.name}{suggest(name, keys)}")
        values[name] = convert(part, keys[name], folder)
    for each in fields(settings):
        if each.default is MISSING and each.name not in values:
            raise SettingsError(f"{assignment.origin}: {assignment.name}: has no {each.name}")
    try:
        return settings(**values)
    except InvalidSetting as error:
        raise SettingsError(f"{assignment.origin}: {assignment.name}.{error.key}: {error.reason}") from error


def _resolve(assignment: Assignment, value: object, key: Key, folder: Path) -> object:
    """Make the paths among the values independent of where they were written."""
    base = folder if assignment.base is None else assignment.base
    if assignment.name in _PATHS and value:
        return str(base / str(value))
    if assignment.name == "proxy.unix_listen":
        return tuple(str(base / each.removeprefix(UNIX_PREFIX)) for each in cast("tuple[str, ...]", value))
    if assignment.name == "publish.listen" and str(value).startswith(UNIX_PREFIX):
        return f"{UNIX_PREFIX}{base / str(value).removeprefix(UNIX_PREFIX)}"
    if key.is_secret and isinstance(value, str) and value.startswith("file:"):
        return f"file:{(base / value.removeprefix('file:')).absolute()}"
    return value


def _describe_range(kind: IntType | FloatType) -> str:
    if kind.ge is not None and kind.le is not None:
        return f" from {kind.ge:.15g} to {kind.le:.15g}"
    return f" of at least {kind.ge:.15g}" if kind.ge is not None else ""


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
