"""The journal's catalog: what ``journalctl -x`` says below each of our entries. systemd.io/CATALOG is the format.

The catalog is compiled once for a host, so nothing of an instance can be filled in here: journalctl puts in the entry's
fields (``@ROLEWATCH_ROLE@``), and the bare name of a field that the entry lacks (systemd `sd-journal.c`, 2026). It puts
them in as they are, also those of an entry that another process forged. So fields are in sentences, never in a
command that a person pastes into a root shell: `rolewatch check` fills commands in, with quotes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from pages.catalog_events import EVENTS
from rolewatch.faults import DAEMON_FAULTS, FAULTS
from rolewatch.faults.explain import Explained, explain
from rolewatch.faults.remedy import PLACEHOLDERS
from rolewatch.faults.table import Entry
from rolewatch.publish.journal import MESSAGE_IDS
from rolewatch.shell import placeholder
from rolewatch.vocabulary import EVENT_FIELDS

HEADER = (
    "# The journal catalog of rolewatch, for `journalctl -x`. The format: https://systemd.io/CATALOG\n"
    "# Generated from the table of faults by `make generate`. Do not edit.\n"
)
_WIDTH = 88

_FIELDS = {
    name: f"@ROLEWATCH_{name.upper()}@"
    for name in PLACEHOLDERS
    if name in EVENT_FIELDS and not name.startswith("expected_")
}
"""What journalctl can fill in, in sentences. An expectation may be a pattern: it stays a placeholder."""


def render() -> str:
    """Return the catalog: an entry for each kind of event, and one for each fault."""
    entries = [_entry(MESSAGE_IDS[kind], subject, body.split("\n")) for kind, (subject, body) in EVENTS.items()]
    entries += [
        _entry(entry.message_id, f"{entry.fault.value}: {entry.title}", list(_fault_body(entry)), page=entry.page)
        for entry in (FAULTS[fault] for fault in DAEMON_FAULTS)
    ]
    return HEADER + "".join(entries)


def _entry(message_id: str, subject: str, body: list[str], *, page: str = "") -> str:
    lines = ["", f"-- {message_id}", f"Subject: {subject}", "Defined-By: rolewatch"]
    lines += [f"Documentation: {page}"] if page else []
    lines.append("")
    for paragraph in body:
        # A line that starts with a blank is a command, or a line of a list: it is not wrapped.
        lines += [paragraph] if paragraph.startswith(" ") else _wrapped(paragraph) or [""]
    return "\n".join(lines) + "\n"


def _fault_body(entry: Entry) -> Iterator[str]:
    general = explain(entry.fault, {}, _FIELDS)
    yield "On instance @ROLEWATCH_INSTANCE_ID@ in @ROLEWATCH_REGION@."
    yield ""
    yield general.meaning
    yield ""
    if entry.variants:
        yield "The fix depends on the reason, here @ROLEWATCH_REASON@:"
        for reason in entry.variants:
            hint = explain(entry.fault, {"reason": reason}, _FIELDS).hint
            yield from _wrapped(f"{reason}: {hint}", "  ", "      ")
        yield ""
        yield "The steps for that reason:"
        yield f"    rolewatch explain {entry.fault.value} --reason={placeholder('reason')}"
    else:
        yield from _remedy(general, [step.command for step in explain(entry.fault, {}, {}).fix])
        yield ""
        yield "To print the fix with the names of this instance: rolewatch check"


def _remedy(filled: Explained, commands: Sequence[str]) -> Iterator[str]:
    yield f"Cause: {filled.cause}"
    for number, (step, command) in enumerate(zip(filled.fix, commands), 1):
        yield ""
        yield f"{number}. {step.text}"
        yield from (f"    {line}" for line in command.splitlines())
    yield ""
    yield f"Takes effect: {filled.takes_effect}"
    yield ""
    yield f"Who can do it: {filled.who}."


def _wrapped(paragraph: str, first: str = "", then: str = "") -> list[str]:
    return textwrap.wrap(
        paragraph,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=then,
        break_long_words=False,
        break_on_hyphens=False,
    )
