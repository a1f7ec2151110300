"""The options of the hub's commands, as they come out of the parser."""

from __future__ import annotations

import argparse

import pytest

from proxy.mercure_commands import add_mercure_commands


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_mercure_commands(parser.add_subparsers(dest="command"))
    return parser.parse_args(words)


@pytest.mark.parametrize(
    ("words", "protocol"),
    [((), None), (("--legacy",), "8"), (("--protocol", "2019"), "2019"), (("--protocol", "1.0"), "1.0")],
)
def test_a_dialect_is_named_once(words: tuple[str, ...], protocol: str | None) -> None:
    assert parse("mercure-token", *words).protocol == protocol


def test_topics_and_patterns_may_be_repeated() -> None:
    words = ("--publish", "a", "--publish", "b", "--subscribe-urlpattern", "c", "--subscribe-urlpattern", "d")
    args = parse("mercure-token", *words)
    assert (args.publish_topics, args.publish_patterns) == (["a", "b"], [])
    assert (args.subscribe_topics, args.subscribe_patterns) == ([], ["c", "d"])


@pytest.mark.parametrize("words", [("mercure-token",), ("mercure-check", "-")])
def test_what_the_serving_commands_have_is_there_and_not_set(words: tuple[str, ...]) -> None:
    args = parse(*words, "--set", "mercure.path=/hub")
    assert (args.listen, args.publish, args.routes, args.route) == (None, None, None, [])
    assert args.set == ["mercure.path=/hub"]


@pytest.mark.parametrize(
    "words",
    [
        ("mercure-token", "--legacy", "--protocol", "1.0"),
        ("mercure-token", "--protocol", "7"),
        ("mercure-token", "--pub", "a"),
        ("mercure-check",),
        ("mercure-check", "x", "--role", "reader"),
    ],
)
def test_a_wrong_command_line_is_refused(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(*words)
    assert "usage: " in capsys.readouterr().err
