"""The variables of the stand-alone Mercure hubs of 2018 to 2020 as settings of ours (reference 5.3).

Called where protocol 2019 is spoken: they have names as `DEBUG` and `ADDR`, which other programs use as well. What has
no equivalent here is named in a warning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from proxy.assignment import Assignment, Translation
from proxy.errors import SettingsError
from proxy.migration.mercure_transport import history_beside, translate_transport_url
from proxy.protocol.go_duration import parse_duration

_FLAGS: Final = {"1": True, "true": True, "0": False, "false": False}
_LOG_FORMATS: Final = {"JSON": "json", "TEXT": "text", "FLUENTD": "json"}

_IGNORED: Final = (
    *("HISTORY_CLEANUP_FREQUENCY", "COMPRESS", "READ_TIMEOUT", "WRITE_TIMEOUT", "READ_HEADER_TIMEOUT"),
    *("DISPATCH_TIMEOUT", "ACME_HOSTS", "ACME_CERT_DIR", "ACME_HTTP01_ADDR", "CERT_FILE", "KEY_FILE"),
    *("USE_FORWARDED_HEADERS", "SUBSCRIPTIONS_INCLUDE_IP", "METRICS_ENABLED", "METRICS_ADDR"),
)


def translate_2019(environ: Mapping[str, str]) -> Translation:
    """Return what the variables come to; raises SettingsError for a value that those hubs would not have taken.

    An empty one is not set.
    """
    result = Translation()
    for name, translate in _VARIABLES.items():
        if environ.get(name):
            result += translate(name, environ[name])
    ignored = [name for name in _IGNORED if environ.get(name) and (name, environ[name]) != ("COMPRESS", "0")]
    warnings = tuple(f"{name}: has no equivalent, and is not obeyed" for name in ignored)
    return result + Translation(warnings=warnings)


def _set(*keys: str) -> Callable[[str, str], Translation]:
    def translate(name: str, value: str) -> Translation:
        return Translation(
            assignments=tuple(Assignment(name=key, value=value, origin=name, base=Path()) for key in keys)
        )

    return translate


def _set_flag(*keys: str) -> Callable[[str, str], Translation]:
    def translate(name: str, value: str) -> Translation:
        return _of_values(name, dict.fromkeys(keys, _read_flag(name, value)))

    return translate


def _set_list(key: str) -> Callable[[str, str], Translation]:
    def translate(name: str, value: str) -> Translation:
        return _of_values(name, {key: [part for part in re.split(r"[\s,]+", value) if part]})

    return translate


def _set_publish_origins(name: str, value: str) -> Translation:
    """Leave out what has a `*`: those hubs compared it as it stands, so that it let nobody in."""
    origins = [part for part in re.split(r"[\s,]+", value) if part]
    literal = [origin for origin in origins if "*" not in origin]
    result = _of_values(name, {"mercure.publish_origins": literal})
    if literal == origins:
        return result
    warning = f"{name}: what has a * in it let no page publish there, and does not here: see mercure.publish_origins"
    return result + Translation(warnings=(warning,))


def _set_heartbeat(name: str, value: str) -> Translation:
    try:
        return _of_values(name, {"mercure.heartbeat": parse_duration(value)})
    except ValueError as error:
        raise SettingsError(f"{name}: {error}") from error


def _set_history(name: str, value: str) -> Translation:
    return Translation(assignments=(history_beside(name, value),))


def _set_debug(name: str, value: str) -> Translation:
    """Turn on what shows more, but not the demo, which lets everybody in: others set `DEBUG` for themselves."""
    if not _read_flag(name, value):
        return Translation()
    warning = f"{name}: the demo, which those hubs turn on with it, needs DEMO=1 here"
    return _of_values(name, {"mercure.debugger": True, "log.level": "debug"}) + Translation(warnings=(warning,))


def _set_log_format(name: str, value: str) -> Translation:
    if value.upper() not in _LOG_FORMATS:
        raise SettingsError(f"{name}: expected JSON, FLUENTD or TEXT, got {value!r}")
    warnings = (f"{name}: FLUENTD is json here",) if value.upper() == "FLUENTD" else ()
    return _of_values(name, {"log.format": _LOG_FORMATS[value.upper()]}) + Translation(warnings=warnings)


def _read_flag(name: str, value: str) -> bool:
    if value.lower() not in _FLAGS:
        raise SettingsError(f"{name}: expected 1 or 0, got {value!r}")
    return _FLAGS[value.lower()]


def _of_values(name: str, values: Mapping[str, object]) -> Translation:
    return Translation(
        assignments=tuple(
            Assignment(name=key, value=value, origin=name, is_text=False, base=Path()) for key, value in values.items()
        )
    )


_VARIABLES: Final[Mapping[str, Callable[[str, str], Translation]]] = {
    # A later one goes before an earlier one.
    "JWT_KEY": _set("mercure.publisher_key", "mercure.subscriber_key"),
    "PUBLISHER_JWT_KEY": _set("mercure.publisher_key"),
    "SUBSCRIBER_JWT_KEY": _set("mercure.subscriber_key"),
    "JWT_ALGORITHM": _set("mercure.publisher_algorithm", "mercure.subscriber_algorithm"),
    "PUBLISHER_JWT_ALGORITHM": _set("mercure.publisher_algorithm"),
    "SUBSCRIBER_JWT_ALGORITHM": _set("mercure.subscriber_algorithm"),
    "ALLOW_ANONYMOUS": _set_flag("mercure.anonymous"),
    "CORS_ALLOWED_ORIGINS": _set_list("mercure.cors_origins"),
    "PUBLISH_ALLOWED_ORIGINS": _set_publish_origins,
    "DEMO": _set_flag("mercure.playground"),
    "DEBUG": _set_debug,
    "ADDR": _set("proxy.listen"),
    "DB_PATH": _set_history,
    "HISTORY_SIZE": _set("mercure.history_size"),
    "TRANSPORT_URL": translate_transport_url,
    "HEARTBEAT_INTERVAL": _set_heartbeat,
    "DISPATCH_SUBSCRIPTIONS": _set_flag("mercure.subscriptions"),
    "SUBSCRIPTIONS": _set_flag("mercure.subscriptions"),
    "LOG_FORMAT": _set_log_format,
}
