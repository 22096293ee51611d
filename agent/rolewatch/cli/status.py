"""``rolewatch status``: what the running daemon says, in ten lines at the most. It polls nothing."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import rolewatch
from rolewatch import config
from rolewatch.cli import COMMANDS, ask_daemon, output, render
from rolewatch.cli.ask_daemon import DaemonFault, DaemonStatus
from rolewatch.errors import UnavailableError
from rolewatch.faults import FAULTS, Fault
from rolewatch.monitor.loop import clock
from rolewatch.publish.messages import duration
from rolewatch.publish.status import unpolled_document
from rolewatch.text import shortened
from rolewatch.vocabulary import State

COLUMNS = 80
MOST_FAULTS = 3
"""Lines for faults. With them the text has ten lines."""
MISSED = 3
"""Number of the longest intervals without a poll after which the daemon's verdict counts no more."""
_LABEL = 15


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add ``status``."""
    parser = commands.add_parser(
        "status",
        help=COMMANDS["status"],
        description="Show what the running daemon says: its state, the faults and the next command. Nothing is polled. "
        "Exit status: 0 ok, 1 degraded, 2 failed, 3 unknown, or the daemon does not answer, 64 wrong usage, "
        "78 wrong settings.",
    )
    parser.add_argument(
        "--config", metavar="FILE", type=Path, help="settings file (default: /etc/rolewatch/rolewatch.toml)"
    )
    parser.add_argument(
        "--listen", metavar="HOST:PORT", help="where the daemon listens (default: as set, or 127.0.0.1:10169)"
    )
    parser.add_argument("--json", action="store_true", help="print the status document, as /status.json serves it")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what the daemon says, and return the exit status of its state; 3 if there is no verdict of now."""
    listen = (arguments.listen,) if arguments.listen else None
    loaded = config.load(arguments.config, environ=os.environ, flags={"metrics.listen": listen})
    for warning in loaded.warnings:
        output.complain(warning)
    styled, now = render.is_styled(sys.stdout, os.environ), clock().utc
    try:
        seen = ask_daemon.ask(loaded.settings.metrics)
    except UnavailableError as error:
        print(_no_document(error) if arguments.json else "\n".join(no_answer(error, styled=styled)))
        return State.UNKNOWN.exit_code
    stale = seen.polled is not None and (now - seen.polled).total_seconds() > MISSED * loaded.settings.poll.max_interval
    print(
        json.dumps(seen.document, indent=2)
        if arguments.json
        else "\n".join(text(seen, now, stale=stale, styled=styled))
    )
    return State.UNKNOWN.exit_code if stale else seen.state.exit_code


def _no_document(error: UnavailableError) -> str:
    """Return the JSON form of *error*, with the keys that the document has before the first poll."""
    why = f"The daemon does not answer: {error}"
    document = {**unpolled_document(version=rolewatch.__version__), "state": State.UNKNOWN.value, "error": why}
    return json.dumps(document, indent=2)


def no_answer(error: UnavailableError, *, styled: bool) -> Iterator[str]:
    """Yield the lines for people if the daemon does not answer."""
    yield render.headline(State.UNKNOWN, "the daemon does not answer", styled=styled)
    yield _row("because", str(error))
    yield _row("next", "systemctl status rolewatch.service rolewatch.socket")
    yield _row("", "rolewatch check polls IMDS without the daemon.")
    yield _row("", "Where the daemon listens elsewhere: --listen HOST:PORT")


def text(seen: DaemonStatus, now: datetime, *, stale: bool = False, styled: bool = False) -> Iterator[str]:
    """Yield the lines for people, as of *now*; *stale*: the daemon has stopped polling."""
    if seen.polled is None or seen.since is None:
        yield render.headline(seen.state, "no poll has ended yet", styled=styled)
        return
    meaning = f"the daemon has stopped polling; its last state was {seen.state.value}" if stale else ""
    yield render.headline(State.UNKNOWN if stale else seen.state, meaning, styled=styled)
    yield _row("since", _ago(seen.since, now))
    faults = seen.faults
    shown = faults if len(faults) <= MOST_FAULTS else faults[: MOST_FAULTS - 1]
    for each in shown:
        yield _row("fault", f"{each.name} ({each.severity}) since {_time(each.since)}")
    if len(faults) > len(shown):
        yield _row("", f"and {len(faults) - len(shown)} more: rolewatch check")
    yield _row("role", f"{seen.role or 'none is served'}, instance profile {seen.instance_profile or 'unknown'}")
    if seen.expiration and seen.expiration > now:
        left = duration((seen.expiration - now).total_seconds())
        yield _row("credentials", f"expire {_time(seen.expiration)}, in {left}")
    elif seen.expiration:
        yield _row("credentials", f"expired {_ago(seen.expiration, now)}")
    yield _row("last poll", _ago(seen.polled, now))
    yield _row("confirmation", _ago(seen.confirmed, now) if seen.confirmed else "off")
    if stale:
        yield _row("next", "systemctl status rolewatch.service")
    elif faults:
        yield _row("next", _next(faults[0]))


def _next(fault: DaemonFault) -> str:
    """Return the command to go on with. What is pasted has only words of this program: who answers may be anybody."""
    if fault.name not in {each.value for each in Fault}:  # of a newer version
        return "rolewatch check"
    known = fault.reason in FAULTS[Fault(fault.name)].variants
    return f"rolewatch explain {fault.name}" + (f" --reason={fault.reason}" if known else "")


def _row(label: str, value: str) -> str:
    return f"  {label:<{_LABEL - 3}} {shortened(value, COLUMNS - _LABEL)}"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _ago(moment: datetime, now: datetime) -> str:
    return f"{_time(moment)}, {duration((now - moment).total_seconds())} ago"
