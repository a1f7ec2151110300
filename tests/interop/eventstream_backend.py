"""A Django project of one file on django-eventstream, as its README has it: a program, started by `conftest`.

Environment: PORT to listen on, GRIP_URL of the publish port with its keys. Argument: the path of its SQLite database.
Who a request is by is in its query, `as=NAME`: how users log in is no matter of event streams.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django.core.servers.basehttp import run
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path

settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1], "OPTIONS": {"timeout": 20}}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    EVENTSTREAM_CHANNELMANAGER_CLASS=f"{__name__}.Channels",
    EVENTSTREAM_STORAGE_CLASS="django_eventstream.storage.DjangoModelStorage",
    GRIP_URL=os.environ["GRIP_URL"],
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django_eventstream"],
    LOGGING={"version": 1, "disable_existing_loggers": False, "loggers": {"django": {"level": "INFO"}}},
    MIDDLEWARE=["django_grip.GripMiddleware", f"{__name__}.known_users"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="what this project signs its links with, which is long enough",
    USE_TZ=True,
)
django.setup()

# Only now: on import they read the settings.
from django.contrib.auth.models import User  # noqa: E402
from django_eventstream import channel_permission_changed, send_event  # noqa: E402
from django_eventstream.channelmanager import DefaultChannelManager  # noqa: E402
from django_eventstream.storage import DjangoModelStorage  # noqa: E402

USERS = ("ann", "bob")
forbidden: set[tuple[str, str]] = set()
"""Users by name, and the channels that they may not read."""


class Channels(DefaultChannelManager):
    """Who may read what. Events of channels that begin with `loose-` are not stored."""

    def can_read_channel(self, user: User | None, channel: str) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        return (user.username if user else "", channel) not in forbidden

    def is_channel_reliable(self, channel: str) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        return not channel.startswith("loose-")


def known_users(answer: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Take the word of whoever asks for who that is."""

    def middleware(request: Any) -> HttpResponse:
        name = request.GET.get("as")
        if name:
            request.user = User.objects.get(username=name)
        return answer(request)

    return middleware


def whoami(request: Any) -> HttpResponse:
    return JsonResponse({"proxied": request.grip.proxied, "signed": request.grip.signed})


def publish_event(request: HttpRequest, channel: str) -> HttpResponse:
    """Send an event as an application does. `skip` are names of users."""
    event = json.loads(request.body)
    skipped = [str(User.objects.get(username=name).pk) for name in event.get("skip", ())]
    send_event(channel, event.get("type", "note"), event["data"], skip_user_ids=skipped, async_publish=False)
    return HttpResponse(b"sent\n")


def publish_lost(request: HttpRequest, channel: str) -> HttpResponse:
    """Store events whose publication is lost on the way."""
    for data in json.loads(request.body):
        DjangoModelStorage().append_event(channel, "note", json.dumps(data))
    return HttpResponse(b"stored\n")


def publish_forbidden(request: HttpRequest, channel: str) -> HttpResponse:
    """Take a user's right to read a channel."""
    name = request.body.decode()
    forbidden.add((name, channel))
    channel_permission_changed(User.objects.get(username=name), channel)
    return HttpResponse(b"done\n")


urlpatterns = [
    path("whoami", whoami),
    path("events/", include("django_eventstream.urls")),
    path("rooms/<room>/", include("django_eventstream.urls"), {"format-channels": ["room-{room}", "loose-{room}"]}),
    path("publish/event/<channel>", publish_event),
    path("publish/lost/<channel>", publish_lost),
    path("publish/forbidden/<channel>", publish_forbidden),
]

if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    for user in USERS:
        User.objects.get_or_create(username=user)
    run("127.0.0.1", int(os.environ["PORT"]), get_wsgi_application(), threading=True)
