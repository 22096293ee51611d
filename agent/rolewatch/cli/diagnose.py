"""``rolewatch diagnose``: why, and what to do. A list of checks, from IMDS to the trust policy, and the root cause.

The only command of the instance that asks AWS. It reads, and changes nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pwd
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rolewatch
from rolewatch import config, files
from rolewatch.aws import credentials, queries
from rolewatch.aws.checks import Status
from rolewatch.aws.client import Api
from rolewatch.aws.diagnose import Diagnosis, collect, credential_overrides, diagnose, document, host
from rolewatch.aws.diagnose.collect import Context, Look, Pause
from rolewatch.cli import options, output, poll_once, render
from rolewatch.errors import UsageError
from rolewatch.imds.client import Client
from rolewatch.monitor.loop import clock
from rolewatch.observation import Answered, RoleListing
from rolewatch.settings import Settings
from rolewatch.text import printable
from rolewatch.vocabulary import State

MODE = 0o640
"""Of the file that ``--output`` writes: the daemon reads it as its group."""


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add ``diagnose``."""
    parser = commands.add_parser(
        "diagnose",
        help="say why the credentials are wrong, and what to do",
        description="Check the whole chain, from IMDS to the role's trust policy, and say what the root cause is, how "
        "to mend it and when that takes effect. Without --instance-id: this instance, by IMDS and, as far as there are "
        "credentials, by the AWS API. Nothing is changed. Exit status: 0 ok, 1 degraded, 2 failed, 3 unknown, "
        "64 wrong usage, 78 wrong settings.",
    )
    options.add_options(parser)
    parser.add_argument("--instance-id", metavar="ID", help="ask AWS about this instance, from elsewhere")
    parser.add_argument("--region", metavar="REGION", help="the Region to ask (default: the instance's own)")
    parser.add_argument("--profile", metavar="PROFILE", help="the profile of the AWS configuration to ask AWS with")
    parser.add_argument("--json", action="store_true", help="print JSON (docs/diagnose.schema.json)")
    parser.add_argument("--output", metavar="FILE", type=Path, help="write the JSON to FILE, as the daemon reads it")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, *, pause: Pause = time.sleep) -> int:
    """Diagnose, tell, and return the exit status of the state. *pause* waits until IAM is asked a second time."""
    if arguments.instance_id is not None and not queries.is_instance_id(arguments.instance_id):
        message = f"{arguments.instance_id[:40]!r} is no instance id, which looks like i-0123456789abcdef0."
        raise UsageError(message)
    if arguments.output:
        with _as_usage_error(arguments.output):
            files.refuse_unless_replaceable(arguments.output)
    loaded = options.load(arguments)
    for warning in loaded.warnings:
        output.complain(warning)
    diagnosis = diagnose(_gather(arguments, loaded.settings, pause))
    encoded = json.dumps(document(diagnosis, polled=clock().utc, version=rolewatch.__version__), indent=2)
    if arguments.output:
        with _as_usage_error(arguments.output):
            files.replace(arguments.output, f"{encoded}\n".encode(), mode=MODE, sync=True)
    if not arguments.json:
        _print(diagnosis)
    elif not arguments.output:
        print(encoded)
    return diagnosis.state.exit_code


@dataclass(frozen=True)
class _Here:
    """This instance, as far as it is known without AWS."""

    look: Look | None
    subject: collect.Subject
    region: str | None


def _gather(arguments: argparse.Namespace, settings: Settings, pause: Pause) -> Context:
    """Ask everybody who may know."""
    endpoint = config.resolve_endpoint(settings.imds)
    client = Client(endpoint, settings.imds, monotonic=time.monotonic)
    here = _elsewhere(arguments, settings) if arguments.instance_id else _here(client, settings, endpoint)
    connection = credentials.connect(
        profile=arguments.profile, endpoint=endpoint, fetch=lambda: credentials.fetch(client)
    )
    region = arguments.region or here.region or connection.region
    door = Api(connection.session, region=region)
    proven = credentials.verify(lambda: credentials.fetch(client), region) if here.look else None
    asked = collect.ask(door, here.subject, pause=pause, method=connection.method, proof=proven)
    expected = here.look.snapshot.expected.role if here.look else settings.expect.role
    return Context(
        asked=asked,
        look=here.look,
        proof=proven,
        instance_id=here.subject.instance_id,
        region=region,
        expected_role=expected,
    )


def _elsewhere(arguments: argparse.Namespace, settings: Settings) -> _Here:
    """Know nothing but what the caller says."""
    wanted = settings.expect.instance_profile
    subject = collect.Subject(
        instance_id=arguments.instance_id, instance_profile=wanted[0] if len(wanted) == 1 else None
    )
    return _Here(None, subject, None)


def _here(client: Client, settings: Settings, endpoint: str) -> _Here:
    """Look at IMDS and at this host."""
    looked = poll_once.poll(client, settings)
    seen, snapshot = looked.observation, looked.snapshot
    look = Look(
        seen=seen,
        verdict=looked.verdict,
        snapshot=snapshot,
        host=host.look(endpoint, os.environ),
        shadows=credential_overrides.look(os.environ, _home()),
        user=_user(),
    )
    identity = snapshot.identity
    listing = seen.listing if isinstance(seen, Answered) else None
    return _Here(
        look,
        collect.Subject(
            instance_id=identity.instance_id if identity else look.host.instance_id,
            account_id=identity.account_id if identity else None,
            instance_profile=snapshot.binding.instance_profile,
            instance_profile_id=snapshot.binding.instance_profile_id,
            served_role=listing.role if isinstance(listing, RoleListing) else None,
        ),
        identity.region if identity else None,
    )


def _home() -> Path | None:
    """Return the home directory of the user who runs this, as SDKs find it."""
    try:
        return Path("~").expanduser()
    except RuntimeError:
        return None


def _user() -> str:
    uid = os.geteuid()
    with contextlib.suppress(KeyError):
        return f"the user {pwd.getpwuid(uid).pw_name}"
    return f"uid {uid}"


@contextlib.contextmanager
def _as_usage_error(path: Path) -> Iterator[None]:
    """Turn an `OSError` about *path*, the argument of --output, into a `UsageError` that says what to do."""
    try:
        yield
    except files.NotRegularError as error:
        message = (
            f"--output {path} cannot be replaced: {error.strerror}. Name a file; --json alone prints to the output."
        )
        raise UsageError(message) from None
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}. Name another file with --output."
        raise UsageError(message) from None


_FROM_ELSEWHERE = {
    State.OK: "AWS shows nothing wrong; run diagnose on the instance to see what IMDS serves",
    State.DEGRADED: "AWS shows what is wrong or will break",
    State.FAILED: "the instance gets no credentials",
    State.UNKNOWN: "the answers of AWS do not decide it",
}
"""What the state means if only AWS was asked."""


def _print(diagnosis: Diagnosis) -> None:
    """Print *diagnosis* for a person."""
    facts = diagnosis.facts
    styled, columns = render.is_styled(sys.stdout, os.environ), render.width(sys.stdout)
    meaning = "" if diagnosis.on_instance else _FROM_ELSEWHERE[diagnosis.state]
    where = f"{facts.get('instance_id', 'this instance')} in {facts.get('region', 'an unknown Region')}"
    print(f"{render.headline(diagnosis.state, meaning, styled=styled)} ({printable(where)})\n")
    render.show(diagnosis.results, sys.stdout, os.environ)
    print()
    print("\n".join(_conclusion(diagnosis, styled=styled, columns=columns)))


def _conclusion(diagnosis: Diagnosis, *, styled: bool, columns: int) -> Iterator[str]:
    """Yield the lines about the root cause, its fix and the other faults; or that there is none."""
    root = diagnosis.root
    if root is not None:
        note = root.because if root.because != root.explained.cause else ""
        yield f"Root cause: {render.style(root.fault.value, 'bold', styled=styled)}: {root.explained.title}"
        yield from render.explanation(root.explained, ("because", note), columns=columns)
        others = [finding.fault.value for finding in diagnosis.findings if finding.fault is not root.fault]
        if others:
            yield ""
            yield f"Also found: {', '.join(others)}"
        return
    statuses = [each.outcome.status for each in diagnosis.results]
    undecided = statuses.count(Status.SKIPPED) + statuses.count(Status.UNKNOWN)
    yield "No fault found." if diagnosis.state is State.OK else f"No fault found. {undecided} checks were not decided."
    failed = [each.title for each in diagnosis.results if each.outcome.status is Status.FAIL]
    if failed:
        yield from render.paragraph("but", f"these checks failed: {'; '.join(failed)}.", columns)
