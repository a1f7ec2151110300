"""Requests to the command socket, and replies: maps as tagged netstrings (reference 7.3).

Called by `publish_api.zeromq.commands`, which obeys them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from handlers.protocol.tnetstring import Encodable, TnetStringError, Value, encode_tnetstring, parse_tnetstring


class RequestError(ValueError):
    """A message is no request, so that there is nothing to reply to. `str(error)` says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One command. `id`, where there is one, comes back in the reply as it is."""

    method: str
    args: dict[str, Value] = field(default_factory=dict[str, Value])
    id: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a command comes to. `condition` is what went wrong, None when nothing did.

    The `value` of a failure is a text that says more, or None.
    """

    value: Encodable = None
    condition: str | None = None


def parse_request(data: bytes) -> Request:
    """Read a request, whatever is behind it. Raises RequestError."""
    try:
        fields, _ = parse_tnetstring(data)
    except TnetStringError as error:
        raise RequestError(f"tnetstring parse failed: {error}") from error
    if not isinstance(fields, dict):
        raise RequestError("parse failed")
    method, request_id, args = fields.get("method"), fields.get("id", b""), fields.get("args", {})
    if not isinstance(method, bytes) or not isinstance(request_id, bytes) or not isinstance(args, dict):
        raise RequestError("parse failed")
    return Request(method=method.decode("utf-8", "replace"), args=args, id=request_id if "id" in fields else None)


def encode_reply(reply: Reply, *, request_id: bytes | None) -> bytes:
    """Encode the reply to the request of this id."""
    fields: dict[str, Encodable] = {} if request_id is None else {"id": request_id}
    fields["success"] = reply.condition is None
    if reply.condition is None or reply.value is not None:
        fields["value"] = reply.value
    if reply.condition is not None:
        fields["condition"] = reply.condition
    return encode_tnetstring(fields)
