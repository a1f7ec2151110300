"""Which presence notices are still to go out, and what is left of them while a backend is behind."""

from __future__ import annotations

from handlers.protocol.names import Channel
from proxy.protocol.presence_backlog import PresenceBacklog
from proxy.protocol.presence_notice import ChannelSubscribed, ChannelUnsubscribed, ConnectionEnded

COMES = ChannelSubscribed(at=1.0, channel=Channel("a"))
GOES = ChannelUnsubscribed(at=2.0, channel=Channel("a"))
AGAIN = ChannelSubscribed(at=3.0, channel=Channel("a"))
END = ConnectionEnded(at=4.0, id="1-a", kind="ws", channels=(Channel("a"),))
LATER = ConnectionEnded(at=5.0, id="1-b", kind="ws", channels=())


def backlog_of(*notices: ChannelSubscribed | ChannelUnsubscribed | ConnectionEnded, room: int = 9) -> PresenceBacklog:
    backlog = PresenceBacklog()
    for notice in notices:
        assert backlog.put(notice, room=room) == 0
    return backlog


def test_everything_goes_out_in_order() -> None:
    backlog = backlog_of(COMES, END, GOES, AGAIN)
    assert (backlog.take(3), backlog.take(3), len(backlog)) == ((COMES, END, GOES), (AGAIN,), 0)


def test_merged_a_channel_has_its_last_notice_and_what_cancels_is_gone() -> None:
    backlog = backlog_of(COMES, END, GOES, AGAIN)
    backlog.merge()
    assert backlog.take(9) == (END, AGAIN)
    assert backlog.merged == 2
    for notice in (GOES, LATER, AGAIN):
        backlog.put(notice, room=9)
    assert backlog.take(9) == (LATER,)
    assert backlog.merged == 4
    backlog.caught_up()
    for notice in (GOES, AGAIN):
        backlog.put(notice, room=9)
    assert backlog.take(9) == (GOES, AGAIN)


def test_what_may_have_been_heard_is_not_cancelled() -> None:
    backlog = backlog_of()
    backlog.merge()
    backlog.put_back((COMES,))
    backlog.put(GOES, room=9)
    backlog.put(AGAIN, room=9)
    assert backlog.take(9) == (AGAIN,)
    backlog.put(GOES, room=9)
    backlog.put(AGAIN, room=9)
    assert backlog.take(9) == (), "the last one out was sure again"


def test_what_waits_is_newer_than_what_is_put_back() -> None:
    backlog = backlog_of(GOES, LATER)
    backlog.merge()
    backlog.put_back((COMES,))
    backlog.put(AGAIN, room=9)
    assert backlog.take(9) == (LATER, AGAIN)
    assert backlog.merged == 2


def test_of_ends_the_oldest_makes_room_for_a_channel_and_the_newest_finds_none() -> None:
    backlog = backlog_of(END, LATER, room=2)
    assert backlog.put(END, room=2) == 1
    assert backlog.put(COMES, room=2) == 1
    assert backlog.take(9) == (LATER, COMES)
