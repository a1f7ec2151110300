"""How much one turn takes: so many runs, so many publications, so many bytes."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from handlers.engines.embedded_writer import LARGEST_SLICE, LONGEST_SLICE, MOST_IN_SLICE
from handlers.links.share import Share, share_out
from handlers.protocol.items import Item
from handlers.protocol.mercure.update import StoredUpdate
from tests.handlers.engines.updates import on, update
from tests.handlers.room import stream_item


def items(channels: Sequence[str]) -> list[Item]:
    return [stream_item(channel, b"x") for channel in channels]


def test_it_is_full_after_so_many_channels_and_a_run_of_one_is_one() -> None:
    share = Share()
    share.take_items(items("aaaabbbbcc"))
    share.take_items(items("c"))
    assert not share.is_full
    share.take_items(items("abcde"[: LONGEST_SLICE - 3]))
    assert share.is_full


def test_it_is_full_after_so_many_of_one_channel() -> None:
    share = Share()
    share.take_items(items("a" * (MOST_IN_SLICE - 1)))
    assert not share.is_full
    share.take_items(items("a"))
    assert share.is_full


def test_it_is_full_after_so_many_bytes() -> None:
    share = Share()
    share.take_items(items("a"), LARGEST_SLICE - 1)
    assert not share.is_full
    share.take_updates([], 1)
    assert share.is_full


def test_updates_that_differ_fill_it_sooner_than_those_that_do_not() -> None:
    alike, different = Share(), Share()
    for number in range(LONGEST_SLICE):
        assert not different.is_full
        alike.take_updates([StoredUpdate(seq=number, update=update(1))])
        different.take_updates([StoredUpdate(seq=number, update=on(number, str(number)))])
    assert (alike.is_full, different.is_full) == (False, True)


@given(st.lists(st.sampled_from("abcdefghijkl"), max_size=300))
def test_what_is_shared_out_is_everything_in_its_order_in_pieces_of_a_share(channels: list[str]) -> None:
    pieces = list(share_out(items(channels)))
    assert [item for piece in pieces for item in piece] == items(channels)
    for piece in pieces:
        share = Share()
        share.take_items(piece[:-1])
        assert not share.is_full
