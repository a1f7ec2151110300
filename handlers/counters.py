"""What happened, in numbers: nothing is dropped, cut or ignored without one of these going up.

Plain integers that only the event loop's thread touches. `publish_api.metrics` shows them to Prometheus; the
docstring under each is the help text there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Final

from handlers.latency import Latency


class Latencies:
    """How long what is counted took."""

    __slots__ = ("backend", "fanout")

    backend: Latency
    """From asking a backend for an answer, a connection to it included, until the answer's head is here."""

    fanout: Latency
    """Handing one or more publications, those that come in one turn of the event loop, to all who receive them."""

    def __post_init__(self) -> None:
        """Begin with nothing."""
        self.backend = Latency()
        self.fanout = Latency()


@dataclass(slots=True)
class Counters(Latencies):
    """Totals since the process started.

    `sessions_stream`, `_response`, `_websocket` and `mercure_subscribers` are how many are held now.
    """

    connections: int = 0
    """Clients connected now, held or not."""
    connections_opened: int = 0
    """Clients connected since the start."""
    connection_seconds: int = 0
    """Seconds for which clients were connected, all together."""
    requests: int = 0
    """Requests received from clients."""
    requests_refused: int = 0
    """Requests refused because they are not well-formed HTTP."""
    requests_unsupported: int = 0
    """Requests answered with 501, or 400 where a request is too large to be held."""
    requests_unrouted: int = 0
    """Requests that no route matched."""
    requests_looping: int = 0
    """Requests for links that came back to where they were sent from."""
    requests_abandoned: int = 0
    """Requests whose client went away before the answer was complete."""
    requests_shared: int = 0
    """Requests answered with a backend's answer to another, equal request (`proxy.share_all`)."""
    backend_failures: int = 0
    """Requests answered with 502: no target reachable, or no usable answer."""
    backend_blocked: int = 0
    """Requests of those answered with 502 because their `untrusted` target has no public address."""
    backend_timeouts: int = 0
    """Requests answered with 504: the backend did not connect or answer in time."""
    backend_retries: int = 0
    """Requests repeated because a reused backend connection turned out to be dead."""
    backend_truncated: int = 0
    """Answers cut because the backend ended in the middle of the body."""
    headers_dropped: int = 0
    """Headers left out of backends' answers because their names are none."""
    instructs_refused: int = 0
    """Backend answers whose GRIP instructions could not be obeyed."""
    sessions_stream: int = 0
    """Streams held now."""
    sessions_response: int = 0
    """Long polls held now."""
    sessions_websocket: int = 0
    """WebSockets held now."""
    sessions_opened: int = 0
    """Connections held since the start."""
    channels_over_limit: int = 0
    """Channels that were not subscribed because of `hold.subscription_limit`."""
    publications: int = 0
    """Items accepted for delivery."""
    publications_duplicate: int = 0
    """Items dropped because their id was seen on the channel before."""
    publications_early: int = 0
    """Items that waited for the one that they follow (`prev-id`)."""
    publications_late: int = 0
    """Items delivered without the one that they follow: it did not come within `hold.message_wait`."""
    publishes_refused: int = 0
    """Requests to the publish port answered with an error, but for probes that are told no."""
    deliveries: int = 0
    """Items written to held connections."""
    publications_lost: int = 0
    """Items that had waited for another and may not have been delivered: a fault of ours."""
    gaps: int = 0
    """Items not delivered to a session because they do not follow what it has had; its backend is asked instead."""
    items_contained: int = 0
    """Items not delivered to a session because its backend had already told of them."""
    recoveries: int = 0
    """Times that a held connection's backend was asked for what it had missed."""
    jsonp_failures: int = 0
    """Answers that JSON-P could not carry, because they are not UTF-8: the client got a 500."""
    patches_failed: int = 0
    """Published `body-patch`es that did not fit the held body, which was then sent as it was."""
    deliveries_filtered: int = 0
    """Items not written to a connection because of a filter, or because `content-filters` did not match."""
    filters_failed: int = 0
    """Items not written to a connection because a filter could not be applied."""
    filter_requests: int = 0
    """Requests that asked backends about items, for connections with the filters `http-check` or `http-modify`."""
    filter_overflows: int = 0
    """Held connections closed because more items waited for the answers to those than may."""
    filter_items_left: int = 0
    """Items not delivered because the connection ended while they waited for such an answer."""
    slow_clients: int = 0
    """Held connections closed because the client took too little for too long."""
    kept_overflows: int = 0
    """Held connections closed because the client sent too much while held."""
    idle_closed: int = 0
    """Streams and WebSockets closed after `hold.idle_timeout` without a byte."""
    sessions_drained: int = 0
    """Held connections ended because the process was told to stop."""
    retries: int = 0
    """Long polls whose request was sent to the backend again."""
    link_requests: int = 0
    """Requests for next links of streams (`Grip-Link: rel=next`); streams that ask for the same share one."""
    link_retries: int = 0
    """Requests for next links that failed, and are to be sent again."""
    link_overflows: int = 0
    """Streams closed because more was published during the fetch of a next link than may wait for its answer."""
    link_failures: int = 0
    """Streams ended because their next link could not be had, or its answer could not be used."""
    gone_notices: int = 0
    """Backends told that a hold has ended (`Grip-Link: rel=gone`)."""
    gone_notices_lost: int = 0
    """Ends of holds that the backend could not be told of."""
    connections_refused: int = 0
    """Clients cut as they came, because as many are connected as may be."""
    tls_failures: int = 0
    """TLS connections that ended before their handshake was done: not TLS, nothing in common, too slow, or gone."""
    publish_handshakes_refused: int = 0
    """Publishers cut as they came, because 1,024 were at their TLS handshake."""
    tls_closings_cut: int = 0
    """Closed TLS connections cut, and with them what their peer was still to get, as it took nothing for 60 seconds."""
    closings_cut: int = 0
    """Closed connections without TLS cut because the client took nothing of the rest for `hold.user_timeout`."""
    clients_vanished: int = 0
    """Held connections lost because the client acknowledged nothing for `hold.user_timeout`."""
    connections_cut: int = 0
    """Connections cut because they took too long when the process was told to stop (`proxy.drain_timeout`)."""
    websocket_messages: int = 0
    """Messages received from clients' WebSockets."""
    websocket_requests: int = 0
    """WebSocket-over-HTTP requests sent to backends."""
    websocket_retries: int = 0
    """WebSocket-over-HTTP requests to be sent again because the backend could not be reached."""
    websocket_backend_faults: int = 0
    """WebSockets ended by a fault of their backend: no answer, an unusable one, or a lost connection."""
    websocket_client_faults: int = 0
    """WebSockets ended because of what the client sent: not WebSocket frames, too large, or too many."""
    websocket_dropped: int = 0
    """Messages of backends not sent on: they lack the prefix that GRIP wants, or are too long to be obeyed."""
    websocket_controls_refused: int = 0
    """Control messages of backends that could not be obeyed."""
    websocket_discarded: int = 0
    """Messages of clients thrown away, because their backend has detached or has closed."""
    websocket_unsent: int = 0
    """Items not sent because the connection ended within a message of the backend's, whose end they had to wait for."""
    websocket_close_timeouts: int = 0
    """WebSockets ended without the other side's answer to a close frame."""
    websocket_notices_lost: int = 0
    """DISCONNECT and CLOSE events that could not be told to the backend, which was not reached."""
    sockjs_opened: int = 0
    """SockJS sessions opened. Each is one WebSocket to its backend, and is counted as one."""
    sockjs_refused: int = 0
    """SockJS sessions not opened, because as many are open as clients may be connected."""
    sockjs_polls_refused: int = 0
    """SockJS requests for messages answered `c[2010,...]`: the session has another one under way."""
    sockjs_abandoned: int = 0
    """SockJS sessions ended because their client did not come back, or dropped a request for messages."""
    sockjs_lost: int = 0
    """Messages that waited for SockJS clients when their sessions ended."""
    sockjs_unpassed: int = 0
    """Requests for SockJS sessions of another worker that could not be passed to it: answered with 503, or cut."""
    sockjs_passed: int = 0
    """Connections of SockJS clients passed to the worker that has their session, which counts their request again."""
    sockjs_unsendable: int = 0
    """Messages not sent to SockJS clients because they are not text."""
    mercure_subscribers: int = 0
    """Mercure subscribers connected now: streams, long polls and WebSockets of the hub."""
    mercure_subscribers_opened: int = 0
    """Mercure subscribers connected since the start."""
    mercure_updates: int = 0
    """Mercure updates published. Events that tell of subscriptions are not counted."""
    mercure_refused: int = 0
    """Requests to the Mercure hub answered with an error that is not about a token."""
    mercure_tokens_refused: int = 0
    """Requests to the Mercure hub refused because of their token, or for want of one."""
    mercure_storage_failures: int = 0
    """Mercure updates that could not be stored, and were therefore not delivered."""
    mercure_replayed: int = 0
    """Updates sent to subscribers from the history."""
    mercure_cursors_unknown: int = 0
    """Subscribers who came back with the id of an event that is not in the history, so may have missed updates."""
    mercure_expired: int = 0
    """Subscribers' connections ended because of `mercure.write_timeout` or the end of their token."""
    mercure_unbridged: int = 0
    """Items of channels that could not become updates of the topic of that name: not text, or a name no topic has."""
    workers_alive: int = 0
    """Worker processes that serve clients now; 0 where one process does everything."""
    worker_restarts: int = 0
    """Worker processes that ended without being told to, and were replaced."""
    publications_over_backlog: int = 0
    """Publications refused with 503 because a worker was more than `proxy.worker_backlog` behind."""
    sessions_disconnected: int = 0
    """Held connections ended because that was asked for (`DELETE /connections/ID/`)."""
    questions_unanswered: int = 0
    """Times that a worker did not say in time which connections it holds, so that whoever asked was told 503."""
    questions_refused: int = 0
    """Questions for connections on the ZeroMQ command socket that were refused, since too many were unanswered."""
    zeromq_items: int = 0
    """Items received by ZeroMQ, duplicates among them."""
    zeromq_refused: int = 0
    """ZeroMQ messages skipped because they are no item, or no command, or are too long."""
    zeromq_failed: int = 0
    """Items received by ZeroMQ and lost, because they could not be delivered or stored."""
    zeromq_commands: int = 0
    """Commands received on the ZeroMQ command socket."""
    presence_notices: int = 0
    """Presence notices that the backend has taken (`presence.url`)."""
    presence_failures: int = 0
    """Requests with presence notices that failed; most are sent again."""
    presence_lost: int = 0
    """Presence notices given up: the backend did not take them for `presence.retry_for`, or too many wait."""
    presence_merged: int = 0
    """Presence notices left out while the backend was behind, as only the last one of each channel matters then."""
    zhttp_malformed: int = 0
    """Messages of ZHTTP workers skipped because they cannot be read."""
    state_failures: int = 0
    """Calls of the session state service (`session.state`) that came to nothing."""


GAUGES: Final = frozenset(
    (
        "connections",
        "sessions_stream",
        "sessions_response",
        "sessions_websocket",
        "mercure_subscribers",
        "workers_alive",
    )
)
"""Fields that go down too: they say how many there are now, and nobody is left of those of a process that has ended."""

_BETWEEN: Final = "/"
"""Stands between the name of a latency and that of a number of it."""


def numbers(counters: Counters) -> dict[str, int]:
    """Return all that is counted, latencies too, as named numbers that can be added up with those of others."""
    latencies = {
        f"{name}{_BETWEEN}{key}": value
        for name in Latencies.__slots__
        for key, value in getattr(counters, name).numbers().items()
    }
    return {**asdict(counters), **latencies}


def sum_up(each: Iterable[Mapping[str, int]]) -> Counters:
    """Return counters that hold the sums of what these processes have counted, as `numbers` returned it."""
    total = Counters()
    for values in each:
        for name, value in values.items():
            field, is_latency, key = name.partition(_BETWEEN)
            if is_latency:
                getattr(total, field).add({key: value})
            else:
                setattr(total, field, getattr(total, field) + value)
    return total
