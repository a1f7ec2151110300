"""The strings that must not be swapped for one another.

Channels, ids and connection ids are all text on the wire; giving each its own type lets the
type checker see a channel handed in where an id belongs. They cost nothing at run time.
"""

from __future__ import annotations

from typing import NewType

Channel = NewType("Channel", str)
"""What sessions sit on and publishers publish to: the full name, with the route's prefix where there is one.

A backend's instructs name channels without the prefix; those are plain `str` until `subscribing` has put it on.
"""

ItemId = NewType("ItemId", str)
"""The publisher's id of an item; unique on its channel."""

Topic = NewType("Topic", str)
"""What a Mercure update is about: any text, commonly an IRI. Subscribers match it exactly or by pattern."""

EventId = NewType("EventId", str)
"""The id of a Mercure update, hub-wide; also the cursor that a subscriber comes back with."""

SubscriberId = NewType("SubscriberId", str)
"""`urn:uuid:` and a UUID, made for each connection of a Mercure subscriber; clients never choose it."""
