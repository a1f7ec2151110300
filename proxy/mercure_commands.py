"""The options of `holdfast mercure-token` and `mercure-check`, which `mercure_token` and `mercure_check` obey."""

from __future__ import annotations

import argparse
from pathlib import Path

from proxy.pushpin_commands import without_pushpin_options

_MAKING = """\
Keys, issuer and audience come from the settings where they are not given. Examples:

  holdfast mercure-token --dev
  holdfast mercure-token --publish '*' --subscribe https://example.com/books/1
  holdfast mercure-token --legacy --subscribe 'https://example.com/books/{id}' --key file:hub.key"""

_CHECKING = """\
Keys come from the settings, as for `holdfast run`. Exit status 0 if the hub would accept the token, as publisher's or
as subscriber's where --role does not say which; 1 if not. Neither the token nor a key is printed."""


def add_mercure_commands(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],  # pyright: ignore[reportPrivateUsage]
) -> None:
    """Add both commands to those of the console script."""
    raw = argparse.RawDescriptionHelpFormatter
    token = subparsers.add_parser(
        "mercure-token",
        help="print a token for the Mercure hub",
        description="Print a token that lets its bearer publish to, or read from, these topics of the Mercure hub.",
        epilog=_MAKING,
        formatter_class=raw,
        allow_abbrev=False,
    )
    _add_settings_options(token)
    _add_dialect_options(token)
    _add_topic_options(token)
    _add_claim_options(token)
    check = subparsers.add_parser(
        "mercure-check",
        help="say what a token lets its bearer do, and why the Mercure hub would refuse it",
        description="Say what a token is, what it lets its bearer do, and why the Mercure hub would refuse it.",
        epilog=_CHECKING,
        formatter_class=raw,
        allow_abbrev=False,
    )
    _add_settings_options(check)
    check.add_argument("token", metavar="TOKEN", help="the token; - reads it from stdin")
    check.add_argument("--role", choices=("publisher", "subscriber"), help="what it is to be used as (default: either)")
    check.add_argument("--aud", metavar="URL", default="", help="the hub's URL (default: mercure.resource_identifier)")


def _add_settings_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--config", metavar="FILE", type=Path, help="the settings file")
    parser.add_argument(
        "--set", metavar="SECTION.KEY=VALUE", action="append", default=[], help="set anything; may be repeated"
    )
    # What the commands that serve have besides.
    parser.set_defaults(listen=None, publish=None, routes=None, route=[], workers=None)
    parser.set_defaults(log_level=None, log_format=None)
    without_pushpin_options(parser)


def _add_dialect_options(parser: argparse.ArgumentParser) -> None:
    dialect = parser.add_mutually_exclusive_group()
    dialect.add_argument("--protocol", choices=("1.0", "8", "2019"), help="dialect (default: by the settings' keys)")
    dialect.add_argument("--legacy", action="store_const", dest="protocol", const="8", help="the same as --protocol 8")
    parser.add_argument(
        "--dev", action="store_true", help="whatever is not given: the development key, its issuer, all topics"
    )


def _add_topic_options(parser: argparse.ArgumentParser) -> None:
    for action in ("publish", "subscribe"):
        parser.add_argument(
            f"--{action}",
            metavar="TOPIC",
            dest=f"{action}_topics",
            action="append",
            default=[],
            help=f"topic to {action} to; * is all; before 1.0 also a URI template, in 2019 a target; may be repeated",
        )
        parser.add_argument(
            f"--{action}-urlpattern",
            metavar="PATTERN",
            dest=f"{action}_patterns",
            action="append",
            default=[],
            help=f"URL pattern of topics to {action} to; may be repeated",
        )


def _add_claim_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--key", metavar="KEY", default="", help="the key to sign with: text, base64:... or file:PATH")
    parser.add_argument("--alg", metavar="ALG", default="", help="its algorithm (default: the settings', or HS256)")
    parser.add_argument("--kid", metavar="ID", default="", help="name of the key, for hubs with a key set")
    parser.add_argument("--iss", metavar="ID", default="", help="issuer (default: the only one of mercure.issuers)")
    parser.add_argument("--aud", metavar="URL", default="", help="the hub's URL (default: mercure.resource_identifier)")
    parser.add_argument("--sub", metavar="ID", default="", help="whom the token is for (default: the client)")
    parser.add_argument("--client-id", metavar="ID", default="holdfast", help="client (default: %(default)s)")
    parser.add_argument("--ttl", metavar="TIME", default="1h", help="how long it is valid (default: %(default)s)")
    parser.add_argument("--payload", metavar="JSON", help="what its subscriptions are shown with")
    parser.add_argument("--pretty", action="store_true", help="print what the token says, too")
