"""The routes file: text to `Route`s and back, with every line that cannot be used and everything odd about the rest.

Called by `proxy.router`, which reads the file. One bad line never costs another. Keys and certificates are only
named here: they are files, and files are the router's. Format: the GRIP protocol as Pushpin speaks it, reference 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from handlers.protocol.fields import encode_field
from handlers.protocol.http1 import Headers, is_token
from handlers.protocol.jsonp import is_callback
from proxy.errors import RoutesError
from proxy.protocol.route import DEFAULT_JSONP_BODY, JsonpMode, Proto, Route, RouteNotice, Target, TargetKind
from proxy.protocol.route_line import LineError, Section, encode_sections, parse_sections
from proxy.protocol.route_options import OptionReader
from proxy.protocol.route_target import encode_target, parse_target

__all__ = [
    "JsonpMode",
    "Proto",
    "Route",
    "RouteNotice",
    "RoutesFile",
    "Target",
    "TargetKind",
    "encode_route",
    "parse_line",
    "parse_lines",
    "parse_routes",
]

_BRACKETED_HOST = re.compile(r"\[([^\[\]]*:[^\[\]]*)\]")
_PATH = re.compile(r"[!-~]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutesFile:
    """All that a routes file says: the usable lines in their order, the others, and what is odd."""

    routes: tuple[Route, ...]
    problems: tuple[RoutesError, ...]
    notices: tuple[RouteNotice, ...]


def parse_line(text: str, *, source: str, line: int) -> Route | None:
    """Read one line; None for a blank or a comment. Notices about it are to be had from `parse_lines`.

    Raises RoutesError. The reasons, beside those of `parse_sections` and `parse_target`: `must specify condition and
    at least one target`, `proto must be set to 'http' or 'ws'`, `ssl must be set to 'yes' or 'no'`, `path_beg cannot
    be empty`, `header must use format 'name:value'`, `jsonp_mode must be set to 'basic' or 'extended'`, `as_host must
    use format 'host[:port]'`, `NAME must be an encoded path` of `replace_beg`, `sockjs` and `sockjs_as_path`,
    `jsonp_defcb must be the name of a function`, `jsonp_defmethod must be a method`.
    """
    read = _read_line(text, source=source, line=line)
    return read[0] if read else None


def parse_routes(text: str, *, source: str) -> RoutesFile:
    """Read a whole file; `source` is its name in errors. Lines end with LF or CR LF and count from 1."""
    return parse_lines(text.split("\n"), source=source)


def parse_lines(lines: Iterable[str], *, source: str) -> RoutesFile:
    """Read lines that are in a list already, such as those of the command line. Never raises: see `problems`."""
    routes: list[Route] = []
    problems: list[RoutesError] = []
    notices: list[RouteNotice] = []
    for number, text in enumerate(lines, start=1):
        try:
            read = _read_line(text, source=source, line=number)
        except RoutesError as problem:
            problems.append(problem)
            continue
        if read:
            route, texts = read
            routes.append(route)
            notices.extend(RouteNotice(line=number, text=text) for text in texts)
    return RoutesFile(routes=tuple(routes), problems=tuple(problems), notices=tuple(notices))


def encode_route(route: Route) -> str:
    """Write a route, as `parse_line` can give it, as a line that reads as the same route. Source and line are lost."""
    default_method = _default_method(route.jsonp_mode)
    texts = [
        ("proto", route.proto.value if route.proto else ""),
        ("ssl", "" if route.ssl is None else "yes" if route.ssl else "no"),
        ("path_beg", route.path_beg.decode()),
        ("id", route.id),
        ("path_rem", str(route.path_rem) if route.path_rem and not route.replace_beg else ""),
        ("replace_beg", route.replace_beg.decode()),
        ("as_host", route.as_host),
        *(("header", f"{name.decode()}:{value.decode()}") for name, value in route.headers),
        ("sig_iss", route.sig_iss or ""),
        ("sig_key", route.sig_key or ""),
        ("prefix", route.prefix),
        ("jsonp_mode", "" if route.jsonp_mode is JsonpMode.EXTENDED else route.jsonp_mode.value),
        ("jsonp_cb", "" if route.jsonp_cb == "callback" else route.jsonp_cb),
        ("jsonp_body", "" if route.jsonp_body == DEFAULT_JSONP_BODY else route.jsonp_body),
        ("jsonp_defcb", route.jsonp_defcb),
        ("jsonp_defmethod", "" if route.jsonp_defmethod == default_method else route.jsonp_defmethod),
        ("sockjs", route.sockjs),
        ("sockjs_as_path", route.sockjs_as_path),
        ("log_level", "" if route.log_level is None else str(route.log_level)),
    ]
    flags = {
        "orig_headers": route.orig_headers,
        "debug": route.debug,
        "aco": route.aco,
        "session": route.session,
        "no_grip": route.no_grip,
    }
    options = [(name, text) for name, text in texts if text]
    options.extend((name, "") for name, is_on in flags.items() if is_on)
    if route.mercure_link is not None:
        options.append(("mercure_link", route.mercure_link))
    condition = Section(value=route.host, options=tuple(options))
    return encode_sections((condition, *map(encode_target, route.targets)))


def _read_line(text: str, *, source: str, line: int) -> tuple[Route, tuple[str, ...]] | None:
    try:
        sections = parse_sections(text.rstrip("\r\n"))
        if not sections:
            return None
        return _read_route(sections, source=source, line=line)
    except LineError as error:
        raise RoutesError(source=source, line=line, reason=str(error)) from error


def _read_route(sections: tuple[Section, ...], *, source: str, line: int) -> tuple[Route, tuple[str, ...]]:
    condition, *places = sections
    if not places:
        raise LineError("must specify condition and at least one target")
    readers = tuple(map(OptionReader, sections))
    options, *target_options = readers
    path_beg = _read_path_beg(options)
    path_rem, replace_beg = _read_path_change(options, path_beg)
    jsonp_mode = options.choice("jsonp_mode", {mode.value: mode for mode in JsonpMode}) or JsonpMode.EXTENDED
    route = Route(
        source=source,
        line=line,
        host=_read_host(condition.value, options),
        proto=options.choice("proto", {proto.value: proto for proto in Proto}),
        ssl=options.choice("ssl", {"yes": True, "no": False}),
        path_beg=path_beg,
        id=options.text("id") or "",
        path_rem=path_rem,
        replace_beg=replace_beg,
        as_host=options.host("as_host"),
        headers=_read_headers(options),
        orig_headers=options.flag("orig_headers"),
        sig_iss=options.text("sig_iss"),
        sig_key=options.text("sig_key"),
        prefix=options.text("prefix") or "",
        debug=options.flag("debug"),
        aco=options.flag("aco"),
        jsonp_mode=jsonp_mode,
        jsonp_cb=options.text("jsonp_cb") or "callback",
        jsonp_body=options.text("jsonp_body") or DEFAULT_JSONP_BODY,
        jsonp_defcb=_read_callback(options),
        jsonp_defmethod=_read_method(options) or _default_method(jsonp_mode),
        session=options.flag("session"),
        sockjs=_read_path(options, "sockjs"),
        sockjs_as_path=_read_path(options, "sockjs_as_path"),
        no_grip=options.flag("no_grip"),
        mercure_link=options.last("mercure_link"),
        log_level=options.number("log_level"),
        targets=tuple(parse_target(place, options=its) for place, its in zip(places, target_options, strict=True)),
    )
    return route, _notices(route, readers=readers)


def _notices(route: Route, *, readers: tuple[OptionReader, ...]) -> tuple[str, ...]:
    notices = [text for reader in readers for text in reader.finish()]
    if not route.host:
        by_id = "route without host is reached by Pushpin-Route alone (proxy.accept_pushpin_route)"
        notices.append(by_id if route.id else "route without host and id is never reached")
    return tuple(dict.fromkeys(notices))


def _read_host(value: str, options: OptionReader) -> str:
    bracketed = _BRACKETED_HOST.fullmatch(value)
    host = (bracketed[1] if bracketed else value).lower()
    if "*" in host and host != "*":
        options.notices.append("condition never matches: '*' stands for every host and not for a part of one")
    elif host.count(":") == 1 or "]:" in host:
        options.notices.append("condition never matches: hosts are compared without their port")
    return host


def _read_path_beg(options: OptionReader) -> bytes:
    path_beg = options.last("path_beg")
    if path_beg == "":
        raise LineError("path_beg cannot be empty")
    if path_beg is not None and not path_beg.startswith("/"):
        options.notices.append("path_beg does not start with '/' and so never matches")
    return (path_beg or "").encode()


def _read_path_change(options: OptionReader, path_beg: bytes) -> tuple[int, bytes]:
    path_rem = options.number("path_rem") or 0
    replace_beg = options.last("replace_beg")
    if replace_beg is None:
        return path_rem, b""
    # A blank or a byte beyond ASCII would end up in the request line to the backend.
    if not _PATH.fullmatch(replace_beg):
        raise LineError("replace_beg must be an encoded path")
    return len(path_beg), replace_beg.encode()


def _read_path(options: OptionReader, name: str) -> str:
    path = options.text(name) or ""
    # What it has ends up in the request line to the backend.
    if path and not (path.startswith("/") and _PATH.fullmatch(path)):
        raise LineError(f"{name} must be an encoded path")
    return path


def _read_headers(options: OptionReader) -> Headers:
    headers: list[tuple[bytes, bytes]] = []
    for text in options.every("header"):
        name, colon, value = text.partition(":")
        if not colon or not is_token(encode_field(name)):
            raise LineError("header must use format 'name:value'")
        headers.append((name.encode(), value.strip(" \t").encode()))
    return tuple(headers)


def _read_callback(options: OptionReader) -> str:
    callback = options.text("jsonp_defcb") or ""
    if callback and not is_callback(callback):
        raise LineError("jsonp_defcb must be the name of a function")
    return callback


def _read_method(options: OptionReader) -> str:
    method = options.text("jsonp_defmethod") or ""
    # It stands in the request line to the backend.
    if method and (not is_token(encode_field(method)) or method == "CONNECT"):
        raise LineError("jsonp_defmethod must be a method")
    return method


def _default_method(mode: JsonpMode) -> str:
    return "POST" if mode is JsonpMode.BASIC else "GET"
