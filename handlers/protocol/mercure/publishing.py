"""Publications: what a publisher's form or JSON says, and which of it becomes an update (reference 1.7, 2.1, 3).

Called by the publishers' door in two steps, with the check of the token's scope between them, as the reference orders
its refusals: `read_publication`, then `make_update`. Storing, and an id where the publisher gives none, is the hub's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol, cast

import msgspec

from handlers.errors import HubRefusal
from handlers.protocol.mercure.event import parse_retry
from handlers.protocol.mercure.form import first_value, parse_form, values_of
from handlers.protocol.mercure.matcher import WILDCARD
from handlers.protocol.mercure.reserved import is_reserved
from handlers.protocol.mercure.target import target_topic
from handlers.protocol.mercure.text import is_plain_text, is_utf8, quote_go
from handlers.protocol.mercure.update import Update
from handlers.protocol.names import EventId, Topic

MAX_TOPICS: Final = 1000
"""Topics of all updates of a request, and as many targets."""
MAX_UPDATES: Final = 1000
"""Updates of one JSON list."""
MAX_ID_BYTES: Final = 4096
"""An id comes back in header lines, which common clients and proxies bound (defect B19)."""

_FORM: Final = "application/x-www-form-urlencoded"
_JSON: Final = "application/json"
_EARLIEST: Final = "earliest"
_MERCURE: Final = "mercure"

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105  # RFC 9110's word
_QUOTED = r'"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[^\x00-\x08\x0a-\x1f\x7f])*"'
_MEDIA_TYPE = re.compile(rf"[ \t]*({_TOKEN}(?:/{_TOKEN})?)[ \t]*")
_PARAMETER = re.compile(rf";[ \t]*(?:{_TOKEN}[ \t]*=[ \t]*(?:{_TOKEN}|{_QUOTED})[ \t]*|\Z)")


class PublishingSettings(Protocol):
    """What of the hub's settings decides how a publisher is understood (`handlers.hub.settings.HubSettings`)."""

    @property
    def protocols(self) -> Sequence[str]: ...  # noqa: D102  # documented where they are set

    @property
    def speaks_selectors(self) -> bool: ...  # noqa: D102

    @property
    def speaks_2019(self) -> bool: ...  # noqa: D102

    @property
    def relaxed_ids(self) -> bool: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishRequest:
    """What a publisher wants published. `topics` are plain text, and so are `targets`; the rest is as it was sent."""

    topics: tuple[Topic, ...]
    data: str | None = None
    private: bool = False
    id: str = ""
    type: str = ""
    retry: str = ""
    targets: tuple[str, ...] = ()


def is_form(content_type: bytes | None) -> bool:
    """Say whether a body of this type is a form; False for what is no media type at all."""
    return content_type is not None and _media_type(content_type) == _FORM


def is_2019(request: PublishRequest, settings: PublishingSettings, *, is_old_path: bool) -> bool:
    """Say whether data must be there and a generated id is a bare UUID, as in the dialect of 2019 (reference 3).

    So it is for all that comes to `/hub`, for whatever has targets, and where neither 8 nor 7 is spoken.
    """
    if not settings.speaks_2019:
        return False
    return is_old_path or bool(request.targets) or {"8", "7"}.isdisjoint(settings.protocols)


def read_publication(
    content_type: bytes | None, body: bytes, settings: PublishingSettings, *, is_old_path: bool = False
) -> tuple[PublishRequest, ...]:
    """Read a form, or in a hub that speaks more than 1.0 also JSON: one object, or a list of them. At least one comes.

    Raises HubRefusal for what can be refused before the token's scope is looked at: topics that are missing, too many
    or no plain text, and `retry`; in the dialect of 2019 missing data and bad targets, and not yet `retry`.
    """
    kind = _media_type(content_type) if content_type else ""
    if kind is None:
        raise HubRefusal(400, "Bad Request", reason="the Content-Type is no media type")
    if kind == _FORM:
        requests: tuple[PublishRequest, ...] = (_read_form(body, settings),)
    elif kind == _JSON and settings.speaks_selectors:
        requests = _read_json(body, settings)
    else:
        raise HubRefusal(400, 'Missing "topic" parameter', reason=f"no form but {kind or 'without a Content-Type'}")
    topics = targets = 0
    for request in requests:
        topics, targets = topics + len(request.topics), targets + len(request.targets)
        if topics > MAX_TOPICS:
            raise HubRefusal(400, "too many topics in update")
        if targets > MAX_TOPICS:
            raise HubRefusal(400, "too many targets in update")
        _check_topics(request)
        if is_2019(request, settings, is_old_path=is_old_path):
            _check_data_is_there(request)
            _check_targets(request)
        else:
            _retry(request)
    return requests


def make_update(
    request: PublishRequest,
    *,
    hub_path: str,
    settings: PublishingSettings,
    legacy_token: bool,
    is_2019: bool,
) -> Update:
    """Make the update that a publication asks for, its id left empty if the publisher gave none. Raises HubRefusal.

    `hub_path` is where the reserved topics begin. An update with targets is private, and they are topics of it.
    """
    if is_2019:
        _check_data_is_there(request)
    for topic in request.topics:
        if is_reserved(topic, hub_path):
            raise HubRefusal(400, f'{quote_go(topic)}: topic value resolves into the reserved "{hub_path}" namespace')
    if WILDCARD in request.topics:
        raise HubRefusal(400, '"*": topic value "*" is reserved for the wildcard matcher and cannot be published')
    _check_id(request.id, may_be_fragment=legacy_token and settings.relaxed_ids)
    _check_type(request.type)
    data = request.data or ""
    if not is_utf8(data):
        raise HubRefusal(400, '"data" field is not valid UTF-8')
    # Never looked at by dialect: an update that was meant for some must not become one for all.
    targets = tuple(map(target_topic, request.targets))
    return Update(
        topics=request.topics + targets,
        id=EventId(request.id),
        data=data,
        private=request.private or bool(targets),
        type=request.type,
        retry=_retry(request),
    )


@lru_cache(maxsize=64)
def _media_type(content_type: bytes) -> str | None:
    """Return the media type in lower case, None if it or a parameter behind it is malformed."""
    text = content_type.decode("latin-1")
    found = _MEDIA_TYPE.match(text)
    if found is None:
        return None
    end = found.end()
    while end < len(text):
        parameter = _PARAMETER.match(text, end)
        if parameter is None:
            return None
        end = parameter.end()
    return found[1].lower()


def _read_form(body: bytes, settings: PublishingSettings) -> PublishRequest:
    try:
        pairs = parse_form(body, strict=True)
    except ValueError as error:
        raise HubRefusal(400, "Bad Request", reason=str(error)) from error
    return PublishRequest(
        topics=tuple(map(Topic, values_of(pairs, "topic"))),
        data=first_value(pairs, "data"),
        private=first_value(pairs, "private") is not None,
        id=first_value(pairs, "id") or "",
        type=first_value(pairs, "type") or "",
        retry=first_value(pairs, "retry") or "",
        targets=values_of(pairs, "target") if settings.speaks_2019 else (),
    )


def _read_json(body: bytes, settings: PublishingSettings) -> tuple[PublishRequest, ...]:
    try:
        document: object = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise HubRefusal(400, "Bad Request", reason=f"the body is not JSON: {error}") from error
    updates = cast("list[object]", document) if isinstance(document, list) else [document]
    if not updates:
        raise HubRefusal(400, "the list of updates is empty")
    if len(updates) > MAX_UPDATES:
        raise HubRefusal(400, f"too many updates in list (max {MAX_UPDATES})")
    return tuple(_read_object(update, settings) for update in updates)


def _read_object(value: object, settings: PublishingSettings) -> PublishRequest:
    """Read one update of JSON: the form's names; null is as good as absent; a false `private` is none."""
    if not isinstance(value, dict):
        raise HubRefusal(400, "an update must be a JSON object")
    members = cast("dict[str, object]", value)
    private = members.get("private")
    return PublishRequest(
        topics=tuple(map(Topic, _strings(members, "topic"))),
        data=_string(members, "data"),
        private=private is not None and private is not False,
        id=_string(members, "id") or "",
        type=_string(members, "type") or "",
        retry=_number(members.get("retry")),
        targets=_strings(members, "target") if settings.speaks_2019 else (),
    )


def _string(members: dict[str, object], name: str) -> str | None:
    value = members.get(name)
    if value is None or isinstance(value, str):
        return value
    raise HubRefusal(400, f'"{name}" field must be a string')


def _strings(members: dict[str, object], name: str) -> tuple[str, ...]:
    value = members.get(name)
    match value:
        case None:
            return ()
        case str():
            return (value,)
        case [*texts] if all(isinstance(text, str) for text in texts):
            return tuple(cast("list[str]", texts))
        case _:
            raise HubRefusal(400, f'"{name}" field must be a string or a list of strings')


def _number(value: object) -> str:
    """Return a number's text, for `_retry` to judge as it judges a form's."""
    match value:
        case None:
            return ""
        case str():
            return value
        case int() if not isinstance(value, bool):
            return str(value)
        case _:
            raise HubRefusal(400, 'Invalid "retry" parameter')


def _check_topics(request: PublishRequest) -> None:
    if not request.topics:
        raise HubRefusal(400, 'Missing "topic" parameter')
    for topic in request.topics:
        if not is_plain_text(topic):
            text = f"{quote_go(topic)}: topic contains a forbidden control character or invalid UTF-8"
            raise HubRefusal(400, text)


def _check_data_is_there(request: PublishRequest) -> None:
    if not request.data:
        raise HubRefusal(400, 'Missing "data" parameter')


def _check_targets(request: PublishRequest) -> None:
    for target in request.targets:
        if not is_plain_text(target):
            text = f"{quote_go(target)}: target contains a forbidden control character or invalid UTF-8"
            raise HubRefusal(400, text)


def _check_id(event_id: str, *, may_be_fragment: bool) -> None:
    is_fragment = event_id.startswith("#") and not may_be_fragment
    if is_fragment or event_id == _EARLIEST or not is_plain_text(event_id):
        text = '"id" field contains a forbidden control character or invalid UTF-8, starts with "#", '
        raise HubRefusal(400, text + f'or is the reserved value "{_EARLIEST}"')
    if len(event_id.encode()) > MAX_ID_BYTES:
        raise HubRefusal(400, f'"id" field too long (max {MAX_ID_BYTES} bytes)')


def _check_type(event_type: str) -> None:
    if not is_plain_text(event_type):
        raise HubRefusal(400, '"type" field contains a forbidden control character or invalid UTF-8')
    if event_type == _MERCURE:
        raise HubRefusal(400, f'"type" field uses the reserved value "{_MERCURE}"')


def _retry(request: PublishRequest) -> int:
    """Return the number that `retry` is, 0 if it is absent or empty."""
    number = parse_retry(request.retry or "0")
    if number is None:
        raise HubRefusal(400, 'Invalid "retry" parameter')
    return number
