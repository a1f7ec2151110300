"""How the hub says no, on whichever port it is asked: status, text, challenge, and an id to find the reason by.

The client learns as little as the protocol allows; the log has the precise reason under the same id.
"""

from __future__ import annotations

import logging
import secrets

from handlers.counters import Counters
from handlers.errors import HubRefusal
from handlers.hub.settings import HubSettings
from handlers.protocol.answers import Answer
from handlers.protocol.http1 import Headers, standard_reason
from handlers.protocol.mercure.headers import TEXT_HEADERS
from handlers.protocol.mercure.identity import challenge as encode_challenge

log = logging.getLogger("holdfast.hub")

UNAUTHORIZED = "Unauthorized"


class Refuser:
    """Turns a HubRefusal into an answer, a log line and a count."""

    def __init__(self, settings: HubSettings, counters: Counters) -> None:
        self._counters = counters
        self._is_bare = settings.legacy_status or not settings.speaks_current

    def answer(self, error: HubRefusal, *, label: str, metadata_url: str) -> Answer:
        """Return the answer to a refused request; `label` says in the log which one it was."""
        request_id = secrets.token_hex(8)
        if error.challenge is None:
            self._counters.mercure_refused += 1
        else:
            self._counters.mercure_tokens_refused += 1
        status, text, headers = self._render(error, metadata_url)
        log.warning("%s: refused with %d, request id %s: %.500s", label, status, request_id, error)
        lines = (*TEXT_HEADERS, *headers, (b"X-Request-Id", request_id.encode()))
        return Answer(
            status=status, reason=standard_reason(status), headers=lines, body=text.encode() + b"\n" if text else b""
        )

    def _render(self, error: HubRefusal, metadata_url: str) -> tuple[int, str, Headers]:
        if error.challenge is None:
            headers: Headers = ((b"Retry-After", b"%d" % error.retry_after),) if error.retry_after else ()
            return error.status, error.text, headers
        if self._is_bare and error.status != 503:
            return 401, UNAUTHORIZED, ()  # hubs before 1.0 know one answer to all faults of a token (reference 2.1)
        value = encode_challenge(error.challenge, metadata_url)
        return error.status, error.text, ((b"WWW-Authenticate", value),)
