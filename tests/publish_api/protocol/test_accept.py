from __future__ import annotations

import pytest

from publish_api.protocol.accept import AnswerType, choose_type


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ([], AnswerType.TEXT),
        (["text/plain"], AnswerType.TEXT),
        (["text/*"], AnswerType.TEXT),
        (["*/*"], AnswerType.TEXT),
        (["*"], AnswerType.TEXT),
        (["application/json"], AnswerType.JSON),
        (["application/*"], AnswerType.JSON),
        (["Application/JSON; q=0.5"], AnswerType.JSON),
        (["text/html, application/json"], AnswerType.JSON),
        (["application/json, text/plain, */*"], AnswerType.TEXT),
        (["text/plain, application/json"], AnswerType.JSON),
        (["text/plain", "application/json"], AnswerType.JSON),
        (["application/json, text/html"], AnswerType.JSON),
        (["text/html"], None),
        ([""], None),
        ([",;/"], None),
    ],
)
def test_the_last_entry_that_can_be_met_wins(accept: list[str], chosen: AnswerType | None) -> None:
    assert choose_type(accept) is chosen
