"""A backend that has every request held as a stream.

    python -m tests.bench.grip_backend

Prints the port it listens on.
"""

from __future__ import annotations

from tests.bench.responder import answer, serve

CHANNEL = "bench"
OPENED = "opened"
"""What every held client gets first."""

if __name__ == "__main__":
    HOLD = answer(
        f"{OPENED}\n".encode(), b"Content-Type: text/plain", b"Grip-Hold: stream", f"Grip-Channel: {CHANNEL}".encode()
    )
    serve(lambda body: HOLD)
