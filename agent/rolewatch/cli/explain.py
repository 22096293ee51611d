"""``rolewatch explain``: print the entry of a fault for people or programs. It polls nothing."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from rolewatch.cli import COMMANDS
from rolewatch.cli.render import paragraph, raised_when, remedy, section, width
from rolewatch.errors import UsageError
from rolewatch.faults import FAULTS, Fault
from rolewatch.faults.explain import Explained, explain, fault_document, remedy_document
from rolewatch.faults.table import Entry
from rolewatch.vocabulary import Reason

SCHEMA = 1
"""The version of the JSON form. Fields are added without a new version, never taken away."""


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add ``explain``."""
    parser = commands.add_parser(
        "explain",
        help=COMMANDS["explain"],
        description="Say what a fault means, what brings it about and what to do. Without FAULT: list the faults. What "
        "is known of this instance is filled in by `rolewatch check`. "
        "Exit status: 0, or 64 where there is no such fault.",
    )
    parser.add_argument("fault", nargs="?", metavar="FAULT", help="name of a fault, as metric and journal have it")
    parser.add_argument("--reason", metavar="REASON", help="only this reason of the fault, as its evidence names it")
    parser.add_argument(
        "--format", choices=["text", "markdown", "json"], default="text", help="what to print (default: text)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the faults and return 0. Raise `UsageError` for an unknown fault or reason."""
    chosen = _find(arguments.fault) if arguments.fault else None
    reason = _find_reason(chosen, arguments.reason) if arguments.reason else None
    entries = list(FAULTS.values()) if chosen is None else [chosen]
    if arguments.format == "json":
        faults = [document(entry, reason) for entry in entries]
        print(json.dumps({"schema": SCHEMA, "faults": faults}, indent=2, ensure_ascii=False))
    elif arguments.format == "markdown":
        print("\n".join(line for entry in entries for line in section(entry, reason)).rstrip())
    elif chosen is None:
        print("\n".join(listing()))
    else:
        print("\n".join(text(chosen, reason, width(sys.stdout))))
    return 0


def listing() -> Iterator[str]:
    """Yield a line for each fault: its name, severity and title."""
    width = max(len(fault.value) for fault in Fault)
    for fault, entry in FAULTS.items():
        yield f"{fault.value:<{width}}  {entry.severity.name.lower():<8}  {entry.title}"
    yield ""
    yield "More of each: rolewatch explain FAULT"


def text(entry: Entry, reason: str | None, columns: int) -> Iterator[str]:
    """Yield the lines for people about *entry*; with the remedy for one *reason* only, if it is given."""
    yield f"{entry.fault.value}: {entry.title}"
    yield ""
    yield from paragraph("severity", entry.severity.name.lower(), columns)
    yield from paragraph("raised", raised_when(entry), columns)
    yield from paragraph("means", _explained(entry, "").meaning, columns)
    for name in [reason] if reason else ["", *entry.variants]:
        yield ""
        yield from paragraph("reason", name, columns)
        yield from remedy(_explained(entry, name), columns)
    yield ""
    yield from paragraph("AWS says", entry.page, columns)
    if entry.message_id:
        yield from paragraph("journal", f"journalctl -u rolewatch MESSAGE_ID={entry.message_id}", columns)


def document(entry: Entry, reason: str | None = None) -> dict[str, object]:
    """Return *entry* for JSON; with the remedy for one *reason* only, if it is given."""
    return {
        **fault_document(_explained(entry, reason or "")),
        "debounce": entry.debounce,
        "confirmation_only": bool(entry.decided_by),
        "message_id": entry.message_id,
        "reasons": {name: remedy_document(_explained(entry, name)) for name in ([] if reason else entry.variants)},
    }


def _explained(entry: Entry, reason: str) -> Explained:
    """Return *entry* with placeholders: this command knows nothing of the instance."""
    return explain(entry.fault, {"reason": reason}, {})


def _find(name: str) -> Entry:
    """Return the entry of the fault *name*. Raise `UsageError`, with similar names, if there is none."""
    meant = name.strip().lower().replace("-", "_")
    try:
        return FAULTS[Fault(meant)]
    except ValueError:
        known = [fault.value for fault in Fault]
        raise UsageError(_unknown("fault", name, _near(meant, known), "`rolewatch explain` lists them.")) from None


def _find_reason(entry: Entry | None, name: str) -> str:
    """Return *name* if it is a reason. Raise `UsageError` if not.

    A reason without a remedy of its own is accepted: evidence may name it, and the general remedy applies.
    """
    if entry is None:
        message = "--reason needs a FAULT before it."
        raise UsageError(message)
    if name not in {*entry.variants, *(reason.value for reason in Reason)}:
        known = list(entry.variants)
        others = f"Those of {entry.fault.value} are: {', '.join(known)}." if known else f"{entry.fault.value} has none."
        raise UsageError(_unknown("reason", name, _near(name, known), others))
    return name


def _near(name: str, known: Sequence[str]) -> list[str]:
    return difflib.get_close_matches(name, known, n=3, cutoff=0.5)


def _unknown(kind: str, name: str, near: Sequence[str], otherwise: str) -> str:
    meant = f" Did you mean {' or '.join(near)}?" if near else ""
    return f"there is no {kind} {name!r}.{meant} {otherwise}"
