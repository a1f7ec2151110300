"""One JSON object of an item or of an instruct, read member by member with the error texts that people know.

Used by `item_json`, `format_json` and `grip_json`. Decoding the JSON itself is not here. A text names the object and
the member at fault, for example `'ws-message' contains 'type' with wrong type` (reference 3.4, 6.3).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import cast

from handlers.errors import ItemError
from handlers.protocol.fields import decode_base64, printable
from handlers.protocol.http1 import Headers, is_field_value, is_token

NUMBER = re.compile(r"[+-]?[0-9]{1,18}")


class JsonObject:
    """`value` as an object that the texts call `name`; raises `error(text)` when it is anything else.

    What a null member is was recorded of Pushpin, and differs. In an instruct (`null_is_absent`) it counts as absent
    everywhere (reference 3.4). In an item it does so for `text`, `child` and `binary`, and is a wrong type for all
    others (reference 6.3).
    """

    __slots__ = ("_error", "_members", "_null_is_absent", "name")

    def __init__(
        self,
        value: object,
        name: str,
        *,
        error: Callable[[str], Exception] = ItemError,
        null_is_absent: bool = False,
    ) -> None:
        if not isinstance(value, dict):
            raise error(f"{name} is not an object")
        self._members = cast("dict[str, object]", value)
        self._error = error
        self._null_is_absent = null_is_absent
        self.name = name

    def __contains__(self, key: str) -> bool:
        return key in self._members and not (self._null_is_absent and self._members[key] is None)

    def __iter__(self) -> Iterator[tuple[str, object]]:
        return iter(self._members.items())

    def __len__(self) -> int:
        return len(self._members)

    def value(self, key: str) -> object:
        """Return the member as it stands; None when it is absent or null."""
        return self._members.get(key)

    def text(self, key: str) -> str | None:
        """Return an optional string."""
        value = self._members.get(key)
        if value is None or isinstance(value, str):
            return value
        raise self.wrong_type(key)

    def line(self, key: str) -> str | None:
        """Return an optional string that may stand in a header line."""
        text = self.text(key)
        if text is not None and not is_field_value(text.encode()):
            raise self.wrong_value(key)
        return text

    def required_text(self, key: str) -> str:
        """Return a string that must be there."""
        value = self.required(key)
        if isinstance(value, str):
            return value
        raise self.wrong_type(key)

    def required(self, key: str) -> object:
        """Return a member that must be there, of any type."""
        if key not in self:
            raise self._error(f"{self.name} does not contain '{key}'")
        return self._members[key]

    def integer(self, key: str, *, low: int, high: int) -> int | None:
        """Return an optional whole number from `low` to `high`; a numeric string will do (reference 6.4)."""
        if key not in self:
            return None
        number = as_number(self._members[key])
        if number is None:
            raise self.wrong_type(key)
        if not low <= number <= high or number != int(number):
            raise self.wrong_value(key)
        return int(number)

    def flag(self, key: str) -> bool:
        """Return an optional boolean, False when it is absent."""
        value = self._members.get(key, False)
        if isinstance(value, bool):
            return value
        raise self.wrong_type(key)

    def items(self, key: str) -> list[object] | None:
        """Return an optional list."""
        if key not in self:
            return None
        value = self._members[key]
        if isinstance(value, list):
            return cast("list[object]", value)
        raise self.wrong_type(key)

    def child(self, key: str, *, name: str | None = None) -> JsonObject | None:
        """Return an optional object, under `name` or else `'key'`."""
        value = self._members.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.wrong_type(key)
        return self._inner(cast("object", value), name or f"'{key}'")

    def strings(self, key: str) -> tuple[tuple[str, str], ...]:
        """Return the members, in order, of an optional object of strings."""
        found = self.child(key)
        if found is None:
            return ()
        pairs: list[tuple[str, str]] = []
        for name, value in found:
            if not isinstance(value, str):
                raise found.wrong_type(name)
            pairs.append((name, value))
        return tuple(pairs)

    def binary(self, key: str) -> bytes | None:
        """Return an optional base64 string's bytes; line breaks and missing padding are allowed, nothing else is."""
        text = self.text(key)
        if text is None:
            return None
        try:
            return decode_base64(text)
        except ValueError as error:
            raise self.wrong_value(key) from error

    def content(self, key: str) -> bytes | None:
        """Return `key-bin`, which is base64, or else `key`, which is text; None when there is neither."""
        data = self.binary(f"{key}-bin")
        if data is not None or key not in self:
            return data
        return self.required_text(key).encode()

    def headers(self, key: str, *, are_checked: bool) -> Headers:
        """Return header lines: a list of pairs, or an object. None at all are as good as absent.

        `are_checked` refuses what no header line may hold. An instruct's lines come unchecked: `grip` checks them,
        and those that came as headers, together.
        """
        value = self._members.get(key)
        if isinstance(value, dict):
            named = self._inner(cast("object", value), "headers")
            return tuple(self._named_header(named, name, text, are_checked=are_checked) for name, text in named)
        return tuple(self._header_pair(pair, are_checked=are_checked) for pair in self.items(key) or ())

    def wrong_type(self, key: str) -> Exception:
        """Build the error for a member of another type than its field has."""
        return self._error(f"{self.name} contains '{printable(key)}' with wrong type")

    def wrong_value(self, key: str) -> Exception:
        """Build the error for a member of the right type that cannot be used."""
        return self._error(f"{self.name} contains '{printable(key)}' with invalid value")

    def _inner(self, value: object, name: str) -> JsonObject:
        return JsonObject(value, name, error=self._error, null_is_absent=self._null_is_absent)

    def _named_header(self, named: JsonObject, name: str, value: object, *, are_checked: bool) -> tuple[bytes, bytes]:
        if not isinstance(value, str):
            raise named.wrong_type(name)
        header = name.encode(), value.encode()
        if are_checked and not (is_token(header[0]) and is_field_value(header[1])):
            raise named.wrong_value(name)
        return header

    def _header_pair(self, pair: object, *, are_checked: bool) -> tuple[bytes, bytes]:
        match pair:
            case [str(name), str(value)]:
                header = name.encode(), value.encode()
                if are_checked and not is_token(header[0]):
                    raise self._error("header contains name element with invalid value")
                if are_checked and not is_field_value(header[1]):
                    raise self._error("header contains value element with invalid value")
                return header
            case [str(), _]:
                raise self._error("header contains value element with wrong type")
            case [_, _]:
                raise self._error("header contains name element with wrong type")
            case [*_]:
                raise self._error("headers contains list with wrong number of elements")
            case _:
                raise self._error("headers contains element with wrong type")


def as_number(value: object) -> int | float | None:
    """Return a JSON number, or the number a string spells, or None."""
    if isinstance(value, str):
        return int(value) if NUMBER.fullmatch(value) else None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    return None
