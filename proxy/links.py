"""The links of held connections to their backends: what comes next, and that a hold has ended (`Grip-Link`).

Made by `proxy.client_side`, asked by `proxy.holding` at hold time, and then by the session itself, of which a
`HoldLink` is the `handlers.door.StreamLink`. Only here, and in the fetch, are there tasks, and they are bounded.
"""

from __future__ import annotations

import logging
from collections import Counter
from functools import partial
from typing import assert_never
from zlib import crc32

from handlers.deadline import Deadline
from handlers.errors import InstructError
from handlers.linked_stream import LinkedStreamSession, Polling
from handlers.protocol.instruct import Instruct, NextLink
from handlers.protocol.subscribing import LastSeen
from handlers.session import NO_META, Site, guarded
from proxy.backend import AnswerTruncated
from proxy.errors import UpstreamError
from proxy.flow import Flow
from proxy.link_fetch import Fetch
from proxy.link_site import LinkSite, LinkWay
from proxy.protocol.link_uri import LinkError, LinkUri, follow, request_uri
from proxy.protocol.next_link import PAGES, PAUSE, End, GoOn, HoldAgain, Pages, Sequel, is_success
from proxy.protocol.route import Proto, Target
from proxy.router import LoadedRoute, Router
from proxy.subscriptions import subscribe

log = logging.getLogger("holdfast.link")

AT_ONCE = 0.0
"""The time that all have who do not wait for one, so that they are equal."""

GONE_SECONDS = 60.0
"""How long a backend may take to note that a hold has ended: clients that come and go must not pile up requests."""

GONE_LIMIT = 10_000
"""How many ends of holds one place may have to take note of; each that waits is a task of a few kilobytes."""

LAST_SECONDS = 2.0
"""How long it may take when the process stops."""


class Links:
    """Makes links, and fetches what they ask for: equal requests of one moment as one."""

    def __init__(self, *, site: LinkSite, room: Site, router: Router) -> None:
        self.site = site
        self.room = room
        self._router = router
        self._fetches: dict[tuple[object, ...], Fetch] = {}
        self._untold: Counter[tuple[Target, ...]] = Counter()
        """How many ends each place has still to be told of."""

    def make(self, flow: Flow, instruct: Instruct, *, has_next: bool) -> HoldLink | None:
        """Return what a hold needs, None where it has no link. Without `has_next` only its end is of interest.

        Raises InstructError for a link that leads nowhere.
        """
        next_link = instruct.next_link if has_next else None
        if next_link is None and instruct.gone_link is None:
            return None
        incoming = flow.incoming
        try:
            base = request_uri(is_tls=incoming.is_tls, authority=incoming.authority, path=incoming.path)
            hold = HoldLink(self, flow.loaded, base, label=flow.uri)
            if next_link is not None:
                hold.next_way = hold.way_to(next_link.uri)
            if instruct.gone_link is not None:
                hold.gone_way = hold.way_to(instruct.gone_link)
        except LinkError as error:
            raise InstructError("Grip-Link contains invalid link") from error
        return hold

    def way(self, loaded: LoadedRoute, base: LinkUri, uri: LinkUri) -> LinkWay:
        """Return the way to a link of a hold that began with a request for `base` on the route `loaded`.

        To the place of that request it is the same route, if the route is for the path or there is no other, or else
        whichever a client would take. Never directly: asked from outside, we would hold our own request; and what is
        relative leads to whatever host the client has named, which must not be told, or obeyed. All else is asked
        directly, since a backend has written the host.
        """
        if not uri.is_same_place(base):
            return LinkWay(loaded=loaded, uri=uri, is_internal=False)
        if not uri.path.startswith(loaded.route.path_beg):
            found = self._router.select(host=uri.host, proto=Proto.HTTP, ssl=base.is_tls, path=uri.path)
            return LinkWay(loaded=found or loaded, uri=uri, is_internal=True)
        return LinkWay(loaded=loaded, uri=uri, is_internal=True)

    def fetch(self, follower: HoldLink, way: LinkWay, last_seen: LastSeen, due: float) -> Fetch:
        """Have a link fetched at `due`, together with those who ask for the same before the request is sent."""
        key = (*way.place, last_seen, due)
        fetch = self._fetches.get(key)
        is_new = fetch is None
        if fetch is None:
            fetch = self._fetches[key] = Fetch(self.site, way, last_seen, partial(self._forget, key))
        fetch.join(follower)
        if is_new:
            fetch.start(due)
        return fetch

    def tell_gone(self, way: LinkWay, label: str) -> None:
        """Tell a backend that a hold has ended."""
        place = way.targets
        waiting = self._untold[place]
        if waiting >= GONE_LIMIT:
            self._lose_gone(label, f"{waiting} others wait to be told")
            return
        self._untold[place] += 1
        telling = self.site.errands.start(self._tell_gone(way, label), name=f"gone {label:.200}")
        telling.add_done_callback(lambda _: self._told(place))

    async def close(self) -> None:
        """Let backends be told of the last ends, for a moment, and fetch nothing more."""
        errands = self.site.errands
        try:
            async with Deadline(self.site.clock, LAST_SECONDS):
                await errands.all_done()
        except TimeoutError:
            self.site.counters.gone_notices_lost += len(errands)
            log.warning("stopping: backends may not know of %d ends of holds", len(errands))
        errands.cancel_all()
        await errands.all_done()

    def _forget(self, key: tuple[object, ...], fetch: Fetch) -> None:
        if self._fetches.get(key) is fetch:  # and not the next one of the kind
            del self._fetches[key]

    async def _tell_gone(self, way: LinkWay, label: str) -> None:
        try:
            async with Deadline(self.site.clock, GONE_SECONDS), self.site.slot(way):
                await self._post_gone(way, label)
        except (UpstreamError, AnswerTruncated, TimeoutError) as error:
            is_late = isinstance(error, TimeoutError)
            self._lose_gone(label, f"no answer within {GONE_SECONDS:g} seconds" if is_late else str(error))
        except Exception:
            # The root of the task.
            self.site.counters.gone_notices_lost += 1
            log.exception("%s: internal error", label)
        else:
            self.site.counters.gone_notices += 1

    def _lose_gone(self, label: str, why: str) -> None:
        self.site.counters.gone_notices_lost += 1
        log.warning("%s: its backend does not know of the end: %s", label, why)

    def _told(self, place: tuple[Target, ...]) -> None:
        self._untold[place] -= 1
        if not self._untold[place]:
            del self._untold[place]

    async def _post_gone(self, way: LinkWay, label: str) -> None:
        reached = await self.site.send(way, method=b"POST")
        try:
            if not is_success(reached.answer.status):
                raise UpstreamError(status=502, detail=f"{reached.target.name}: status {reached.answer.status}")
            if await reached.answer.read():
                log.warning("%s: the answer to its end should be empty; nobody reads it", label)
        finally:
            reached.answer.close()


class HoldLink:
    """The links of one hold: a `handlers.door.StreamLink`, and the `proxy.link_fetch.Follower` of what it asks for."""

    __slots__ = ("_base", "_fetch", "_here", "_label", "_links", "_loaded", "_pages", "gone_way", "next_way", "session")

    def __init__(self, links: Links, loaded: LoadedRoute, base: LinkUri, *, label: str) -> None:
        self._links = links
        self._loaded = loaded
        self._base = base
        """The client's request."""
        self._here = base
        """What was fetched last, from which relative links go on."""
        self._label = label
        self._fetch: Fetch | None = None
        self._pages: Pages | None = None
        """Those since the last hold, if there are any."""
        self.next_way: LinkWay | None = None
        self.gone_way: LinkWay | None = None
        self.session: LinkedStreamSession | None = None
        """Set before the session is attached; a long poll needs none."""

    def way_to(self, reference: str) -> LinkWay:
        """Return the way to a link that came with the last answer. Raises LinkError."""
        return self._links.way(self._loaded, self._base, follow(self._here, reference))

    def polling(self, link: NextLink | None) -> Polling | None:
        """Return how often a link is to be asked that this has the way to."""
        if link is None or self.next_way is None:
            return None
        part = crc32(self.next_way.uri.text.encode()) / 2**32
        return Polling(seconds=link.timeout, phase=part * link.timeout)

    # -- for the session ----------------------------------------------------------------------------------------------

    def fetch(self, last_seen: LastSeen) -> None:
        """Ask for what comes next."""
        self._ask(last_seen, AT_ONCE)

    def caught_up(self) -> None:
        """The client is behind no more."""
        if self._fetch is not None:
            self._fetch.caught_up()

    def ended(self) -> None:
        """Stop fetching, and tell who wants to know that the hold is over."""
        fetch, self._fetch = self._fetch, None
        self.session = None
        if fetch is not None:
            fetch.leave(self)
        if self.gone_way is not None:
            self._links.tell_gone(self.gone_way, self._label)

    # -- for the fetch ------------------------------------------------------------------------------------------------

    @property
    def is_behind(self) -> bool:
        """Whether the client takes less than it is sent."""
        return self.session is not None and self.session.is_behind

    def begin(self, instruct: Instruct, target: Target) -> None:
        """Change the channels to those of the answer."""
        session = self.session
        if session is None or self.next_way is None:
            return
        subscriptions = subscribe(
            self._links.room,
            instruct.channels,
            route=self._loaded.route,
            target=target if self.next_way.is_internal else None,
            label=self._label,
        )
        guarded(session, session.begin_part, subscriptions, dict(instruct.meta) or NO_META)

    def append(self, data: bytes) -> None:
        """Write a piece of the answer's body to the client."""
        if self.session is not None:
            guarded(self.session, self.session.append, data)

    def end(self, instruct: Instruct, sequel: Sequel) -> None:
        """Go on as the answer says."""
        fetched, self._fetch = self._fetch, None
        session = self.session
        if session is None or self.next_way is None:
            return
        self._here = self.next_way.uri
        try:
            match sequel:
                case HoldAgain(link=link):
                    self._pages = None
                    self.next_way = self.way_to(link.uri) if link is not None else None
                    guarded(session, session.hold_again, instruct.keep_alive, self.polling(link))
                case GoOn(link=link, due=due, later=later):
                    self.next_way = self.way_to(link.uri)
                    last_seen = session.ask()
                    is_same = fetched is not None and fetched.asks_for(self.next_way, last_seen)
                    self._ask(last_seen, later if self._must_wait(is_same=is_same) else due)
                case End():
                    guarded(session, session.finish)
                case _:
                    assert_never(sequel)
        except LinkError as error:
            self.fail(str(error))

    def fail(self, why: str, last: bytes = b"") -> None:
        """End the stream, after `last`: nobody knows what is missing in it."""
        self._fetch = None
        session = self.session
        if session is None:
            return
        self._links.site.counters.link_failures += 1
        log.warning("%s: stream ended: %s", self._label, why)
        reason = f"\n\n{why}\n".encode("utf-8", "surrogateescape") if session.debug else b""
        guarded(session, session.finish, last + reason)

    def _must_wait(self, *, is_same: bool) -> bool:
        pages = self._pages = self._pages or Pages()
        if not pages.must_wait(is_same=is_same):
            return False
        if not pages.has_warned:
            pages.has_warned = True
            why = "its next link leads to itself" if is_same else f"more than {PAGES} pages in a row without a hold"
            log.warning("%s: %s, so it is asked every %g seconds (said once)", self._label, why, PAUSE)
        return True

    def _ask(self, last_seen: LastSeen, due: float) -> None:
        assert self.next_way is not None, "only a stream with a next link asks"
        self._fetch = self._links.fetch(self, self.next_way, last_seen, due)
