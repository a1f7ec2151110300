"""A Django project of one file on django-grip, as its README has it: a program, started by `conftest`.

Environment: PORT to listen on, GRIP_URL of the publish port with its keys.
"""

from __future__ import annotations

import os
from typing import Protocol

import django
from django.conf import settings
from django.core.servers.basehttp import run
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    GRIP_PREFIX="dj-",
    GRIP_PROXY_REQUIRED=True,
    GRIP_URL=os.environ["GRIP_URL"],
    LOGGING={"version": 1, "disable_existing_loggers": False, "loggers": {"django": {"level": "INFO"}}},
    MIDDLEWARE=["django_grip.GripMiddleware"],
    ROOT_URLCONF=__name__,
)
django.setup()

# Only now: on import django-grip reads the settings and makes its publisher.
from django_grip import GripData, publish, set_hold_longpoll, set_hold_stream, websocket_only  # noqa: E402
from gripcontrol import HttpResponseFormat, HttpStreamFormat, WebSocketMessageFormat  # noqa: E402

from tests.interop.conversation import Context, converse  # noqa: E402


class GripRequest(Protocol):
    """What the views use of an HttpRequest after django-grip's middleware."""

    body: bytes
    grip: GripData
    wscontext: Context


def whoami(request: GripRequest) -> HttpResponse:
    grip = request.grip
    return JsonResponse({"proxied": grip.proxied, "signed": grip.signed, "features": sorted(grip.features)})


def stream(request: GripRequest, channel: str) -> HttpResponse:
    set_hold_stream(request, channel)
    return HttpResponse(b"opened\n", content_type="text/plain")


def alive(request: GripRequest, channel: str) -> HttpResponse:
    set_hold_stream(request, channel, keep_alive_data="still\nhere\n", keep_alive_timeout=1)
    return HttpResponse(b"opened\n", content_type="text/plain")


def poll(request: GripRequest, channel: str) -> HttpResponse:
    set_hold_longpoll(request, [channel, f"{channel}-too"], timeout=5)
    return HttpResponse(b"nothing came\n", content_type="text/plain")


def unchanged(request: GripRequest, channel: str) -> HttpResponse:
    set_hold_longpoll(request, channel, timeout=5)
    return HttpResponse(status=304, headers={"ETag": '"1"'})


def publish_both(request: GripRequest, channel: str) -> HttpResponse:
    text = request.body.decode()
    publish(channel, [HttpStreamFormat(text), HttpResponseFormat(body=text)], blocking=True)
    return JsonResponse({"ok": True})


@websocket_only  # type: ignore[untyped-decorator]
def socket(request: GripRequest, channel: str) -> None:
    def say(text: str) -> None:
        publish(channel, WebSocketMessageFormat(text), blocking=True)

    converse(request.wscontext, channel, signed=request.grip.signed, publish=say)


@websocket_only  # type: ignore[untyped-decorator]
def socket_refused(request: GripRequest, channel: str) -> HttpResponse:
    return HttpResponse(f"not on {channel}\n", status=403, content_type="text/plain", headers={"X-By": "Django"})


def publish_message(request: GripRequest, channel: str) -> HttpResponse:
    publish(channel, WebSocketMessageFormat(request.body), blocking=True)
    return JsonResponse({"ok": True})


def publish_binary(request: GripRequest, channel: str) -> HttpResponse:
    publish(channel, WebSocketMessageFormat(bytes.fromhex(request.body.decode()), binary=True), blocking=True)
    return JsonResponse({"ok": True})


def publish_leave(request: GripRequest, channel: str) -> HttpResponse:
    code = int(request.body) if request.body else None
    publish(channel, WebSocketMessageFormat(action="close", code=code), blocking=True)
    return JsonResponse({"ok": True})


urlpatterns = [
    path("whoami", whoami),
    path("stream/<channel>", stream),
    path("alive/<channel>", alive),
    path("poll/<channel>", poll),
    path("unchanged/<channel>", unchanged),
    path("publish/both/<channel>", publish_both),
    path("socket/<channel>", socket),
    path("socket/<channel>/refused", socket_refused),
    path("publish/message/<channel>", publish_message),
    path("publish/binary/<channel>", publish_binary),
    path("publish/leave/<channel>", publish_leave),
]

if __name__ == "__main__":
    run("127.0.0.1", int(os.environ["PORT"]), get_wsgi_application(), threading=True)
