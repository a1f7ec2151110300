"""The answers on `/channels/` and `/connections/`, always JSON; `publish_api/openapi.json` describes them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, assert_never

import msgspec

from handlers.protocol.carried_name import is_text, show, show_bytes, uncarry
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
            page = page_of(question)
            after = found.channels[page - 1].channel if len(found.channels) > page else None
            return _json({"channels": [_channel(row) for row in found.channels[:page]], "next": after})
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


def _channel(row: ChannelRow) -> dict[str, object]:
    name = uncarry(row.channel)
    return {
        "channel": show(name),
        **({} if is_text(name) else {"channel-bin": show_bytes(name)}),
        "subscribers": {"stream": row.stream, "response": row.response, "ws": row.ws},
    }


def _connection(row: ConnectionRow) -> dict[str, object]:
    is_grip = row.protocol == "grip"
    names = [uncarry(each) for each in row.channels]
    shown = [show(each) for each in names]
    is_all_text = all(map(is_text, names))
    return {
        "id": row.id,
        "kind": row.kind.value,
        "protocol": row.protocol,
        "peer": row.peer,
        "route": row.route,
        "uri": row.uri,
        "channels": shown if is_grip else (),
        **({} if is_all_text else {"channels-bin": [show_bytes(each) for each in names]}),
        "topics": () if is_grip else shown,
        "since": datetime.fromtimestamp(row.hold_id.stamp // 1000 / 1000, UTC),
    }


def _json(value: object) -> PublishAnswer:
    return PublishAnswer(status=200, body=msgspec.json.encode(value) + b"\n", content_type=JSON)
