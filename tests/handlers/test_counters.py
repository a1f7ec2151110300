"""The counters are numbers from zero, each with the text that tells an operator what it counts."""

from __future__ import annotations

import ast
import dataclasses
import inspect

import pytest

from handlers.counters import Counters

FIELDS = [counter.name for counter in dataclasses.fields(Counters)]


def test_every_counter_starts_at_zero() -> None:
    assert set(dataclasses.asdict(Counters()).values()) == {0}


def test_a_counter_that_does_not_exist_cannot_be_counted() -> None:
    with pytest.raises(AttributeError):
        Counters().deliverys = 1  # type: ignore[attr-defined]


def test_every_counter_is_followed_by_its_text() -> None:
    (definition,) = ast.parse(inspect.getsource(Counters)).body
    assert isinstance(definition, ast.ClassDef)
    body = definition.body[1:]
    for counter, text in zip(body[::2], body[1::2], strict=True):
        assert isinstance(counter, ast.AnnAssign)
        assert isinstance(text, ast.Expr)
        assert isinstance(text.value, ast.Constant)
    assert len(body) == 2 * len(FIELDS)
