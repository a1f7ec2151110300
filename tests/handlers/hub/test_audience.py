"""The fan-out of updates: everybody who asks for one and may read it gets it once, in order; nobody else is asked."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from handlers.errors import HubRefusal
from handlers.protocol.http1 import encode_chunk
from handlers.protocol.mercure.event import encode_event
from handlers.protocol.mercure.matcher import Matcher
from handlers.protocol.names import Topic
from tests.handlers.hub.hub_room import EVENT, HUB_PATH, HubRoom, exact, pattern, presence_of, selector, update

CHUNK = encode_chunk(EVENT)
BOOK = "https://example.com/books/1"
ALL_GRANTS = (exact("*"),)


# -- who asks for it ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("matchers", "receives"),
    [
        ((exact(BOOK),), True),
        ((exact("*"),), True),
        ((pattern("*"),), True),
        ((selector("*"),), True),
        ((pattern("https://example.com/books/:id"),), True),
        ((pattern("*://*/books/:id"),), True),
        ((selector("https://example.com/books/{id}"),), True),
        ((selector("{+everything}"),), True),
        ((selector(BOOK),), True),
        ((exact("other"), pattern("https://example.com/:id"), selector("https://example.com/{x}/1")), True),
        ((exact("https://example.com/books/2"),), False),
        ((pattern("https://example.com/authors/:id"),), False),
        ((selector("https://example.com/authors/{id}"),), False),
        ((exact(""),), False),
        ((), False),
    ],
    ids=str,
)
async def test_s13_s32_an_update_reaches_those_with_a_matcher_for_it(
    hub_room: HubRoom, matchers: tuple[Matcher, ...], receives: bool
) -> None:
    [(transport, _)] = hub_room.crowd(1, *matchers)
    assert hub_room.audience.deliver(update(BOOK)) == receives
    assert transport.written == [CHUNK] * receives
    assert hub_room.counters.deliveries == receives


async def test_an_alternate_topic_counts_like_the_canonical_one(hub_room: HubRoom) -> None:
    [(transport, _)] = hub_room.crowd(1, exact("b"))
    assert hub_room.audience.deliver(update("a", "b")) == 1
    assert transport.written == [CHUNK]


async def test_s24_of_an_update_with_many_matches_there_is_one_event(hub_room: HubRoom) -> None:
    matchers = exact(BOOK), exact("*"), pattern("https://example.com/*"), selector("{+x}"), exact(BOOK), exact("b")
    [(transport, _)] = hub_room.crowd(1, *matchers)
    assert hub_room.audience.deliver(update(BOOK, "b", "c")) == 1
    assert transport.written == [CHUNK]
    assert hub_room.counters.deliveries == 1


async def test_s35_with_matchers_of_both_dialects_it_gets_what_either_asks_for(hub_room: HubRoom) -> None:
    [(transport, _)] = hub_room.crowd(1, exact("a"), selector("/b/{id}"), chunked=False)
    for number, topics in enumerate([("a",), ("/b/1",), ("a", "/b/2"), ("c",)]):
        hub_room.audience.deliver(update(*topics, event_id=str(number)))
    assert transport.written == [b"id: %d\ndata: x\n\n" % number for number in range(3)]


async def test_each_kind_of_session_takes_its_own_form(hub_room: HubRoom) -> None:
    streaming, _ = await hub_room.listen(exact("a"))
    old, _ = await hub_room.listen(exact("*"), chunked=False)
    polling, _ = await hub_room.ask(selector("a"))
    plain, _ = await hub_room.socket(exact("a"))
    deflated, _ = await hub_room.socket(exact("a"), is_deflated=True)
    hub_room.hub.publish(update("a"))
    assert await streaming.read_exactly(len(CHUNK)) == CHUNK
    assert await old.read_exactly(len(EVENT)) == EVENT
    assert json.loads((await polling.response()).body)["last_event_id"] == "#1"
    for client in (plain, deflated):
        assert json.loads(await client.heard()) == {"id": "1", "data": "x"}
    assert hub_room.counters.deliveries == 5


async def test_e12_everybody_gets_everything_in_one_order(hub_room: HubRoom) -> None:
    held = [await hub_room.listen(matcher) for matcher in (exact("a"), exact("*"), pattern("/*"), selector("{x}"))]
    for number in range(50):
        hub_room.hub.publish(update("a", "/b", event_id=str(number)))
    for client, _ in held:
        for number in range(50):
            assert await client.chunk() == b"id: %d\ndata: x\n\n" % number


# -- who may read it ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grants", "topics", "receives"),
    [
        pytest.param((exact("b"),), ("a", "b"), True, id="a21 routed by one topic, granted by another"),
        pytest.param((exact("a"),), ("a", "b"), True, id="a21 both by the same"),
        pytest.param((exact("c"),), ("a", "b"), False, id="a22 granted another topic"),
        pytest.param((), ("a",), False, id="a23 a24 nothing is granted"),
        pytest.param((exact("*"),), ("a",), True, id="everything is granted"),
        pytest.param((exact("*"),), ("b",), False, id="not asked for"),
        pytest.param((selector("/users/{id}"),), ("a", "/users/1"), True, id="granted by a selector"),
    ],
)
@pytest.mark.parametrize("chunked", [True, False])
async def test_private_updates_need_a_grant_on_any_of_their_topics(
    hub_room: HubRoom, grants: tuple[Matcher, ...], topics: tuple[str, ...], receives: bool, chunked: bool
) -> None:
    [(transport, _)] = hub_room.crowd(1, exact("a"), grants=grants, chunked=chunked)
    assert hub_room.audience.deliver(update(*topics, is_private=True)) == receives
    assert transport.written == [CHUNK if chunked else EVENT] * receives
    assert hub_room.counters.deliveries == receives


async def test_a24_without_grants_public_updates_come_all_the_same(hub_room: HubRoom) -> None:
    [(transport, _)] = hub_room.crowd(1, exact("*"), chunked=False)
    hub_room.audience.deliver(update("a", event_id="private", is_private=True))
    hub_room.audience.deliver(update("a"))
    assert transport.written == [EVENT]


async def test_equal_grants_are_asked_once_for_an_update(hub_room: HubRoom) -> None:
    mine, theirs = exact("/users/1"), exact("/users/2")
    granted = hub_room.crowd(200, exact("a"), grants=(mine,))
    others = hub_room.crowd(200, exact("a"), grants=(theirs,))
    hub_room.matching.asked.clear()
    assert hub_room.audience.deliver(update("a", "/users/1", is_private=True)) == 200
    asked = Counter(hub_room.matching.asked)
    assert asked == {(matcher, topic): 1 for matcher in (mine, theirs) for topic in ("a", "/users/1")}
    assert all(transport.written for transport, _ in granted)
    assert not any(transport.written for transport, _ in others)


async def test_a_public_update_asks_for_no_grants(hub_room: HubRoom) -> None:
    hub_room.crowd(10, exact("a"), grants=(pattern("https://example.com/*"),))
    hub_room.matching.asked.clear()
    assert hub_room.audience.deliver(update("a")) == 10
    assert not hub_room.matching.asked


# -- what tells of subscriptions ------------------------------------------------------------------------------------

CURRENT = pattern(f"{HUB_PATH}/subscriptions/*")
LEGACY = selector(f"{HUB_PATH}/subscriptions/{{topic}}/{{subscriber}}")


@pytest.mark.parametrize(
    ("matchers", "members"),
    [
        pytest.param((CURRENT,), {"type": "subscription", "match": "a b", "match_type": "exact"}, id="current"),
        pytest.param((LEGACY,), {"type": "Subscription", "topic": "a b"}, id="legacy"),
        pytest.param((LEGACY, CURRENT), {"type": "subscription", "match": "a b"}, id="both: the current one"),
        pytest.param((exact("*"),), {"type": "subscription"}, id="everything"),
        pytest.param((selector("*"),), {"type": "Subscription"}, id="everything, as before 1.0"),
        pytest.param((selector("*"), exact("*")), {"type": "subscription"}, id="everything, in both"),
    ],
)
async def test_l19_each_watcher_is_told_once_and_in_its_dialect(
    hub_room: HubRoom, matchers: tuple[Matcher, ...], members: dict[str, str]
) -> None:
    client, _ = await hub_room.socket(*matchers, grants=ALL_GRANTS)
    streaming, _ = await hub_room.listen(*matchers, grants=ALL_GRANTS)
    assert hub_room.audience.deliver(presence_of(exact("a b"))) == 2
    message = json.loads(await client.heard())
    document = json.loads(message["data"])
    assert members.items() <= document.items()
    assert document["subscriber"] == "urn:uuid:other"
    assert document["active"] is True
    assert message.get("type", "") == ("mercure" if document["type"] == "subscription" else "")
    lines = (await streaming.chunk()).decode().split("\n")
    assert ("event: mercure" in lines) is (document["type"] == "subscription")
    data = "\n".join(line.removeprefix("data: ") for line in lines if line.startswith("data: "))
    assert data == message["data"]
    assert client.pending() == streaming.pending() == b""


async def test_of_subscriptions_only_those_are_told_whose_token_lets_them(hub_room: HubRoom) -> None:
    told = hub_room.crowd(1, CURRENT, grants=(CURRENT,)) + hub_room.crowd(1, LEGACY, grants=(LEGACY,))
    untold = hub_room.crowd(1, CURRENT, LEGACY) + hub_room.crowd(1, exact("*"), grants=(exact("a"),))
    untold += hub_room.crowd(1, exact("a"), grants=ALL_GRANTS)
    assert hub_room.audience.deliver(presence_of(exact("a"))) == 2
    assert all(transport.written for transport, _ in told)
    assert not any(transport.written for transport, _ in untold)


async def test_the_two_names_of_a_subscription_are_not_mixed_up(hub_room: HubRoom) -> None:
    """A current matcher does not see the older name, nor the other way round."""
    current, legacy = presence_of(exact("a")).topics
    [(transport, _)] = hub_room.crowd(1, exact(legacy), selector(current), grants=ALL_GRANTS)
    assert hub_room.audience.deliver(presence_of(exact("a"))) == 0
    assert not transport.written


# -- how many patterns there may be ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "matchers",
    [
        pytest.param((pattern("*://*/3"),), id="without a beginning"),
        pytest.param((exact("a"), selector("{c}")), id="without a beginning, of the other dialect"),
        pytest.param((pattern("https://e.com/:c"),), id="under one anchor"),
        pytest.param((selector("/a/{c}"), selector("/b/{c}")), id="under one anchor, as before 1.0"),
    ],
)
async def test_more_patterns_in_one_place_than_a_topic_may_be_tried_on_are_refused(
    matchers: tuple[Matcher, ...],
) -> None:
    room = HubRoom(unanchored_limit=2)
    known = pattern("*://*/1"), pattern("https://e.com/:a"), selector("/a/{a}")
    others = selector("{b}"), pattern("https://e.com/:b"), selector("/a/{b}")
    [(_, session)] = room.crowd(1, *known)
    room.crowd(1, *others)
    for allowed in (known, others, (exact("*"), exact("b"), pattern("https://e.com/x/*"), selector("/b/{c}"))):
        room.audience.check_room(allowed)
    with pytest.raises(HubRefusal) as refused:
        room.audience.check_room(matchers)
    assert (refused.value.status, refused.value.text) == (503, "Service Unavailable")
    assert str(refused.value).endswith("over the unanchored_limit of 2")
    session.leave()
    room.audience.check_room(matchers)


@pytest.mark.parametrize(("limit", "share"), [(2, 1), (19, 1), (20, 2), (1_000, 100)])
async def test_a_subscriber_may_bring_a_tenth_of_the_patterns_without_a_beginning(limit: int, share: int) -> None:
    room = HubRoom(unanchored_limit=limit)
    matchers = tuple((selector if number % 2 else pattern)(f"{{+a}}*:x/{number}") for number in range(share))
    room.audience.check_room(matchers * 2)
    with pytest.raises(HubRefusal) as refused:
        room.audience.check_room((*matchers, selector("{b}")))
    assert refused.value.status == 503


async def test_who_finds_no_room_when_it_joins_is_not_subscribed() -> None:
    """Two subscribers may have passed the door's check before either of them joined."""
    room = HubRoom(unanchored_limit=1)
    room.crowd(1, selector("{a}"))
    with pytest.raises(HubRefusal):
        room.crowd(1, exact("a"), selector("{b}"))
    assert len(room.audience.sessions) == room.counters.mercure_subscribers == room.counters.sessions_opened == 1
    assert room.audience.deliver(update("a")) == 1
    assert room.crowd(1, selector("{a}")), "what others have already is never too much"


async def test_with_a_limit_of_0_there_are_no_patterns() -> None:
    room = HubRoom(unanchored_limit=0)
    room.audience.check_room((exact("a"), selector("/a/b"), pattern("*")))
    for matcher in (selector("{a}"), selector("/a/{b}"), pattern("/a")):
        with pytest.raises(HubRefusal):
            room.audience.check_room((matcher,))


# -- what it costs --------------------------------------------------------------------------------------------------


async def test_with_ten_thousand_others_nobody_is_asked_about_an_update(hub_room: HubRoom) -> None:
    for number in range(10_000):
        kinds = (
            exact(f"https://example.com/books/{number}"),
            pattern(f"https://example.com/authors/{number}/:id"),
            selector(f"https://example.com/shops/{number}/{{id}}"),
        )
        hub_room.crowd(1, kinds[number % 3], grants=(exact(f"/users/{number}"),))
    [(transport, _)] = hub_room.crowd(1, exact("https://example.com/books/news"), grants=(exact("/users/me"),))
    hub_room.matching.asked.clear()
    assert hub_room.audience.deliver(update("https://example.com/books/news")) == 1
    assert not hub_room.matching.asked
    private = update("https://example.com/books/news", "/users/me", is_private=True)
    assert hub_room.audience.deliver(private) == 1
    assert {matcher for matcher, _ in hub_room.matching.asked} == {exact("/users/me")}
    assert transport.written == [CHUNK, CHUNK]


# -- several at once ------------------------------------------------------------------------------------------------


async def test_updates_that_are_alike_leave_in_one_write_for_each_receiver(hub_room: HubRoom) -> None:
    held = hub_room.crowd(3, exact("a")) + hub_room.crowd(2, exact("*"), chunked=False)
    updates = [update("a", event_id=str(number), data=f"{number}\n") for number in range(5)]
    assert hub_room.audience.deliver(*updates) == 5
    events = b"".join(map(encode_event, updates))
    assert [transport.written for transport, _ in held] == [[encode_chunk(events)]] * 3 + [[events]] * 2
    assert hub_room.counters.deliveries == 25


async def test_of_private_updates_that_are_alike_each_reader_gets_all_and_nobody_else_any(hub_room: HubRoom) -> None:
    [(may, _)] = hub_room.crowd(1, exact("a"), grants=ALL_GRANTS, chunked=False)
    [(may_not, _)] = hub_room.crowd(1, exact("a"), chunked=False)
    updates = [update("a", event_id=number, is_private=True) for number in "12"]
    assert hub_room.audience.deliver(*updates) == 1
    assert (may.written, may_not.written) == ([b"".join(map(encode_event, updates))], [])


async def test_a_web_socket_gets_a_message_for_each(hub_room: HubRoom) -> None:
    plain, _ = await hub_room.socket(exact("a"))
    deflated, _ = await hub_room.socket(exact("a"), is_deflated=True)
    hub_room.audience.deliver(*(update("a", event_id=number) for number in "123"))
    for client in (plain, deflated):
        assert [json.loads(await client.heard())["id"] for _ in range(3)] == ["1", "2", "3"]


# -- what an update may cost ----------------------------------------------------------------------------------------


async def test_an_update_that_would_be_tried_too_often_is_refused() -> None:
    async with HubRoom(unanchored_limit=10) as room:
        for number in range(10):
            room.crowd(1, selector(f"{{x}}/{number}"))
        topics = [Topic(f"t/{number}") for number in range(101)]
        room.audience.check_cost(topics[:100])
        with pytest.raises(HubRefusal) as caught:
            room.audience.check_cost(topics)
        assert (caught.value.status, caught.value.text) == (503, "Service Unavailable")
        assert "101 topics are to be tried on patterns 1010 times, more than 1000" in caught.value.reason


async def test_many_topics_are_no_cost_where_no_pattern_is_tried_on_them(hub_room: HubRoom) -> None:
    hub_room.crowd(3, exact("a"), exact("*"), selector("https://example.com/{x}"), pattern("https://example.com/:x"))
    hub_room.audience.check_cost([Topic(f"https://other.example/{number}") for number in range(1000)])
