"""What a subscription's filters make of an item at delivery: they drop it, or change its content (reference 6.6).

Called by the edge for each session on a selective row. Which filters a subscription has, and whether they fit an
item's `content-filters`, is `subscribing`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from handlers.protocol.build_id import BUILD_ID, IdOn, build_ids
from handlers.protocol.fields import decode_field, printable
from handlers.protocol.percent_template import FilterError, render

DELIVERY_FILTERS = frozenset(("skip-self", "skip-users", "require-sub"))
"""Filters that drop items."""

HTTP_CHECK = "http-check"
HTTP_MODIFY = "http-modify"
HTTP_FILTERS = frozenset((HTTP_CHECK, HTTP_MODIFY))
"""Filters that a backend is asked about (`http_filter`)."""

IN_TURN = "; in turn"
"""Stands among the filters of all places of a session that has one to ask, on whatever channel: its items wait for each
other. No filter that a backend can name."""

OBEYED = DELIVERY_FILTERS | HTTP_FILTERS | {BUILD_ID, "var-subst"}
"""Filters that have an effect. Any other name has none."""


def needs_look(filters: tuple[str, ...]) -> bool:
    """Say whether any of the filters has an effect, so that items must be looked at for this subscription."""
    return not OBEYED.isdisjoint(filters) or IN_TURN in filters


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


def apply_content(filters: tuple[str, ...], content: bytes, *, meta: Mapping[str, str], id_on: IdOn) -> bytes:
    """Return what the filters, in their order, make of an item's content for the session with this meta.

    `id_on` gives the ids that the session has had last. Raises FilterError. Content that is UTF-8 stays so, if the ids
    are; how long it has become is the caller's to check.
    """
    for name in filters:
        if name == "var-subst":
            content = substitute(content, meta)
        elif name == BUILD_ID:
            content = build_ids(content, meta=meta, id_on=id_on)
    return content


def substitute(template: bytes, values: Mapping[str, str]) -> bytes:
    r"""Replace `%(name)s` by values and `%%` by a percent sign; in a name, a backslash escapes. Raises FilterError."""

    def resolve(kind: bytes, argument: bytes | None) -> bytes | None:
        if kind != b"s" or argument is None:
            return None
        name = decode_field(argument)
        if name not in values:
            raise FilterError(f"var-subst: no meta '{printable(name)}'")
        try:
            return values[name].encode()
        except UnicodeEncodeError as error:
            # A header's bytes may be anything, and would make of a text what no client accepts.
            raise FilterError(f"var-subst: meta '{printable(name)}' is not UTF-8") from error

    return render("var-subst", "'%(name)s'", resolve, template)


def _names(value: str) -> tuple[str, ...]:
    return tuple(name.strip(" \t") for name in value.split(","))
