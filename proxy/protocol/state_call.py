"""Calls of the session state service, as Pushpin makes them: maps of tagged netstrings (reference 3.14).

Used by `proxy.grip_session.state`. A call has a name, `id`, `method` and `args`; its reply has the same `id`, and
`value` if it was a `success`, else a `condition`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from handlers.protocol.fields import decode_field
from handlers.protocol.tnetstring import Encodable, TnetStringError, Value, encode_tnetstring, parse_tnetstring
from proxy.protocol.grip_session import DetectRule

RULES_SET = "session-detect-rules-set"
RULES_GET = "session-detect-rules-get"
CREATE_OR_UPDATE = "session-create-or-update"
UPDATE_MANY = "session-update-many"
GET_LAST_IDS = "session-get-last-ids"

Args = Mapping[str, Encodable]


class StateCallError(ValueError):
    """A message is no reply, or not one to this call. `str(error)` says why."""


class StateReply(msgspec.Struct, frozen=True, kw_only=True):
    """What the service says to the call `id`. `condition` is empty where it was a success."""

    id: bytes
    value: Value
    condition: str


def encode_call(*, sender: bytes, name: bytes, method: str, args: Args) -> bytes:
    """Encode a call; `name` is what its reply will be known by."""
    return encode_tnetstring({"from": sender, "id": name, "method": method, "args": args})


def parse_reply(data: bytes) -> StateReply:
    """Read a reply. Raises StateCallError."""
    try:
        fields, _ = parse_tnetstring(data)
    except TnetStringError as error:
        raise StateCallError(str(error)) from error
    name = fields.get("id") if isinstance(fields, dict) else None
    if not isinstance(fields, dict) or not isinstance(name, bytes):
        raise StateCallError("no 'id'")
    if fields.get("success") is True:
        return StateReply(id=name, value=fields.get("value"), condition="")
    condition = fields.get("condition")
    text = condition.decode("utf-8", "replace") if isinstance(condition, bytes) else ""
    return StateReply(id=name, value=None, condition=text or "general")


def encode_rules(rules: Iterable[DetectRule]) -> Args:
    """Say what rules there are, as arguments of RULES_SET."""
    return {"rules": [_encode_rule(rule) for rule in rules]}


def parse_rules(value: Value) -> tuple[DetectRule, ...]:
    """Read what RULES_GET returns. Raises StateCallError."""
    if not isinstance(value, list):
        raise StateCallError("the rules are no list")
    return tuple(_parse_rule(each) for each in value)


def parse_last_ids(value: Value) -> tuple[tuple[str, str], ...]:
    """Read what GET_LAST_IDS returns: channels and ids. Raises StateCallError."""
    if not isinstance(value, dict):
        raise StateCallError("the last ids are no map")
    found: list[tuple[str, str]] = []
    for channel, last_id in value.items():
        if not isinstance(last_id, bytes):
            raise StateCallError("a last id is no string")
        found.append((channel, decode_field(last_id)))
    return tuple(found)


def _encode_rule(rule: DetectRule) -> Args:
    fields: dict[str, Encodable] = {
        "domain": rule.domain,
        "path-prefix": rule.path_prefix,
        "sid-ptr": rule.sid_ptr,
    }
    if rule.json_param:
        fields["json-param"] = rule.json_param
    return fields


def _parse_rule(value: Value) -> DetectRule:
    if not isinstance(value, dict):
        raise StateCallError("a rule is no map")
    return DetectRule(
        domain=_text(value, "domain"),
        path_prefix=_text(value, "path-prefix"),
        sid_ptr=_text(value, "sid-ptr"),
        json_param=_text(value, "json-param") if "json-param" in value else "",
    )


def _text(fields: Mapping[str, Value], key: str) -> str:
    value = fields.get(key)
    if not isinstance(value, bytes):
        raise StateCallError(f"a rule's {key!r} is no string")
    return value.decode("utf-8", "replace")
