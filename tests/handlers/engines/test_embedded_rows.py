"""Updates to rows and back, through SQLite's own JSON as the reader goes."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.engines.embedded_rows import READ_COLUMNS, decode_rows, decode_subscription, encode_row, needles_of
from handlers.engines.engine import Wanted
from handlers.errors import StorageError
from handlers.protocol.mercure.matcher import Matcher, MatcherKind
from handlers.protocol.mercure.update import ActiveSubscription, Presence, StoredUpdate, Update
from handlers.protocol.names import EventId, SubscriberId, Topic
from tests.handlers.engines.updates import presence, subscription, update

TEXT = st.text()
PAYLOADS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
SUBSCRIPTIONS = st.builds(
    ActiveSubscription,
    subscriber=TEXT.map(SubscriberId),
    matcher=st.builds(Matcher, st.sampled_from(MatcherKind), TEXT),
    payload=PAYLOADS,
)
UPDATES = st.builds(
    Update,
    topics=st.lists(TEXT.map(Topic), min_size=1).map(tuple),
    id=TEXT.map(EventId),
    data=TEXT,
    private=st.booleans(),
    type=TEXT,
    retry=st.integers(0, 2**64 - 1),
    presence=st.none() | st.builds(Presence, subscription=SUBSCRIPTIONS, active=st.booleans()),
)


@given(st.lists(UPDATES, max_size=3))
def test_what_was_written_is_read_back(updates: list[Update]) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE updates (seq, private, retry, type, id, topics, presence, data)")
        for seq, each in enumerate(updates):
            row = encode_row(each, at=1.0)
            columns = (seq, row.private, row.retry, row.type, row.id, row.topics, row.presence, row.data)
            connection.execute("INSERT INTO updates VALUES (?, ?, ?, ?, ?, ?, ?, ?)", columns)
        select = f"SELECT CAST(json_group_array(json_array({READ_COLUMNS})) AS BLOB) FROM updates"  # noqa: S608
        ((array,),) = connection.execute(select).fetchall()
    assert decode_rows(array) == tuple(StoredUpdate(seq=seq, update=each) for seq, each in enumerate(updates))


@given(SUBSCRIPTIONS)
def test_a_live_subscription_is_read_back(of: ActiveSubscription) -> None:
    row = encode_row(presence(of, active=True), at=1.0)
    assert row.key is not None
    assert row.payload is not None
    assert decode_subscription(row.key, row.payload) == of


def test_one_that_is_gone_has_a_key_and_no_payload() -> None:
    row = encode_row(presence(subscription(1, {"a": 1}), active=False), at=1.0)
    assert (row.key, row.payload) == (("urn:uuid:1", "urlpattern", "https://example.com/*"), None)


def test_an_update_on_no_subscription_has_neither() -> None:
    row = encode_row(update(1), at=1.0)
    assert (row.key, row.payload, row.presence) == (None, None, None)


@pytest.mark.parametrize(
    ("text", "size"), [("", 0), ("abc", 3), ("é", 2), ("\N{GRINNING FACE}", 4), ("\0\0", 2)]
)  # fmt: skip
def test_size_is_counted_in_bytes(text: str, size: int) -> None:
    empty = encode_row(Update(topics=(Topic(""),), id=EventId("")), at=1.0).size
    full = Update(topics=(Topic(""),), id=EventId(text), data=text, type=text)
    assert encode_row(full, at=1.0).size - empty == 3 * size


def endless() -> object:
    circle: list[object] = []
    circle.append(circle)
    return circle


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(update(1, data="\ud800"), id="data"),
        pytest.param(Update(topics=(Topic("\ud800"),), id=EventId("1")), id="topic"),
        pytest.param(Update(topics=(Topic("a"),), id=EventId("\udc80")), id="id"),
        pytest.param(Update(topics=(Topic("a"),), id=EventId("1"), type="\ud800"), id="type"),
        pytest.param(presence(subscription(1, {1j}), active=True), id="a payload that is no JSON"),
        pytest.param(presence(subscription(1, endless()), active=True), id="a payload without an end"),
        pytest.param(
            presence(
                ActiveSubscription(
                    subscriber=SubscriberId("1"), matcher=Matcher(MatcherKind.EXACT, "\ud800"), payload=None
                ),
                active=True,
            ),
            id="matcher",
        ),
    ],
)
def test_what_cannot_be_written_is_refused(bad: Update) -> None:
    with pytest.raises(StorageError, match=r"^the update cannot be stored: "):
        encode_row(bad, at=1.0)


@pytest.mark.parametrize(
    "row",
    [
        [1, 0, "x", "", "id", '["a"]', None, ""],
        [1, 0, "0", "", "id", '["a', None, ""],
        [1, 0, "0", "", "id", "[1]", None, ""],
        [1, 0, "0", "", "id", '["a"]', "[]", ""],
        [1, 0, "0", "", "id", '["a"]', '["a", "no kind", "b", true, null]', ""],
        [1, 0, "0", "", None, '["a"]', None, ""],
        [1],
    ],
)
def test_a_row_that_something_else_wrote_is_refused(row: list[object]) -> None:
    with pytest.raises(StorageError, match=r"^an update cannot be read: "):
        decode_rows(msgspec.json.encode([row]))


@given(topics=st.lists(TEXT, min_size=1), other=TEXT)
def test_the_column_of_topics_holds_what_is_looked_for_if_it_is_there(topics: list[str], other: str) -> None:
    column = encode_row(Update(topics=tuple(map(Topic, topics)), id=EventId("1")), at=0).topics
    for topic in topics:
        beginning = topic[: len(topic) // 2]
        needles = needles_of(Wanted(topics=(topic,), beginnings=(beginning,)))
        assert all(needle in column for needle in needles)
        with closing(sqlite3.connect(":memory:")) as connection:
            assert connection.execute("SELECT instr(?, ?)", (column, needles[0])).fetchone()[0] > 0
    if other not in topics:
        assert needles_of(Wanted(topics=(other,)))[0] not in msgspec.json.decode(column, type=list[str])
