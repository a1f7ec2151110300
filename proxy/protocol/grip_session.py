"""GRIP sessions: what a backend says of them in headers, and how a request is known to belong to one (reference 3.14).

Used by `proxy.grip_session.tracking`. The session meant here is the backend's own, which outlives connections; a held
connection is another matter.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import parse_qsl

import msgspec
from jsonpointer import JsonPointer, JsonPointerException

from handlers.protocol.fields import decode_field, encode_field, parameter, parse_pairs, parse_parameters, split_list
from handlers.protocol.http1 import Headers, header_values, is_field_value
from handlers.protocol.names import ItemId
from proxy.protocol.headers import encode_last

FEATURE = b"grip-feature"
FIELD_LIMIT = 1000
"""Parameters that a form may have in which a session is looked for."""


class DetectRule(msgspec.Struct, frozen=True, kw_only=True):
    """How requests of a session are known: `sid_ptr` is a JSON pointer into the body, or into that parameter of it."""

    domain: str
    path_prefix: str
    sid_ptr: str
    json_param: str = ""


class SessionWord(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer says about sessions. `sid` is empty where it names none."""

    sid: str
    last_ids: tuple[tuple[str, str], ...]
    rules: tuple[DetectRule, ...]


def parse_session_word(headers: Headers, domain: str) -> SessionWord:
    """Read `Grip-Session-Id`, `Grip-Session-Detect` and `Grip-Last` of an answer for a host.

    A rule without `path-prefix` or `sid-ptr` counts for nothing, as a `Grip-Last` without `last-id` does.
    """
    sids = header_values(headers, b"grip-session-id")
    rules = tuple(
        rule
        for value in header_values(headers, b"grip-session-detect")
        for element in split_list(decode_field(value))
        if (rule := _parse_rule(element, domain)) is not None
    )
    last_ids = tuple(
        (channel, last_id)
        for value in header_values(headers, b"grip-last")
        for element in split_list(decode_field(value))
        for channel, parameters in (parse_parameters(element),)
        if (last_id := parameter(parameters, "last-id"))
    )
    return SessionWord(sid=decode_field(sids[0]) if sids else "", last_ids=last_ids, rules=rules)


def find_sid(rules: Iterable[DetectRule], body: bytes) -> str:
    """Return the session that a request's body names by the first rule that finds one; empty if none does."""
    for rule in rules:
        sid = _find_by(rule, body)
        if sid:
            return sid
    return ""


def add_session(headers: Headers, sid: str, last_ids: Iterable[tuple[str, str]]) -> Headers:
    """Return a request's headers with those of its session behind `Grip-Feature`.

    Of channels that the headers have a `Grip-Last` for already, they are right. What no header can hold is left out.
    """
    named = {parse_parameters(decode_field(value))[0] for value in header_values(headers, b"grip-last")}
    added: list[tuple[bytes, bytes]] = []
    if is_field_value(encode_field(sid)):
        added.append((b"Grip-Session-Id", encode_field(sid)))
    for channel, last_id in last_ids:
        line = None if channel in named else encode_last(channel, ItemId(last_id))
        if line is not None:
            added.append((b"Grip-Last", line))
    names = [name.lower() for name, _ in headers]
    place = names.index(FEATURE) + 1 if FEATURE in names else len(headers)
    return (*headers[:place], *added, *headers[place:])


def _parse_rule(element: str, domain: str) -> DetectRule | None:
    parameters = parse_pairs(element)
    path_prefix, sid_ptr = parameter(parameters, "path-prefix"), parameter(parameters, "sid-ptr")
    if path_prefix is None or sid_ptr is None:
        return None
    return DetectRule(
        domain=domain,
        path_prefix=path_prefix,
        sid_ptr=sid_ptr,
        json_param=parameter(parameters, "json-param") or "",
    )


def _find_by(rule: DetectRule, body: bytes) -> str:
    try:
        data = _parameter_of(body, rule.json_param) if rule.json_param else body
        document = msgspec.json.decode(data)
        if not isinstance(document, dict | list):
            return ""
        found = JsonPointer(rule.sid_ptr).resolve(document)
    except (ValueError, RecursionError, JsonPointerException):  # msgspec.DecodeError is a ValueError
        return ""
    return found if isinstance(found, str) else ""


def _parameter_of(body: bytes, name: str) -> bytes:
    fields = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=FIELD_LIMIT)
    return next((value.encode() for key, value in fields if key == name), b"")
