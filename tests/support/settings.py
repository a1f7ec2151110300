"""Settings for the app of an end-to-end test: free ports of 127.0.0.1, and what the test asks for.

They go through `proxy.config` like an operator's `--set`, so a test cannot use a setting that does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable

from proxy.config import Settings, load_settings, parse_assignment

BASE = ("proxy.listen=127.0.0.1:0", "publish.listen=127.0.0.1:0", f"proxy.sig_key={'k' * 32}", "log.level=debug")
"""What every test starts from; the key is the one that `SIG_KEY` verifies with."""

SIG_KEY = b"k" * 32


def settings_from(assignments: Iterable[str], *, routes: Iterable[str]) -> Settings:
    """Return `BASE` with `assignments` (`section.key=value`) over it, and these lines as `--route`."""
    return load_settings(
        environ={},
        default_files=(),
        assignments=[parse_assignment(text) for text in (*BASE, *assignments)],
        route_lines=tuple(routes),
    )
