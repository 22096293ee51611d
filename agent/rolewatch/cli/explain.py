"""``rolewatch explain``: what a fault means. The table of faults, for people and programs; nothing is looked at."""

from __future__ import annotations

import argparse
import difflib
import json
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from rolewatch.cli.render import raised_when, section
from rolewatch.errors import UsageError
from rolewatch.faults import FAULTS, Fault
from rolewatch.faults.explain import Explained, explain
from rolewatch.faults.table import Entry
from rolewatch.text import printable
from rolewatch.vocabulary import Reason

SCHEMA = 1
"""The version of the JSON form. Fields are added without a new version, never taken away."""
WIDTH = 96
_LABEL = 15
_STEP = 6
"""Commands are not wrapped: they stand further left, to fit into a narrow terminal."""


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add ``explain``."""
    parser = commands.add_parser(
        "explain",
        help="say what a fault means",
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
    """Print what was asked for and return 0. Raise `UsageError` where there is no such fault, or no such reason."""
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
        print("\n".join(text(chosen, reason)))
    return 0


def listing() -> Iterator[str]:
    """Yield a line for each fault: its name, how severe it is, and its title."""
    width = max(len(fault.value) for fault in Fault)
    for fault, entry in FAULTS.items():
        yield f"{fault.value:<{width}}  {entry.severity.name.lower():<8}  {entry.title}"
    yield ""
    yield "More of each: rolewatch explain FAULT"


def text(entry: Entry, reason: str | None = None) -> Iterator[str]:
    """Yield the lines that a person reads of *entry*; of one *reason* only, where that is given."""
    yield f"{entry.fault.value}: {entry.title}"
    yield ""
    yield from _paragraph("severity", entry.severity.name.lower())
    yield from _paragraph("raised", raised_when(entry))
    yield from _paragraph("means", _filled(entry, "").meaning)
    for name in _remedies(entry, reason):
        yield ""
        if name:
            yield from _paragraph("reason", name)
        yield from _remedy(_filled(entry, name))
    yield ""
    yield from _paragraph("AWS says", entry.page)
    yield from _paragraph("journal", f"journalctl -u rolewatch MESSAGE_ID={entry.message_id}")


def document(entry: Entry, reason: str | None = None) -> dict[str, Any]:
    """Return *entry* as the JSON form has it."""
    general = _filled(entry, reason or "")
    return {
        "fault": entry.fault.value,
        "title": entry.title,
        "severity": entry.severity.name.lower(),
        "debounce": entry.debounce,
        "confirmation_only": bool(entry.decided_by),
        "message_id": entry.message_id,
        "page": entry.page,
        "meaning": general.meaning,
        **_remedy_document(entry, reason or ""),
        "reasons": {name: _remedy_document(entry, name) for name in ([] if reason else entry.variants)},
    }


def _remedy_document(entry: Entry, reason: str) -> dict[str, Any]:
    filled = _filled(entry, reason)
    return {
        "cause": filled.cause,
        "hint": filled.hint,
        "fix": [{"text": step.text, "command": step.command} for step in filled.fix],
        "takes_effect": filled.takes_effect,
        "who": filled.who,
    }


def _filled(entry: Entry, reason: str) -> Explained:
    """Return *entry* with every placeholder shown as one: nothing is known of the instance here."""
    return explain(entry.fault, {"reason": reason}, {})


def _remedies(entry: Entry, reason: str | None) -> list[str]:
    """Return the reasons to show; the empty one is the remedy where no reason differs."""
    return [reason] if reason else ["", *entry.variants]


def _remedy(filled: Explained) -> Iterator[str]:
    yield from _paragraph("cause", filled.cause)
    yield from _paragraph("fix", f"by {filled.who}:")
    for number, step in enumerate(filled.fix, 1):
        yield from _wrapped(step.text, f"{number:>4}. ", _STEP)
        yield from (" " * _STEP + printable(line) for line in step.command.splitlines())
    yield from _paragraph("takes effect", filled.takes_effect)


def _paragraph(label: str, body: str) -> list[str]:
    return _wrapped(body, f"  {label:<{_LABEL - 2}}", _LABEL)


def _wrapped(body: str, first: str, indent: int) -> list[str]:
    return textwrap.wrap(
        printable(body),
        WIDTH,
        initial_indent=first,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _find(name: str) -> Entry:
    """Return the entry of the fault called *name*. Raise `UsageError`, with the nearest names, where there is none."""
    meant = name.strip().lower().replace("-", "_")
    try:
        return FAULTS[Fault(meant)]
    except ValueError:
        known = [fault.value for fault in Fault]
        raise UsageError(_unknown("fault", name, _near(meant, known), "`rolewatch explain` lists them.")) from None


def _find_reason(entry: Entry | None, name: str) -> str:
    """Return *name* where it is a reason. Raise `UsageError` where not.

    One without a remedy of its own is good, too: it comes from the evidence of a fault, and gets the general remedy.
    """
    if entry is None:
        message = "--reason needs a FAULT before it."
        raise UsageError(message)
    if name not in [reason.value for reason in Reason]:
        known = list(entry.variants)
        others = f"Those of {entry.fault.value} are: {', '.join(known)}." if known else f"{entry.fault.value} has none."
        raise UsageError(_unknown("reason", name, _near(name, known), others))
    return name


def _near(name: str, known: Sequence[str]) -> list[str]:
    return difflib.get_close_matches(name, known, n=3, cutoff=0.5)


def _unknown(kind: str, name: str, near: Sequence[str], otherwise: str) -> str:
    meant = f" Did you mean {' or '.join(near)}?" if near else ""
    return f"there is no {kind} {name!r}.{meant} {otherwise}"
