"""A real systemd-journald, in a mount namespace with a /run of its own, and what its own tools read back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from promises import Area, Measured, promise
from rolewatch.publish.journal import Entry, encode
from rolewatch.vocabulary import EventKind, Level
from skips import cannot

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

PUBLISH = """
from datetime import datetime, timezone
from rolewatch.faults import Fault
from rolewatch.publish import Event; from rolewatch.vocabulary import EventKind, Level
from rolewatch.publish.journal import Entry
from rolewatch.publish.journal import Journal
from rolewatch.publish.journal import encode
from rolewatch.publish.journald import NativeSocket
from rolewatch.settings import LogSettings

now = lambda: datetime.now(timezone.utc)
journal = Journal(LogSettings("journal"), version="1.2.3", environ={}, now=now)
journal.log(Event(EventKind.STARTED, Level.NOTICE, "It started.", fields={"listen": "nowhere"}))
fields = {"errno": 111, "role": "wéb", "since": "2026-03-01T12:00:00Z"}
journal.log(Event(EventKind.FAULT_RAISED, Level.WARNING, "It is out of reach.", Fault.IMDS_UNREACHABLE, fields))
journal.close()
assert not journal.dropped
large = Entry(now(), Level.NOTICE, EventKind.STOPPING, "line\\n" * 100_000, {})
assert NativeSocket().send(encode(large)).value == "yes"
"""

WRITE = """
import json, os, socket, subprocess

for group, uid, payload in json.loads(os.environ["ENTRIES"]):
    directory = os.path.join(os.environ["CGROUP"], group)
    os.makedirs(directory, exist_ok=True)
    sent, done = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        os.close(done[1])
        with open(os.path.join(directory, "cgroup.procs"), "w") as file:
            file.write(str(os.getpid()))
        os.setgroups([]); os.setgid(uid); os.setuid(uid)
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(bytes.fromhex(payload), "/run/systemd/journal/socket")
        os.write(sent[1], b"x")
        os.read(done[0], 1)
        os._exit(0)
    os.read(sent[0], 1)
    subprocess.run(["journalctl", "--sync"], check=True)  # journald reads the sender's cgroup while it lives
    os.close(done[1])
    assert os.waitpid(child, 0)[1] == 0
"""
"""Send each of `ENTRIES` from a process in a cgroup of its own, with a uid of its own."""

USER = "rolewatch:x:990:990::/nonexistent:/usr/sbin/nologin"
ADD_USER = f"{{ echo '{USER}'; cat /etc/passwd; }} >/run/passwd; mount --bind /run/passwd /etc/passwd"
"""In the namespace alone: the user of the packages."""
UID, NOBODYS = 990, int(NOBODY)
UNIT_GROUP = "system.slice/rolewatch.service"

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


@pytest.fixture
def cgroup(namespace: None) -> Iterator[Path]:
    """Make a cgroup that a cgroup namespace can have for its root, so that journald finds units in it; remove it."""
    del namespace
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()]
    roots = [Path(words[4]) for words in mounts if words[words.index("-") + 1] == "cgroup2"]
    if not roots:
        cannot("this machine has no cgroup2 hierarchy")
    path = roots[0] / f"rolewatch-test-{os.getpid()}"
    try:
        path.mkdir()
    except OSError:
        cannot("this machine lets us make no cgroup")
    yield path
    for directory, _, _ in os.walk(path, topdown=False):
        Path(directory).rmdir()


def sent(group: str, uid: int, message: str, **fields: str) -> tuple[str, int, str]:
    """Return what `WRITE` takes: an event with *message*, from a process in *group* with *uid*, and more *fields*."""
    entry = Entry(datetime.now(timezone.utc), Level.NOTICE, EventKind.STARTED, message, {})
    more = "".join(f"{name}={value}\n" for name, value in fields.items())
    return group, uid, (encode(entry) + more.encode()).hex()


def written(cgroup: Path, entries: Sequence[tuple[str, int, str]], *lines: str) -> str:
    """Write *entries*, then run *lines* of shell as root; return what they print."""
    return staged(ADD_USER, f"""ENTRIES='{json.dumps(entries)}' "$PYTHON" -c "$WRITE" """, *lines, cgroup=cgroup)


def staged(*lines: str, cgroup: Path | None = None) -> str:
    """Run *lines* of shell on a stage of their own, and return what they print."""
    script = STAGE.format(journald=JOURNALD) + "\n".join(lines)
    enter = f"echo $$ >{cgroup}/cgroup.procs; exec unshare --cgroup" if cgroup else "exec unshare"
    done = subprocess.run(
        ["sh", "-c", f'{enter} --mount --propagation private sh -c "$1"', "sh", script],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(AGENT),
            "PYTHON": sys.executable,
            "PUBLISH": PUBLISH,
            "WRITE": WRITE,
            "CGROUP": str(cgroup),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=40,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def documents(output: str) -> list[dict[str, Any]]:
    """Return the JSON lines of *output*."""
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.usefixtures("namespace")
def test_journalctl_reads_what_was_written() -> None:
    """All fields are there; half a megabyte of lines arrives, and under the same identifier."""
    started, raised, large = documents(staged('"$PYTHON" -c "$PUBLISH"', READ))

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
from rolewatch.publish import Event; from rolewatch.vocabulary import EventKind, Level
from rolewatch.publish.journal import Journal
from rolewatch.settings import LogSettings

now = lambda: datetime.now(timezone.utc)
status = os.fstat(2)
environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
for path in ("/run/systemd/journal/socket", "/run/nowhere"):
    journal = Journal(LogSettings(), version="1.2.3", environ=environ, now=now, socket_path=path)
    journal.log(Event(EventKind.STOPPING, Level.WARNING, "It stops.", fields={"role": "web"}))
    journal.close()
"""


@pytest.mark.usefixtures("namespace")
def test_a_service_writes_to_the_journal_by_itself() -> None:
    """With stderr on the journal's stream: natively and, where that is not to be had, as lines with a priority."""
    output = staged(f"AUTO='{AUTO}'", 'systemd-cat -t rolewatch "$PYTHON" -c "$AUTO"', READ)
    native, line = documents(output)

    assert (native["_TRANSPORT"], native["PRIORITY"], native["ROLEWATCH_ROLE"]) == ("journal", "4", "web")
    assert (line["_TRANSPORT"], line["PRIORITY"]) == ("stdout", "4")
    assert json.loads(line["MESSAGE"])["role"] == "web"


HISTORY = '"$PYTHON" -m rolewatch history --json'


def test_history_reads_this_machines_own_journal(cgroup: Path) -> None:
    """Without a file it is the journal of the host, and in it what the unit wrote as its user or as root."""
    pytest.importorskip("systemd.journal", reason="systemd-python is not installed")
    entries = [sent(UNIT_GROUP, UID, "as rolewatch"), sent(UNIT_GROUP, 0, "as root, by a drop-in")]
    output = written(cgroup, entries, f"{HISTORY} 2>&1")

    assert [document["message"] for document in documents(output)] == ["as rolewatch", "as root, by a drop-in"]


@promise(
    Area.SURROUNDINGS,
    "A local user writes entries to the journal that imitate rolewatch's, with every field that a process can set",
    "`rolewatch history` leaves them out, and says how many there are",
)
def test_history_leaves_out_what_another_process_forged(cgroup: Path, measured: Measured) -> None:
    """A real journald, and forgers of every kind: what they say of unit and user is not what journald attests."""
    pytest.importorskip("systemd.journal", reason="systemd-python is not installed")
    lies = {
        "_SYSTEMD_UNIT": "rolewatch.service",
        "_UID": str(UID),
        "_TRANSPORT": "journal",
        "UNIT": "rolewatch.service",
    }
    user = f"user.slice/user-{NOBODY}.slice"
    forged = [
        sent(f"{user}/session-1.scope", NOBODYS, "a login", **lies),
        sent(f"{user}/user@{NOBODY}.service/app.slice/rolewatch.service", NOBODYS, "a unit of a user's own", **lies),
        sent("system.slice/docker-1.scope/system.slice/rolewatch.service", UID, "a unit in a container", **lies),
        sent("docker/1/system.slice/rolewatch.service", UID, "a unit in a container without systemd", **lies),
        sent("system.slice/rolewatch-confirm.service", UID, "another unit", **lies),
        sent(UNIT_GROUP, NOBODYS, "another user with the number of a process of the unit", **lies),
    ]
    output = written(
        cgroup,
        [*forged, sent(UNIT_GROUP, UID, "ours")],
        "journalctl -t rolewatch -o json --all --no-pager",
        f"{HISTORY} 2>&1",
    )
    *journal, history, warning = sorted(output.splitlines(), key=lambda line: line.startswith("rolewatch:"))
    shown = [line for line in [*journal, history] if '"time"' in line]

    assert len(journal) == len(forged) + 1  # all arrived
    assert [json.loads(line)["message"] for line in shown] == ["ours"]
    assert f"are left out: {len(forged)}. rolewatch.service did not write them as uid 0 or {UID}." in warning
    measured("forged entries", len(forged), "")
    measured("forged entries that were shown", len(shown) - 1, "", bound=0)


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
    output = staged(
        '"$PYTHON" -c "$PUBLISH"',
        "journalctl --sync",
        "chmod 0700 /run/log/journal/*/*.journal",
        f'"$PYTHON" {path} {source} 2>&1 || echo "status $?"',
    )

    assert "this user may not read the journal" in output
    assert "status 69" in output


@pytest.mark.usefixtures("namespace")
def test_history_says_that_there_is_nothing() -> None:
    """A journal without a word of ours is no error."""
    pytest.importorskip("systemd.journal", reason="systemd-python is not installed")
    output = staged("journalctl --sync", '"$PYTHON" -m rolewatch history 2>&1')

    assert "no entry of rolewatch in the journal" in output
