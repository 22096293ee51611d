"""The text file: what is in it, and how it gets there. `tests/integration` hands it to a real node_exporter."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from publish.pages import parse_text
from publish.snapshots import DEGRADED, FIRST, OK, STATUS, UNKNOWN, report
from rolewatch.errors import UnavailableError
from rolewatch.publish import Publisher, Snapshot
from rolewatch.publish.metric_table import FAMILIES
from rolewatch.publish.metrics import Metrics, Textfile, as_text, single_poll_samples, write_textfile

NAME = "rolewatch.prom"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the file that is to be written."""
    return tmp_path / NAME


@pytest.fixture
def umask() -> Iterator[None]:
    """Let the process have the umask that the unit gives it."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def written(path: Path, *snapshots: Snapshot) -> Textfile:
    """Publish *snapshots* as the loop does, and return the publisher."""
    metrics = Metrics(version="1.2.3", health=lambda: STATUS)
    textfile = Textfile(path, metrics.text)
    for snapshot in snapshots:
        metrics.publish(report(snapshot))
        textfile.publish(report(snapshot))
    return textfile


def test_the_textfile_is_a_publisher(path: Path) -> None:
    """The loop hands it every report, and its failures are counted under its name."""
    publisher: Publisher = Textfile(path, lambda: b"")

    assert publisher.name == "textfile"


def test_the_file_has_the_page_without_the_process(path: Path) -> None:
    """What a scrape of the port would get of ours, to the byte; node_exporter has its own ``process_*``."""
    metrics = Metrics(version="1.2.3", health=lambda: STATUS)
    metrics.publish(report(DEGRADED))
    Textfile(path, metrics.text).publish(report(DEGRADED))
    page = metrics.render()[0].decode()

    assert path.read_text() == page[: page.index("# HELP process_")]
    assert {family.name for family in parse_text(path.read_text())} <= {
        family.name.removesuffix("_total") for family in FAMILIES
    }


def test_no_sample_has_a_time_stamp(path: Path) -> None:
    """node_exporter refuses the whole file for one."""
    written(path, DEGRADED)
    samples = [line for line in path.read_text().splitlines() if not line.startswith("#")]

    assert samples
    assert all(re.fullmatch(r"[a-z_]+(\{.*\})? \S+", line) for line in samples)


def test_the_help_is_the_same_for_every_snapshot(path: Path) -> None:
    """Files of many hosts, or of an older report, never disagree: the collector would report an error."""
    helps = []
    for snapshot in (FIRST, OK, DEGRADED, UNKNOWN):
        written(path, snapshot)
        helps.append({line for line in path.read_text().splitlines() if line.startswith("#")})

    assert all(some <= {*helps[1], *helps[2]} for some in helps)


@pytest.mark.usefixtures("umask")
def test_everybody_may_read_the_file(path: Path) -> None:
    """Under the unit's ``UMask=0066``, too: node_exporter is another user."""
    written(path, OK)

    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_nothing_is_left_beside_the_file(path: Path) -> None:
    """However often it is written."""
    written(path, FIRST, OK, DEGRADED)

    assert [each.name for each in path.parent.iterdir()] == [NAME]


def test_half_a_file_is_never_seen(path: Path) -> None:
    """A reader during the write sees the page before or the page after, and no other `.prom` file."""
    pages = [f"# {digit * 100_000}\n".encode() for digit in "12"]
    write_textfile(path, pages[0])
    seen: list[bytes] = []
    names: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.append(path.read_bytes())
            names.extend(each.name for each in path.parent.iterdir() if each.name.endswith(".prom"))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(2000):
        write_textfile(path, pages[number % 2])
    done.set()
    reader.join(10)

    assert len(seen) > 10
    assert set(seen) <= set(pages)
    assert set(names) == {NAME}


@pytest.mark.parametrize("kind", ["file", "link", "pipe"])
def test_what_lies_in_the_way_is_neither_followed_nor_waited_for(path: Path, kind: str) -> None:
    """In a directory that others write to, too: a link leads nowhere, and a pipe without a reader blocks nothing."""
    in_the_way = path.with_name(f".{NAME}.new")
    elsewhere = path.with_name("elsewhere")
    elsewhere.write_text("mine")
    if kind == "file":
        in_the_way.write_text("left by a crash")
    elif kind == "link":
        in_the_way.symlink_to(elsewhere)
    else:
        os.mkfifo(in_the_way)
    written(path, OK)

    assert path.read_bytes().startswith(b"# HELP rolewatch_")
    assert elsewhere.read_text() == "mine"


def test_a_file_that_cannot_be_written_is_reported_with_a_fix(tmp_path: Path) -> None:
    """The directory may come later: the next poll tries again."""
    path = tmp_path / "later" / NAME
    with pytest.raises(UnavailableError, match=r"cannot be written: No such file or directory\. Its directory has to"):
        written(path, OK)
    path.parent.mkdir()
    written(path, OK)

    assert path.exists()


def test_a_full_disk_leaves_the_last_file_whole(path: Path) -> None:
    """Half of a new one does not take its place."""
    write_textfile(path, b"whole\n")
    code = (
        "import resource, signal, sys; from pathlib import Path; from rolewatch.publish.metrics import write_textfile; "
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); write_textfile(Path(sys.argv[1]), b'x' * 5000)"
    )
    agent = Path(__file__).parents[2] / "agent"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env={"PYTHONPATH": str(agent), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "cannot be written: File too large" in done.stderr
    assert path.read_bytes() == b"whole\n"


def test_a_daemon_that_stops_takes_its_file_away(path: Path) -> None:
    """A metric that nothing updates is not served any more."""
    textfile = written(path, OK)
    textfile.stop()

    assert not path.exists()
    textfile.stop()


def test_a_daemon_that_never_wrote_takes_nothing_away(path: Path) -> None:
    """One that could not start leaves the file of the one that runs."""
    path.write_text("not ours")
    Textfile(path, lambda: b"").stop()

    assert path.read_text() == "not ours"


@pytest.mark.parametrize("snapshot", [FIRST, OK, DEGRADED, UNKNOWN], ids=["first", "ok", "degraded", "unknown"])
def test_a_single_poll_writes_the_families_it_can(snapshot: Snapshot) -> None:
    """No counter, no histogram, nothing since when, and nothing of a daemon that is not there."""
    page = as_text(single_poll_samples(snapshot, version="1.2.3", role_info=True)).decode()
    families = {family.name: family for family in parse_text(page)}
    expected = {
        "rolewatch_build_info",
        "rolewatch_state",
        "rolewatch_fault_active",
        "rolewatch_credentials_usable",
        "rolewatch_credentials_expiration_timestamp_seconds",
        "rolewatch_credentials_last_updated_timestamp_seconds",
        "rolewatch_rotation_interval_seconds",
        "rolewatch_role_info",
        "rolewatch_poll_last_timestamp_seconds",
        "rolewatch_poll_last_success_timestamp_seconds",
        "rolewatch_clock_offset_seconds",
        "rolewatch_imds_hop_limit",
        "rolewatch_confirmation_last_timestamp_seconds",
    }

    assert set(families) <= expected
    assert snapshot is not OK or set(families) == expected
    assert {family.type for family in families.values()} == {"gauge"}


def test_a_single_poll_leaves_the_names_out_where_that_is_set() -> None:
    """``role_info = false`` applies to the file as it does to the port."""
    page = as_text(single_poll_samples(OK, version="1.2.3", role_info=False))

    assert b"web-role" not in page


def test_promtool_finds_nothing_to_complain_about(path: Path) -> None:
    """Neither in the daemon's file nor in that of a single poll."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    written(path, DEGRADED)
    for page in (path.read_bytes(), as_text(single_poll_samples(DEGRADED, version="1.2.3", role_info=True))):
        lint = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, check=False, timeout=30)

        assert (lint.returncode, lint.stdout + lint.stderr) == (0, b"")
