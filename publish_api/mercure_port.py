"""The hub on the publish port: publications beside the clients' door, and how the hub is doing.

Called by `publish_api.http` for paths that are the hub's. Publications need their token here too: the port's own
credentials are for items.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from handlers.counters import Counters
from handlers.errors import HubRefusal
from handlers.hub.publication import Publication, make_publication
from handlers.hub.refusing import Refuser
from handlers.hub.settings import HubSettings
from handlers.protocol.answers import Answer
from handlers.protocol.http1 import first_header, header_values, without_headers
from handlers.protocol.mercure.headers import SECURITY_HEADERS
from handlers.protocol.mercure.identity import is_public, metadata_url, resource_of
from publish_api.mercure import MercurePublishing
from publish_api.protocol.answer import PublishAnswer
from publish_api.protocol.request_head import RequestHead
from publish_api.request import Request

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

    async def answer(self, request: Request) -> PublishAnswer:
        """Answer one request. The length of its body is known; how long it may be is said here.

        Raises RequestRefused for a body that does not come.
        """
        path = request.head.target.partition("?")[0]
        if path != self._settings.path:
            return self._answer_health(request.head.method, path)
        if request.head.method != "POST" or not self._publishing.is_open:
            return PublishAnswer(status=405, body=b"", headers=((b"Allow", b"POST"), *SECURITY_HEADERS))
        try:
            return shape(await self._publishing.publish(self._publication_of(request)))
        except HubRefusal as error:
            scheme, authority = self._origin_of(request.head)
            url = metadata_url(self._settings, scheme=scheme, authority=authority)
            return shape(self._refuser.answer(error, label=f"POST {path} (publish port)", metadata_url=url))

    def _answer_health(self, method: str, path: str) -> PublishAnswer:
        if path not in HEALTH:
            return PublishAnswer(status=404, body=b"Not Found\n")
        if method != "GET":
            return PublishAnswer(status=405, body=b"", headers=((b"Allow", b"GET"),))
        is_ready = self._publishing.is_healthy or path.endswith("/live")
        body, status = (HEALTHY, 200) if is_ready else (UNHEALTHY, 503)
        return PublishAnswer(status=status, body=body, content_type=b"application/json")

    def _origin_of(self, head: RequestHead) -> tuple[str, str]:
        """Return scheme and authority that the hub is taken to be at.

        Publishers come here by an address of their own, so where public URLs are set another host is not refused as
        at the clients' door, but neither does it choose the audience: the first public URL stands in.
        """
        authority = (first_header(head.headers, b"host") or b"").decode("latin-1")
        if is_public(self._settings, SCHEME, authority):
            return SCHEME, authority
        public = urlsplit(self._settings.public_urls[0])
        return public.scheme, public.netloc

    def _publication_of(self, request: Request) -> Publication:
        head = request.head
        query = head.target.partition("?")[2].encode("utf-8", "surrogateescape")
        scheme, authority = self._origin_of(head)

        async def read() -> bytes:
            if (head.content_length or 0) > self._settings.body_limit:
                reason = f"body over body_limit={self._settings.body_limit}"
                raise HubRefusal(413, "Request Entity Too Large", reason=reason)
            return await request.read()

        resource = resource_of(self._settings, scheme=scheme, authority=authority)
        return make_publication(head.headers, query, resource=resource, read=read)


def shape(answer: Answer) -> PublishAnswer:
    """Return an answer in the form that this port writes."""
    content_type = header_values(answer.headers, b"content-type")[0]
    headers = (*without_headers(answer.headers, (b"content-type",)), *SECURITY_HEADERS)
    return PublishAnswer(status=answer.status, body=answer.body, headers=headers, content_type=content_type)
