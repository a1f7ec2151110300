from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.protocol.body_patch import BodyPatchError, patch_body

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
OPERATIONS = st.lists(
    st.fixed_dictionaries(
        {"op": st.sampled_from(("add", "remove", "replace", "move", "copy", "test", "x")), "path": st.text(max_size=4)},
        optional={"value": JSON, "from": st.text(max_size=4)},
    )
    | JSON,
    max_size=3,
)


def patched(body: str, *operations: dict[str, object]) -> str:
    return patch_body(body.encode(), json.dumps(operations).encode()).decode()


@pytest.mark.parametrize(
    ("body", "operation", "result"),
    [
        ('{"list": [1]}', {"op": "add", "path": "/list/-", "value": 2}, '{"list":[1,2]}'),
        ('{"b": 1, "a": 2}\n', {"op": "remove", "path": "/b"}, '{"a":2}\n'),
        ('{"b": 1}\r\n', {"op": "replace", "path": "/b", "value": "é"}, '{"b":"é"}\r\n'),
        ('{"b": 1}', {"op": "move", "from": "/b", "path": "/a"}, '{"a":1}'),
        ("[1]", {"op": "copy", "from": "/0", "path": "/1"}, "[1,1]"),
        ('{"n": 9007199254740993}', {"op": "test", "path": "/n", "value": 9007199254740993}, '{"n":9007199254740993}'),
    ],
)
def test_each_operation_gives_compact_sorted_json(body: str, operation: dict[str, object], result: str) -> None:
    assert patched(body, operation) == result


@pytest.mark.parametrize(
    ("body", "operation"),
    [
        ("not json", {"op": "remove", "path": "/a"}),
        ("5", {"op": "replace", "path": "", "value": 1}),
        ("{}", {"op": "remove", "path": "/a"}),
        ("{}", {"op": "test", "path": "/a", "value": 1}),
        ("{}", {"op": "nope", "path": "/a"}),
        ("{}", {"op": "add", "path": "no slash", "value": 1}),
        ("[]", {"op": "add", "path": "/5", "value": 1}),
        ("[" * 100_000, {"op": "remove", "path": "/a"}),
    ],
)
def test_what_does_not_apply_is_an_error(body: str, operation: dict[str, object]) -> None:
    with pytest.raises(BodyPatchError):
        patched(body, operation)


@pytest.mark.timeout(10)
def test_copies_that_double_the_body_are_stopped_before_they_fill_the_memory() -> None:
    double: dict[str, object] = {"op": "copy", "from": "/a", "path": "/a/-"}
    with pytest.raises(BodyPatchError, match="more than 50 copies, or more than 1000000 bytes"):
        patched('{"a": [1]}', *[double] * 40)


def test_a_patch_of_too_many_operations_is_refused() -> None:
    with pytest.raises(BodyPatchError, match="at most 1000 operations"):
        patched("{}", *[{"op": "add", "path": "/a", "value": 1}] * 1001)


@given(JSON, OPERATIONS)
def test_any_patch_on_any_body_gives_bytes_or_the_error(body: object, operations: object) -> None:
    with contextlib.suppress(BodyPatchError):
        json.loads(patch_body(json.dumps(body).encode(), json.dumps(operations).encode()))
