"""``rolewatch rules``: the alerts for Prometheus, with the selector and the thresholds of a site."""

from __future__ import annotations

import argparse
from typing import Any

import rolewatch
from rolewatch.alerts import Options, rule_file
from rolewatch.cli import options


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add ``rules``."""
    default = Options()
    parser = commands.add_parser(
        "rules",
        help="print the alerts for Prometheus",
        description="Print the rule file with the alerts on every fault, made of the same table as everything else. "
        "Without options it is the file that the package has among its examples.",
    )
    parser.add_argument(
        "--selector",
        metavar="MATCHERS",
        type=_matchers,
        default=default.selector,
        help=f"label matchers of rolewatch's series (default: {default.selector})",
    )
    parser.add_argument(
        "--runbooks", metavar="URL", default=None, help="where the runbooks are (default: the project's)"
    )
    parser.add_argument(
        "--expiring",
        metavar="DURATION",
        type=_duration,
        default=default.expiring,
        help="critical so long before credentials expire that were not rotated (default: 15m)",
    )
    parser.add_argument(
        "--poll-failures",
        metavar="SHARE",
        type=_share,
        default=default.poll_failures,
        help=f"share of polls that may fail in half an hour (default: {default.poll_failures:g})",
    )
    parser.add_argument(
        "--down",
        metavar="SHARE",
        type=_share,
        default=default.down,
        help=f"share of agents that may be out of reach before it is the fleet (default: {default.down:g})",
    )
    parser.add_argument(
        "--fleet-hosts",
        metavar="N",
        type=_count,
        default=default.fleet_hosts,
        help=f"from how many instances on one fault is the fleet's (default: {default.fleet_hosts})",
    )
    parser.add_argument(
        "--fleet-share",
        metavar="SHARE",
        type=_share,
        default=default.fleet_share,
        help=f"and from which share of the instances on (default: {default.fleet_share:g})",
    )
    parser.add_argument(
        "--no-keep-firing-for", action="store_true", help="leave that word out, for Prometheus before 2.42"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the rule file."""
    runbooks = arguments.runbooks
    wanted = Options(
        selector=arguments.selector,
        runbooks=rolewatch.project_url("Runbooks") if runbooks is None else runbooks,
        expiring=arguments.expiring,
        poll_failures=arguments.poll_failures,
        down=arguments.down,
        fleet_hosts=arguments.fleet_hosts,
        fleet_share=arguments.fleet_share,
        keep_firing_for=not arguments.no_keep_firing_for,
    )
    print(rule_file(wanted), end="")
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
