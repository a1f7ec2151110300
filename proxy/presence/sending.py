"""Makes the requests of presence notices: signed as all requests of our own are, by a route or directly."""

from __future__ import annotations

from msgspec import structs

from proxy.backend import AnswerTruncated
from proxy.errors import UpstreamError
from proxy.link_site import LinkWay
from proxy.outgoing import Outgoing
from proxy.presence.settings import PresenceSettings
from proxy.protocol.next_link import is_success
from proxy.protocol.route import Proto, Route, TargetKind
from proxy.request_body import RequestBody
from proxy.router import LoadedRoute, Router
from proxy.upstream import Upstream

JSON = b"application/json"


class PresenceSending:
    """Sends one body at a time to where the settings say. Asks the routes anew each time, as they may have changed."""

    def __init__(self, settings: PresenceSettings, *, router: Router, outgoing: Outgoing, upstream: Upstream) -> None:
        self._settings = settings
        self._router = router
        self._outgoing = outgoing
        self._upstream = upstream

    async def send(self, body: bytes) -> str:
        """POST a body; return why the backend has not taken it, empty where it has."""
        way = self._find_way()
        # The sockets of ZHTTP targets belong to the processes that serve clients, of which this need not be one.
        targets = () if way is None else tuple(each for each in way.targets if each.kind is TargetKind.HOST)
        if way is None or not targets:
            return f"no route to a backend that speaks HTTP for {self._settings.url}"
        request = self._outgoing.write_link(way.loaded, way.uri, method=b"POST", is_internal=way.is_internal)
        headers = (*request.headers, (b"Content-Type", JSON))
        request = structs.replace(request, headers=headers, body=RequestBody.of(body), may_repeat=True)
        try:
            reached = await self._upstream.send(targets, request)
        except UpstreamError as error:
            return str(error)
        try:
            if not is_success(reached.answer.status):
                return f"{reached.target.name}: status {reached.answer.status}"
            await reached.answer.read()
        except AnswerTruncated:
            pass  # it has said that it has taken them
        finally:
            reached.answer.close()
        return ""

    def _find_way(self) -> LinkWay | None:
        uri = self._settings.uri
        if not self._settings.is_internal:
            loaded = LoadedRoute(route=Route(host=uri.host, targets=()), signer=self._router.default_signer)
            return LinkWay(loaded=loaded, uri=uri, is_internal=False)
        found = self._router.select(host=uri.host, proto=Proto.HTTP, ssl=False, path=uri.path)
        return None if found is None else LinkWay(loaded=found, uri=uri, is_internal=True)
