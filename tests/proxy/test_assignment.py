"""How what was written becomes a value, of whatever type its setting has. What goes before what is `test_config`'s."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest
from msgspec import Meta

from handlers.errors import InvalidSetting
from proxy.assignment import Assignment, Key, Translation, convert, describe, known_keys, suggest
from proxy.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    name: str
    secret: str = field(default="", repr=False)
    sizes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.name == "bad":
            raise InvalidSetting("name", "is bad")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    flag: bool = False
    number: float = 0.0
    word: Literal["a", "b"] = "a"
    maybe: int | None = None
    words: tuple[str, ...] = ()
    secret: str = field(default="", repr=False)
    rows: tuple[Row, ...] = ()
    mode: Annotated[str, Meta(pattern="^[0-7]*$", description="octal digits")] = ""


KEYS: dict[str, Key] = dict(known_keys(Sample, prefix="sample."))
FOLDER = Path("/folder")


def read(name: str, value: object, *, is_text: bool = True, base: Path | None = None) -> object:
    each = Assignment(name=f"sample.{name}", value=value, origin="HERE", is_text=is_text, base=base)
    return convert(each, KEYS[each.name], FOLDER)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("flag", "true", True),
        ("number", "1.5", 1.5),
        ("word", "b", "b"),
        ("maybe", "7", 7),
        ("words", "a, b,", ("a", "b")),
        ("words", "", ()),
        ("secret", "file:key", "file:/folder/key"),
        ("rows", "", ()),
        ("rows", ' [{"name": "x", "sizes": [1, 2]}] ', (Row(name="x", sizes=(1, 2)),)),
        ("rows", '[{"name": "x", "secret": "file:key"}]', (Row(name="x", secret="file:/folder/key"),)),
    ],
)
def test_text_is_read_as_what_the_setting_needs(name: str, text: str, value: object) -> None:
    assert read(name, text) == value


def test_what_has_a_type_is_taken_as_it_is() -> None:
    assert read("words", ["a,b"], is_text=False) == ("a,b",)
    assert read("rows", [{"name": "x"}, {"name": "y"}], is_text=False) == (Row(name="x"), Row(name="y"))
    assert read("secret", "file:key", is_text=False, base=Path("/base")) == "file:/base/key"


@pytest.mark.parametrize(
    ("name", "value", "is_text", "text"),
    [
        ("flag", "yes", True, "HERE: sample.flag: expected true or false, got 'yes'"),
        ("flag", "true", False, "HERE: sample.flag: expected true or false, got 'true'"),
        ("words", "x" * 100, False, f"HERE: sample.words: expected a list of text, got '{'x' * 56}..."),
        ("secret", ["hush"], False, "HERE: sample.secret: expected text"),
        ("mode", "rw", True, "HERE: sample.mode: expected octal digits, got 'rw'"),
        ("rows", "hush", True, "HERE: sample.rows: expected a JSON list of objects"),
        ("rows", '{"name": "hush"}', True, "HERE: sample.rows: expected a JSON list of objects"),
        ("rows", {"name": "hush"}, False, "HERE: sample.rows: expected tables, as in [[sample.rows]]"),
        ("rows", ["hush"], False, "HERE: sample.rows: expected tables, as in [[sample.rows]]"),
        ("rows", [{"name": "x"}, {}], False, "HERE: sample.rows[1]: has no name"),
        ("rows", [{"nane": "x"}], False, "HERE: unknown setting sample.rows[0].nane (did you mean name?)"),
        ("rows", '[{"name": "x", "sizes": ["1"]}]', True, "HERE: sample.rows[0].sizes: expected a list of a whole"),
        ("rows", [{"name": "x", "secret": 5}], False, "HERE: sample.rows[0].secret: expected text"),
        ("rows", [{"name": "bad"}], False, "HERE: sample.rows[0].name: is bad"),
    ],
)
def test_a_value_that_is_none_is_told_with_its_place_and_shows_no_secret(
    name: str, value: object, is_text: bool, text: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read(name, value, is_text=is_text)
    assert str(caught.value).startswith(text)
    assert "hush" not in str(caught.value)


def test_every_type_has_its_words() -> None:
    assert {name.partition(".")[2]: describe(key.type) for name, key in KEYS.items() if name != "sample.rows"} == {
        "flag": "true or false",
        "number": "a number",
        "word": "'a' or 'b'",
        "maybe": "a whole number or nothing",
        "words": "a list of text",
        "secret": "text",
        "mode": "octal digits",
    }


def test_secrets_are_known_by_not_being_shown() -> None:
    assert [name for name, key in KEYS.items() if key.is_secret] == ["sample.secret"]


@pytest.mark.parametrize(("name", "text"), [("flagg", " (did you mean flag?)"), ("zzz", "")])
def test_a_name_that_is_close_is_suggested(name: str, text: str) -> None:
    assert suggest(name, ["flag", "number"]) == text


def test_translations_add_up_in_their_order() -> None:
    first, second = (Assignment(name=name, value="", origin="") for name in "ab")
    whole = Translation(assignments=(first,), warnings=("x",)) + Translation(assignments=(second,), fallbacks=(first,))
    assert whole == Translation(assignments=(first, second), fallbacks=(first,), warnings=("x",))
