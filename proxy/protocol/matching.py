"""Which route a request takes: the best of its host's routes (reference 1.6).

Built by `proxy.router` at each load and asked once a request, so the order of preference is worked out when the
table is made and the first route that fits is the best one. It neither reads files nor knows of keys.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

from proxy.protocol.route import Proto, Route, RouteNotice

_Condition = tuple[str, Proto | None, bool | None, bytes]


class RouteTable:
    """Routes by host; never changes once made.

    A route that asks for the request's protocol beats one that takes both; then the longer `path_beg` wins; then one
    that asks for TLS or plain. The order of the lines decides nothing (reference 10.1 D6).
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes, self.notices = _without_duplicates(routes)
        hosts: dict[str, list[Route]] = {}
        for route in self.routes:
            hosts.setdefault(route.host, []).append(route)
        named: dict[str, list[Route]] = {}
        for route in self.routes:
            if route.id:
                named.setdefault(route.id, []).append(route)
        self._by_id = named
        hosts.pop("", None)  # reachable by id only
        self._by_host = {host: tuple(sorted(rules, key=_preference)) for host, rules in hosts.items()}
        self._any_host = self._by_host.get("*", ())

    def select(self, *, host: str, proto: Proto, ssl: bool, path: bytes, route_id: str = "") -> Route | None:
        """Return the route for a request, or None (502 `Route not found`).

        `host` is as `host_of` gives it, `ssl` whether the client came by TLS, `path` the encoded path of the request.
        A host with routes of its own never falls back to those for `*`. With `route_id` it is the route of that id or
        none, whatever its condition, but for the beginning of the path; several with the same id count as nameless.
        """
        if route_id and len(named := self._by_id.get(route_id, ())) < 2:
            return next((route for route in named if path.startswith(route.path_beg)), None)
        for route in self._by_host.get(host, self._any_host):
            if (
                path.startswith(route.path_beg)
                and (route.proto is None or route.proto is proto)
                and (route.ssl is None or route.ssl is ssl)
            ):
                return route
        return None


@functools.lru_cache(maxsize=1024)
def host_of(host_header: str) -> str:
    """Return the host of a `Host` field: lower case, without port, an IPv6 address without its brackets.

    No header, given as empty text, stands for `localhost` (reference 1.2). What is no host is returned as it is, in
    lower case: it then matches `*` at most.
    """
    value = host_header.strip(" \t").lower()
    if value.startswith("["):
        address, bracket, _ = value[1:].partition("]")
        return address if bracket and address else value
    host, colon, _ = value.rpartition(":")
    if not colon or ":" in host:
        host = value
    return host or "localhost"


def _without_duplicates(routes: Iterable[Route]) -> tuple[tuple[Route, ...], tuple[RouteNotice, ...]]:
    kept: list[Route] = []
    notices: list[RouteNotice] = []
    seen: set[_Condition] = set()
    for route in routes:
        condition = (route.host, route.proto, route.ssl, route.path_beg)
        # Routes without a host are told apart by their ids, not by conditions that are never tried.
        if route.host and condition in seen:
            notices.append(RouteNotice(line=route.line, text="skipping duplicate condition"))
            continue
        seen.add(condition)
        kept.append(route)
    return tuple(kept), tuple(notices)


def _preference(route: Route) -> tuple[bool, int, bool]:
    return route.proto is None, -len(route.path_beg), route.ssl is None
