"""The hub on the publish port: publications beside the clients' door, and how the hub is doing.

Called by `publish_api.http` for paths that are the hub's. Publications need their token here too: the port's own
credentials are for items.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

from aiohttp.web_request import BaseRequest

from handlers.counters import Counters
from handlers.errors import HubRefusal
from handlers.hub.auth import Shown
from handlers.hub.publication import Publication
from handlers.hub.refusing import Refuser
from handlers.hub.settings import HubSettings
from handlers.protocol.answers import Answer
from handlers.protocol.http1 import Headers, header_values, without_headers
from handlers.protocol.mercure.form import parse_form, values_of
from handlers.protocol.mercure.headers import SECURITY_HEADERS
from handlers.protocol.mercure.identity import is_public, metadata_url, resource_of
from publish_api.connection import PublishResponse
from publish_api.mercure import MercurePublishing

ReadBody = Callable[[BaseRequest], Awaitable[bytes]]

HEALTH: Final = frozenset(("/mercure/health/ready", "/mercure/health/live"))
HEALTHY: Final = b'{"status":"ok"}'
UNHEALTHY: Final = b'{"status":"error","error":"transport health check failed"}'
SCHEME: Final = "http"


class PublishHub:
    """Answers the hub's requests on the publish port."""

    def __init__(self, publishing: MercurePublishing, settings: HubSettings, *, counters: Counters) -> None:
        self._publishing = publishing
        self._settings = settings
        self._refuser = Refuser(settings, counters)

    def takes(self, path: str) -> bool:
        """Say whether a request for `path`, without its query, is the hub's."""
        return path == self._settings.path or path in HEALTH or path.startswith("/mercure/health/")

    async def answer(self, request: BaseRequest, read_body: ReadBody) -> PublishResponse:
        """Answer one request; `read_body` reads a body whose length is known. How long it may be is said here."""
        path = request.raw_path.partition("?")[0]
        if path != self._settings.path:
            return self._answer_health(request, path)
        if request.method != "POST" or not self._publishing.is_open:
            return PublishResponse(405, b"", headers=((b"Allow", b"POST"), *SECURITY_HEADERS))
        try:
            return shape(await self._publishing.publish(self._publication_of(request, read_body)))
        except HubRefusal as error:
            scheme, authority = self._origin_of(request)
            url = metadata_url(self._settings, scheme=scheme, authority=authority)
            return shape(self._refuser.answer(error, label=f"POST {path} (publish port)", metadata_url=url))

    def _answer_health(self, request: BaseRequest, path: str) -> PublishResponse:
        if path not in HEALTH:
            return PublishResponse(404, b"Not Found\n")
        if request.method != "GET":
            return PublishResponse(405, b"", headers=((b"Allow", b"GET"),))
        is_ready = self._publishing.is_healthy or path.endswith("/live")
        body, status = (HEALTHY, 200) if is_ready else (UNHEALTHY, 503)
        return PublishResponse(status, body, content_type=b"application/json")

    def _origin_of(self, request: BaseRequest) -> tuple[str, str]:
        """Return scheme and authority that the hub is taken to be at.

        Publishers come here by an address of their own, so where public URLs are set another host is not refused as
        at the clients' door, but neither does it choose the audience: the first public URL stands in.
        """
        authority = first_line(request, b"host").decode("latin-1")
        if is_public(self._settings, SCHEME, authority):
            return SCHEME, authority
        public = urlsplit(self._settings.public_urls[0])
        return public.scheme, public.netloc

    def _publication_of(self, request: BaseRequest, read_body: ReadBody) -> Publication:
        headers: Headers = tuple(request.raw_headers)
        content_types = header_values(headers, b"content-type")
        query = request.raw_path.partition("?")[2].encode("utf-8", "surrogateescape")
        scheme, authority = self._origin_of(request)

        async def read() -> bytes:
            if (request.content_length or 0) > self._settings.body_limit:
                reason = f"body over body_limit={self._settings.body_limit}"
                raise HubRefusal(413, "Request Entity Too Large", reason=reason)
            return await read_body(request)

        return Publication(
            shown=Shown(
                method="POST",
                authorization=header_values(headers, b"authorization"),
                cookies=header_values(headers, b"cookie"),
                query_tokens=values_of(parse_form(query, strict=False), "authorization"),
                origin=next(iter(header_values(headers, b"origin")), None),
                referer=next(iter(header_values(headers, b"referer")), None),
            ),
            resource=resource_of(self._settings, scheme=scheme, authority=authority),
            content_type=content_types[0] if content_types else None,
            read=read,
        )


def first_line(request: BaseRequest, name: bytes) -> bytes:
    """Return the value of the first header line called `name` (lower case), empty without one."""
    return next(iter(header_values(tuple(request.raw_headers), name)), b"")


def shape(answer: Answer) -> PublishResponse:
    """Return an answer in the form that this port writes."""
    content_type = header_values(answer.headers, b"content-type")[0]
    headers = (*without_headers(answer.headers, (b"content-type",)), *SECURITY_HEADERS)
    return PublishResponse(answer.status, answer.body, headers=headers, content_type=content_type)
