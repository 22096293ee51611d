"""docs/journal.md says what the code does."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from pathlib import Path

import pytest

from rolewatch.faults import Fault
from rolewatch.publish.journal import BACKLOG, MESSAGE_IDS, Entry, as_json, fields
from rolewatch.text import LONGEST_VALUE
from rolewatch.vocabulary import EVENT_FIELDS, EventKind, Level

PAGE = (Path(__file__).parents[2] / "docs" / "journal.md").read_text(encoding="utf-8")


def rows(heading: str) -> dict[str, list[str]]:
    """Return the cells of the table below *heading*, by what the first cell names."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    return {first.strip("`"): rest for first, *rest in cells[2:]}


def full_entry() -> Entry:
    """Return an entry with everything that an entry can have."""
    facts = dict.fromkeys(EVENT_FIELDS, "x")
    now = datetime(2026, 11, 23, tzinfo=timezone.utc)
    return Entry(now, Level.ERROR, EventKind.FAULT_RAISED, "It is so.", facts, Fault.IMDS_ERROR, "0" * 32, "https://…")


def test_every_field_has_its_row() -> None:
    """In the order in which they are written; none is described that does not exist."""
    assert list(rows("Fields")) == [name for name, _ in fields(full_entry())]


def test_every_event_has_its_row() -> None:
    """With its MESSAGE_ID, as the code has it."""
    events = rows("Events")

    assert set(events) == {kind.value for kind in EventKind}
    for kind in EventKind:
        priority, message_id, described = events[kind.value]
        own = MESSAGE_IDS.get(kind)
        assert message_id == (f"`{own}`" if own else "the fault's, in [faults.md](faults.md)")
        assert priority in {"the fault's", *(level.name.lower() for level in Level)}
        assert described


@pytest.mark.parametrize("level", Level)
def test_every_level_has_its_number(level: Level) -> None:
    """As syslog has it."""
    assert f"{level.name.lower()} {level.value}" in " ".join(PAGE.split())


def test_the_keys_of_the_json_form_are_the_fields_in_small_letters() -> None:
    """But for what only the journal has, and the four that are always there."""
    keys = set(json.loads(as_json(full_entry())))
    only_journal = {"MESSAGE_ID", "PRIORITY", "SYSLOG_IDENTIFIER", "ERRNO"}
    small = {name.replace("ROLEWATCH_", "").lower() for name in set(rows("Fields")) - only_journal}

    assert keys == small | {"time", "level"}


def test_the_example_has_the_keys_in_their_order() -> None:
    """Copied from life, and still true."""
    (example,) = re.findall(r"```json\n(.*)\n```", PAGE)
    known = list(json.loads(as_json(full_entry())))
    keys = list(json.loads(example))

    assert keys == [key for key in known if key in keys]
    assert {"time", "level", "event", "message"} <= set(keys)


def test_the_bounds_are_those_of_the_code() -> None:
    """How long a value may be, and how many entries may wait."""
    assert f"at most {LONGEST_VALUE} characters" in " ".join(PAGE.split())
    assert f"up to {BACKLOG} entries wait" in " ".join(PAGE.split())


def test_every_id_in_an_example_exists() -> None:
    """A line to paste finds something."""
    used = re.findall(r"journalctl MESSAGE_ID=([0-9a-f]{32})", PAGE)

    assert used
    assert set(used) <= set(MESSAGE_IDS.values())


def test_every_field_in_an_example_exists() -> None:
    """Likewise."""
    used = set(re.findall(r"\bROLEWATCH_[A-Z_]*[A-Z]\b", PAGE))

    assert used == {name for name in rows("Fields") if name.startswith("ROLEWATCH_")}
