"""One request of a client, and its answer as it is written.

The front reads `head` and `body`, then either writes an answer (`answer` for a short one; `begin`, `write`, `end` for
a streamed one) or takes the transport away with `hand_over` to hold it. Heads are bytes, so that names, order
and letter case reach the client as the backend wrote them.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from handlers.protocol.answers import Answer, AnswerForm, connection_headers, encode_answer
from handlers.protocol.http1 import CONTINUE, LAST_CHUNK, Headers, encode_chunk, encode_head, has_body, standard_reason
from handlers.protocol.presentation import Presentation
from handlers.protocol.subscribing import LastSeen
from handlers.session import Session
from proxy.backend import AnswerTruncated
from proxy.incoming import Repetition
from proxy.protocol.framing import RequestHead
from proxy.request_body import RequestBody


class ClientTransport(Protocol):
    """What an exchange needs of its connection (`proxy.connection.ClientConnection`)."""

    outlives_client: bool
    """Whether the request goes on when its client leaves, instead of being cancelled."""

    @property
    def writable(self) -> asyncio.Transport:
        """The client's transport. Raises ConnectionResetError once the client is gone."""
        ...

    @property
    def is_draining(self) -> bool:
        """Whether the process is about to stop, so that each answer is the connection's last."""
        ...

    async def flushed(self) -> None:
        """Wait until the client has taken enough for more to be written."""

    @property
    def writing_paused(self) -> bool:
        """Whether the transport has asked for no more to be written."""
        ...

    def detach(self) -> bytes:
        """Let go of the transport, so that somebody else can become its protocol; return the bytes not begun."""
        ...


class Exchange:
    """One request and its answer. Used by one task; `hand_over` or the last write ends it."""

    __slots__ = (
        "_carries_body",
        "_connection",
        "_head_bytes",
        "_is_chunked",
        "_length",
        "_pending",
        "_reusable",
        "body",
        "earlier",
        "head",
        "is_begun",
        "is_ended",
        "is_handed_over",
        "is_switched",
        "is_tls",
        "peer",
        "presentation",
        "retried",
        "size",
        "status",
    )

    def __init__(
        self,
        *,
        connection: ClientTransport,
        head: RequestHead,
        head_bytes: bytes,
        body: RequestBody,
        peer: str,
        is_tls: bool,
        retried: LastSeen | None,
        earlier: Repetition,
    ) -> None:
        """`retried` is what the client has seen, of a request that is sent to its backend again; else None."""
        self.head = head
        self.earlier = earlier
        self.body = body
        self.peer = peer
        self.is_tls = is_tls
        self.retried = retried
        self.presentation: Presentation | None = None  # of a request whose answers are for pages of other origins
        self.is_begun = False
        self.is_ended = False
        self.is_handed_over = False
        self.is_switched = False
        self.status = 0
        self.size = 0
        self._connection = connection
        self._head_bytes = head_bytes
        self._reusable = head.keep_alive
        self._is_chunked = False
        self._carries_body = True
        self._length: int | None = None
        self._pending = b""

    @property
    def form(self) -> AnswerForm:
        """How this client wants its answer."""
        reusable = self._reusable and not self._connection.is_draining
        return AnswerForm(version=self.head.version, reusable=reusable, method=self.head.method)

    @property
    def is_retry(self) -> bool:
        """Whether the request was held, and is sent to its backend again."""
        return self.retried is not None

    @property
    def keep_alive(self) -> bool:
        """Whether the connection may serve another request after what was written."""
        return self._reusable and self.is_ended and not self._connection.is_draining

    @property
    def is_draining(self) -> bool:
        """Whether what is held from here on is to end at once, because the process stops."""
        return self._connection.is_draining

    @property
    def transport(self) -> asyncio.Transport:
        """The client's transport. Raises ConnectionResetError once the client is gone."""
        return self._connection.writable

    def outlive_client(self) -> None:
        """Go on though the client leaves, until `heed_client`: what it has sent is not taken back."""
        self._connection.outlives_client = True

    def heed_client(self) -> None:
        """Be cancelled again when the client leaves. If it has left, to answer raises ConnectionResetError."""
        self._connection.outlives_client = False

    def send_continue(self) -> None:
        """Tell a client that waits for it to send its body (RFC 9110 section 10.1.1)."""
        if not self.is_begun and not self.is_retry:
            self._connection.writable.write(CONTINUE)

    def answer(self, answer: Answer) -> None:
        """Write a whole short answer.

        Raises NotEncodable, with nothing written, where it cannot be the script that is asked for.
        """
        if self.presentation is not None:
            answer = self.presentation.answer(answer)
        form = self.form
        self._reusable = form.reusable
        self.is_begun = self.is_ended = True
        self.status = answer.status
        self.size = len(answer.body)
        self._connection.writable.write(encode_answer(answer, form))

    def answer_text(self, status: int, text: str, *, headers: Headers = ()) -> None:
        """Write a short plain-text answer of our own; `text` is without its newline."""
        self.answer(text_answer(status, text, headers))

    def close_after(self) -> None:
        """Make the answer the last on its connection: what the client still sends is not read."""
        self._reusable = False

    def begin(self, *, status: int, reason: bytes, headers: Headers, length: int | None) -> None:
        """Begin a streamed answer of `length` bytes, or of unknown length. `headers` are without framing.

        The head leaves with the first piece of body, with `end`, or with `flush_head`.
        """
        if self.presentation is not None:
            headers = self.presentation.headers(headers)
        head = self.head
        may_have_body = has_body(method=b"", status=status)
        self._carries_body = may_have_body and head.method != b"HEAD"
        self._length = length if self._carries_body else None
        # To HTTP/1.0 an unknown length is told by closing (RFC 9112 section 6.3, rule 8).
        self._is_chunked = length is None and may_have_body and head.version == b"1.1"
        if length is None and self._carries_body and not self._is_chunked:
            self._reusable = False
        self._reusable = reusable = self._reusable and not self._connection.is_draining
        if length is not None and status != 204:  # RFC 9110 section 8.6: never with 204
            headers += ((b"Content-Length", b"%d" % length),)
        version = head.version
        if self._is_chunked or not reusable or version != b"1.1":
            form = AnswerForm(version=version, reusable=reusable, method=head.method)
            headers += connection_headers(form, chunked=self._is_chunked)
        self._pending = encode_head(version=version, status=status, reason=reason, headers=headers)
        self.is_begun = True
        self.status = status

    def switch(self, head: bytes) -> None:
        """Answer with `head`, a 101, which leaves with `hand_over`: HTTP ends here for this connection."""
        self._pending = head
        self.is_begun = self.is_switched = True
        self.status = 101

    def send(self, data: bytes) -> None:
        """Write a piece of body without waiting for the client to take it."""
        if not self._carries_body:
            data = b""
        self.size += len(data)
        framed = encode_chunk(data) if self._is_chunked else data
        pending, self._pending = self._pending, b""
        self._connection.writable.write(pending + framed if pending else framed)

    def flush_head(self) -> None:
        """Send the head now, because nobody knows when there will be a body to send with it."""
        pending, self._pending = self._pending, b""
        self._connection.writable.write(pending)

    def send_whole(self, data: bytes) -> None:
        """Write all of the body and end the answer, in one write with the head if that has not left yet.

        Raises AnswerTruncated as `end` does.
        """
        if not self._carries_body:
            data = b""
        self.size = len(data)
        self._check_length()
        if self._is_chunked and self._carries_body:
            data = encode_chunk(data) + LAST_CHUNK
        written, self._pending = self._pending + data, b""
        if written:
            self._connection.writable.write(written)
        self.is_ended = True

    async def write(self, data: bytes) -> None:
        """Write a piece of body, then wait while the client is behind."""
        self.send(data)
        await self._connection.flushed()

    def end(self) -> None:
        """End the answer. One that is shorter or longer than announced is cut: the next would be taken for its rest.

        Raises AnswerTruncated then, for the log and the counter.
        """
        self._check_length()
        last = LAST_CHUNK if self._is_chunked and self._carries_body else b""
        if self._pending or last:
            self._connection.writable.write(self._pending + last)
            self._pending = b""
        self.is_ended = True

    def abort(self) -> None:
        """Cut the connection: the answer cannot be completed, and the client must see that it is not."""
        self._reusable = False
        self._connection.writable.abort()

    def _check_length(self) -> None:
        if self._length is not None and self.size != self._length:
            self.abort()
            raise AnswerTruncated(f"a body of {self.size} bytes where {self._length} were announced")

    def hand_over(self, session: Session) -> None:
        """Give the transport to `session`, with the bytes of later requests. Nothing may be written here afterwards."""
        if self._pending:
            self.flush_head()
        is_behind = self._connection.writing_paused
        session.attach(self._connection.detach(), is_behind=is_behind)
        self.is_handed_over = True
        if self._connection.is_draining:
            session.drain()

    def request_bytes(self) -> bytes:
        """Return the request as bytes that parse to it again. Only for a body that is small and has been read."""
        return self.request_with(self.body.joined())

    def request_with(self, body: bytes) -> bytes:
        """Return the request as bytes that parse to it again, given its whole body."""
        return self._head_bytes + (encode_chunk(body) + LAST_CHUNK if self.head.chunked else body)


def refusal(status: int, text: str) -> bytes:
    """Encode the answer to bytes that are no request: HTTP/1.1, closing."""
    form = AnswerForm(version=b"1.1", reusable=False, method=b"")
    return encode_answer(text_answer(status, text), form)


def text_answer(status: int, text: str, headers: Headers = ()) -> Answer:
    """Return a plain-text answer of our own; `text` is without its newline."""
    lines = ((b"Content-Type", b"text/plain"), *headers)
    return Answer(status=status, reason=standard_reason(status), headers=lines, body=text.encode() + b"\n")
