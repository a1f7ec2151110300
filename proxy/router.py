"""The routes in force: reads them, resolves what they name by file, and answers which one a request takes.

Made by the composition root; asked by the front for each request; loaded again by `proxy.reload`. It never keeps half
a table: a load either replaces all routes at once or leaves them as they were. Loading reads small local files and so
holds the event loop for as long as that takes; selecting does no I/O.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from proxy.errors import RoutesError, RoutesFileError
from proxy.protocol.grip_sig import GripKey, KeyFormatError, Signer, parse_key
from proxy.protocol.matching import RouteTable
from proxy.protocol.route import TargetKind
from proxy.protocol.routes import Proto, Route, RouteNotice, RoutesFile, Target, parse_lines, parse_routes
from proxy.tls import CertificateError, load_certificate

_log = logging.getLogger("holdfast.routes")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSource:
    """Routes from a file; `file:` keys are relative to its folder."""

    path: Path
    is_optional: bool = False
    """Whether there may be no such file, and then there are no routes."""

    @property
    def name(self) -> str:
        """What its routes are from, in texts for the operator."""
        return str(self.path)

    @property
    def folder(self) -> Path:
        """Where relative names of key files start."""
        return self.path.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class LineSource:
    """Routes from the command line (`--route`), in place of the file; `file:` keys are relative to `folder`."""

    lines: tuple[str, ...]
    folder: Path = Path()
    name: str = "<route>"


RouteSource = FileSource | LineSource


def choose_source(*, lines: tuple[str, ...], file: str, is_optional: bool = False) -> RouteSource:
    """Return where routes come from: the lines if there are any, the file if not, which may be missing if optional."""
    return LineSource(lines=lines) if lines else FileSource(path=Path(file), is_optional=is_optional)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedRoute:
    """A route and what makes its `Grip-Sig`; None when its requests are not to be signed."""

    route: Route
    signer: Signer | None
    hosts: tuple[Target, ...] = field(init=False)
    """The backends before the first `test` target."""
    test: Target | None = field(init=False)
    """That target; it never fails, so it ends the list wherever it stands. None where there is none."""

    def __post_init__(self) -> None:
        targets = self.route.targets
        test = next((target for target in targets if target.kind is TargetKind.TEST), None)
        before = targets if test is None else targets[: targets.index(test)]
        object.__setattr__(self, "hosts", before)
        object.__setattr__(self, "test", test)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """What all lines together come to."""

    routes: tuple[Route, ...]
    """Those that can be used, in their order."""
    problems: tuple[RoutesError, ...]
    notices: tuple[RouteNotice, ...]


class Router:
    """Holds the table of routes. It is empty until the first `load`. Not for use from several threads at once."""

    def __init__(self, source: RouteSource, *, default_iss: str, default_key: GripKey | None) -> None:
        """Take where routes come from, and the issuer and key for routes that name none (None: not signed).

        Raises KeyFormatError when `default_key` cannot sign.
        """
        self.source = source
        self._default_iss = default_iss
        self._default_key = default_key
        self._default_signer = Signer(default_iss, default_key) if default_key else None
        self.on_load: Callable[[], None] | None = None
        """Called after each load, for whoever keeps something per route or target."""
        self._table = RouteTable(())
        self._loaded: dict[int, LoadedRoute] = {}

    @property
    def default_signer(self) -> Signer | None:
        """What signs requests that no route is for; None where those are not to be signed."""
        return self._default_signer

    @property
    def routes(self) -> Iterator[Route]:
        """All routes in force, in their order."""
        return (loaded.route for loaded in self._loaded.values())

    def load(self) -> LoadReport:
        """Read the routes again and put them in force, all at once; requests under way keep the route they have.

        Lines that cannot be used are logged and left out. Raises RoutesFileError when there is no reading the file:
        the routes stay as they were, and nothing is logged.
        """
        self._table, self._loaded, report = self._make()
        self._write_log(report)
        if self.on_load is not None:
            self.on_load()
        return report

    def examine(self) -> LoadReport:
        """Say what `load` would come to now: nothing is put in force or logged. Raises RoutesFileError."""
        _, _, report = self._make()
        return report

    def select(self, *, host: str, proto: Proto, ssl: bool, path: bytes, route_id: str = "") -> LoadedRoute | None:
        """Return the route for a request, or None; the arguments are those of `RouteTable.select`."""
        route = self._table.select(host=host, proto=proto, ssl=ssl, path=path, route_id=route_id)
        return self._loaded[route.line] if route else None

    def _make(self) -> tuple[RouteTable, dict[int, LoadedRoute], LoadReport]:
        read = self._read()
        loaded: dict[int, LoadedRoute] = {}
        problems = list(read.problems)
        for route in read.routes:
            try:
                loaded[route.line] = self._resolve(route)
            except RoutesError as problem:
                problems.append(problem)
        table = RouteTable(entry.route for entry in loaded.values())
        report = LoadReport(
            routes=table.routes,
            problems=tuple(sorted(problems, key=lambda problem: problem.line)),
            notices=tuple(sorted((*read.notices, *table.notices), key=lambda notice: notice.line)),
        )
        return table, loaded, report

    def _read(self) -> RoutesFile:
        if isinstance(self.source, LineSource):
            return parse_lines(self.source.lines, source=self.source.name)
        path = self.source.path
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            if self.source.is_optional:
                return RoutesFile(routes=(), problems=(), notices=())
            raise RoutesFileError(path=str(path), reason=error.strerror or str(error)) from error
        except OSError as error:
            raise RoutesFileError(path=str(path), reason=error.strerror or str(error)) from error
        # Bytes that are not UTF-8 cost the line they are in, or nothing in a comment, but not the whole file.
        return parse_routes(content.decode("utf-8-sig", errors="surrogateescape"), source=self.source.name)

    def _resolve(self, route: Route) -> LoadedRoute:
        for target in route.targets:
            if target.client_cert:
                _check_certificate(route, target)
        if route.no_grip:
            return LoadedRoute(route=route, signer=None)
        if route.sig_iss is None and route.sig_key is None:
            return LoadedRoute(route=route, signer=self._default_signer)
        try:
            key = parse_key(route.sig_key, self._read_key_file) if route.sig_key is not None else self._default_key
            iss = route.sig_iss or self._default_iss
            signer = Signer(iss, key) if key and iss else None
        except KeyFormatError as error:
            # To sign with the global key instead would have the backend refuse every request, and not say why.
            raise RoutesError(source=route.source, line=route.line, reason=f"sig_key: {error}") from error
        return LoadedRoute(route=route, signer=signer)

    def _read_key_file(self, name: str) -> bytes:
        return (self.source.folder / name).read_bytes()

    def _write_log(self, report: LoadReport) -> None:
        texts = [(problem.line, str(problem)) for problem in report.problems]
        texts.extend((notice.line, f"{self.source.name}:{notice.line}: {notice.text}") for notice in report.notices)
        for _, text in sorted(texts, key=lambda item: item[0]):
            _log.warning("%s", text)
        _log.info("routes loaded with %d entries", len(report.routes))


def _check_certificate(route: Route, target: Target) -> None:
    try:
        load_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), target)
    except CertificateError as error:
        raise RoutesError(source=route.source, line=route.line, reason=str(error)) from error
