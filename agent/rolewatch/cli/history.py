"""``rolewatch history``: what happened on this instance, as a time line, read back from the journal."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, List, Optional

from rolewatch.cli import timeline
from rolewatch.cli.journal_reader import Source, read_past
from rolewatch.config.durations import parse_duration

DEFAULT_SINCE = "7d"
_DAY = 86400.0
_FORM = re.compile(r"(?:([0-9]+(?:\.[0-9]+)?)d)? ?(.*)")
_LONGEST = 40
_WIDEST = 120
"""Columns. Sentences are hard to follow in longer lines."""


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add ``history``."""
    parser = commands.add_parser(
        "history",
        help="show what happened, from the journal",
        description="Show what rolewatch told on this instance, and how long each fault lasted. The journal of other "
        "users is open to root and to members of the groups systemd-journal and adm. Exit status: 0, even where "
        "nothing was found; 64 wrong usage; 69 the journal cannot be read.",
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
    parser.set_defaults(run=run)


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
    past = read_past(source, since=None if wanted is None else max(0.0, now.timestamp() - wanted))
    events = past.events
    if past.damaged:
        print(f"rolewatch: the journal is damaged; entries that are left out: {past.damaged}", file=sys.stderr)
    if not events:
        print(f"rolewatch: {_nothing(source, arguments.since)}", file=sys.stderr)
    elif arguments.json:
        for event in events:
            print(json.dumps(event.document, ensure_ascii=False))
    else:
        print("\n".join(_text(events, now if source.is_live else events[-1].at)))
    return 0


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
