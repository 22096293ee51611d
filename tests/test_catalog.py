"""The journal's catalog has an entry for every event and fault, and journalctl can read it."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from pages import catalog
from rolewatch.faults import DAEMON_FAULTS, FAULTS, Fault
from rolewatch.publish.journal import MESSAGE_IDS
from rolewatch.vocabulary import EVENT_FIELDS, EventKind

if TYPE_CHECKING:
    from pathlib import Path

FAULT_EVENTS = {EventKind.FAULT_RAISED, EventKind.FAULT_PERSISTS}
JOURNAL_FIELDS = {f"ROLEWATCH_{name.upper()}" for name in (*EVENT_FIELDS, "event", "fault")}


def entries() -> dict[str, str]:
    """Return the body of each entry of the catalog by its id."""
    _, *parts = re.split(r"(?m)^-- ([0-9a-f]{32})$", catalog.render())
    return dict(zip(parts[::2], parts[1::2]))


def test_every_event_and_every_fault_has_an_entry() -> None:
    """Whatever MESSAGE_ID an entry of the journal has, ``journalctl -x`` explains it."""
    of_events = {MESSAGE_IDS[kind] for kind in EventKind if kind not in FAULT_EVENTS}
    of_faults = {FAULTS[fault].message_id for fault in DAEMON_FAULTS}

    assert set(entries()) == of_events | of_faults
    assert len(of_events | of_faults) == len(EventKind) - len(FAULT_EVENTS) + len(DAEMON_FAULTS)


def test_an_entry_has_the_headers_that_journalctl_shows() -> None:
    """Each begins with subject and origin, then a blank line, then prose."""
    for body in entries().values():
        assert re.match(r"\nSubject: \S.*\nDefined-By: rolewatch\n(Documentation: https://\S+\n)?\n\S", body)


def test_only_fields_that_entries_have_are_filled_in() -> None:
    """A field that no event carries would be shown by its bare name for ever."""
    used = set(re.findall(r"@([A-Z0-9_]+)@", catalog.render()))

    assert used <= JOURNAL_FIELDS
    assert "ROLEWATCH_INSTANCE_ID" in used


def test_no_expectation_is_filled_in() -> None:
    """An expectation may be a pattern."""
    assert "@ROLEWATCH_EXPECTED" not in catalog.render()


def test_no_command_has_a_field_in_it() -> None:
    """Nobody quotes a field there, and any local user can write one: ``ROLEWATCH_ROLE=x; curl … | sudo sh``."""
    commands = [line for body in entries().values() for line in body.splitlines() if line.startswith("    ")]

    assert len(commands) > 100
    assert [line for line in commands if "@" in line] == []


@pytest.mark.parametrize("fault", DAEMON_FAULTS)
def test_a_fault_is_explained_with_what_to_do(fault: Fault) -> None:
    """Meaning, and either the steps, or for each reason its hint and where its steps are."""
    entry = FAULTS[fault]
    body = " ".join(entries()[entry.message_id].split())

    assert body.startswith(f"Subject: {fault.value}: {entry.title} ")
    assert entry.meaning in body
    if entry.variants:
        assert all(f"{reason}: {remedy.hint}" in body for reason, remedy in entry.variants.items())
        assert f"rolewatch explain {fault.value} --reason=<reason>" in body
    else:
        assert entry.remedy.takes_effect in body
        assert f"Who can do it: {entry.remedy.who.value}." in body


def test_prose_fits_a_narrow_terminal() -> None:
    """``journalctl -x`` indents by three and never wraps: prose has 88 columns at most, commands a few more."""
    lines = [line for body in entries().values() for line in body.split("\n\n", 1)[1].splitlines()]

    assert max(len(line) for line in lines if not line.startswith(" ")) <= 88
    assert max(len(line) for line in lines) <= 112


@pytest.mark.skipif(shutil.which("journalctl") is None, reason="needs journalctl")
def test_journalctl_compiles_the_catalog_and_shows_it(tmp_path: Path) -> None:
    """The real tool takes the catalog without a complaint, lists every entry, and gives an entry back."""
    sources = tmp_path / "usr" / "lib" / "systemd" / "catalog"
    sources.mkdir(parents=True)
    (tmp_path / "var" / "lib" / "systemd" / "catalog").mkdir(parents=True)
    (sources / "rolewatch.catalog").write_text(catalog.render(), encoding="utf-8")

    def journalctl(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["journalctl", f"--root={tmp_path}", *arguments], capture_output=True, text=True, check=True
        )

    compiled = journalctl("--update-catalog")
    listed = journalctl("--list-catalog")
    dumped = journalctl("--dump-catalog", FAULTS[Fault.ASSUME_ROLE_UNAUTHORIZED].message_id)

    assert compiled.stderr == ""
    assert {line.split()[0] for line in listed.stdout.splitlines()} == set(entries())
    assert "Subject: assume_role_unauthorized: EC2 is not allowed to assume the role\n" in dumped.stdout
    assert "aws iam update-assume-role-policy --role-name=<role>" in dumped.stdout
