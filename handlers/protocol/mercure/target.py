"""The targets of 2019's updates, as topics that nobody can name (reference 3).

A target is an access list: a private update with the target's topic beside its own reaches those whose grants match
either, which is the audience that the target meant. The topic begins with NUL, which topics, matchers and selectors
from outside may not contain, and is no URL whatever the target is, so that no URL pattern matches it either: a URL
parser would drop the NUL, and `https://[/` has no host.
"""

from __future__ import annotations

from typing import Final

from handlers.protocol.names import Topic

_NAMESPACE: Final = "\0https://[/"


def target_topic(target: str) -> Topic:
    """Return the topic that stands for a target."""
    return Topic(_NAMESPACE + target)


def is_target(topic: str) -> bool:
    """Say whether a topic stands for a target."""
    return topic.startswith(_NAMESPACE)


def target_of(topic: str) -> str | None:
    """Return the target that a topic stands for; None if it is a topic and nothing else."""
    return topic.removeprefix(_NAMESPACE) if is_target(topic) else None
