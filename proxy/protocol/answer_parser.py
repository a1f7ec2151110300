"""What one backend connection sends, cut into the answers to its requests, one at a time.

`httptools` (llhttp, a C parser) reads the bytes, lenient as clients are with servers; here is decided what is an
answer, what an interim one, where the body ends, and what may follow. A head that it refuses is mended if it can be
(`answer_mending`) and read again. Driven by `proxy.backend_connection`:

    parser.begin()
    parser.feed(data)           # as often as something comes; or parser.end() when the connection ends
    parser.head                 # set as soon as it is complete and sound
    parser.pieces               # of the body, to be taken from there
    parser.is_complete          # then `keeps_connection` says whether another request may follow
"""

from __future__ import annotations

from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from handlers.protocol.http1 import Headers
from proxy.protocol.answer_head import AnswerHead, check_answer_head
from proxy.protocol.answer_mending import BeyondMending, HeadMender

HEAD_LIMIT: Final = 65_536
"""Bytes of a head; also of a trailer section, and of what stands between two pieces of body."""
HEADER_LIMIT: Final = 512
INTERIM_LIMIT: Final = 100
"""Interim answers (1xx) that a backend may send before its answer."""

_SWITCHING: Final = 101


class AnswerSyntaxError(Exception):
    """What came is not HTTP, or more than may come. `str(error)` says why, for the log."""


class AnswerParser:
    """One connection's answers, in turn. After an error, and after an answer that ends it, it is of no more use."""

    __slots__ = (
        "_dropped",
        "_early",
        "_headers",
        "_held",
        "_interim",
        "_is_begun",
        "_is_certain",
        "_is_head",
        "_is_mended",
        "_lines",
        "_may_switch",
        "_mender",
        "_parser",
        "_reason",
        "_status",
        "head",
        "is_complete",
        "is_switched",
        "keeps_connection",
        "pieces",
        "tail",
    )

    head: AnswerHead | None
    """The answer's head, None until it is here."""
    pieces: list[bytes]
    """What came of the body. A new list for each answer, which whoever reads the body may keep and empty."""
    is_complete: bool
    """The answer is here to its end."""
    keeps_connection: bool
    """It ended in such a way that the connection can be used again, and nothing stood behind it."""
    is_switched: bool
    """It is the 101 that was asked for. One that was not is an answer, too, whose `head` says so."""
    tail: bytes
    """What stood behind a 101."""

    def __init__(self) -> None:
        self._parser = self._new_parser()
        self.begin()

    def begin(self, is_head: bool = False, may_switch: bool = False) -> None:
        """Expect the answer to a request, a HEAD or one that asks for another protocol being answered differently."""
        self._is_head = is_head
        self._may_switch = may_switch
        self._headers: list[tuple[bytes, bytes]] = []
        self._lines: Headers = ()
        self._reason = b""
        self._status = -1
        self._is_begun = False
        self._is_mended = False
        self._is_certain = True
        self._mender: HeadMender | None = None
        self._dropped: tuple[bytes, ...] = ()
        self._early: list[bytes] | None = None  # of a head that came in pieces, should it have to be mended
        self._interim = 0
        self._held = 0  # bytes since the last of which something came out
        self.head = None
        self.pieces = []
        self.is_complete = self.keeps_connection = self.is_switched = False
        self.tail = b""

    def feed(self, data: bytes) -> None:
        """Take what the backend sent, until the answer `is_complete`.

        Raises AnswerSyntaxError or AnswerHeadError; what came of the body before is in `pieces`.
        """
        mender = self._mender
        if mender is not None:
            self._mend(mender, data)
            return
        pieces = len(self.pieces)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self.tail = data[upgrade.args[0] :]
        except HttpParserError as error:
            if not self.is_complete:
                if self._is_begun or self._is_mended:
                    raise AnswerSyntaxError(str(error)) from error
                self._mend(HeadMender(str(error)), b"".join((*(self._early or ()), data)))
                return
            self.keeps_connection = False  # the answer itself is sound, what stands behind it is not
        if self.head is None and self._is_begun:
            self._take_head(len(data))
        elif self.is_complete or len(self.pieces) > pieces:
            self._held = 0
        else:
            self._hold(len(data))
            if self.head is None and not self._is_mended:
                self._keep_early(data)

    def end(self) -> bool:
        """Take the end of what the backend sends; say whether the answer is whole with it."""
        if self.head is not None and not self.is_complete:
            self.is_complete = self.head.length is None and not self.head.chunked
        return self.is_complete

    def drop(self) -> None:
        """Let go of the C parser, which holds this object: the connection is over."""
        del self._parser

    def _new_parser(self) -> HttpResponseParser:
        parser = HttpResponseParser(self)
        # As aiohttp does it: what is lost of strictness is looked at in `check_answer_head`.
        parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        return parser

    def _keep_early(self, data: bytes) -> None:
        if self._early is None:
            self._early = []
        self._early.append(data)

    def _mend(self, mender: HeadMender, data: bytes) -> None:
        """Have a new parser read what the last one has refused, mended, and go on with that one."""
        if not self._is_mended:
            self._is_mended = True
            self._parser = self._new_parser()
            self._headers = []
            self._reason = b""
            self._early = None
            self._interim = 0
            self._held = 0
        mender.gather(data)
        self._mender = None
        while not self._is_begun:
            try:
                mended = mender.next_head()
            except BeyondMending:
                raise AnswerSyntaxError(mender.fault) from None
            if mended is None:
                self._mender = mender
                if len(mender) > HEAD_LIMIT:
                    raise AnswerSyntaxError(f"a head of more than {HEAD_LIMIT} bytes")
                return
            self._dropped = mended.dropped
            self._is_certain = self._is_certain and mended.is_certain
            self.feed(mended.data)
        rest = mender.rest()
        if self.is_switched:
            self.tail = rest
        elif self.is_complete:
            self.keeps_connection = self.keeps_connection and not rest
        elif rest:
            self.feed(rest)

    def _take_head(self, size: int) -> None:
        headers = self._lines
        self._check_interim()
        self._early = None
        if len(headers) + len(self._dropped) > HEADER_LIMIT:
            raise AnswerSyntaxError(f"more than {HEADER_LIMIT} header lines")
        if self._held + size > HEAD_LIMIT and sum([len(name) + len(value) for name, value in headers]) > HEAD_LIMIT:
            raise AnswerSyntaxError(f"a head of more than {HEAD_LIMIT} bytes")
        self._held = 0
        self.head = check_answer_head(
            status=self._status,
            reason=self._reason,
            headers=headers,
            lowest=_SWITCHING if self._status == _SWITCHING else 200,
            dropped=self._dropped,
        )

    def _hold(self, size: int) -> None:
        self._held += size
        self._check_interim()
        if self._held > HEAD_LIMIT or len(self._headers) > HEADER_LIMIT:
            raise AnswerSyntaxError(f"more than {HEAD_LIMIT} bytes or {HEADER_LIMIT} lines that are no body")

    def _check_interim(self) -> None:
        if self._interim > INTERIM_LIMIT:
            raise AnswerSyntaxError(f"more than {INTERIM_LIMIT} interim answers")

    # -- for httptools ------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Note what stands behind an answer."""
        if self.is_complete:
            self.keeps_connection = False

    def on_status(self, text: bytes) -> None:
        """Take a piece of the reason."""
        if not self._is_begun:
            self._reason += text

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header's or a trailer's line."""
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Take the end of a head."""
        if self._is_begun:
            return
        status = self._parser.get_status_code()
        if status == _SWITCHING:
            self.is_switched = self._may_switch and self._parser.should_upgrade()
        elif 100 <= status <= 199:
            self._headers = []
            self._reason = b""
            self._interim += 1
            return
        self._is_begun = True
        self._status = status
        self._lines = tuple(self._headers)
        self._headers = []  # of trailers, and of what stands behind the answer: both go no further
        # Told of no body, the parser would take one that a careless backend sends for its next answer. So it is told
        # of one, and the connection is not used again.
        self.is_complete = self._is_head or status == _SWITCHING

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        if self._is_begun and not self.is_complete:
            self.pieces.append(data)

    def on_message_complete(self) -> None:
        """Take the end of an answer."""
        if self._is_begun and not self.is_complete:
            self.is_complete = True
            self.keeps_connection = self._is_certain and self._parser.should_keep_alive()
