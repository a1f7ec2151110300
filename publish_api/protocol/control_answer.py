"""The answers on `/channels/` and `/connections/`, always JSON; `publish_api/openapi.json` describes them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, assert_never

import msgspec

from handlers.protocol.survey import (
    ChannelRow,
    CloseConnection,
    ConnectionRow,
    CountChannel,
    FindConnections,
    Findings,
    ListChannels,
    ListConnections,
    Question,
    RefreshConnection,
)
from publish_api.errors import RequestRefused
from publish_api.protocol.answer import PublishAnswer
from publish_api.protocol.control_target import page_of

JSON: Final = b"application/json"

RETRY_AFTER: Final = ((b"Retry-After", b"1"),)

NOBODY: Final = RequestRefused(404, "Nobody is on this channel.")
NO_CONNECTION: Final = RequestRefused(404, "No such connection.")


def encode_findings(question: Question, found: Findings) -> PublishAnswer:
    """Return the answer to a question. Raises RequestRefused: with 404, or with 503 where not everybody has answered.

    What somebody has found, others cannot change: a missing answer makes no difference to who asked for one connection.
    """
    if found.missing and (isinstance(question, ListChannels | ListConnections | CountChannel) or not found.connections):
        workers = ", ".join(map(str, found.missing))
        raise RequestRefused(503, f"Not answered yet by worker {workers}.", RETRY_AFTER)
    match question:
        case ListChannels():
            return _page("channels", [_channel(row) for row in found.channels], page_of(question), "channel")
        case ListConnections():
            page = page_of(question)
            cursor = found.connections[page - 1].hold_id.text if len(found.connections) > page else None
            return _json({"connections": [_connection(row) for row in found.connections[:page]], "next": cursor})
        case CountChannel():
            if not found.channels:
                raise NOBODY
            return _json(_channel(found.channels[0]))
        case FindConnections():
            if not found.connections:
                raise NO_CONNECTION
            return _json(_connection(found.connections[0]))
        case CloseConnection() | RefreshConnection():
            if not found.connections:
                raise NO_CONNECTION
            return _json({"message": "Closed" if isinstance(question, CloseConnection) else "Refreshed"})
        case _:
            assert_never(question)


def _page(name: str, rows: list[dict[str, object]], page: int, key: str) -> PublishAnswer:
    cursor = rows[page - 1][key] if len(rows) > page else None
    return _json({name: rows[:page], "next": cursor})


def _channel(row: ChannelRow) -> dict[str, object]:
    return {
        "channel": row.channel,
        "subscribers": {"stream": row.stream, "response": row.response, "ws": row.ws},
    }


def _connection(row: ConnectionRow) -> dict[str, object]:
    is_grip = row.protocol == "grip"
    return {
        "id": row.id,
        "kind": row.kind.value,
        "protocol": row.protocol,
        "peer": row.peer,
        "route": row.route,
        "uri": row.uri,
        "channels": row.channels if is_grip else (),
        "topics": () if is_grip else row.channels,
        "since": datetime.fromtimestamp(row.hold_id.stamp // 1000 / 1000, UTC),
    }


def _json(value: object) -> PublishAnswer:
    return PublishAnswer(status=200, body=msgspec.json.encode(value) + b"\n", content_type=JSON)
