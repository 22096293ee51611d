"""``rolewatch diagnose``: checks from IMDS to the trust policy, the root cause, and its fix.

Of the commands for an instance, only this one calls AWS. It only reads.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pwd
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import rolewatch
from rolewatch import config, files
from rolewatch.aws import credentials
from rolewatch.aws.checks import Status
from rolewatch.aws.client import Api, Budget
from rolewatch.aws.diagnose import Diagnosis, diagnose, document, host, programs
from rolewatch.aws.diagnose.findings import Context, LocalFindings, Pause, Subject, collect
from rolewatch.aws.diagnose.overrides import find_overrides
from rolewatch.aws.diagnose.programs import Program
from rolewatch.aws_names import INSTANCE_ID
from rolewatch.cli import COMMANDS, options, output, poll_once, render
from rolewatch.cli.results import show_results
from rolewatch.errors import UsageError
from rolewatch.imds.client import Client
from rolewatch.monitor.loop import clock
from rolewatch.settings import Settings
from rolewatch.text import printable
from rolewatch.vocabulary import Evidence, State

Answers = dict[tuple[Optional[int], Optional[int]], Optional[Evidence]]
"""What a request by a user, in the network of a process if it has its own, failed with; see `request_as`."""
MODE = 0o640
"""Of the file that ``--output`` writes: the daemon reads it as its group."""
AWS_BUDGET = 10.0
"""Seconds that the chain of credentials and all calls to AWS share. With IMDS, `diagnose` ends within 20 s."""
CONFIRM_BUDGET = 60.0
"""The same with ``--output``, where nobody waits: botocore's retries, where AWS throttles a fleet, get their time."""


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add ``diagnose``."""
    parser = commands.add_parser(
        "diagnose",
        help=COMMANDS["diagnose"],
        description="Check the whole chain, from IMDS to the role's trust policy, and say what the root cause is, how "
        "to fix it and when the fix takes effect. Without --instance-id: this instance, by IMDS and, if there are "
        "credentials, by the AWS API. Nothing is changed. Exit status: 0 ok, 1 degraded, 2 failed, 3 unknown, "
        "64 wrong usage, 78 wrong settings.",
    )
    options.add_options(parser)
    parser.add_argument(
        "--instance-id", metavar="ID", help="diagnose this instance from elsewhere, with the AWS API only"
    )
    programs = parser.add_mutually_exclusive_group()
    programs.add_argument("--unit", metavar="NAME", help="judge as this systemd unit: its variables, files and network")
    programs.add_argument("--pid", metavar="N", type=int, help="judge as this process")
    programs.add_argument("--all-units", action="store_true", help="judge as each systemd service that runs, too")
    programs.add_argument("--user", metavar="NAME", help="judge as the programs of this user, by its files")
    parser.add_argument(
        "--region", metavar="REGION", help="Region of the instance (default: from IMDS or the AWS configuration)"
    )
    parser.add_argument("--profile", metavar="PROFILE", help="profile of the AWS configuration for the calls to AWS")
    parser.add_argument("--json", action="store_true", help="print JSON (docs/diagnose.schema.json)")
    parser.add_argument("--output", metavar="FILE", type=Path, help="write the JSON to FILE, as the daemon reads it")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, *, pause: Pause = time.sleep, environ: Mapping[str, str] = os.environ) -> int:
    """Diagnose, print the result, and return the state's exit status.

    *pause* waits before a second call to IAM. *environ* has the variables of the user whose programs are judged.
    """
    if arguments.instance_id is not None and not INSTANCE_ID.fullmatch(arguments.instance_id):
        message = f"{arguments.instance_id[:40]!r} is not an instance id, such as i-0123456789abcdef0."
        raise UsageError(message)
    if arguments.output:
        with _as_usage_error(arguments.output):
            files.refuse_unless_replaceable(arguments.output)
    loaded = options.load(arguments)
    for warning in loaded.warnings:
        output.complain(warning)
    diagnosis = diagnose(_context(arguments, loaded.settings, pause, environ))
    encoded = json.dumps(document(diagnosis, polled=clock().utc, version=rolewatch.__version__), indent=2)
    if arguments.output:
        with _as_usage_error(arguments.output):
            files.replace(arguments.output, f"{encoded}\n".encode(), mode=MODE, sync=True)
    if not arguments.json:
        _print(diagnosis)
    elif not arguments.output:
        print(encoded)
    return diagnosis.state.exit_code


def _context(arguments: argparse.Namespace, settings: Settings, pause: Pause, environ: Mapping[str, str]) -> Context:
    """Return what IMDS, this host and AWS say; without IMDS and this host if another instance is named."""
    client = Client(config.resolve_endpoint(settings.imds), settings.imds, monotonic=time.monotonic)
    program = _program(arguments)
    local = None if arguments.instance_id else _local(client, settings, environ)
    if local and program:
        local = _as(local, program, client, {})
    # Before AWS is called: this forks, and the thread of a call that was given up goes on.
    units = tuple(_units(local, client)) if local and arguments.all_units else ()
    subject = _subject(local) if local else _named(arguments.instance_id, settings)

    def fetch() -> credentials.Keys | None:
        return credentials.fetch(client) if local is None or local.answered else None

    budget = Budget(CONFIRM_BUDGET if arguments.output else AWS_BUDGET, time.monotonic)
    connection = credentials.connect(profile=arguments.profile, endpoint=client.in_use, fetch=fetch, budget=budget)
    region = arguments.region or subject.region or connection.region
    proof = credentials.verify(fetch, region, budget) if local else None
    api = Api(connection.session, region=region, budget=budget)
    return Context(
        aws=collect(api, subject, pause=pause, method=connection.method, proof=proof),
        local=local,
        instance_id=subject.instance_id,
        region=region,
        expected_role=local.snapshot.expected.role if local else settings.expect.role,
        units=units,
        now=clock().utc,
    )


def _program(arguments: argparse.Namespace) -> Program | None:
    """Return the program that *arguments* name. Raise `UsageError` if it is not there, or if none can be."""
    if arguments.unit is arguments.pid is arguments.user is None and not arguments.all_units:
        return None
    if arguments.instance_id:
        message = "--unit, --pid, --user and --all-units are for this instance; leave out --instance-id."
        raise UsageError(message)
    if arguments.pid is not None:
        return programs.process(arguments.pid)
    if arguments.unit is not None:
        return programs.unit(arguments.unit)
    return None if arguments.user is None else programs.user(arguments.user)


def _as(local: LocalFindings, program: Program, client: Client, answers: Answers) -> LocalFindings:
    """Return *local* for *program*. *answers* has the requests that were made already, by user and network."""
    who = (program.uid, program.own_network and program.pid)
    if who not in answers:
        answers[who] = programs.request_as(program, client)
    return replace(
        local,
        program=program,
        overrides=find_overrides(program.environ or {}, program.home, client.in_use, view=program.view),
        request=answers[who],
    )


def _units(local: LocalFindings, client: Client) -> Iterator[LocalFindings]:
    """Yield *local* for each service that runs. After 20 seconds no request is made as another user."""
    answers: Answers = {}
    until = time.monotonic() + 20
    for name in programs.running_units():
        with contextlib.suppress(UsageError):  # it has ended
            program = programs.unit(name)
            if time.monotonic() > until:
                answers.setdefault((program.uid, program.own_network and program.pid), None)
            yield _as(local, replace(program, name=name), client, answers)


def _local(client: Client, settings: Settings, environ: Mapping[str, str]) -> LocalFindings:
    """Poll IMDS once, and inspect this host: its way to the address that was used."""
    polled = poll_once.poll(client, settings, measure=True)
    return LocalFindings(
        observation=polled.observation,
        verdict=polled.verdict,
        snapshot=polled.snapshot,
        host=host.inspect(client.in_use),
        overrides=find_overrides(environ, _home(), client.in_use),
        user=_user(),
        accepted=settings.imds.accept_responder,
    )


def _subject(local: LocalFindings) -> Subject:
    """Return this instance."""
    identity, binding = local.snapshot.identity, local.snapshot.binding
    return Subject(
        instance_id=identity.instance_id if identity else local.host.instance_id,
        region=identity.region if identity else None,
        account_id=identity.account_id if identity else None,
        instance_profile=binding.instance_profile,
        instance_profile_id=binding.instance_profile_id,
        served_role=local.role,
    )


def _named(instance_id: str, settings: Settings) -> Subject:
    """Return the instance *instance_id*, with the instance profile that the settings expect, if it is one name."""
    expected = settings.expect.instance_profile
    return Subject(instance_id=instance_id, instance_profile=expected[0] if len(expected) == 1 else None)


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
"""What each state means without IMDS."""


def _print(diagnosis: Diagnosis) -> None:
    """Print *diagnosis* for a person."""
    facts = diagnosis.facts
    styled, columns = render.is_styled(sys.stdout, os.environ), render.width(sys.stdout)
    meaning = "" if diagnosis.on_instance else _FROM_ELSEWHERE[diagnosis.state]
    where = f"{facts.get('instance_id', 'this instance')} in {facts.get('region', 'an unknown Region')}"
    print(f"{render.headline(diagnosis.state, meaning, styled=styled)} ({printable(where)})\n")
    show_results(diagnosis.results, sys.stdout, os.environ)
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
