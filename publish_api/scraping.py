"""The port for who watches: the metrics on every path, as on Pushpin's (reference 7.2), and how the process is doing.

Made by the composition root when `metrics.listen` is set. It is a publish port on which nothing can be published.
"""

from __future__ import annotations

from dataclasses import replace

from publish_api.plan import HEALTH, Kind, Planner, check_method
from publish_api.protocol.answer import PublishAnswer
from publish_api.protocol.request_head import RequestHead
from publish_api.site import PublishSite


class ScrapePlanner(Planner):
    """Plans for a port that only shows."""

    def _is_command(self, head: RequestHead) -> bool:
        return False

    def _route(self, head: RequestHead) -> tuple[Kind, PublishAnswer | None]:
        check_method(head.method, "GET", "HEAD")
        return HEALTH.get(head.target.removesuffix("/"), (Kind.METRICS, None))


def scraping_site(site: PublishSite) -> PublishSite:
    """Return what connections of the scraped port share, made of what those of the publish port do."""
    assert site.metrics is not None, "there is something to show"
    return replace(site, planner=ScrapePlanner(site.settings, has_metrics=True, is_hub=lambda _: False), hub=None)
