"""The forms for programs and for people."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from rolewatch.faults import FAULTS, Fault
from rolewatch.publish.journal import Entry, as_json, for_terminal
from rolewatch.vocabulary import EventKind, Level

AT = datetime(2026, 11, 23, 19, 31, 25, 123456, tzinfo=timezone(timedelta(hours=2)))
PAGE = FAULTS[Fault.IMDS_UNREACHABLE].page
RAISED = Entry(
    AT,
    Level.WARNING,
    EventKind.FAULT_RAISED,
    "imds_unreachable: IMDS is out of reach (refused).",
    {"reason": "refused", "errno": 111, "role": "wéb", "instance_id": "i-0123456789abcdef0", "version": "1.2.3"},
    Fault.IMDS_UNREACHABLE,
    "0" * 32,
    PAGE,
)
STOPPING = Entry(AT, Level.NOTICE, EventKind.STOPPING, "rolewatch stops.", {"version": "1.2.3"})
REJECTED = Entry(
    AT, Level.ERROR, EventKind.CONFIG_REJECTED, "Old settings stay.", {"file": "/etc/x", "problem": "line 3: what?"}
)


def test_a_line_of_json_has_all() -> None:
    """The keys are those of the journal's fields, in small letters and without the prefix; numbers are numbers."""
    assert as_json(RAISED) == (
        '{"time": "2026-11-23T17:31:25.123Z", "level": "warning", "event": "fault_raised", '
        '"message": "imds_unreachable: IMDS is out of reach (refused).", "fault": "imds_unreachable", '
        '"reason": "refused", "errno": 111, "role": "wéb", "instance_id": "i-0123456789abcdef0", "version": "1.2.3", '
        f'"documentation": "{PAGE}"}}'
    )


def test_a_line_of_json_leaves_out_what_there_is_not() -> None:
    """No fault, no documentation: no keys with nothing in them."""
    assert json.loads(as_json(STOPPING)) == {
        "time": "2026-11-23T17:31:25.123Z",
        "level": "notice",
        "event": "stopping",
        "message": "rolewatch stops.",
        "version": "1.2.3",
    }


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        (
            RAISED,
            "17:31:25  warning   fault_raised         imds_unreachable: IMDS is out of reach (refused).",
        ),
        (STOPPING, "17:31:25  notice    stopping             rolewatch stops."),
        (
            REJECTED,
            '17:31:25  error     config_rejected      Old settings stay.  file=/etc/x problem="line 3: what?"',
        ),
    ],
    ids=["raised", "stopping", "rejected"],
)
def test_a_line_for_a_terminal_can_be_read(entry: Entry, line: str) -> None:
    """The time of day in UTC, the level, the event, the sentence, and of the fields what the sentence lacks."""
    assert for_terminal(entry, colour=False) == line


def test_a_long_sentence_is_wrapped_in_its_column() -> None:
    """On a terminal, so that the columns before it stay free; nothing is cut."""
    shown = for_terminal(replace(STOPPING, message="It stops. " * 20), colour=False, width=80)

    first, *others = shown.splitlines()
    assert first.startswith("17:31:25  notice    stopping             It stops.")
    assert len(others) > 1
    assert all(line.startswith((" " * 41 + "It", " " * 41 + "stops.")) for line in others)
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.split("stopping")[1].split() == ["It", "stops."] * 20


@pytest.mark.parametrize("level", Level)
def test_colour_changes_nothing_but_the_colour(level: Level) -> None:
    """Without its escape sequences the line is the same, and every one is ended."""
    entry = replace(RAISED, level=level)
    painted = for_terminal(entry, colour=True)

    assert re.sub(r"\x1b\[[0-9;]*m", "", painted) == for_terminal(entry, colour=False)
    assert painted.count("\x1b[") == 2 * painted.count("\x1b[0m") > 0


def test_the_columns_are_aligned() -> None:
    """The sentence begins at the same place, whatever happened."""
    starts = {
        for_terminal(replace(STOPPING, kind=kind, level=level), colour=False).index("rolewatch stops.")
        for kind in EventKind
        for level in Level
    }

    assert len(starts) == 1
