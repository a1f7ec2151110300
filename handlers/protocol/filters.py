"""What a subscription's filters make of an item at delivery: they drop it, or change its content (reference 6.6).

Called by the edge for each session on a selective row. Which filters a subscription has, and whether they fit an
item's `content-filters`, is `subscribing`'s. `build-id` leaves content alone: it needs the channels' ids.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from handlers.protocol.fields import decode_field, printable

DELIVERY_FILTERS = frozenset(("skip-self", "skip-users", "require-sub"))
"""Filters that drop items."""

OBEYED = DELIVERY_FILTERS | {"var-subst"}
"""Filters that have an effect. Any other name has none."""

RESULT_LIMIT = 1_000_000
"""Bytes that content may grow to: a few bytes of a template can stand for any number of meta's."""

_DIRECTIVE = re.compile(rb"%(?:(?P<percent>%)|\((?P<name>(?:[^)\\]++|\\.)*+)\)s)?", re.DOTALL)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)


class FilterError(Exception):
    """An item's content and a session's meta do not go together; the session does not get the item."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def needs_look(filters: tuple[str, ...]) -> bool:
    """Say whether any of the filters has an effect, so that items must be looked at for this subscription."""
    return not OBEYED.isdisjoint(filters)


def passes(
    filters: tuple[str, ...],
    *,
    meta: Mapping[str, str],
    item_meta: Mapping[str, str],
    is_subscribed: Callable[[str], bool],
) -> bool:
    """Say whether an item goes to a session.

    `meta` is the session's, `item_meta` the item's. `is_subscribed` is asked about a channel as publishers of this
    route's backend name it: without the route's prefix.
    """
    user = meta.get("user", "")
    for name in filters:
        match name:
            case "skip-self" if user and user == item_meta.get("sender"):
                return False
            case "skip-users" if user and user in _names(item_meta.get("skip_users", "")):
                return False
            case "require-sub" if (channel := item_meta.get("require_sub")) and not is_subscribed(channel):
                return False
            case _:
                pass
    return True


def apply_content(filters: tuple[str, ...], content: bytes, *, meta: Mapping[str, str]) -> bytes:
    """Return what the filters, in their order, make of an item's content for the session with this meta.

    Raises FilterError. Content that is UTF-8 stays so; how long it has become is the caller's to check.
    """
    for name in filters:
        if name == "var-subst":
            content = substitute(content, meta)
    return content


def substitute(template: bytes, values: Mapping[str, str]) -> bytes:
    r"""Replace `%(name)s` by values and `%%` by a percent sign; in a name, a backslash escapes. Raises FilterError."""
    parts: list[bytes] = []
    size = end = 0
    for directive in _DIRECTIVE.finditer(template):
        part = template[end : directive.start()] + _resolve(directive, values)
        end = directive.end()
        parts.append(part)
        size += len(part)
        if size > max(len(template), RESULT_LIMIT):
            raise FilterError(f"var-subst: more than {RESULT_LIMIT} bytes of content")
    return b"".join((*parts, template[end:]))


def _resolve(directive: re.Match[bytes], values: Mapping[str, str]) -> bytes:
    if directive["percent"]:
        return b"%"
    if directive["name"] is None:
        raise FilterError(f"var-subst: '%' at byte {directive.start()} begins neither '%(name)s' nor '%%'")
    name = decode_field(_ESCAPE.sub(rb"\1", directive["name"]))
    if name not in values:
        raise FilterError(f"var-subst: no meta '{printable(name)}'")
    try:
        return values[name].encode()
    except UnicodeEncodeError as error:
        # A header's bytes may be anything, and would make of a text what no client accepts.
        raise FilterError(f"var-subst: meta '{printable(name)}' is not UTF-8") from error


def _names(value: str) -> tuple[str, ...]:
    return tuple(name.strip(" \t") for name in value.split(","))
