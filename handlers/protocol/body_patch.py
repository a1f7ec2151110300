"""`body-patch`: a published JSON patch applied to the answer a long poll holds (RFC 6902, reference 3.6).

The result is compact, its keys are sorted, and a newline at the end of the held body stays, as Pushpin writes it.
Numbers keep their digits (Pushpin takes them through doubles).
"""

from __future__ import annotations

import json
from typing import Any

from jsonpatch import JsonPatch, JsonPatchException
from jsonpointer import JsonPointerException


class BodyPatchError(Exception):
    """The held body is not a JSON object or array, or the patch does not apply to it."""


OPERATION_LIMIT = 1000
"""Operations in one patch."""
COPY_LIMIT = 50
"""`copy` operations among them. Each can double the body: thirty would fill any memory, so its size is looked at."""
RESULT_LIMIT = 1_000_000
"""Bytes the patched body may have after a `copy`."""


def patch_body(body: bytes, patch: bytes) -> bytes:
    """Apply `patch` (a JSON list of operations) to `body`. Raises BodyPatchError."""
    try:
        document = json.loads(body)
        if not isinstance(document, dict | list):
            raise BodyPatchError("the held body is not a JSON object or array")
        return _encode(_apply(document, json.loads(patch))).encode() + _line_end(body)
    except (JsonPatchException, JsonPointerException, ValueError, TypeError, KeyError, RecursionError) as error:
        raise BodyPatchError(str(error) or type(error).__name__) from error


def _apply(document: Any, operations: Any) -> Any:
    if not isinstance(operations, list) or len(operations) > OPERATION_LIMIT:
        raise BodyPatchError(f"the patch is not a list of at most {OPERATION_LIMIT} operations")
    copies = 0
    for operation in operations:
        document = JsonPatch([operation]).apply(document, in_place=True)
        if operation["op"] != "copy":
            continue
        copies += 1
        if copies > COPY_LIMIT or len(_encode(document)) > RESULT_LIMIT:
            raise BodyPatchError(f"more than {COPY_LIMIT} copies, or more than {RESULT_LIMIT} bytes of body")
    return document


def _encode(document: Any) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _line_end(body: bytes) -> bytes:
    for end in (b"\r\n", b"\n"):
        if body.endswith(end):
            return end
    return b""
