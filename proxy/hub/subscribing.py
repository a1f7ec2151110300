"""Opens subscriptions: checks the request, finds where the subscriber begins, replays, and hands over to a session.

The order is the reference's (1.3): parameters, token, matchers, and only then anything that costs. What is held belongs
to `handlers.hub` from then on.
"""

from __future__ import annotations

import math
import uuid
from operator import attrgetter

from handlers.errors import Challenge, HubRefusal
from handlers.hub.auth import Authority, Role
from handlers.hub.hub import Hub
from handlers.hub.settings import HubSettings
from handlers.hub.subscriber import Subscriber
from handlers.protocol.mercure.grants import Token
from handlers.protocol.mercure.matcher import Matcher
from handlers.protocol.mercure.matching import CompiledMatcher
from handlers.protocol.mercure.subscribing import TOO_COMPLEX, check_matchers, query_limit, read_parameters, size_limit
from handlers.protocol.mercure.subscription import payload_for
from handlers.protocol.mercure.update import ActiveSubscription
from handlers.protocol.mercure.url_pattern import MatcherError
from handlers.protocol.names import SubscriberId
from handlers.session import Site
from handlers.timers import TimerWheel
from proxy.hub.history import History
from proxy.hub.holding import HubHolding, Place
from proxy.hub.request import HubRequest

LEAST_LIFE = 0.8
"""A connection ends at 80 to 100 % of its time, so that those that came together do not come back together."""


class Subscribing:
    """Serves subscribers. May be called any number of times at once."""

    def __init__(
        self,
        *,
        hub: Hub,
        authority: Authority,
        history: History,
        holding: HubHolding,
        site: Site,
        settings: HubSettings,
    ) -> None:
        self._hub = hub
        self._authority = authority
        self._history = history
        self._holding = holding
        self._site = site
        self._settings = settings

    @property
    def is_open(self) -> bool:
        """Whether anybody could subscribe."""
        return self._settings.anonymous or self._authority.has_keys(Role.SUBSCRIBER)

    @property
    def has_keys(self) -> bool:
        """Whether subscribers' tokens can be verified."""
        return self._authority.has_keys(Role.SUBSCRIBER)

    async def subscribe(self, request: HubRequest) -> None:
        """Answer a subscriber, or hold it. Raises HubRefusal."""
        # Of other methods too: what of it came while the connection is held would be taken for the next request.
        body = await request.read_body(query_limit(self._settings))
        form = body if request.method == b"QUERY" else None
        asked = read_parameters(request.query, form, request.header(b"last-event-id"), settings=self._settings)
        token = await self.check_token(request, asked.tokens)
        check_matchers(asked, self._settings)
        compiled = self._compile(asked.matchers)
        start = await self._history.find(asked.cursor)
        # A poll is over as soon as it has something: to tell of each would be an update for every update.
        is_told_of = asked.poll is None or request.exchange.head.is_websocket
        place = Place(
            request=request,
            subscriber=self._make_subscriber(asked.matchers, compiled, token, is_told_of=is_told_of),
            start=start,
            ends_at=self._end_of(token),
            has_cookie=token is not None and token.is_cookie,
        )
        if request.exchange.head.is_websocket:
            await self._holding.hold_socket(place)
        elif asked.poll is not None and request.method != b"HEAD":
            await self._holding.hold_poll(place, asked.poll)
        else:
            await self._holding.hold_stream(place)

    async def check_token(self, request: HubRequest, query_tokens: tuple[str, ...]) -> Token | None:
        """Return the subscriber's token; None for one who needs none. Raises HubRefusal."""
        if not self._authority.has_keys(Role.SUBSCRIBER):
            return None  # a hub that cannot verify tokens does not look at them (row A13)
        token = await self._authority.check(request.shown(query_tokens), Role.SUBSCRIBER, resource=request.resource)
        if token is None and not self._settings.anonymous:
            raise HubRefusal(401, "Unauthorized", challenge=Challenge.NO_TOKEN, reason="no token")
        return token

    def _compile(self, matchers: tuple[Matcher, ...]) -> tuple[CompiledMatcher, ...]:
        """Compile the patterns, as far as there may be so much to compile and there is room for them."""
        compiled: list[CompiledMatcher] = []
        left = size_limit(self._settings)
        for matcher in dict.fromkeys(filter(attrgetter("is_pattern"), matchers)):
            try:
                compiled.append(self._hub.audience.matching.compile(matcher))
            except MatcherError as error:
                raise HubRefusal(400, str(error), reason=f"pattern does not compile: {matcher.value:.200}") from error
            left -= compiled[-1].size
            if left < 0:
                raise HubRefusal(400, TOO_COMPLEX, reason="more instructions than its patterns may have")
        self._hub.audience.check_room(matchers)
        return tuple(compiled)

    def _make_subscriber(
        self,
        matchers: tuple[Matcher, ...],
        compiled: tuple[CompiledMatcher, ...],
        token: Token | None,
        *,
        is_told_of: bool,
    ) -> Subscriber:
        subscriber_id = SubscriberId(uuid.uuid4().urn)
        distinct = tuple(dict.fromkeys(matchers))
        readable = self._hub.audience.readables.of(token.grants.readable if token else ())
        subscriptions: tuple[ActiveSubscription, ...] = ()
        if self._settings.subscriptions and is_told_of:
            subscriptions = tuple(self._subscription(subscriber_id, matcher, token) for matcher in distinct)
        return Subscriber(
            id=subscriber_id,
            matchers=distinct,
            readable=readable,
            subscriptions=subscriptions,
            compiled=compiled,
            name=token.name if token else "",
        )

    def _subscription(self, subscriber: SubscriberId, matcher: Matcher, token: Token | None) -> ActiveSubscription:
        payload = payload_for(matcher, token.grants, self._hub.audience.matching.matches) if token else None
        return ActiveSubscription(subscriber=subscriber, matcher=matcher, payload=payload)

    def _end_of(self, token: Token | None) -> float:
        """Return when the connection has to end, in monotonic seconds (reference 1.15)."""
        clock, life = self._site.clock, self._settings.write_timeout or math.inf
        if token is not None and token.expires_at is not None:
            life = min(life, token.expires_at - clock.wall())
        part = LEAST_LIFE + (1 - LEAST_LIFE) * self._site.random()
        # The wheel may be late by as much, and a token must not be outlived.
        return clock.now() + max(life * part - TimerWheel.RESOLUTION, 0.0)
