"""A route in plain words, for `holdfast check`. Pure: nothing is opened, resolved or asked.

Says what is done, not what is written: defaults from the settings are filled in, and what is not done is left out,
except for signing, where silence would be mistaken for safety.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from proxy.protocol.route import Proto, Route, Target, TargetKind
from proxy.settings import ProxySettings

OWN_HUB = "this process's Mercure hub"


def explain_route(route: Route, settings: ProxySettings) -> str:
    """Return one line: who gets here, where the request goes, and what is changed on the way."""
    targets = ", then ".join(_explain_target(target) for target in route.targets)
    return f"{_explain_condition(route)} -> {', '.join((targets, *_effects(route, settings)))}"


def signing_key(route: Route, settings: ProxySettings) -> str:
    """Return the key setting in force for `route`, as written; empty when its requests are not signed."""
    if route.no_grip:
        return ""
    return settings.sig_key if route.sig_key is None else route.sig_key


def _explain_condition(route: Route) -> str:
    if not route.host:
        return f"reached by its id '{route.id}' only" if route.id else "never reached"
    parts = ["any host" if route.host == "*" else f"host {route.host}"]
    if route.proto:
        parts.append("HTTP only" if route.proto is Proto.HTTP else "WebSocket only")
    if route.ssl is not None:
        parts.append("over TLS only" if route.ssl else "not over TLS")
    parts.append(f"path {_text(route.path_beg)}" if route.path_beg else "any path")
    return ", ".join(parts)


def _explain_target(target: Target) -> str:
    match target.kind:
        case TargetKind.TEST:
            details = ["built-in test backend"]
        case TargetKind.ZHTTP | TargetKind.ZHTTPREQ:
            details = ["ZeroMQ"]
        case TargetKind.HOST:
            details = ["TLS" if target.ssl else "plain HTTP"]
        case _:
            assert_never(target.kind)
    if target.ssl and target.insecure:
        details.append("certificate not checked")
    if target.client_cert:
        details.append(f"client certificate {target.client_cert}")
    if target.untrusted:
        details.append("public addresses only")
    if target.over_http:
        details.append("WebSocket-over-HTTP, one event a request" if target.one_event else "WebSocket-over-HTTP")
    if target.host_override:
        details.append(f"as host {target.host_override}")
    details.extend(f"always subscribed to '{channel}'" for channel in target.subs)
    return f"{target.name} ({', '.join(details)})"


def _effects(route: Route, settings: ProxySettings) -> Iterator[str]:
    if route.replace_beg:  # which removes all of path_beg
        yield f"path begins with {_text(route.replace_beg)} instead"
    elif route.path_rem:
        yield f"first {route.path_rem} bytes of the path removed"
    if route.as_host:
        yield f"sent as host {route.as_host}"
    for name, value in route.headers:
        yield f"header {_text(name)} set to '{_text(value)}'" if value else f"header {_text(name)} removed"
    if route.orig_headers:
        yield "client's own headers copied"
    if route.prefix:
        yield f"channels prefixed '{route.prefix}'"
    if route.mercure_link is not None:
        yield f"linked to {f'the Mercure hub {route.mercure_link}' if route.mercure_link else OWN_HUB}"
    yield from _shown(route, settings)
    if route.no_grip:
        yield "no GRIP"
    else:
        if route.session:
            yield "sessions known"
        signs = signing_key(route, settings)
        yield f"signed as '{_issuer(route, settings)}'" if signs else "not signed"


def _shown(route: Route, settings: ProxySettings) -> Iterator[str]:
    if route.aco or settings.auto_cross_origin:
        yield "open to pages of every origin, by JSON-P too"
    if route.debug or settings.debug:
        yield "reasons of failures shown to clients"


def _issuer(route: Route, settings: ProxySettings) -> str:
    return route.sig_iss or settings.sig_iss


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
