"""Why a client's bytes are not a request Holdfast serves, and the status to say so with.

Raised by the framing machines of this folder, each reason with a text of its own; the clients' door answers
with `status` and `text` and closes the connection. Nothing here writes an answer.
"""

from __future__ import annotations

import enum
from typing import Final


class RequestError(Exception):
    """The client is at fault: answer `status` with `text`, then close. `str(error)` is `text`.

    After it no byte of the connection can be trusted to begin a request (RFC 9112 section 11.2).
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(status, text)
        self.status: Final = status
        self.text: Final = text

    def __str__(self) -> str:
        return self.text


@enum.unique
class Refusal(enum.Enum):
    """Every reason for which bytes are refused, as it stands in the answer after `Failed to parse request: `.

    Sections are those of RFC 9112 unless another is named.
    """

    EMPTY_LINES = "too many empty lines before the request line"  # 2.2
    BARE_LF = "bare LF"  # 2.2
    BARE_CR = "bare CR"  # 2.2
    NUL = "NUL"  # RFC 9110 5.5
    CONTROL = "control character"  # RFC 9110 5.5; 3.2 for the target

    REQUEST_LINE = "malformed request line"  # 3
    METHOD = "invalid character in method"  # 3.1
    CONNECT = "method CONNECT not implemented"  # 3.2.3, RFC 9110 9.3.6
    TARGET_SPACE = "white space in request target"  # 3.2
    TARGET_FORM = "invalid request target"  # 3.2
    TARGET_HOST = "invalid host in request target"  # 3.2.2, RFC 9110 4.2
    VERSION = "HTTP version not supported"  # 2.3, RFC 9110 15.6.6

    OBS_FOLD = "folded header line"  # 2.2, 5.2
    NO_COLON = "header line without a colon"  # 5
    NAME_EMPTY = "empty header name"  # 5.1
    NAME_SPACE = "white space between header name and colon"  # 5.1
    NAME = "invalid character in header name"  # 5.1

    HOST_MISSING = "missing Host header"  # 3.2
    HOST_REPEATED = "more than one Host header"  # 3.2
    HOST = "invalid Host header"  # 3.2

    LENGTH_AND_CODING = "both Content-Length and Transfer-Encoding"  # 6.1, 6.3
    LENGTH_REPEATED = "more than one Content-Length header"  # 6.3
    LENGTH = "invalid Content-Length"  # 6.3
    LENGTH_TOO_LARGE = "Content-Length too large"  # RFC 9110 8.6
    CODING_REPEATED = "more than one Transfer-Encoding header"  # 6.1
    CODING_BEFORE_1_1 = "Transfer-Encoding in an HTTP/1.0 request"  # 6.1
    CODING = "Transfer-Encoding does not end in a single chunked"  # 6.1, 6.3
    CODING_UNKNOWN = "transfer coding not implemented"  # 6.1

    EXPECTATION = "unknown expectation"  # RFC 9110 10.1.1

    CHUNK_SIZE = "invalid chunk size"  # 7.1
    CHUNK_TOO_LARGE = "chunk size too large"  # 7.1
    CHUNK_EXTENSION = "invalid chunk extension"  # 7.1.1
    CHUNK_LINE = "chunk size line too long"  # 7.1.1
    CHUNK_END = "missing CRLF after chunk data"  # 7.1
    TRAILERS_TOO_LARGE = "trailer section too large"  # 7.1.2
    TRAILER_NAME = "framing header in trailer section"  # 7.1.2, RFC 9110 6.5.1

    def error(self) -> RequestError:
        """Return the error to raise: 417, 501 or 505 where the RFC names them, 400 for everything else."""
        return RequestError(_STATUS.get(self, 400), f"Failed to parse request: {self.value}")


_STATUS: Final = {
    Refusal.EXPECTATION: 417,
    Refusal.CONNECT: 501,
    Refusal.CODING_UNKNOWN: 501,
    Refusal.VERSION: 505,
}


def head_too_large(limit: int) -> RequestError:
    """Return the error for a head of more than `limit` bytes."""
    return RequestError(400, f"Request header size exceeded limit of {limit} bytes.")


def too_many_headers(limit: int) -> RequestError:
    """Return the error for more than `limit` header lines, or as many trailer lines."""
    return RequestError(400, f"Failed to parse request: more than {limit} headers")
