"""The transaction: the limits against a list, and what a failure leaves behind."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.engines.embedded_file import HistoryFile
from handlers.engines.embedded_rows import Row, encode_row
from handlers.engines.embedded_table import LARGEST_INSERT, Table
from handlers.engines.engine import Limits
from handlers.errors import StorageError
from tests.handlers.engines.updates import NOW, presence, subscription, update


@contextmanager
def opened(path: Path, limits: Limits = Limits(), *, at: float = NOW) -> Generator[tuple[Table, sqlite3.Connection]]:  # noqa: B008  # frozen
    with closing(HistoryFile(path, synced=False)) as file:
        table = Table(file.connection, limits)
        table.open(at)
        yield table, file.connection


def kept(connection: sqlite3.Connection) -> list[int]:
    return [seq for (seq,) in connection.execute("SELECT seq FROM updates ORDER BY seq")]


class Step(NamedTuple):
    """Rows that are appended at once, by their sizes, some time after those before."""

    later: float
    sizes: list[int]
    reopen: bool


STEPS = st.lists(
    st.builds(Step, st.sampled_from((0.0, 1.0, 7.0, 30.0)), st.lists(st.integers(0, 60), min_size=1), st.booleans()),
    max_size=12,
)
LIMITS = st.builds(
    Limits,
    size=st.sampled_from((0, 1, 2, 7, 300)),
    age=st.sampled_from((0.0, 1.0, 10.0)),
    bytes=st.sampled_from((0, 1, 200, 1000)),
)


def trimmed(rows: Sequence[tuple[int, Row]], limits: Limits, at: float) -> list[tuple[int, Row]]:
    """Return what the limits leave, said as plainly as can be."""
    left = list(rows)

    def is_too_much() -> bool:
        return bool(
            (limits.size and len(left) > limits.size)
            or (limits.age and left[0][1].at < at - limits.age)
            or (limits.bytes and sum(row.size for _, row in left) > limits.bytes)
        )

    while len(left) > 1 and is_too_much():
        del left[0]
    return left


# Each example opens a file for each step.
@settings(max_examples=40)
@given(limits=LIMITS, steps=STEPS)
def test_h17_what_is_kept_is_what_a_list_would_keep(limits: Limits, steps: list[Step]) -> None:
    model: list[tuple[int, Row]] = []
    seq, at = 0, NOW
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.db"
        for step in steps:
            at += step.later
            # Half the time as it goes on after a restart, whose trimming is one of its own.
            with opened(path, limits, at=at if step.reopen else NOW) as (table, connection):
                model = trimmed(model, limits, at if step.reopen else NOW)
                rows = [encode_row(update(size, data="x" * size), at=at) for size in step.sizes]
                assert table.append(rows) == seq + 1
                model = trimmed([*model, *enumerate(rows, seq + 1)], limits, at)
                seq += len(rows)
                assert kept(connection) == [place for place, _ in model]


def test_h17_after_no_commit_are_there_more_than_the_limit(tmp_path: Path) -> None:
    with opened(tmp_path / "history.db", Limits(size=10)) as (table, connection):
        for number in range(1, 40):
            table.append([encode_row(update(number), at=NOW)])
            assert kept(connection) == list(range(max(1, number - 9), number + 1))


def test_h17_a_lower_limit_is_obeyed_from_the_start_on(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with opened(path) as (table, _):
        table.append([encode_row(update(number), at=NOW) for number in range(100)])
    with opened(path, Limits(size=5)) as (_, connection):
        assert kept(connection) == [96, 97, 98, 99, 100]


def test_a_clock_that_is_put_back_deletes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path / "history.db", Limits(age=10)) as (table, connection):
        table.append([encode_row(update(1), at=NOW)])
        table.append([encode_row(update(2), at=NOW - 1000)])
        assert kept(connection) == [1, 2]
        table.append([encode_row(update(3), at=NOW + 11)])
        assert kept(connection) == [3]


@pytest.mark.parametrize("count", [1, 2, 3, LARGEST_INSERT - 1, LARGEST_INSERT, LARGEST_INSERT + 1, 1000])
def test_a_batch_of_any_length_keeps_its_order(tmp_path: Path, count: int) -> None:
    with opened(tmp_path / "history.db") as (table, connection):
        assert table.append([encode_row(update(number), at=NOW) for number in range(count)]) == 1
        found = connection.execute("SELECT seq, id FROM updates ORDER BY seq").fetchall()
        assert found == [(number + 1, f"urn:test:{number}") for number in range(count)]


@pytest.mark.parametrize("count", [1, 300])
def test_trimming_costs_as_many_statements_whatever_is_kept(tmp_path: Path, count: int) -> None:
    statements: list[str] = []
    with opened(tmp_path / "history.db", Limits(size=count)) as (table, connection):
        table.append([encode_row(update(number), at=NOW) for number in range(count)])
        connection.set_trace_callback(statements.append)
        table.append([encode_row(update(number), at=NOW) for number in range(64)])
    assert [statement.split(maxsplit=1)[0] for statement in statements] == [
        "BEGIN", "INSERT", "SELECT", "DELETE", "COMMIT",
    ]  # fmt: skip


def test_a_commit_that_fails_stores_nothing_and_the_next_one_goes_on(tmp_path: Path) -> None:
    with opened(tmp_path / "history.db") as (table, connection):
        assert table.append([encode_row(update(1), at=NOW)]) == 1
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        large = [encode_row(update(number, data="x" * 10_000), at=NOW) for number in range(5)]
        live = encode_row(presence(subscription(1), active=True), at=NOW)
        for _ in range(2):
            with pytest.raises(StorageError, match=r"^database or disk is full$"):
                table.append([live, *large])
        assert kept(connection) == [1]
        connection.execute("PRAGMA max_page_count = 1000000")
        assert table.append([live, *large]) == 2
        assert kept(connection) == [1, 2, 3, 4, 5, 6, 7]
        assert connection.execute("SELECT count(*) FROM subscriptions").fetchone() == (1,)


def test_rows_that_something_else_put_in_stop_one_commit_at_most(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with opened(path) as (table, _), closing(sqlite3.connect(path, isolation_level=None)) as other:
        table.append([encode_row(update(1), at=NOW)])
        other.execute(
            "INSERT INTO updates SELECT 2, at, size, size, private, retry, type, 'x', topics, NULL, '' FROM updates"
        )
        with pytest.raises(StorageError, match="UNIQUE"):
            table.append([encode_row(update(2), at=NOW)])
        assert table.append([encode_row(update(2), at=NOW)]) == 3
        other.execute("DELETE FROM updates")
    with opened(path) as (table, connection):
        # No place comes twice, even so.
        assert table.append([encode_row(update(3), at=NOW)]) == 4
        assert kept(connection) == [4]


def test_of_a_subscription_that_comes_and_goes_in_one_batch_the_end_counts(tmp_path: Path) -> None:
    with opened(tmp_path / "history.db") as (table, _):
        ann, bob = subscription(1), subscription(2, "again")
        changes = [(ann, True), (ann, False), (bob, True), (bob, False), (subscription(2, "first"), True), (bob, True)]
        table.append([encode_row(presence(of, active=active), at=NOW) for of, active in changes])
        assert table.open(NOW).subscriptions == (bob,)
