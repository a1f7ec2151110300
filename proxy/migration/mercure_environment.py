"""The variables by which the Mercure image is set up, as settings of ours (reference 5.2).

Called by `proxy.config`, so that Holdfast can take that image's place as it stands. `MERCURE_*` that nobody knows is an
error; what has no equivalent here is named in a warning. Variables of other names count only beside one of these.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from handlers.hub.settings import DEVELOPMENT_ISSUER, HubSettings
from proxy.assignment import Assignment, Translation, suggest
from proxy.errors import SettingsError
from proxy.migration.mercure_2019 import translate_2019
from proxy.migration.mercure_directives import DirectiveReader
from proxy.migration.mercure_transport import translate_transport_url

_PREFIX: Final = "MERCURE_"
_ROLES: Final = ("publisher", "subscriber")
_KEYS: Final = {f"{_PREFIX}{role.upper()}_JWT_KEY": f"{role}_key" for role in _ROLES}
_ALGORITHMS: Final = {f"{_PREFIX}{role.upper()}_JWT_ALG": f"{role}_algorithm" for role in _ROLES}
_ISSUER: Final = "MERCURE_TRUSTED_ISSUERS"
_TRANSPORT: Final = "MERCURE_TRANSPORT_URL"
_DIRECTIVES: Final = "MERCURE_EXTRA_DIRECTIVES"
_SERVER_NAME: Final = "SERVER_NAME"

_IGNORED: Final = {
    "MERCURE_LICENSE": "there is nothing to license",
    # Frameworks give these to publishers, often in one file with the hub's.
    **dict.fromkeys(("MERCURE_URL", "MERCURE_PUBLIC_URL", "MERCURE_JWT_SECRET"), "is for applications, not for hubs"),
    **dict.fromkeys(
        ("GLOBAL_OPTIONS", "CADDY_EXTRA_CONFIG", "CADDY_SERVER_EXTRA_DIRECTIVES", "EXTRA_DIRECTIVES"), "is Caddy's"
    ),
}
_KNOWN: Final = (*_KEYS, *_ALGORITHMS, _ISSUER, _TRANSPORT, _DIRECTIVES, *_IGNORED)
_ADDRESS: Final = re.compile(r"(?:(?P<scheme>https?)://)?(?P<host>\[[^\]]*\]|[^:/\[\]]*)(?::(?P<port>[0-9]{1,5}))?/?")


def mercure_assignments(environ: Mapping[str, str], protocols: tuple[str, ...] | None) -> Translation:
    """Return what the variables come to where these protocols are set, None if none are; raises SettingsError.

    Those of the hubs of 2018 and 2019 have names that any program may use, and count only where 2019 is spoken.
    """
    # What is empty is not set: compose files pass variables on in this way.
    own = {name: value for name, value in environ.items() if name.startswith(_PREFIX) and value}
    result = Translation()
    if protocols is None and _ISSUER in own:
        # Images of 1.0 alone know it, and they are strict: older tokens under its keys would be anybody's.
        protocols = ("1.0",)
        result += Translation(assignments=(_assign(_ISSUER, "protocols", ["1.0"], is_text=False),))
    protocols = protocols or HubSettings().protocols
    if "2019" in protocols:
        result += translate_2019(environ)
    for name in own:
        if name not in _KNOWN:
            raise SettingsError(f"unknown environment variable {name}{suggest(name, _KNOWN)}")
    if not own:
        return result
    if _TRANSPORT in own:
        result += translate_transport_url(_TRANSPORT, own[_TRANSPORT])
    reader = DirectiveReader(_DIRECTIVES, protocols)
    reader.read(own.get(_DIRECTIVES, ""), environ)
    result += _translate_keys(own, reader) + reader.result
    warnings = [f"{name}: {why}; it is not read" for name, why in _IGNORED.items() if environ.get(name)]
    return result + _translate_server_name(environ) + Translation(warnings=tuple(warnings))


def _translate_keys(own: Mapping[str, str], reader: DirectiveReader) -> Translation:
    """Return the keys, as those of older tokens, of an issuer of 1.0 tokens, or of both, as protocols are spoken."""
    assignments: list[Assignment] = []
    if any(protocol != "1.0" for protocol in reader.protocols):
        for name, key in {**_KEYS, **_ALGORITHMS}.items():
            if name in own:
                assignments.append(_assign(name, key, own[name]))
    warnings: list[str] = []
    table = {key: own[name] for name, key in {**_KEYS, **_ALGORITHMS}.items() if name in own}
    issuer = _find_issuer(own, reader, has_keys=any(name in own for name in _KEYS), warnings=warnings)
    issuers = [*([{"id": issuer, **table}] if issuer else []), *reader.issuers]
    if issuers:
        origin = f"{_ISSUER} and {_DIRECTIVES}" if issuer and reader.issuers else _ISSUER if issuer else _DIRECTIVES
        assignments.append(_assign(origin, "issuers", issuers, is_text=False))
    return Translation(assignments=tuple(assignments), warnings=tuple(warnings))


def _find_issuer(own: Mapping[str, str], reader: DirectiveReader, *, has_keys: bool, warnings: list[str]) -> str | None:
    """Return whose 1.0 tokens the keys are for; None for nobody's."""
    if "1.0" not in reader.protocols:
        if _ISSUER in own:
            warnings.append(f"{_ISSUER}: is for protocol 1.0, which mercure.protocols does not list; it is not read")
        return None
    if not has_keys:
        if _ISSUER in own:
            warnings.append(f"{_ISSUER}: there is no {' and no '.join(_KEYS)} to verify its tokens with")
        return None
    if _ISSUER in own:
        older = ", ".join(protocol for protocol in reader.protocols if protocol != "1.0")
        if older:
            text = "its keys verify tokens from before 1.0 too, which need no issuer, audience or expiry"
            warnings.append(f"{_ISSUER}: {text}, because {older} is asked for beside 1.0")
        return own[_ISSUER]
    if reader.protocols == ("1.0",) or reader.has_playground:
        # The image's default: its keys would be for nobody's tokens otherwise.
        warnings.append(f"{_ISSUER}: is not set; the issuer of 1.0 tokens is {DEVELOPMENT_ISSUER}")
        return DEVELOPMENT_ISSUER
    return None


def _translate_server_name(environ: Mapping[str, str]) -> Translation:
    """Return the ports that Caddy would listen on. To it the hosts are names to answer to, not where to listen."""
    addresses = [text for text in re.split(r"[\s,]+", environ.get(_SERVER_NAME, "")) if text]
    ports: list[str] = []
    warnings: list[str] = []
    for text in addresses:
        found = _ADDRESS.fullmatch(text)
        if found is None:
            raise SettingsError(f"{_SERVER_NAME}: {text!r} is not an address, as ':80' or 'http://hub.example:8080'")
        port = found["port"] or ("80" if found["scheme"] == "http" else None)
        is_plain = found["scheme"] == "http" or (found["scheme"] is None and (port == "80" or not found["host"]))
        if port is not None:
            ports.append(f":{port}")
        if not is_plain:
            where = "is not listened on" if port is None else "is listened on without TLS"
            warnings.append(f"{_SERVER_NAME}: {text} {where}: TLS is for a proxy in front, see proxy.listen")
    listen = _listen(_SERVER_NAME, ports)
    return Translation(fallbacks=listen, warnings=tuple(warnings))


def _listen(origin: str, ports: list[str]) -> tuple[Assignment, ...]:
    if not ports:
        return ()
    value = list(dict.fromkeys(ports))
    return (Assignment(name="proxy.listen", value=value, origin=origin, is_text=False, base=Path()),)


def _assign(origin: str, key: str, value: object, *, is_text: bool = True) -> Assignment:
    return Assignment(name=f"mercure.{key}", value=value, origin=origin, is_text=is_text, base=Path())
