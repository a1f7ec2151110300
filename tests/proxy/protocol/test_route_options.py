from __future__ import annotations

import pytest

from proxy.protocol.route_line import LineError, Section
from proxy.protocol.route_options import OptionReader


def reader(*options: tuple[str, str]) -> OptionReader:
    return OptionReader(Section(value="*", options=options))


def test_an_option_that_is_not_there_reads_as_nothing_and_is_not_noted() -> None:
    options = reader()
    assert options.flag("x") is False
    assert options.every("x") == ()
    assert options.texts("x") == ()
    assert options.last("x") is None
    assert options.text("x") is None
    assert options.host("x") == ""
    assert options.choice("x", {"a": 1}) is None
    assert options.number("x") is None
    assert options.octal("x") is None
    assert options.seconds("x") is None
    assert options.finish() == ()


def test_what_nobody_has_read_is_unknown() -> None:
    options = reader(("b", ""), ("a", "1"), ("c", ""))
    assert options.flag("b")
    assert options.finish() == ("unknown option: a", "unknown option: c")


def test_the_last_of_repeated_values_counts_and_that_is_noted() -> None:
    options = reader(("a", "1"), ("a", "2"))
    assert options.text("a") == "2"
    assert options.finish() == ("option is repeated, the last one counts: a",)


def test_a_repeatable_option_may_be_repeated() -> None:
    options = reader(("a", "1"), ("a", "2"), ("b", "1"), ("b", ""))
    assert options.texts("a") == ("1", "2")
    assert options.every("b") == ("1", "")
    assert options.finish() == ()


def test_a_text_without_a_value_is_ignored_and_that_is_noted() -> None:
    options = reader(("a", ""), ("b", ""), ("b", "1"))
    assert options.text("a") is None
    assert options.texts("b") == ("1",)
    assert options.finish() == ("option without a value is ignored: a", "option without a value is ignored: b")


def test_a_switch_cannot_be_turned_off_and_that_is_noted() -> None:
    options = reader(("insecure", "no"))
    assert options.flag("insecure")
    assert options.finish() == ("option takes no value and is on all the same: insecure",)


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("007", 7), ("999999999", 999_999_999)])
def test_a_number_is_read(text: str, number: int) -> None:
    options = reader(("a", text))
    assert options.number("a") == number
    assert options.finish() == ()


@pytest.mark.parametrize("text", ["", "x", "-1", "+1", " 1", "1_0", "1.0", "٣", "1" * 10, "1" * 5000])
def test_what_is_not_a_number_counts_as_0_and_is_noted(text: str) -> None:
    options = reader(("a", text))
    assert options.number("a") == 0
    assert options.finish() == ("not a number, taken as 0: a",)


@pytest.mark.parametrize("text", ["h", "a-b_c.d", "127.0.0.1:80", "h:1", "h:65535", "[::1]", "[::1]:80"])
def test_a_host_may_have_a_port(text: str) -> None:
    assert reader(("host", text)).host("host") == text


@pytest.mark.parametrize(
    "text", [":80", "h:", "h:0", "h:65536", "::1", "h/x", "a b", "h,i", "user@h", "é", "[::1", "h:8o"]
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(LineError, match=r"^host must use format 'host\[:port\]'$"):
        reader(("host", text)).host("host")


def test_a_word_that_is_not_one_of_the_choices_is_refused() -> None:
    with pytest.raises(LineError, match=r"^a must be set to 'x' or 'y'$"):
        reader(("a", "z")).choice("a", {"x": 1, "y": 2})


@pytest.mark.parametrize("text", ["", "8", "0o7", "-7", "77777"])
def test_what_is_not_octal_is_refused(text: str) -> None:
    with pytest.raises(LineError, match=r"^a must be an octal number up to 7777$"):
        reader(("a", text)).octal("a")


@pytest.mark.parametrize(("text", "seconds"), [("0.001", 0.001), ("2", 2.0), ("999999.999", 999_999.999)])
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert reader(("a", text)).seconds("a") == seconds
