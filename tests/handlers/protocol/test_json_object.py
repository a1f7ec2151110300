from __future__ import annotations

from collections.abc import Callable

import pytest

from handlers.errors import ItemError
from handlers.protocol.json_object import JsonObject

Reading = Callable[[JsonObject], object]


def text(fields: JsonObject) -> object:
    return fields.text("k")


def required_text(fields: JsonObject) -> object:
    return fields.required_text("k")


def integer(fields: JsonObject) -> object:
    return fields.integer("k", low=0, high=999)


def flag(fields: JsonObject) -> object:
    return fields.flag("k")


def items(fields: JsonObject) -> object:
    return fields.items("k")


def child(fields: JsonObject) -> object:
    found = fields.child("k")
    return None if found is None else dict(found)


def binary(fields: JsonObject) -> object:
    return fields.binary("k")


@pytest.mark.parametrize(
    ("read", "members", "expected"),
    [
        (text, {}, None),
        (text, {"k": None}, None),
        (text, {"k": ""}, ""),
        (required_text, {"k": "v"}, "v"),
        (integer, {}, None),
        (integer, {"k": 0}, 0),
        (integer, {"k": 200.0}, 200),
        (integer, {"k": "404"}, 404),
        (integer, {"k": "+7"}, 7),
        (flag, {}, False),
        (flag, {"k": True}, True),
        (items, {}, None),
        (items, {"k": []}, []),
        (child, {}, None),
        (child, {"k": None}, None),
        (child, {"k": {"a": 1}}, {"a": 1}),
        (binary, {}, None),
        (binary, {"k": ""}, b""),
        (binary, {"k": "AP8Q"}, b"\x00\xff\x10"),
        (binary, {"k": "AP8"}, b"\x00\xff"),
        (binary, {"k": "AP\r\n8Q\n"}, b"\x00\xff\x10"),
    ],
)
def test_a_member_of_the_right_type_is_read(read: Reading, members: dict[str, object], expected: object) -> None:
    assert read(JsonObject(members, "it")) == expected


@pytest.mark.parametrize(
    ("read", "members", "reason"),
    [
        (text, {"k": 1}, "it contains 'k' with wrong type"),
        (required_text, {}, "it does not contain 'k'"),
        (required_text, {"k": None}, "it contains 'k' with wrong type"),
        (integer, {"k": None}, "it contains 'k' with wrong type"),
        (integer, {"k": True}, "it contains 'k' with wrong type"),
        (integer, {"k": "x"}, "it contains 'k' with wrong type"),
        (integer, {"k": "1" * 5000}, "it contains 'k' with wrong type"),
        (integer, {"k": -1}, "it contains 'k' with invalid value"),
        (integer, {"k": 1000}, "it contains 'k' with invalid value"),
        (integer, {"k": 10**40}, "it contains 'k' with invalid value"),
        (integer, {"k": 1e300}, "it contains 'k' with invalid value"),
        (integer, {"k": 200.5}, "it contains 'k' with invalid value"),
        (flag, {"k": 1}, "it contains 'k' with wrong type"),
        (flag, {"k": None}, "it contains 'k' with wrong type"),
        (items, {"k": {}}, "it contains 'k' with wrong type"),
        (items, {"k": None}, "it contains 'k' with wrong type"),
        (child, {"k": []}, "it contains 'k' with wrong type"),
        (binary, {"k": 5}, "it contains 'k' with wrong type"),
        (binary, {"k": "A"}, "it contains 'k' with invalid value"),
        (binary, {"k": "_-8Q"}, "it contains 'k' with invalid value"),
        (binary, {"k": "é"}, "it contains 'k' with invalid value"),
    ],
)
def test_any_other_member_is_an_error_that_names_it(read: Reading, members: dict[str, object], reason: str) -> None:
    with pytest.raises(ItemError) as caught:
        read(JsonObject(members, "it"))

    assert str(caught.value) == reason


@pytest.mark.parametrize("value", [None, 1, "x", [], True])
def test_what_is_no_object_is_an_error(value: object) -> None:
    with pytest.raises(ItemError, match=r"^it is not an object$"):
        JsonObject(value, "it")


def test_a_child_is_named_by_its_key() -> None:
    found = JsonObject({"meta": {"a": 1}}, "it").child("meta")

    assert found is not None
    with pytest.raises(ItemError, match=r"^'meta' contains 'a' with wrong type$"):
        found.text("a")
