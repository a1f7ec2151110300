from __future__ import annotations

from collections.abc import Callable

import pytest

from handlers.errors import InstructError, ItemError
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


def line(fields: JsonObject) -> object:
    return fields.line("k")


def content(fields: JsonObject) -> object:
    return fields.content("k")


def strings(fields: JsonObject) -> object:
    return fields.strings("k")


def headers(fields: JsonObject) -> object:
    return fields.headers("k", are_checked=True)


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
        (line, {}, None),
        (line, {"k": "a\té"}, "a\té"),
        (content, {}, None),
        (content, {"k": "é"}, "é".encode()),
        (content, {"k-bin": None, "k": ""}, b""),
        (content, {"k-bin": "AP8", "k": 5}, b"\x00\xff"),
        (strings, {}, ()),
        (strings, {"k": {"b": "1", "a": ""}}, (("b", "1"), ("a", ""))),
        (headers, {}, ()),
        (headers, {"k": [["a", "1"], ["A", "2"]]}, ((b"a", b"1"), (b"A", b"2"))),
        (headers, {"k": {"b": "1", "a": ""}}, ((b"b", b"1"), (b"a", b""))),
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
        (line, {"k": 5}, "it contains 'k' with wrong type"),
        (line, {"k": "a\x01"}, "it contains 'k' with invalid value"),
        (content, {"k": None}, "it contains 'k' with wrong type"),
        (content, {"k-bin": "!"}, "it contains 'k-bin' with invalid value"),
        (strings, {"k": []}, "it contains 'k' with wrong type"),
        (strings, {"k": {"a": None}}, "'k' contains 'a' with wrong type"),
        (headers, {"k": None}, "it contains 'k' with wrong type"),
        (headers, {"k": {"a": 5}}, "headers contains 'a' with wrong type"),
        (headers, {"k": {"a:": ""}}, "headers contains 'a:' with invalid value"),
        (headers, {"k": [["a", "\x7f"]]}, "header contains value element with invalid value"),
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


# -- the same for instructs -----------------------------------------------------------------------------------------


def of_instruct(members: dict[str, object]) -> JsonObject:
    return JsonObject(members, "it", error=InstructError, null_is_absent=True)


@pytest.mark.parametrize("read", [text, line, integer, items, child, binary, content, strings, headers])
def test_in_an_instruct_null_is_as_good_as_absent(read: Reading) -> None:
    assert read(of_instruct({"k": None})) == read(of_instruct({}))


def test_in_an_instruct_null_is_not_what_must_be_there() -> None:
    with pytest.raises(InstructError, match=r"^it does not contain 'k'$"):
        of_instruct({"k": None}).required("k")


def test_an_instructs_objects_raise_its_error_at_any_depth() -> None:
    inner = of_instruct({"k": {"deep": {}}}).child("k", name="inner")

    assert inner is not None
    deep = inner.child("deep")
    assert deep is not None
    with pytest.raises(InstructError, match=r"^'deep' does not contain 'x'$"):
        deep.required("x")


@pytest.mark.parametrize("value", [{"a b": "x\n"}, [["a b", "x\n"]]])
def test_unchecked_header_lines_come_as_they_are(value: object) -> None:
    assert of_instruct({"k": value}).headers("k", are_checked=False) == ((b"a b", b"x\n"),)


def test_a_text_shows_nothing_of_a_name_that_cannot_be_shown() -> None:
    with pytest.raises(ItemError, match=r"^it contains 'a\ufffd' with wrong type$"):
        JsonObject({"a\0": 1}, "it").text("a\0")
