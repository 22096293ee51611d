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
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rolewatch.cli import journal_reader, output
from rolewatch.cli.journal_reader import (
    MOST_STRANGERS,
    UNIT,
    Past,
    PastEvent,
    Source,
    Writer,
    read_past,
    uids_of_the_daemon,
)
from rolewatch.errors import UsageError
from rolewatch.publish.messages import duration
from rolewatch.text import parse_duration, shortened
from rolewatch.vocabulary import EventKind, State

_GAP = "  "
_INDENT = "    "
_WIDEST_CELL = 64
"""Characters of a cell. A role's name has so many at most (IAM API reference, CreateRole, 2026)."""


@dataclass(frozen=True)
class Episode:
    """One fault from when it was first seen to when it was over."""

    fault: str
    since: datetime
    until: datetime | None = None
    """None where the end was not told."""
    stands: bool = True
    """Whether, without an end, it may still stand: nothing that was told since then says otherwise."""


def episodes(events: Sequence[PastEvent]) -> list[Episode]:
    """Return each fault's episodes in *events*, by when they began.

    An end may go untold: rolewatch was stopped, the fault was mended, and nothing was remembered over the restart.
    """
    ledger = _Ledger()
    for event in events:
        kind = event.event
        if event.fault and kind in (EventKind.FAULT_RAISED.value, EventKind.FAULT_PERSISTS.value):
            ledger.begin(event.fault, _since(event))
        elif event.fault and kind == EventKind.FAULT_CLEARED.value:
            ledger.end(event.fault, _since(event), event.at)
        elif kind == EventKind.STOPPING.value or _is_ok(event):
            ledger.doubt()
    return sorted(ledger.episodes, key=lambda episode: episode.since)


class _Ledger:
    """Episodes, by the order in which they were reported. Each call takes constant time, amortised."""

    def __init__(self) -> None:
        self.episodes: list[Episode] = []
        self._open: dict[str, dict[datetime, int]] = {}
        """Of each fault the episodes without an end: index by beginning, the latest reported last."""
        self._standing: dict[str, int] = {}
        """Of each fault the episode that may still stand."""

    def begin(self, fault: str, since: datetime) -> None:
        """Begin an episode, unless it has begun already. An earlier one of the same fault no longer stands."""
        began = self._open.setdefault(fault, {})
        if since not in began:
            began[since] = len(self.episodes)
            self.episodes.append(Episode(fault, since))
        self._doubt(self._standing.get(fault))
        self._standing[fault] = began[since]
        self._set(began[since], stands=True)

    def end(self, fault: str, since: datetime, until: datetime) -> None:
        """End the latest open episode of *fault*; where its beginning was too long ago to be read, add it."""
        began = self._open.get(fault)
        if not began:
            self.episodes.append(Episode(fault, since, until))
            return
        _, index = began.popitem()
        if self._standing.get(fault) == index:
            del self._standing[fault]
        self.episodes[index] = replace(self.episodes[index], until=until)

    def doubt(self) -> None:
        """Note that no open episode is known to stand any longer."""
        for index in self._standing.values():
            self._doubt(index)
        self._standing.clear()

    def _doubt(self, index: int | None) -> None:
        if index is not None:
            self._set(index, stands=False)

    def _set(self, index: int, *, stands: bool) -> None:
        self.episodes[index] = replace(self.episodes[index], stands=stands)


def _is_ok(event: PastEvent) -> bool:
    return event.event == EventKind.STATE_CHANGED.value and event.facts.get("state") == State.OK.value


def _since(event: PastEvent) -> datetime:
    """Return since when the fault of *event* stands: as it says, or else since it was told."""
    try:
        return datetime.strptime(str(event.facts.get("since")), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    except ValueError:
        return event.at


def table(events: Sequence[PastEvent], width: int | None) -> Iterator[str]:
    """Yield a line for each of *events*; where *width* is given, the sentence goes below it, wrapped to that."""
    lines = _aligned([("time (UTC)", "event", "fault or state", "role", "lasted"), *map(_row, events)])
    yield lines[0].rstrip() if width else f"{lines[0]}{_GAP}message"
    for line, event in zip(lines[1:], events):
        if width is None:
            yield f"{line}{_GAP}{event.message}".rstrip()
        else:
            yield line.rstrip()
            yield from textwrap.wrap(event.message, width, initial_indent=_INDENT, subsequent_indent=_INDENT)


def fault_table(told: Sequence[Episode], until: datetime) -> Iterator[str]:
    """Yield a line for each episode: from when to when, and how long. What still stands has lasted until *until*."""
    rows: list[tuple[str, ...]] = [("fault", "from (UTC)", "to", "lasted")]
    for episode in told:
        if episode.until is not None:
            end, lasted = _time(episode.until), duration((episode.until - episode.since).total_seconds())
        elif episode.stands:
            end, lasted = "stands", f"{duration((until - episode.since).total_seconds())} so far"
        else:
            end, lasted = "end not told", ""
        rows.append((_cell(episode.fault), _time(episode.since), end, lasted))
    if told:
        yield from (line.rstrip() for line in _aligned(rows))


def _row(event: PastEvent) -> tuple[str, ...]:
    role = str(event.facts.get("role", ""))
    return (_time(event.at), _cell(event.event), _cell(_what(event)), _cell(role), _lasted(event))


def _cell(words: str) -> str:
    """Return *words* in the width of a cell: one long value would widen every row."""
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


_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,255}", re.ASCII)
"""systemd.unit(5), "Description"."""


def unit(text: str) -> str:
    """Return the name of a unit; as for systemctl, one without a suffix is a service.

    Raise `argparse.ArgumentTypeError` where it has other characters or more of them than systemd allows.
    """
    if not _UNIT.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{shortened(repr(text), _WIDEST_CELL)} is no name of a unit")
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
    wanted: float | None = arguments.since
    if wanted is None and source.is_live:
        wanted = since(DEFAULT_SINCE)
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
    """Return whose entries count; None: everybody's. Raise `UsageError` where the options contradict each other."""
    if arguments.unverified:
        if arguments.unit or arguments.uid:
            raise UsageError("--unverified shows the entries of every writer: leave out --unit and --uid.")
        return None
    units = tuple(arguments.unit or (UNIT,))
    if arguments.uid:
        return Writer(units, tuple(arguments.uid))
    return Writer(units, uids_of_the_daemon() if source.is_live else None)


def _warnings(past: Past, writer: Writer | None) -> Iterator[str]:
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


def _text(events: list[journal_reader.PastEvent], until: datetime) -> list[str]:
    """Return the time line of *events* and the list of faults, as of *until*."""
    # Elsewhere than on a terminal an event stays on one line, for grep.
    width = min(_WIDEST, shutil.get_terminal_size().columns) if sys.stdout.isatty() else None
    faults = list(fault_table(episodes(events), until))
    return [*table(events, width), *(["", *faults] if faults else [])]


def _nothing(source: Source, wanted: float | None) -> str:
    if not source.is_live:
        return "no entry of rolewatch in these journal files" + ("." if wanted is None else ", since then.")
    return (
        "no entry of rolewatch in the journal, as far back as was asked for. Does it run? systemctl status rolewatch. "
        "For longer ago: --since 30d, as far as the journal is kept."
    )
