"""`body-patch`: a published JSON patch applied to the answer a long poll holds (RFC 6902, reference 3.6).

The result is compact, its keys are sorted, and a newline at the end of the held body stays, as Pushpin writes it.
Numbers keep their digits (Pushpin takes them through doubles).
"""

from __future__ import annotations

import json

from jsonpatch import JsonPatch, JsonPatchException
from jsonpointer import JsonPointerException


class BodyPatchError(Exception):
    """The held body is not a JSON object or array, or the patch does not apply to it."""


def patch_body(body: bytes, patch: bytes) -> bytes:
    """Apply `patch` (a JSON list of operations) to `body`. Raises BodyPatchError."""
    try:
        document = json.loads(body)
        if not isinstance(document, dict | list):
            raise BodyPatchError("the held body is not a JSON object or array")
        patched = JsonPatch(json.loads(patch)).apply(document)
        text = json.dumps(patched, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return text.encode() + _line_end(body)
    except (JsonPatchException, JsonPointerException, ValueError, TypeError, KeyError, RecursionError) as error:
        raise BodyPatchError(str(error) or type(error).__name__) from error


def _line_end(body: bytes) -> bytes:
    for end in (b"\r\n", b"\n"):
        if body.endswith(end):
            return end
    return b""
