"""The units and their drop-ins, as systemd reads them. What traps they avoid is in integration/test_traps.py."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from chaos.quota import PERIOD, SHARE
from rolewatch.cli.poll_once import confirmation_request
from rolewatch.config.keys import VALUE_TYPES
from rolewatch.config.types import Duration
from rolewatch.http.listener import MAX_WAITING
from rolewatch.http.server import MAX_CONNECTIONS
from rolewatch.settings import ConfirmSettings, Settings
from units import UNITS, unit

ROOT = Path(__file__).resolve().parents[2]
DROP_INS = sorted((ROOT / "packaging/examples/systemd").glob("*.conf"))
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def said_of(directory: Path, drop_in: str, content: str) -> str:
    """Return what systemd says of our units with *content* in the drop-in that the text *drop_in* says it goes to."""
    for each in UNITS:
        shutil.copy(each, directory)
    (directory / drop_in).mkdir()
    (directory / drop_in / "50-site.conf").write_text(content, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(directory / drop_in[: -len(".d")])],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": f"{directory}:"},
    )
    return "\n".join(line for line in done.stderr.splitlines() if "/usr/bin/rolewatch is not executable" not in line)


def place(drop_in: Path) -> str:
    """Return the directory into which the comment of *drop_in* says to put it."""
    found = re.search(r"^# Put it into /etc/systemd/system/(\S+\.d)/, then:$", drop_in.read_text("utf-8"), re.MULTILINE)
    assert found is not None, f"{drop_in.name} does not say where it goes"
    return found[1]


@needs_systemd
@pytest.mark.parametrize("drop_in", DROP_INS, ids=lambda path: path.name)
def test_a_drop_in_is_understood_where_its_comment_puts_it(drop_in: Path, tmp_path: Path) -> None:
    """Systemd has nothing to say of the unit with it."""
    assert said_of(tmp_path, place(drop_in), drop_in.read_text(encoding="utf-8")) == ""


@needs_systemd
def test_a_drop_in_with_a_mistake_is_reported(tmp_path: Path) -> None:
    """So the test above is not silent because nothing was read."""
    said = said_of(tmp_path, "rolewatch.socket.d", "[Socket]\nIPAddressAllow=everybody\n")

    assert "everybody" in said


@pytest.mark.parametrize("drop_in", DROP_INS, ids=lambda path: path.name)
def test_a_drop_in_says_when_to_use_it_and_how_to_apply_it(drop_in: Path) -> None:
    """One block of comment, before everything else, and in it the commands."""
    head = drop_in.read_text(encoding="utf-8").split("\n\n")[0].splitlines()

    assert all(line.startswith("#") for line in head)
    assert any("systemctl daemon-reload" in line for line in head)


def test_the_daemon_reads_where_the_confirmation_writes_its_evidence() -> None:
    """No setting is needed: the defaults and the units name the same two files."""
    confirm = dict(unit("rolewatch-confirm.service"))
    daemon = dict(unit("rolewatch.service"))
    evidence = Path(ConfirmSettings().file)
    request = confirmation_request(Settings(), {"RUNTIME_DIRECTORY": f"/run/{daemon['RuntimeDirectory']}"})

    assert confirm["ExecStart"] == f"/usr/bin/rolewatch diagnose --json --output {evidence}"
    assert evidence.parent == Path("/run", confirm["RuntimeDirectory"])
    assert Path("/run", confirm["RuntimeDirectory"]).parent == Path("/run", daemon["RuntimeDirectory"]).parent
    assert str(evidence.parents[1]) in daemon["BindReadOnlyPaths"].split()
    assert request is not None
    assert str(request.parent) == dict(unit("rolewatch-confirm.path"))["PathChanged"]


def test_only_the_confirmation_can_write_the_evidence_and_the_daemon_can_read_it() -> None:
    """Another user than the daemon's, its group, a directory that is closed to all others and outlives a run."""
    confirm = dict(unit("rolewatch-confirm.service"))
    daemon = dict(unit("rolewatch.service"))

    assert confirm["User"] != daemon["User"]
    assert confirm["Group"] == daemon["Group"]
    assert confirm["RuntimeDirectoryMode"] == "0750"
    assert confirm["RuntimeDirectoryPreserve"] == "yes"
    assert "/var:ro" in confirm["TemporaryFileSystem"].split()


def test_the_two_sandboxes_are_one_but_for_what_each_must_reach() -> None:
    """A line that is hardened in one unit is hardened in the other."""
    sandbox = [
        {
            line
            for line in unit(name)
            if re.match(
                r"Protect|Private|Restrict|Lock|Memory(Deny|Swap)|System|NoNew|Cap|Temporary|Inaccessible|UMask",
                line[0],
            )
        }
        for name in ("rolewatch.service", "rolewatch-confirm.service")
    ]

    assert sandbox[0] == sandbox[1]


@pytest.mark.parametrize("name", ["rolewatch.service", "rolewatch-confirm.service"])
def test_a_user_passes_the_directories_that_old_systemd_makes_for_mounts(name: str) -> None:
    """Systemd 247 makes those below /run and /var with the unit's umask: nobody reads them, and everybody passes."""
    assert int(dict(unit(name))["UMask"], 8) & 0o077 == 0o066


def test_the_quota_of_the_daemon_lets_a_start_through_in_one_go() -> None:
    """It takes 0.15 s of CPU, and Linux makes a process over the quota of a period wait for the next."""
    assert SHARE * PERIOD >= 0.2


def test_a_stop_waits_for_the_longest_poll() -> None:
    """A signal is taken between polls. Killed in one, the daemon would leave its text file, and what it had to say."""
    longest = VALUE_TYPES["imds.deadline"]
    assert isinstance(longest, Duration)

    assert int(dict(unit("rolewatch.service"))["TimeoutStopSec"].removesuffix("s")) > longest.most


def test_a_verdict_is_no_failure_of_the_unit() -> None:
    """The exit status is the state; `systemctl --failed` is for what did not work."""
    assert dict(unit("rolewatch-confirm.service"))["SuccessExitStatus"] == "1 2 3"


def test_nothing_can_stop_the_confirmations_for_ever() -> None:
    """A start limit of the service would take its timer and its path unit down with it."""
    assert ("StartLimitIntervalSec", "0") in unit("rolewatch-confirm.service")


def test_a_request_waits_for_two_minutes_with_all_that_come_meanwhile() -> None:
    """The path unit starts a timer, and watches again when that is inactive: after the confirmation."""
    path, timer = dict(unit("rolewatch-confirm.path")), dict(unit("rolewatch-confirm-requested.timer"))

    assert path["Unit"] == "rolewatch-confirm-requested.timer"
    assert timer["Unit"] == "rolewatch-confirm.service"
    assert (timer["OnActiveSec"], timer["RemainAfterElapse"]) == ("2min", "no")
    assert [key for key, _ in unit("rolewatch-confirm.path") if key.startswith(("TriggerLimit", "StartLimit"))] == []


def test_every_unit_names_manual_pages_that_there_are() -> None:
    """`systemctl help rolewatch` opens them, and then AWS's page."""
    for each in UNITS:
        named = " ".join(value for key, value in unit(each.name) if key == "Documentation").split()
        pages = re.findall(r"man:(\S+)\((\d)\)", " ".join(named))

        assert pages, each.name
        assert all((ROOT / f"packaging/man/{page}.{section}").is_file() for page, section in pages)
        assert named[-1].startswith("https://docs.aws.amazon.com/")


def test_every_user_of_a_unit_is_made_by_both_packages() -> None:
    """By sysusers.d in the deb, by a script in the rpm, whose old versions do not read that."""
    users = {value for each in UNITS for key, value in unit(each.name) if key == "User"}
    sysusers = (ROOT / "systemd/rolewatch.sysusers").read_text(encoding="utf-8")
    spec = (ROOT / "packaging/rpm/rolewatch.spec").read_text(encoding="utf-8")

    assert set(re.findall(r"^u (\S+)", sysusers, re.MULTILINE)) == users
    assert set(re.findall(r"^add_user (\S+)", spec, re.MULTILINE)) == users


def test_scrapers_leave_the_descriptors_that_watching_needs() -> None:
    """Those that are served and those that wait leave a hundred: IMDS, the journal, the state file, the text file."""
    assert int(dict(unit("rolewatch.service"))["LimitNOFILE"]) >= MAX_CONNECTIONS + MAX_WAITING + 100
