"""``rolewatch history``: what happened on this instance, as a timeline read from the journal."""

from __future__ import annotations

import argparse
import json
import pwd
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rolewatch.cli import COMMANDS, options, output
from rolewatch.cli.journal_reader import MAX_FOREIGN, UNIT, Past, PastEvent, Source, Writer, daemon_uids, read_past
from rolewatch.errors import UsageError
from rolewatch.publish.messages import duration
from rolewatch.text import shortened, timestamp
from rolewatch.vocabulary import EventKind, State

_GAP = "  "
_INDENT = "    "
_WIDEST_CELL = 64
"""Characters of a cell. The name of a role has at most 64 (IAM API reference, CreateRole, 2026)."""
_WIDEST = 120
"""Columns. Sentences are hard to follow in longer lines."""
_ABOUT_A_FAULT = {kind.value for kind in (EventKind.FAULT_RAISED, EventKind.FAULT_PERSISTS, EventKind.FAULT_CLEARED)}


def event_table(events: Sequence[PastEvent], width: int | None) -> Iterator[str]:
    """Yield a line for each of *events*. With a *width* the message follows on lines of its own, wrapped to that."""
    lines = _aligned([("time (UTC)", "event", "fault or state", "role", "lasted"), *map(_row, events)])
    yield lines[0].rstrip() if width else f"{lines[0]}{_GAP}message"
    for line, event in zip(lines[1:], events):
        if width is None:
            yield f"{line}{_GAP}{event.message}".rstrip()
        else:
            yield line.rstrip()
            yield from textwrap.wrap(event.message, width, initial_indent=_INDENT, subsequent_indent=_INDENT)


def fault_table(events: Sequence[PastEvent], until: datetime) -> Iterator[str]:
    """Yield a line for each time that a fault was active in *events*, the oldest first; nothing if there is none.

    An active fault has lasted until *until*. Its end is unknown if rolewatch stopped or reported the state ok without
    an event for it, or if the fault was raised anew.
    """
    last: dict[tuple[str, datetime], PastEvent] = {}
    active: dict[str, datetime] = {}
    for event in events:
        if event.fault and event.event in _ABOUT_A_FAULT:
            active[event.fault] = _since(event)
            last[event.fault, _since(event)] = event
        elif event.event == EventKind.STOPPING.value or _is_ok(event):
            active.clear()
    rows = []
    for (fault, since), event in sorted(last.items(), key=lambda item: item[0][1]):
        if event.event == EventKind.FAULT_CLEARED.value:
            end, lasted = _time(event.at), _lasted(event) or duration((event.at - since).total_seconds())
        elif active.get(fault) == since:
            end, lasted = "active", f"{duration((until - since).total_seconds())} so far"
        else:
            end, lasted = "unknown", ""
        rows.append((_cell(fault), _time(since), end, lasted))
    if rows:
        yield from (line.rstrip() for line in _aligned([("fault", "from (UTC)", "to", "lasted"), *rows]))


def _is_ok(event: PastEvent) -> bool:
    return event.event == EventKind.STATE_CHANGED.value and event.facts.get("state") == State.OK.value


def _since(event: PastEvent) -> datetime:
    """Return since when the fault of *event* is active: its field ``since``, or the time of the entry without one."""
    return timestamp(str(event.facts.get("since"))) or event.at


def _row(event: PastEvent) -> tuple[str, ...]:
    role = str(event.facts.get("role", ""))
    return (_time(event.at), _cell(event.event), _cell(_what(event)), _cell(role), _lasted(event))


def _cell(words: str) -> str:
    """Return *words* cut to the width of a cell: one long value would widen every row."""
    return shortened(words, _WIDEST_CELL)


def _what(event: PastEvent) -> str:
    if event.event == EventKind.STATE_CHANGED.value:
        return str(event.facts.get("state", ""))
    return event.fault


def _lasted(event: PastEvent) -> str:
    seconds = event.facts.get("duration_seconds")
    return duration(seconds) if isinstance(seconds, (int, float)) else ""


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows)]
    return [_GAP.join(cell.ljust(width) for cell, width in zip(row, widths)) for row in rows]


DEFAULT_SINCE = "7d"
_UID = re.compile(r"[0-9]{1,10}", re.ASCII)
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,255}", re.ASCII)
"""systemd.unit(5), "Description"."""


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add ``history``."""
    parser = commands.add_parser(
        "history",
        help=COMMANDS["history"],
        description="Show what rolewatch reported on this instance, and how long each fault lasted. Every local user "
        "can write entries that look like rolewatch's. Therefore it shows only entries that journald attributes to "
        "rolewatch.service and the user rolewatch or root. Root and members of the groups systemd-journal and adm can "
        "read the journal. Exit status: 0, also if there is no entry; 64 wrong usage; 69 the journal cannot be read.",
    )
    parser.add_argument(
        "--since",
        metavar="DURATION",
        type=options.seconds,
        help=f"how far back: 90m, 2h30m, 7d (default: {DEFAULT_SINCE}; all of it with --file or --directory)",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object for each event: docs/journal.md")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--directory", metavar="DIR", type=Path, help="read the journal files of a directory")
    source.add_argument(
        "--file", metavar="FILE", type=Path, action="append", help="read a journal file; may be repeated"
    )
    writer = parser.add_argument_group("the writer", "The unit and user of a daemon that does not run as packaged.")
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
        "or --directory, because other machines have other numbers)",
    )
    writer.add_argument(
        "--unverified",
        action="store_true",
        help="show the entries of every writer: any local user can have forged them, and the commands in them",
    )
    parser.set_defaults(run=run)


def unit(text: str) -> str:
    """Return the name of a unit; one without a suffix is a service, as for systemctl.

    Raise `argparse.ArgumentTypeError` if systemd would not accept it.
    """
    if not _UNIT.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{shortened(repr(text), _WIDEST_CELL)} is no name of a unit")
    return text if "." in text else f"{text}.service"


def uid(text: str) -> int:
    """Return the uid of a user, by name or number. Raise `argparse.ArgumentTypeError` if there is no such user."""
    if _UID.fullmatch(text):
        return int(text)
    try:
        return pwd.getpwnam(text).pw_uid
    except (KeyError, ValueError):
        raise argparse.ArgumentTypeError(f"{text!r} is no user of this machine; write a name or a number") from None


def run(arguments: argparse.Namespace) -> int:
    """Print the events and return 0. Raise `UsageError` or `UnavailableError` if the journal cannot be read."""
    now = datetime.now(timezone.utc)
    source = Source(files=tuple(arguments.file or ()), directory=arguments.directory)
    wanted: float | None = arguments.since
    if wanted is None and source.is_live:
        wanted = options.seconds(DEFAULT_SINCE)
    writer = _writer(arguments, source)
    past = read_past(source, since=None if wanted is None else max(0.0, now.timestamp() - wanted), writer=writer)
    events = past.events
    for warning in _warnings(past, writer):
        output.complain(warning)
    if not events:
        output.complain(_nothing(source, arguments.since))
    elif arguments.json:
        for event in events:
            print(json.dumps(event.document, ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(_text(events, now if source.is_live else events[-1].at)))
    return 0


def _writer(arguments: argparse.Namespace, source: Source) -> Writer | None:
    """Return the writer whose entries are shown, or None for every writer. Raise `UsageError` for contradictions."""
    if arguments.unverified:
        if arguments.unit or arguments.uid:
            raise UsageError("--unverified shows the entries of every writer: leave out --unit and --uid.")
        return None
    units = tuple(arguments.unit or (UNIT,))
    if arguments.uid:
        return Writer(units, tuple(arguments.uid))
    return Writer(units, daemon_uids() if source.is_live else None)


def _warnings(past: Past, writer: Writer | None) -> Iterator[str]:
    """Yield the reasons why *past* may be incomplete or wrong."""
    if past.damaged:
        yield f"the journal is damaged; entries that are left out: {past.damaged}"
    if writer is None and past.events:
        yield "unverified: any local user can have written these entries. Run no command that they contain."
    if writer is not None and past.foreign:
        count = f"{past.foreign} or more" if past.foreign == MAX_FOREIGN else str(past.foreign)
        users = "" if writer.uids is None else f" as uid {' or '.join(map(str, writer.uids))}"
        yield (
            f"entries that claim to be rolewatch's and are left out: {count}. "
            f"{' or '.join(writer.units)} did not write them{users}. --unit and --uid name another writer."
        )


def _text(events: list[PastEvent], until: datetime) -> list[str]:
    """Return the timeline of *events* and the table of faults, as of *until*."""
    # A pipe or a file gets one line for each event, for grep.
    width = min(_WIDEST, shutil.get_terminal_size().columns) if sys.stdout.isatty() else None
    faults = list(fault_table(events, until))
    return [*event_table(events, width), *(["", *faults] if faults else [])]


def _nothing(source: Source, wanted: float | None) -> str:
    if not source.is_live:
        return "no entry of rolewatch in these journal files" + ("." if wanted is None else ", since then.")
    return (
        "no entry of rolewatch in the journal in that time. Is it running? systemctl status rolewatch. "
        "For a longer time: --since 30d, as far as the journal is kept."
    )
