"""`holdfast check`: what settings and routes mean, all that is wrong with them, and what is risky.

Called by `proxy.__main__` with settings that have loaded. Reads the routes file, keys and certificates, as the start
would, and resolves the names it is to listen at; opens no port and connects to nothing, so a target that is down is not
found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TextIO

from handlers.hub.settings import HubSettings
from proxy.certificates import CertificateFolder, CertificatePair
from proxy.clashes import find_clashes
from proxy.config import Settings
from proxy.explain import explain_route, signing_key
from proxy.log import escape
from proxy.protocol.grip_sig import KeyFormatError, Signer, parse_key
from proxy.protocol.routes import Route
from proxy.router import LoadReport, Router, RouteSource, choose_source
from proxy.settings import ProxySettings
from proxy.socket_folders import find_folder_risks
from proxy.tls import CertificateError

_HERE = Path()
_PUBLIC_SECRET = b"changeme"  # the key of Pushpin's example settings
_SECRET_MIN_BYTES = 32  # RFC 7518 section 3.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing the operator should know. A problem makes the check fail; others are notices or warnings."""

    text: str
    is_problem: bool = True


def check_configuration(settings: Settings, out: TextIO, *, problems: tuple[str, ...] = ()) -> int:
    """Write each route's meaning, then each finding, to `out`. Return 1 if any of them is a problem, else 0.

    `problems` are those the caller has found at the publishers' door, which this one does not know.

    Raises RoutesFileError when the routes file cannot be read.
    """
    source = choose_source(
        lines=settings.route_lines, file=settings.proxy.routes, is_optional=not settings.needs_routes
    )
    report = Router(source, default_iss="", default_key=None).examine()
    print(f"settings: {settings.file or 'built-in defaults, no file'}", file=out)
    print(f"clients: {_explain_clients(settings.proxy)}", file=out)
    print(f"publishers: {settings.publish.listen}{' (TLS)' if settings.publish.tls_cert else ''}", file=out)
    if settings.hub.is_enabled:
        print(escape(_explain_hub(settings.hub)), file=out)
    for route in report.routes:
        print(escape(f"{route.source}:{route.line}  {explain_route(route, settings.proxy)}"), file=out)
    findings = (*(Finding(text=problem) for problem in problems), *_find(settings, source, report))
    for finding in findings:
        print(escape(finding.text), file=out)
    bad = sum(finding.is_problem for finding in findings)
    print(f"{_count(len(report.routes), 'route')}, {_count(bad, 'problem')}", file=out)
    return 1 if bad else 0


def _find(settings: Settings, source: RouteSource, report: LoadReport) -> Iterator[Finding]:
    for problem in report.problems:
        yield Finding(text=str(problem))
    yield from _find_in_key("proxy.sig_key", settings.proxy.sig_key, signs=True)
    yield from _find_in_key("proxy.upstream_key", settings.proxy.upstream_key, signs=False)
    yield from _find_in_certificates(settings)
    for text in find_clashes(settings):
        yield Finding(text=text)
    for route in report.routes:
        if route.sig_key and not route.no_grip:
            yield from _find_in_key(f"{route.source}:{route.line}", route.sig_key, signs=True, folder=source.folder)
    for notice in report.notices:
        yield Finding(text=f"{source.name}:{notice.line}: notice: {notice.text}", is_problem=False)
    yield from _find_risks(settings, report.routes)


def _find_in_key(origin: str, spec: str, *, signs: bool, folder: Path = _HERE) -> Iterator[Finding]:
    if not spec:
        return
    try:
        key = parse_key(spec, lambda path: (folder / path).read_bytes())
        if signs:
            Signer("check", key)
    except KeyFormatError as error:
        yield Finding(text=f"{origin}: {error}")
        return
    if key.secret == _PUBLIC_SECRET:
        text = f"{origin}: warning: the key is 'changeme', which everybody knows: anybody can sign"
        yield Finding(text=text, is_problem=False)
    elif key.algorithm == "HS256" and len(key.secret) < _SECRET_MIN_BYTES:
        text = f"{origin}: warning: a key of {len(key.secret)} bytes can be guessed; use {_SECRET_MIN_BYTES} or more"
        yield Finding(text=text, is_problem=False)


def _find_in_certificates(settings: Settings) -> Iterator[Finding]:
    proxy, publish = settings.proxy, settings.publish
    folder = CertificateFolder(Path(proxy.tls_certs))
    reading: list[tuple[str, Callable[[], object]]] = [
        ("proxy.tls_certs", partial(folder.default, address.port)) for address in proxy.tls_addresses
    ]
    if proxy.tls_addresses:
        reading += [("proxy.tls_certs", pair.context) for pair in folder.pairs()]
    if publish.tls_cert:
        pair = CertificatePair(Path(publish.tls_cert), Path(publish.tls_key or publish.tls_cert))
        reading.append(("publish.tls_cert", pair.context))
    texts: list[str] = []
    for origin, read in reading:
        try:
            read()
        except CertificateError as error:
            texts.append(f"{origin}: {error}")
    for text in dict.fromkeys(texts):  # the default may be among several
        yield Finding(text=text)


def _explain_clients(proxy: ProxySettings) -> str:
    tls = (f"{text} (TLS)" for text in proxy.tls_listen)
    return ", ".join((*proxy.listen, *tls, *map(str, proxy.unix_addresses)))


def _explain_hub(hub: HubSettings) -> str:
    protocols = ", ".join(hub.protocols)
    history = f"history in {hub.history}" if hub.history else "no history"
    publishers = "" if hub.takes_publishers else ", nobody can publish with a token"
    subscribers = "" if hub.takes_subscribers else ", nobody can subscribe"
    return f"Mercure hub: {hub.path}, protocols {protocols}, {history}{publishers}{subscribers}"


def _find_risks(settings: Settings, routes: tuple[Route, ...]) -> Iterator[Finding]:
    texts = list(settings.warnings)
    if not settings.hub.is_enabled and settings.hub != HubSettings(history=settings.hub.history):
        texts.append("there are settings of the Mercure hub, but no key, no issuer and no mercure.anonymous: it is off")
    texts.extend(_route_risks(settings, routes))
    if settings.proxy.debug:
        texts.append("proxy.debug is on: failures show backend addresses to clients")
    if settings.proxy.accept_x_forwarded_proto:
        texts.append("proxy.accept_x_forwarded_proto is on: anybody who reaches this port directly can claim TLS")
    if settings.proxy.accept_pushpin_route:
        texts.append("proxy.accept_pushpin_route is on: anybody who reaches this port directly can choose the route")
    publish = settings.publish
    if not (publish.token or publish.jwt_key or publish.address.is_loopback):
        texts.append(f"publish.listen is {publish.listen} and publish.token is empty: whoever reaches it can publish")
    for endpoint in settings.zeromq.exposed:
        texts.append(f"zeromq: {endpoint} asks for no token: whoever reaches it can publish")  # noqa: PERF401
    texts.extend(find_folder_risks(settings, routes))
    for text in texts:
        yield Finding(text=f"warning: {text}", is_problem=False)


def _route_risks(settings: Settings, routes: tuple[Route, ...]) -> Iterator[str]:
    if not routes:
        but_the_hubs = " but the Mercure hub's" if settings.hub.is_enabled else ""
        yield f"no routes: every request{but_the_hubs} is answered with 502"
    if any(not route.no_grip and not signing_key(route, settings.proxy) for route in routes):
        yield "proxy.sig_key is empty: a backend cannot tell Holdfast's requests from anybody else's"
    if not settings.session.state and any(route.session for route in routes):
        yield "there are routes with sessions, but session.state is empty: they have none"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
