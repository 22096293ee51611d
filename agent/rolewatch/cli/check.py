"""``rolewatch check``: poll IMDS once, without debouncing, and print state, faults and fixes."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rolewatch
from rolewatch import config
from rolewatch.cli import COMMANDS, options, output, poll_once, render
from rolewatch.cli.ask_daemon import ask
from rolewatch.config import resolve_endpoint
from rolewatch.errors import ConfirmationError, UnavailableError, UsageError
from rolewatch.faults import CONFIRMED_FAULTS, Fault
from rolewatch.faults.explain import explain
from rolewatch.imds.client import Client
from rolewatch.imds.host import vendor
from rolewatch.monitor.confirmation import Confirmation, ConfirmationFile
from rolewatch.monitor.loop import clock
from rolewatch.publish import Snapshot, facts_of, messages
from rolewatch.publish.messages import duration
from rolewatch.publish.status import status_document
from rolewatch.settings import ImdsSettings, MetricsSettings, Settings
from rolewatch.text import printable
from rolewatch.vocabulary import State

NAGIOS = {0: "OK", 1: "WARNING", 2: "CRITICAL", 3: "UNKNOWN"}


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add ``check``."""
    parser = commands.add_parser(
        "check",
        help=COMMANDS["check"],
        description="Poll once, and say what is wrong and how to fix it. Exit status: 0 ok, 1 degraded, 2 failed, "
        "3 unknown, 64 wrong usage, 78 wrong settings.",
    )
    options.add_options(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--format", choices=["text", "json", "nagios"], default="text", help="what to print (default: text)"
    )
    form.add_argument("--json", action="store_const", const="json", dest="format", help="the same as --format json")
    form.add_argument(
        "--textfile",
        metavar="PATH",
        type=Path,
        help="write metrics to PATH, which ends in .prom, for node_exporter, and print nothing: for a timer instead of "
        "the daemon",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Poll, print or write the result, and return the exit status of the state."""
    loaded = options.load(arguments)
    for warning in loaded.warnings:
        output.complain(warning)
    if arguments.textfile and arguments.textfile.suffix != ".prom":
        raise UsageError(f"--textfile {arguments.textfile}: node_exporter reads files that end in .prom only")
    snapshot = poll(loaded.settings)
    if arguments.textfile:
        _write(arguments.textfile, snapshot, role_info=loaded.settings.metrics.role_info)
        return snapshot.state.exit_code
    if arguments.format == "json":
        print(json.dumps(status_document(snapshot, version=rolewatch.__version__, uid=os.getuid()), indent=2))
    elif arguments.format == "nagios":
        print(nagios(snapshot))
    else:
        styled, columns = render.is_styled(sys.stdout, os.environ), render.width(sys.stdout)
        # With --endpoint the daemon polls another IMDS.
        other = () if arguments.endpoint else other_verdict(snapshot, loaded.settings.metrics)
        lines = text(snapshot, styled=styled, columns=columns)
        print("\n".join((*not_ec2(loaded.settings.imds, vendor()), *lines, *other)))
    return snapshot.state.exit_code


def poll(settings: Settings) -> Snapshot:
    """Return the snapshot of one poll."""
    client = Client(config.resolve_endpoint(settings.imds), settings.imds, monotonic=time.monotonic)
    return poll_once.poll(client, settings, confirmation=_confirmation(settings)).snapshot


def _confirmation(settings: Settings) -> Confirmation | None:
    """Return the last confirmation, which the daemon reads, too; None if there is none that this user may read."""
    try:
        return ConfirmationFile(Path(settings.confirm.file)).read(clock().utc) if settings.confirm.file else None
    except ConfirmationError as error:
        output.complain(f"the last confirmation is ignored: {error}")
        return None


def _write(path: Path, snapshot: Snapshot, *, role_info: bool) -> None:
    # prometheus-client takes a moment to load, and the other forms do without.
    from rolewatch.publish.metrics import (  # noqa: PLC0415
        as_text,
        single_poll_samples,
        write_textfile,
    )

    write_textfile(path, as_text(single_poll_samples(snapshot, version=rolewatch.__version__, role_info=role_info)))


def nagios(snapshot: Snapshot) -> str:
    """Return the line of a Nagios plugin, with performance data."""
    word = NAGIOS[snapshot.state.exit_code]
    faults = ", ".join(active.fault.value for active in snapshot.faults)
    line = f"ROLEWATCH {word} - {snapshot.state.value}: {faults or messages.STATES[snapshot.state]}"
    if snapshot.binding.role:
        line += f", role {printable(snapshot.binding.role)}"
    if snapshot.credentials.expiration is None:
        return line
    left = round((snapshot.credentials.expiration - (snapshot.time or snapshot.moment.utc)).total_seconds())
    when = f"expire in {duration(left)}" if left > 0 else f"expired {duration(-left)} ago"
    return f"{line}, credentials {when} | expires_in={left}s"


def other_verdict(snapshot: Snapshot, metrics: MetricsSettings) -> Iterator[str]:
    """Yield the verdict of the running daemon if it differs from that of *snapshot*; nothing if no daemon answers."""
    try:
        seen = ask(metrics, timeout=1.0)
    except UnavailableError:
        return
    names = {each.name for each in seen.faults}
    if seen.since and (seen.state, names) != (snapshot.state, {each.fault.value for each in snapshot.faults}):
        confirmed = {fault.value: f"{fault.value} (by confirmation)" for fault in CONFIRMED_FAULTS}
        faults = ", ".join(confirmed.get(each.name, each.name) for each in seen.faults) or "no fault"
        yield ""
        since = f"{seen.since:%Y-%m-%d %H:%M} UTC"
        yield f"The daemon says {seen.state.value} since {since}: {faults}. See: rolewatch status"


def not_ec2(imds: ImdsSettings, made_by: str) -> Iterator[str]:
    """Yield that this may be no EC2 instance, if another vendor made it and the well-known address was asked.

    Nitro has "Amazon EC2", older types have "Xen" (EC2 user guide, "Identify EC2 Linux instances", 2026).
    """
    if made_by and not imds.endpoint and made_by not in ("Amazon EC2", "Xen"):
        asked = resolve_endpoint(imds)
        yield f"This may not be an EC2 instance: its firmware says {printable(made_by)}. {asked} was asked."
        yield ""


def text(snapshot: Snapshot, *, styled: bool, columns: int) -> Iterator[str]:
    """Yield the lines for people."""
    yield render.headline(snapshot.state, styled=styled)
    yield ""
    for label, value in _table(snapshot):
        yield f"  {label:<17} {printable(value)}"
    if snapshot.state is State.OK and not snapshot.expected.none:
        yield ""
        yield f"If a program has no credentials all the same: rolewatch explain {Fault.CREDENTIALS_OVERRIDDEN.value}"
    facts = facts_of(snapshot, uid=os.getuid())
    for active in snapshot.faults:
        explained = explain(active.fault, active.evidence, facts)
        evidence = ", ".join(f"{key}={value}" for key, value in active.evidence.items())
        yield ""
        yield f"{render.style(active.fault.value, 'bold', styled=styled)}: {explained.title}"
        yield from render.explanation(explained, ("seen", evidence), columns=columns)


def _table(snapshot: Snapshot) -> Iterator[list[str]]:
    identity = snapshot.identity
    if identity:
        yield ["instance", f"{identity.instance_id} in {identity.region or 'an unknown Region'}"]
    over_ipv6 = messages.over_ipv6(snapshot.imds_address)
    if over_ipv6:
        yield ["IMDS", over_ipv6]
    yield ["role", snapshot.binding.role or ("unknown" if snapshot.state is State.UNKNOWN else "none is served")]
    if snapshot.expected.role or snapshot.expected.none:
        yield ["expected role", ", ".join(snapshot.expected.role) or "none"]
    no_profile = "none" if snapshot.expected.none else "unknown"
    profile_id = f" ({snapshot.binding.instance_profile_id})" if snapshot.binding.instance_profile_id else ""
    yield [
        "instance profile",
        (snapshot.binding.instance_profile or no_profile) + profile_id,
    ]
    if snapshot.expected.instance_profile:
        yield ["expected profile", ", ".join(snapshot.expected.instance_profile)]
    if snapshot.hop_limit is not None:
        yield ["hop limit", messages.hop_limit(snapshot.hop_limit)]
    now = (snapshot.time or snapshot.moment.utc).timestamp()
    if snapshot.credentials.expiration:
        left = snapshot.credentials.expiration.timestamp() - now
        how = f"in {duration(left)}" if left > 0 else f"{duration(-left)} ago"
        yield ["credentials", f"expire {snapshot.credentials.expiration:%Y-%m-%d %H:%M} UTC, {how}"]
    updated = snapshot.credentials.last_updated
    if updated:
        yield ["last rotation", f"{updated:%Y-%m-%d %H:%M} UTC, {duration(now - updated.timestamp())} ago"]
