"""``rolewatch preflight``: checks before a launch, for administrators and pipelines. Changes nothing."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Callable

from rolewatch import config
from rolewatch.aws import credentials, preflight
from rolewatch.aws.checks import Result
from rolewatch.aws.client import Api
from rolewatch.aws.preflight import Outlook, deciding_result, document, outlook
from rolewatch.aws.preflight.names import Principal, parse_principal, parse_profile, parse_role
from rolewatch.cli import COMMANDS, options, output, render
from rolewatch.cli.results import show_results
from rolewatch.errors import UsageError
from rolewatch.imds.client import Client
from rolewatch.text import printable

EXITS = (
    "Exit status: 0 nothing stands in the way, 1 something may fail, 2 it will fail, 3 cannot tell, 64 wrong usage, "
    "78 wrong settings."
)
COLOUR = {Outlook.OK: "green", Outlook.MAY_FAIL: "yellow", Outlook.WILL_FAIL: "red", Outlook.CANNOT_TELL: "yellow"}

Question = Callable[[Api], tuple[Result, ...]]
"""Asks AWS and returns the results. Its names are parsed before the first call, so that wrong usage ends at once."""


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add ``preflight`` and its commands."""
    summary = "say beforehand whether a launch, or a change of the instance profile, will work"
    parser = commands.add_parser(
        "preflight", help=COMMANDS["preflight"], description=f"{summary.capitalize()}. {EXITS}"
    )
    topics = parser.add_subparsers(dest="topic", metavar="WHAT", required=True)
    _launch(topics)
    _attach_role(topics)
    _visible(topics)


def _launch(topics: Any) -> None:  # noqa: ANN401 - likewise
    parser = _topic(topics, "launch", "may instances be launched with this instance profile?")
    _named(parser, "--instance-profile", "the instance profile, by name or ARN")
    dry_run = parser.add_argument_group("a dry run", "Asks EC2 itself, as the caller. Nothing is launched.")
    dry_run.add_argument("--image-id", metavar="AMI", help="image for the dry run; without it there is none")
    dry_run.add_argument("--instance-type", metavar="TYPE", default="t3.micro", help="default: %(default)s")
    dry_run.add_argument("--subnet-id", metavar="SUBNET", help="default: the default subnet")
    parser.set_defaults(question=_ask_launch)


def _attach_role(topics: Any) -> None:  # noqa: ANN401 - likewise
    parser = _topic(topics, "attach-role", "may this role be put into this instance profile?")
    _named(parser, "--instance-profile", "the instance profile, by name or ARN")
    _named(parser, "--role", "the role, by name or ARN")
    parser.set_defaults(question=_ask_attach_role)


def _visible(topics: Any) -> None:  # noqa: ANN401 - likewise
    parser = _topic(topics, "visible", "why is this role not in the console's list?")
    _named(parser, "--role", "the role, by name or ARN")
    parser.set_defaults(question=_ask_visible)


def _topic(topics: Any, name: str, question: str) -> argparse.ArgumentParser:  # noqa: ANN401 - likewise
    description = f"{question.capitalize()} Nothing is changed. {EXITS}"
    parser: argparse.ArgumentParser = topics.add_parser(name, help=question, description=description)
    parser.add_argument(
        "--principal", metavar="ARN", help="user or role whose permissions are asked for (default: yours)"
    )
    parser.add_argument("--region", metavar="REGION", help="the Region to ask (default: that of the AWS configuration)")
    parser.add_argument("--profile", metavar="PROFILE", help="the profile of the AWS configuration to ask AWS with")
    parser.add_argument("--json", action="store_true", help="print JSON (docs/preflight.md)")
    parser.add_argument(
        "--config", metavar="FILE", type=Path, help="settings file, for the IMDS to ask for credentials"
    )
    parser.add_argument("--endpoint", metavar="URL", help="IMDS to ask for credentials where there are no others")
    parser.set_defaults(run=run, expect_role=None)
    return parser


def _named(parser: argparse.ArgumentParser, option: str, what: str) -> None:
    parser.add_argument(option, metavar="NAME|ARN", required=True, help=what)


def run(arguments: argparse.Namespace) -> int:
    """Ask AWS, print the results, and return the exit status."""
    loaded = options.load(arguments)
    for warning in loaded.warnings:
        output.complain(warning)
    question: Question = arguments.question(arguments)
    endpoint = config.resolve_endpoint(loaded.settings.imds)
    client = Client(endpoint, loaded.settings.imds, monotonic=time.monotonic)
    connection = credentials.connect(
        profile=arguments.profile, endpoint=endpoint, fetch=lambda: credentials.fetch(client)
    )
    api = Api(connection.session, region=arguments.region or connection.region)
    try:
        results = question(api)
    finally:
        api.close()
    if arguments.json:
        print(json.dumps(document(arguments.topic, results), indent=2))
    else:
        _print(results)
    return outlook(results).value


def _ask_launch(arguments: argparse.Namespace) -> Question:
    profile, principal = parse_profile(arguments.instance_profile), _principal(arguments)
    if arguments.subnet_id and not arguments.image_id:
        raise UsageError("--subnet-id needs --image-id: it is for the dry run.")
    image: dict[str, str] = {}
    if arguments.image_id:
        image = {"ImageId": arguments.image_id, "InstanceType": arguments.instance_type}
        image.update({"SubnetId": arguments.subnet_id} if arguments.subnet_id else {})
    return lambda api: preflight.launch(api, profile, principal, image)


def _ask_attach_role(arguments: argparse.Namespace) -> Question:
    profile, principal = parse_profile(arguments.instance_profile), _principal(arguments)
    role = parse_role(arguments.role)
    return lambda api: preflight.attach_role(api, profile, role, principal)


def _ask_visible(arguments: argparse.Namespace) -> Question:
    role, principal = parse_role(arguments.role), _principal(arguments)
    return lambda api: preflight.visible(api, role, principal)


def _principal(arguments: argparse.Namespace) -> Principal | None:
    return parse_principal(arguments.principal) if arguments.principal else None


def _print(results: tuple[Result, ...]) -> None:
    """Print the outlook, the table of checks, and the fixes."""
    verdict = outlook(results)
    styled = render.is_styled(sys.stdout, os.environ)
    columns = render.width(sys.stdout)
    word = verdict.name.replace("_", " ")
    reason = deciding_result(results)
    headline = render.style(word, COLOUR[verdict], styled=styled)
    print(f"{headline}: {printable(reason.outcome.note) if reason else 'nothing stands in the way.'}")
    print()
    show_results(results, sys.stdout, os.environ)
    for result in results:
        if result.outcome.fix:
            print()
            print(render.style(result.id, "bold", styled=styled))
            print("\n".join(render.steps(result.outcome.fix, columns)))
