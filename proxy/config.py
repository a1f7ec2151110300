"""Where settings come from: a file, other hubs' variables, `HOLDFAST_*` variables, the command line; later wins.

Called by `proxy.__main__` alone, once; what it returns is passed down and never read again. It guesses nothing: an
unknown name, a wrong type or a value out of range is a SettingsError whose one line says where it stands and what
was expected. It opens the settings file and no other; a pushpin.conf in its place has been read by its caller.
"""

from __future__ import annotations

import tomllib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

from handlers.errors import InvalidSetting
from handlers.hub.settings import DEVELOPMENT_KEY, Dialect, HubSettings, effective
from handlers.settings import HoldSettings, SockJsSettings, WebSocketSettings
from proxy.assignment import Assignment, Key, Translation, convert, known_keys, suggest
from proxy.errors import SettingsError
from proxy.grip_session.settings import SessionSettings
from proxy.log import LogSettings
from proxy.migration.mercure_environment import mercure_assignments
from proxy.migration.pushpin_conf import PushpinConf
from proxy.migration.pushpin_translation import describe_oddities, refuse_without_door, translate_pushpin_conf
from proxy.presence.settings import PresenceSettings
from proxy.settings import ProxySettings
from publish_api.settings import MetricsSettings, PublishSettings
from publish_api.zeromq.settings import ZeroMQSettings

__all__ = ["DEFAULT_FILES", "SECTIONS", "Assignment", "Settings", "load_settings", "parse_assignment"]

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
    sockjs: SockJsSettings = field(default_factory=SockJsSettings)
    hub: HubSettings = field(default_factory=HubSettings)
    """Section `[mercure]`, with what a playground implies."""

    publish: PublishSettings = field(default_factory=PublishSettings)
    zeromq: ZeroMQSettings = field(default_factory=ZeroMQSettings)
    presence: PresenceSettings = field(default_factory=PresenceSettings)
    session: SessionSettings = field(default_factory=SessionSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    log: LogSettings = field(default_factory=LogSettings)

    route_lines: tuple[str, ...] = ()
    """Routes given with `--route`. If there are any, the routes file is neither read nor watched."""

    needs_routes: bool = True
    """Whether a routes file must be there. A hub needs none, unless the operator names one."""

    file: str = ""
    """The settings file that was read; empty when there is none."""

    runtime_folder: str = ""
    """Where a pushpin.conf has its Unix sockets; made before they are."""

    runtime_origin: str = ""
    """Where it says so."""

    notify_socket: str = ""
    """systemd's `$NOTIFY_SOCKET`; empty when nobody wants to know."""

    warnings: tuple[str, ...] = ()
    """What was set and is not obeyed, or should not be; for the log, and for `holdfast check`."""


def load_settings(
    *,
    file: Path | None = None,
    pushpin: PushpinConf | None = None,
    environ: Mapping[str, str],
    assignments: Sequence[Assignment] = (),
    route_lines: tuple[str, ...] = (),
    default_files: Sequence[Path] = DEFAULT_FILES,
) -> Settings:
    """Return the settings in force, or raise SettingsError with one line for the operator.

    Reads `file`, which must exist, or else the first of `default_files` that does. Of `environ` only `HOLDFAST_*`,
    `NOTIFY_SOCKET` and the variables of other Mercure hubs count (`mercure_environment`). `assignments` come last.
    With `pushpin` no file is read: what that says stands in its place.
    """
    with _telling_oddities(pushpin):
        path, from_file = _read_source(file, pushpin, default_files)
        folder = path.parent if path else Path()
        in_file = from_file.assignments
        later = (*_environment_assignments(environ), *assignments)
        mercure = mercure_assignments(environ, _find_protocols((*in_file, *later), folder))
        origins: dict[str, str] = {}
        values: dict[str, object] = {
            "proxy.routes": str(folder / ProxySettings().routes),
            "proxy.tls_certs": str(folder / ProxySettings().tls_certs),
            "mercure.history": str(folder / HubSettings().history),
        }
        for each in (*mercure.fallbacks, *in_file, *mercure.assignments, *later):
            values[each.name] = convert(each, _find_key(each), folder)
            origins[each.name] = each.origin
        if pushpin is not None and origins["proxy.listen"] == str(path) and not any(map(values.get, _DOORS)):
            refuse_without_door(pushpin)
        hub = effective(_build("mercure", HubSettings, values, origins))
        _check_keys_of_2019(hub, origins)
        return Settings(
            proxy=_build("proxy", ProxySettings, values, origins),
            hold=_build("hold", HoldSettings, values, origins),
            websocket=_build("websocket", WebSocketSettings, values, origins),
            sockjs=_build("sockjs", SockJsSettings, values, origins),
            hub=hub,
            publish=_build("publish", PublishSettings, values, origins),
            zeromq=_build("zeromq", ZeroMQSettings, values, origins),
            presence=_build("presence", PresenceSettings, values, origins),
            session=_build("session", SessionSettings, values, origins),
            metrics=_build("metrics", MetricsSettings, values, origins),
            log=_build("log", LogSettings, values, origins),
            route_lines=route_lines,
            needs_routes=not hub.is_enabled or "proxy.routes" in origins,
            file=str(path or ""),
            runtime_folder=pushpin.runtime_folder if pushpin else "",
            runtime_origin=pushpin.runtime_origin if pushpin else "",
            notify_socket=environ.get("NOTIFY_SOCKET", ""),
            warnings=(*from_file.warnings, *mercure.warnings, *_hub_warnings(hub)),
        )


def parse_assignment(text: str) -> Assignment:
    """Parse `section.key=value` as given to `--set`; the name is checked by `load_settings`."""
    name, equals, value = text.partition("=")
    if not equals:
        raise SettingsError(f"--set {text}: expected section.key=value, as in proxy.debug=true")
    return Assignment(name=name.strip(), value=value.strip(), origin="--set", base=Path())


SECTIONS: Mapping[str, type] = {
    "proxy": ProxySettings,
    "hold": HoldSettings,
    "websocket": WebSocketSettings,
    "sockjs": SockJsSettings,
    "mercure": HubSettings,
    "publish": PublishSettings,
    "zeromq": ZeroMQSettings,
    "presence": PresenceSettings,
    "session": SessionSettings,
    "metrics": MetricsSettings,
    "log": LogSettings,
}
"""The settings of each section of the file."""

_KEYS = {
    name: key for section, settings in SECTIONS.items() for name, key in known_keys(settings, prefix=f"{section}.")
}
_DOORS = ("proxy.listen", "proxy.tls_listen", "proxy.unix_listen")
_VARIABLES = {_ENVIRONMENT_PREFIX + name.upper().replace(".", "_"): name for name in _KEYS}


@contextmanager
def _telling_oddities(pushpin: PushpinConf | None) -> Generator[None]:
    """Say with what keeps it from starting what else is odd about a pushpin.conf: it may be why."""
    try:
        yield
    except SettingsError as error:
        oddities = describe_oddities(pushpin) if pushpin else ""
        if not oddities:
            raise
        raise SettingsError(f"{error}; {oddities}") from error


def _read_source(
    file: Path | None, pushpin: PushpinConf | None, default_files: Sequence[Path]
) -> tuple[Path | None, Translation]:
    """Return the settings file or what stands in its place, and what it says."""
    if pushpin is not None:
        return pushpin.path, translate_pushpin_conf(pushpin)
    path, document = _read_file(file, default_files)
    return path, Translation(assignments=tuple(_file_assignments(path, document)))


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
        if section not in SECTIONS:
            if isinstance(table, dict):
                raise SettingsError(f"{path}: unknown section [{section}]{suggest(section, SECTIONS)}")
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
            raise SettingsError(f"unknown environment variable {variable}{suggest(variable, _VARIABLES)}")


def _find_key(assignment: Assignment) -> Key:
    key = _KEYS.get(assignment.name)
    if key is None:
        raise SettingsError(f"{assignment.origin}: unknown setting {assignment.name}{_suggest_key(assignment.name)}")
    return key


def _find_protocols(assignments: Iterable[Assignment], folder: Path) -> tuple[Dialect, ...] | None:
    """Return the protocols that are set, None if none are. They decide what other hubs' variables mean."""
    protocols: object = None
    for each in assignments:
        if each.name == "mercure.protocols":
            protocols = convert(each, _find_key(each), folder)
    return cast("tuple[Dialect, ...] | None", protocols)


def _check_keys_of_2019(hub: HubSettings, origins: Mapping[str, str]) -> None:
    """Refuse a hub of 2019 without keys, as those hubs did: it has none of the ways to do without them."""
    if hub.protocols == ("2019",) and not (hub.takes_publishers or hub.subscriber_key or hub.subscriber_jwks):
        text = "no key: set JWT_KEY, or PUBLISHER_JWT_KEY and SUBSCRIBER_JWT_KEY (mercure.publisher_key, ...)"
        raise SettingsError(f"{origins['mercure.protocols']}: mercure.protocols: is 2019 alone, and there is {text}")


def _hub_warnings(hub: HubSettings) -> Iterator[str]:
    if hub.playground:
        yield "mercure.playground is on: everybody may publish and read everything"
    elif any(DEVELOPMENT_KEY in {each.publisher_key, each.subscriber_key} for each in hub.key_holders):
        yield "the hub's key is the development key, which everybody knows: everybody may publish and read everything"


def _build(
    section: str, settings: type[_Section], values: Mapping[str, object], origins: Mapping[str, str]
) -> _Section:
    own = {name.removeprefix(f"{section}."): value for name, value in values.items() if name.startswith(f"{section}.")}
    try:
        return settings(**own)
    except InvalidSetting as error:
        name = f"{section}.{error.key}"
        # An issuer's setting stands where the issuers do.
        whole = name.partition("[")[0]
        origin = f"{origins[whole]}: " if whole in origins else ""
        raise SettingsError(f"{origin}{name}: {error.reason}") from error


def _suggest_key(name: str) -> str:
    section, _, key = name.partition(".")
    elsewhere = [known for known in _KEYS if known.endswith(f".{key}")]
    within = [known for known in _KEYS if known.startswith(f"{section}.")]
    if elsewhere:
        return f" (did you mean {elsewhere[0]}?)"
    return suggest(name, within) or suggest(name, _KEYS)
