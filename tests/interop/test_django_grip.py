"""A Django project on django-grip works behind Holdfast."""

from __future__ import annotations

import pytest
import requests

from tests.interop.grip_site import TIMEOUT, Site


def test_django_grip_finds_a_proxied_request_proxied_and_signed(django_site: Site) -> None:
    seen = django_site.get("/whoami").json()
    assert (seen["proxied"], seen["signed"]) == (True, True)
    assert {"status", "filter:skip-self"} <= set(seen["features"])


def test_django_grip_refuses_to_hold_around_the_proxy(django_site: Site, channel: str) -> None:
    assert django_site.ask_backend("/whoami").json()["proxied"] is False
    assert django_site.ask_backend(f"/stream/{channel}").status_code == 501
    assert django_site.ask_backend(f"/stream/{channel}", headers={"Grip-Sig": "forged"}).status_code == 501


def test_set_hold_stream_shows_what_publish_sends(django_site: Site, channel: str) -> None:
    with django_site.stream(f"/stream/{channel}") as stream:
        stream.expect("opened\n")
        django_site.publish(f"both/{channel}", "published\n")
        stream.expect("published\n")


def test_an_idle_stream_gets_the_keep_alive_that_django_grip_encodes(django_site: Site, channel: str) -> None:
    with django_site.stream(f"/alive/{channel}") as stream:
        stream.expect("opened\nstill\nhere\nstill\nhere\n")


@pytest.mark.parametrize("suffix", ["", "-too"])
def test_set_hold_longpoll_on_two_channels_is_answered_by_either(django_site: Site, channel: str, suffix: str) -> None:
    answer = django_site.poll(f"/poll/{channel}", lambda: django_site.publish(f"both/{channel}{suffix}", "here"))
    assert (answer.status_code, answer.text) == (200, "here")


def test_a_long_poll_nobody_answers_ends_with_the_backends_304_after_its_timeout(
    django_site: Site, channel: str
) -> None:
    answer = django_site.get(f"/unchanged/{channel}")
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["ETag"] == '"1"'
    assert 5 <= answer.elapsed.total_seconds() < 10


def test_a_port_with_a_jwt_key_takes_django_grips_tokens_and_refuses_publishers_without(django_site: Site) -> None:
    assert django_site.publish("both/nobody-listens", "signed") == {"ok": True}
    unsigned = requests.post(f"{django_site.publish_url}/publish/", json={"items": []}, timeout=TIMEOUT)
    assert (unsigned.status_code, unsigned.headers.get("WWW-Authenticate")) == (401, "Bearer")
