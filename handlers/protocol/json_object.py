"""One JSON object of an item, read member by member with the error texts publishers know.

Used by `item_json` and `format_json`. Decoding the JSON itself is not here. A text names the object and the member
at fault, for example `'ws-message' contains 'type' with wrong type` (reference 6.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

from handlers.errors import ItemError
from handlers.protocol.fields import decode_base64

NUMBER = re.compile(r"[+-]?[0-9]{1,18}")


class JsonObject:
    """`value` as an object that the texts call `name`; raises ItemError when it is anything else.

    A member that is null counts as absent wherever the member is optional (reference 6.3).
    """

    __slots__ = ("_members", "name")

    def __init__(self, value: object, name: str) -> None:
        if not isinstance(value, dict):
            raise ItemError(f"{name} is not an object")
        self._members = cast("dict[str, object]", value)
        self.name = name

    def __contains__(self, key: str) -> bool:
        return key in self._members

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

    def required_text(self, key: str) -> str:
        """Return a string that must be there."""
        value = self.required(key)
        if isinstance(value, str):
            return value
        raise self.wrong_type(key)

    def required(self, key: str) -> object:
        """Return a member that must be there, of any type."""
        if key not in self._members:
            raise ItemError(f"{self.name} does not contain '{key}'")
        return self._members[key]

    def integer(self, key: str, *, low: int, high: int) -> int | None:
        """Return an optional whole number from `low` to `high`; a numeric string will do (reference 6.4)."""
        if key not in self._members:
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
        """Return an optional list. Unlike elsewhere null is a wrong type here, as in the reference."""
        if key not in self._members:
            return None
        value = self._members[key]
        if isinstance(value, list):
            return cast("list[object]", value)
        raise self.wrong_type(key)

    def child(self, key: str) -> JsonObject | None:
        """Return an optional object, under the name `'key'`."""
        value = self._members.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.wrong_type(key)
        return JsonObject(cast("object", value), f"'{key}'")

    def binary(self, key: str) -> bytes | None:
        """Return an optional base64 string's bytes; line breaks and missing padding are allowed, nothing else is."""
        text = self.text(key)
        if text is None:
            return None
        try:
            return decode_base64(text)
        except ValueError as error:
            raise self.wrong_value(key) from error

    def wrong_type(self, key: str) -> ItemError:
        """Build the error for a member of another type than its field has."""
        return ItemError(f"{self.name} contains '{key}' with wrong type")

    def wrong_value(self, key: str) -> ItemError:
        """Build the error for a member of the right type that cannot be used."""
        return ItemError(f"{self.name} contains '{key}' with invalid value")


def as_number(value: object) -> int | float | None:
    """Return a JSON number, or the number a string spells, or None."""
    if isinstance(value, str):
        return int(value) if NUMBER.fullmatch(value) else None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    return None
