"""Instructs: telling a backend's answer that carries one, and reading it into an `Instruct`.

Called by the proxy for every answer of a backend whose route speaks GRIP, and for next links. An instruct
comes as `Grip-*` headers (`grip_headers`), as a body (`grip_json`) or as both; here they become one value.
It does not decide whether a hold is possible: limits on channels and on sizes, and prev-id without a next
link, are the handlers' matter.
"""

from __future__ import annotations

from handlers.errors import InstructError
from handlers.protocol.fields import Parameters, decode_field, printable
from handlers.protocol.grip_headers import HeaderForm, StatusLine, encode_links, parse_header_form
from handlers.protocol.grip_json import (
    BodyForm,
    HoldForm,
    ResponseForm,
    encode_body_form,
    parse_body_form,
)
from handlers.protocol.http1 import (
    Headers,
    header_values,
    hop_by_hop_names,
    is_field_value,
    is_token,
    standard_reason,
    without_headers,
)
from handlers.protocol.instruct import Instruct

INSTRUCT_TYPE = b"application/grip-instruct"
_CONTENT_TYPE = b"content-type"
_FIRST_LETTERS = frozenset(b"gGcC")
"""With which the names begin that make an answer an instruct."""

_DEFAULT_TIMEOUT = 55
_MIN_TIMEOUT = 5


def is_grip(headers: Headers) -> bool:
    """Say whether an answer with these headers is an instruct (reference 3.2)."""
    # Every answer is asked, and few of its names begin like those that count.
    content_type = None
    for name, value in headers:
        if not name or name[0] not in _FIRST_LETTERS:
            continue
        if name[:5].lower() == b"grip-":
            return True
        if content_type is None and len(name) == len(_CONTENT_TYPE) and name.lower() == _CONTENT_TYPE:
            content_type = value
    return content_type is not None and _is_instruct_type(content_type)


def is_instruct_body(headers: Headers) -> bool:
    """Say whether the answer's body is an instruct's body form."""
    types = header_values(headers, _CONTENT_TYPE)
    return bool(types) and _is_instruct_type(types[0])


def parse_instruct(*, status: int, reason: bytes, headers: Headers, body: bytes | None) -> Instruct:
    """Parse a backend's answer into what it asks for (reference 3.3, 3.4).

    `body` is the answer's whole body where `is_instruct_body`, otherwise None. `timeout` of the result is
    in seconds and at least 5. Raises InstructError with the text that debug routes show.
    """
    by_header = parse_header_form(headers)
    line = by_header.status_line or StatusLine(status=status, reason=reason)
    if body is None:
        passed = _client_headers(headers)
        if by_header.exposed:
            passed = tuple(pair for pair in passed if pair[0].lower() in by_header.exposed)
        return _join(by_header, HoldForm(), line, passed, None)
    if status != 200:
        raise InstructError("response code for application/grip-instruct content must be 200")
    by_body = parse_body_form(body)
    if by_body == BodyForm() and by_header.hold is None and by_header.next_link is None:
        raise InstructError("instruct contains neither 'hold' nor 'response'")
    response = by_body.response or ResponseForm()
    passed = _client_headers(response.headers)
    return _join(by_header, by_body.hold or HoldForm(), _status_line(response, line), passed, response.body)


def encode_instruct(instruct: Instruct) -> tuple[Headers, bytes]:
    """Encode an instruct as the headers and the body of a 200 answer; the links become headers.

    `instruct.body` None is encoded as an empty body. Without a hold there is no place for the channels and
    what belongs to them, and they are left out.
    """
    hold = None
    if instruct.hold is not None:
        hold = HoldForm(
            mode=instruct.hold,
            channels=instruct.channels,
            timeout=instruct.timeout,
            keep_alive=instruct.keep_alive,
            meta=instruct.meta,
        )
    response = ResponseForm(
        code=instruct.status, reason=instruct.reason, headers=instruct.headers, body=instruct.body or b""
    )
    headers = ((b"Content-Type", INSTRUCT_TYPE), *encode_links(instruct.next_link, instruct.gone_link))
    return headers, encode_body_form(BodyForm(hold=hold, response=response))


def _join(by_header: HeaderForm, by_body: HoldForm, line: StatusLine, headers: Headers, body: bytes | None) -> Instruct:
    """Join both forms: channels and meta add up, of everything else the body's word counts (reference 3.4)."""
    hold = by_body.mode or by_header.hold
    _check_answer(line, headers, is_held=hold is not None)
    timeouts = (seconds for seconds in (by_body.timeout, by_header.timeout) if seconds is not None)
    return Instruct(
        hold=hold,
        channels=by_header.channels + by_body.channels,
        timeout=max(next(timeouts, _DEFAULT_TIMEOUT), _MIN_TIMEOUT),
        keep_alive=by_body.keep_alive or by_header.keep_alive,
        meta=_last_of_each_name(by_header.meta + by_body.meta),
        next_link=by_header.next_link,
        gone_link=by_header.gone_link,
        status=line.status,
        reason=line.reason,
        headers=headers,
        body=body,
    )


def _status_line(response: ResponseForm, line: StatusLine) -> StatusLine:
    """Apply `code`, which brings its standard reason along, and then `reason` (reference 3.4)."""
    if response.code is not None:
        line = StatusLine(status=response.code, reason=standard_reason(response.code))
    return line if response.reason is None else StatusLine(status=line.status, reason=response.reason)


def _last_of_each_name(pairs: Parameters) -> Parameters:
    return tuple(dict(pairs).items())


def _client_headers(headers: Headers) -> Headers:
    """Return what may reach the client of `headers`; its length is not known yet."""
    passed = without_headers(headers, hop_by_hop_names(headers) | {b"content-length"})
    return tuple(pair for pair in passed if not _is_grip_name(pair[0]))


def _is_instruct_type(content_type: bytes) -> bool:
    # Media types know no letter case (RFC 9110 section 8.3.1). Most of them are shorter.
    return len(content_type) >= len(INSTRUCT_TYPE) and content_type.partition(b";")[0].strip().lower() == INSTRUCT_TYPE


def _is_grip_name(name: bytes) -> bool:
    return name[:5].lower() == b"grip-"


def _check_answer(line: StatusLine, headers: Headers, *, is_held: bool) -> None:
    """Raise InstructError for an answer that could not be written as a head, or not be held."""
    if not is_field_value(line.reason):
        raise InstructError("response reason contains a control character")
    for name, value in headers:
        if not is_token(name):
            raise InstructError(f"headers contains invalid name '{_shown(name)}'")
        if not is_field_value(value):
            raise InstructError(f"headers contains '{_shown(name)}' with invalid value")
        # What is published later comes as it is: behind, or in place of, an encoded body it could not be
        # decoded. No Accept-Encoding was sent, so this is a backend that encodes unasked.
        if is_held and name.lower() == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            raise InstructError(f"a held response cannot have Content-Encoding '{_shown(value)}'")


def _shown(value: bytes) -> str:
    return printable(decode_field(value))
