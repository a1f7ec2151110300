"""How the answers to one request are shown to the page that asks: open to other origins, or as a script.

Made by `proxy.cross_origin` for requests of routes that have `aco`, kept with what is held of them. A value: equal
ones make equal answers of equal answers, so that what is published need not be encoded twice.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from handlers.protocol.answers import Answer
from handlers.protocol.cross_origin import CrossOrigin
from handlers.protocol.http1 import Headers, standard_reason
from handlers.protocol.jsonp import NOT_ENCODABLE, Jsonp


class Presentation(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of answers. With `jsonp` they are scripts, and so have to be whole."""

    cross_origin: CrossOrigin
    jsonp: Jsonp | None = None

    def headers(self, headers: Headers) -> Headers:
        """Return the headers of an answer whose body goes as it comes."""
        return self.cross_origin.opened(headers)

    def answer(self, answer: Answer, *, is_held: bool = False) -> Answer:
        """Return a whole answer as it is to be sent; `is_held`: it answers a held poll. Raises NotEncodable."""
        if self.jsonp is None:
            return replace(answer, headers=self.cross_origin.opened(answer.headers))
        script = self.jsonp.wrap(answer, is_held=is_held)
        # A page knows by its function what it got: there is nothing for it to read in the script's own headers.
        return replace(script, headers=script.headers + self.cross_origin.opened(()))

    def failure(self) -> Answer:
        """Return what is sent in place of an answer that is NotEncodable."""
        text = (b"Content-Type", b"text/plain")
        return Answer(
            status=500,
            reason=standard_reason(500),
            headers=self.cross_origin.opened((text,)),
            body=NOT_ENCODABLE.encode() + b"\n",
        )
