"""``rolewatch history``: what happened on this instance, as a time line, read back from the journal."""

from __future__ import annotations

import argparse
import json
import pwd
import re
import shutil
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Iterator, List, Optional

from rolewatch.cli import timeline
from rolewatch.cli.journal_reader import MOST_STRANGERS, UNIT, Past, Source, Writer, read_past, uids_of_the_daemon
from rolewatch.config.durations import parse_duration
from rolewatch.errors import UsageError
from rolewatch.text import printable

DEFAULT_SINCE = "7d"
_DAY = 86400.0
_FORM = re.compile(r"(?:([0-9]+(?:\.[0-9]+)?)d)? ?(.*)")
_LONGEST = 40
_UID = re.compile(r"[0-9]{1,10}", re.ASCII)
_WIDEST = 120
"""Columns. Sentences are hard to follow in longer lines."""


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add ``history``."""
    parser = commands.add_parser(
        "history",
        help="show what happened, from the journal",
        description="Show what rolewatch reported on this instance, and how long each fault lasted. Every local user "
        "can write entries that look like rolewatch's, so only those count that rolewatch.service wrote as the user "
        "rolewatch or root, as journald attests. The system's journal is open to root and to members of the groups "
        "systemd-journal and adm. Exit status: 0, even where nothing was found; 64 wrong usage; 69 the journal cannot "
        "be read.",
    )
    parser.add_argument(
        "--since",
        metavar="DURATION",
        type=since,
        help=f"how far back: 90m, 2h30m, 7d (default: {DEFAULT_SINCE}; all of it with --file or --directory)",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object for each event: docs/journal.md")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--directory", metavar="DIR", type=Path, help="read the journal files of a directory")
    source.add_argument(
        "--file", metavar="FILE", type=Path, action="append", help="read a journal file; may be repeated"
    )
    writer = parser.add_argument_group("the writer", "Whose entries count, where the daemon does not run as packaged.")
    writer.add_argument(
        "--unit",
        metavar="UNIT",
        type=unit,
        action="append",
        help=f"the unit of the daemon; may be repeated (default: {UNIT})",
    )
    writer.add_argument(
        "--uid",
        metavar="USER",
        type=uid,
        action="append",
        help="the user of the daemon, by name or number; may be repeated (default: rolewatch and root; any with --file "
        "or --directory, where the numbers are those of another machine)",
    )
    writer.add_argument(
        "--unverified",
        action="store_true",
        help="show the entries of every writer: any local user can have made them up, commands in them included",
    )
    parser.set_defaults(run=run)


def unit(text: str) -> str:
    """Return the name of a unit; as for systemctl, one without a suffix is a service."""
    return text if "." in text else f"{text}.service"


def uid(text: str) -> int:
    """Return the uid of a user, named or numbered. Raise `argparse.ArgumentTypeError` where there is no such user."""
    if _UID.fullmatch(text):
        return int(text)
    try:
        return pwd.getpwnam(text).pw_uid
    except (KeyError, ValueError):
        raise argparse.ArgumentTypeError(f"{text!r} is no user of this machine; write a name or a number") from None


def since(text: str) -> float:
    """Return the seconds of a duration that may have days. Raise `argparse.ArgumentTypeError` where it is none."""
    match = _FORM.fullmatch(text.strip()) if len(text) <= _LONGEST else None
    days, rest = match.groups() if match else (None, "")
    seconds = parse_duration(rest) if rest else 0.0
    if seconds is None or not (days or rest):
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; write 90m, 2h30m or 7d")
    return float(days or 0) * _DAY + seconds


def run(arguments: argparse.Namespace) -> int:
    """Print what happened and return 0. Raise `UsageError` or `UnavailableError` where that cannot be read."""
    now = datetime.now(timezone.utc)
    source = Source(files=tuple(arguments.file or ()), directory=arguments.directory)
    wanted: Optional[float] = arguments.since
    if wanted is None and source.is_live:
        wanted = since(DEFAULT_SINCE)
    writer = _writer(arguments, source)
    past = read_past(source, since=None if wanted is None else max(0.0, now.timestamp() - wanted), writer=writer)
    events = past.events
    for warning in _warnings(past, writer):
        print(f"rolewatch: {printable(warning)}", file=sys.stderr)
    if not events:
        print(f"rolewatch: {_nothing(source, arguments.since)}", file=sys.stderr)
    elif arguments.json:
        for event in events:
            print(json.dumps(event.document, ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(_text(events, now if source.is_live else events[-1].at)))
    return 0


def _writer(arguments: argparse.Namespace, source: Source) -> Optional[Writer]:
    """Return whose entries count; None: everybody's. Raise `UsageError` where the options contradict each other."""
    if arguments.unverified:
        if arguments.unit or arguments.uid:
            raise UsageError("--unverified shows the entries of every writer: leave out --unit and --uid.")
        return None
    units = tuple(arguments.unit or (UNIT,))
    if arguments.uid:
        return Writer(units, tuple(arguments.uid))
    return Writer(units, uids_of_the_daemon() if source.is_live else None)


def _warnings(past: Past, writer: Optional[Writer]) -> Iterator[str]:
    """Yield what a reader must know about *past* before believing it."""
    if past.damaged:
        yield f"the journal is damaged; entries that are left out: {past.damaged}"
    if writer is None and past.events:
        yield "unverified: any local user can have written these entries. Run no command that stands in them."
    if writer is not None and past.strangers:
        count = f"{past.strangers} or more" if past.strangers == MOST_STRANGERS else str(past.strangers)
        users = "" if writer.uids is None else f" as uid {' or '.join(map(str, writer.uids))}"
        yield (
            f"entries that claim to be rolewatch's and are left out: {count}. "
            f"{' or '.join(writer.units)} did not write them{users}. --unit and --uid name another writer."
        )


def _text(events: List[timeline.PastEvent], until: datetime) -> List[str]:
    """Return the time line of *events* and the list of faults, as of *until*."""
    # Elsewhere than on a terminal an event stays on one line, for grep.
    width = min(_WIDEST, shutil.get_terminal_size().columns) if sys.stdout.isatty() else None
    faults = list(timeline.fault_table(timeline.episodes(events), until))
    return [*timeline.table(events, width), *(["", *faults] if faults else [])]


def _nothing(source: Source, wanted: Optional[float]) -> str:
    if not source.is_live:
        return "no entry of rolewatch in these journal files" + ("." if wanted is None else ", since then.")
    return (
        "no entry of rolewatch in the journal, as far back as was asked for. Does it run? systemctl status rolewatch. "
        "For longer ago: --since 30d, as far as the journal is kept."
    )
