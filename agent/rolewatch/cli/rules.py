"""``rolewatch rules``: the alerting rules for Prometheus, with the selector and the thresholds of a site."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import Any

import rolewatch
from rolewatch.alerts import Options, rule_file
from rolewatch.cli import COMMANDS, options
from rolewatch.text import format_duration


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add ``rules``."""
    parser = commands.add_parser(
        "rules",
        help=COMMANDS["rules"],
        description="Print the file with the alerting rules for every fault. Without options it is the file that the "
        "package has among its examples.",
    )
    for name, metavar, read, meaning in (
        ("selector", "MATCHERS", _matchers, "label matchers of rolewatch's series"),
        ("runbooks", "URL", str, "address of the runbooks (default: the project's)"),
        ("expiring", "DURATION", _duration, "time before the expiration at which unrotated credentials are critical"),
        ("poll_failures", "SHARE", _share, "share of polls that may fail in half an hour"),
        ("down", "SHARE", _share, "share of agents that may be down before the alert is about the fleet"),
        ("fleet_hosts", "N", _count, "number of instances with a fault at which the alert is about the fleet"),
        ("fleet_share", "SHARE", _share, "share of instances with a fault at which the alert is about the fleet"),
    ):
        default = getattr(Options(), name) or None
        shown = format_duration(Options().expiring) if name == "expiring" else default
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            metavar=metavar,
            type=read,
            default=default,
            help=meaning if default is None else f"{meaning} (default: {shown})",
        )
    parser.add_argument(
        "--no-keep-firing-for",
        dest="keep_firing_for",
        action="store_false",
        help="leave out keep_firing_for, for Prometheus before 2.42",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the rule file."""
    site = {field.name: getattr(arguments, field.name) for field in fields(Options)}
    if arguments.runbooks is None:
        site["runbooks"] = rolewatch.project_url("Runbooks")
    print(rule_file(Options(**site)), end="")
    return 0


def _matchers(text: str) -> str:
    matchers = text.strip().strip("{}").strip().rstrip(",")
    if not matchers or "=" not in matchers or "\n" in matchers:
        message = f'{text!r} is no label matcher; write job="rolewatch", several with commas between them'
        raise argparse.ArgumentTypeError(message)
    return matchers


def _duration(text: str) -> float:
    seconds = options.seconds(text)
    if seconds <= 0:
        message = f"{text!r} is too short; write 5m, or 15m"
        raise argparse.ArgumentTypeError(message)
    return seconds


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 < share < 1:
        message = f"{text!r} is not a share; write a number between 0 and 1, such as 0.2"
        raise argparse.ArgumentTypeError(message)
    return share


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:9]) > 0):
        message = f"{text!r} is not a number of instances; write 1 or more"
        raise argparse.ArgumentTypeError(message)
    return int(text)
