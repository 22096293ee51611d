"""A real systemd-journald, in a mount namespace with a /run of its own, and what its own tools read back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import pytest

AGENT = Path(__file__).resolve().parents[2] / "agent"
JOURNALD = "/lib/systemd/systemd-journald"
NOBODY = "65534"

STAGE = """
set -eu
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/log
mkdir -p /run/systemd/journal /run/log/journal
{journald} >/dev/null 2>&1 &
trap 'kill $!; wait $! || true' EXIT
until [ -S /run/systemd/journal/socket ] && journalctl --sync; do kill -0 $!; sleep 0.02; done
"""
"""Nothing outside of the namespace sees any of it."""

TELL = """
from datetime import datetime, timezone
from rolewatch.faults import Fault
from rolewatch.model import Event, EventKind, Level
from rolewatch.publish.entries import Entry
from rolewatch.publish.journal import Journal
from rolewatch.publish.native import NativeSocket, encode
from rolewatch.settings import LogSettings

now = lambda: datetime.now(timezone.utc)
journal = Journal(LogSettings("journal"), version="1.2.3", environ={}, now=now)
journal.tell(Event(EventKind.STARTED, Level.NOTICE, "It started.", fields={"listen": "nowhere"}))
fields = {"errno": 111, "role": "wéb", "since": "2026-03-01T12:00:00Z"}
journal.tell(Event(EventKind.FAULT_RAISED, Level.WARNING, "It is out of reach.", Fault.IMDS_UNREACHABLE, fields))
journal.close()
assert not journal.dropped
large = Entry(now(), Level.NOTICE, EventKind.STOPPING, "line\\n" * 100_000, {})
assert NativeSocket().send(encode(large)).value == "yes"
"""

READ = """
journalctl --sync
journalctl -t rolewatch -o json --all --no-pager
"""


@pytest.fixture
def namespace() -> None:
    """Skip where there is no journald, or no namespace to be had for it."""
    if not os.access(JOURNALD, os.X_OK) or shutil.which("unshare") is None:
        pytest.skip("systemd-journald is not installed")
    probe = "mount -t tmpfs tmpfs /run"
    if subprocess.run(["unshare", "--mount", "sh", "-c", probe], capture_output=True, check=False).returncode:
        pytest.skip("a mount namespace needs root")


def staged(*lines: str) -> str:
    """Run *lines* of shell on a stage of their own, and return what they print."""
    script = STAGE.format(journald=JOURNALD) + "\n".join(lines)
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(AGENT), "PYTHON": sys.executable, "TELL": TELL},
        capture_output=True,
        text=True,
        check=False,
        timeout=40,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def documents(output: str) -> List[Dict[str, Any]]:
    """Return the JSON lines of *output*."""
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.usefixtures("namespace")
def test_journalctl_reads_what_was_told() -> None:
    """All fields are there; half a megabyte of lines arrives, and under the same identifier."""
    started, raised, large = documents(staged('"$PYTHON" -c "$TELL"', READ))

    assert started["MESSAGE"] == "It started."
    assert started["ROLEWATCH_VERSION"] == "1.2.3"
    assert {name: raised[name] for name in raised if not name.startswith("_")} == {
        "MESSAGE": "It is out of reach.",
        "MESSAGE_ID": "14426fc115334bbdb939c8519ce8ab9c",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "rolewatch",
        "DOCUMENTATION": raised["DOCUMENTATION"],
        "ERRNO": "111",
        "ROLEWATCH_EVENT": "fault_raised",
        "ROLEWATCH_FAULT": "imds_unreachable",
        "ROLEWATCH_ERRNO": "111",
        "ROLEWATCH_ROLE": "wéb",
        "ROLEWATCH_SINCE": "2026-03-01T12:00:00Z",
        "ROLEWATCH_VERSION": "1.2.3",
    }
    assert large["MESSAGE"] == "line\n" * 100_000


AUTO = """
import os
from datetime import datetime, timezone
from rolewatch.model import Event, EventKind, Level
from rolewatch.publish.journal import Journal
from rolewatch.settings import LogSettings

now = lambda: datetime.now(timezone.utc)
status = os.fstat(2)
environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
for path in ("/run/systemd/journal/socket", "/run/nowhere"):
    journal = Journal(LogSettings(), version="1.2.3", environ=environ, now=now, socket_path=path)
    journal.tell(Event(EventKind.STOPPING, Level.WARNING, "It stops.", fields={"role": "web"}))
    journal.close()
"""


@pytest.mark.usefixtures("namespace")
def test_a_service_writes_to_the_journal_by_itself() -> None:
    """With stderr on the journal's stream: natively and, where that is not to be had, as lines with a priority."""
    told = staged(f"AUTO='{AUTO}'", 'systemd-cat -t rolewatch "$PYTHON" -c "$AUTO"', READ)
    native, line = documents(told)

    assert (native["_TRANSPORT"], native["PRIORITY"], native["ROLEWATCH_ROLE"]) == ("journal", "4", "web")
    assert (line["_TRANSPORT"], line["PRIORITY"]) == ("stdout", "4")
    assert json.loads(line["MESSAGE"])["role"] == "web"


@pytest.mark.usefixtures("namespace")
def test_history_reads_this_machines_own_journal() -> None:
    """Without a file it is the journal of the host."""
    pytest.importorskip("systemd.journal", reason="systemd-python is not installed")
    told = staged('"$PYTHON" -c "$TELL"', "journalctl --sync", '"$PYTHON" -m rolewatch history --json')

    assert [document["event"] for document in documents(told)] == ["started", "fault_raised", "stopping"]


@pytest.mark.usefixtures("namespace")
@pytest.mark.parametrize("source", ["", "--directory /run/log/journal/*"], ids=["host", "directory"])
def test_history_says_that_it_may_not_read(source: str, tmp_path: Path) -> None:
    """Not "nothing happened", which is what libsystemd makes of it for a user without the right."""
    pytest.importorskip("systemd.journal", reason="systemd-python is not installed")
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    # The interpreter and the sources may lie where only root gets: what is needed of them is loaded before.
    program = (
        "import os, sys, systemd.journal, rolewatch.cli.history\n"
        "import encodings.idna, shutil, argparse, json, gettext, locale\n"
        f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "sys.exit(rolewatch.cli.main(['history', *sys.argv[1:]]))\n"
    )
    path = tmp_path / "program.py"
    path.write_text(program)
    told = staged(
        '"$PYTHON" -c "$TELL"',
        "journalctl --sync",
        "chmod 0700 /run/log/journal/*/*.journal",
        f'"$PYTHON" {path} {source} 2>&1 || echo "status $?"',
    )

    assert "may not be read by this user" in told
    assert "status 69" in told


@pytest.mark.usefixtures("namespace")
def test_history_says_that_there_is_nothing() -> None:
    """A journal without a word of ours is no error."""
    pytest.importorskip("systemd.journal", reason="systemd-python is not installed")
    told = staged("journalctl --sync", '"$PYTHON" -m rolewatch history 2>&1')

    assert "no entry of rolewatch in the journal" in told
