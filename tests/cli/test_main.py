"""What the command line does about mistakes, interrupts and outputs that nobody reads."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path

import pytest

from daemon_process import LIMIT, environment, full_pipe
from rolewatch.cli import main
from rolewatch.cli.check import not_ec2
from rolewatch.cli.parser import build_parser
from rolewatch.cli.run import RunOptions
from rolewatch.settings import ImdsSettings
from rolewatch.simulator import Simulator

AGENT = Path(__file__).resolve().parents[2] / "agent"


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Run an IMDS that serves nothing usable: the verdict of a poll is 2."""
    with Simulator(now=lambda: datetime.now(timezone.utc), scenario_name="assume_role_unauthorized") as running:
        yield running


def shell(command: str, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run *command* in a shell, where ``"$@"`` is rolewatch with *words*."""
    return subprocess.run(
        ["/bin/bash", "-c", f"set -o pipefail; {command}", "bash", sys.executable, "-m", "rolewatch", *words],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(AGENT), **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def awake(process: int) -> bool:
    """Whether *process* does anything but wait.

    Python drops a KeyboardInterrupt that comes while it does away with an object: here, with the answer before this.
    """
    return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "S"


@pytest.mark.parametrize(
    "words",
    [
        ["explain", "\x1b[2J\u202e"],
        ["check", "--config", "/nowhere/\x1b[2J\u202e"],
        ["simulate", "--user-data", "/nowhere/\x1b[2J\u202e"],
        ["history", "--file", "/nowhere/\x1b[2J\u202e"],
        ["history", "\x1b[2J\u202e"],
        ["--\x1b[2J\u202e"],
        ["\x1b[2J\u202e"],
    ],
    ids=["fault", "settings", "user data", "journal file", "argument", "option", "command"],
)
def test_an_error_message_cannot_command_the_terminal(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A script hands on what a file or a network gave it: no message has a control or an invisible character."""
    with contextlib.suppress(SystemExit):
        main(words)
    out, err = capsys.readouterr()

    assert "\\x1b[2J\\u202e" in err or "python3-systemd" in err
    assert all(line.isprintable() for line in (out + err).splitlines())


def test_run_without_options_is_what_the_parser_makes_of_it() -> None:
    """The unit runs it so, and then nothing is parsed."""
    parsed = vars(build_parser("run").parse_args(["run"]))

    assert {name: parsed.get(name, "missing") for name in vars(RunOptions())} == vars(RunOptions())


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["check", "--bogus"], 64),
        (["check", "--endpoint", "foo"], 64),
        (["run", "--listen", "foo"], 64),
        (["run", "--expect-role", "no/such name"], 64),
        (["demo", "--listen", "foo"], 64),
        (["bogus"], 64),
        ([], 64),
        (["--version"], 0),
        (["explain", "bogus"], 64),
    ],
)
def test_a_mistake_ends_with_64(words: Sequence[str], status: int) -> None:
    """EX_USAGE, and never 1, 2 or 3: those are verdicts."""
    assert shell('"$@"', *words).returncode == status


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--endpoint", "http://127.0.0.1:9", "--listen"],
        ["demo", "--listen"],
        ["simulate", "--control", "none", "--listen"],
        ["simulate", "--listen", "127.0.0.1:0", "--control"],
    ],
)
def test_a_port_that_is_taken_ends_every_command_with_69(words: Sequence[str]) -> None:
    """EX_UNAVAILABLE: the words were right, and the port may be free later."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert shell('"$@"', *words, address).returncode == 69


def test_a_reader_that_goes_away_is_no_good_verdict(simulator: Simulator) -> None:
    """`check | true` must not appear healthy to a script with pipefail, and there is no traceback."""
    done = shell('"$@" | true', "check", "--endpoint", simulator.endpoint)

    assert done.returncode in (2, 74)
    assert "Traceback" not in done.stderr


def test_an_output_that_cannot_be_written_ends_with_74(simulator: Simulator) -> None:
    """EX_IOERR with one line, where a full disk would otherwise be reported as `degraded`."""
    done = shell('"$@" >/dev/full', "check", "--endpoint", simulator.endpoint)

    assert done.returncode == 74
    assert done.stderr.count("\n") == 1


def test_an_output_of_any_size_that_cannot_be_written_is_reported() -> None:
    """Every size of output that cannot be written is reported as such: less than a buffer, and more."""
    for words in (["rules"], ["--version"], ["check", "--help"], ["config", "show"]):
        assert "the output cannot be written: No space left" in shell('"$@" >/dev/full', *words).stderr or (
            "--help" in words  # argparse does not report it
        )


def test_a_closed_output_changes_no_verdict(simulator: Simulator) -> None:
    """A supervisor that gives no stdout gets the exit status all the same."""
    done = shell('"$@" >&-', "check", "--endpoint", simulator.endpoint)

    assert (done.returncode, done.stderr) == (2, "")


def test_a_warning_that_cannot_be_written_changes_no_verdict(simulator: Simulator) -> None:
    """A full disk or a closed standard error costs the warning, and neither the verdict nor the document."""
    for redirect in ("2>/dev/full", "2>&-"):
        done = shell(f'"$@" {redirect}', "check", "--json", "--endpoint", simulator.endpoint, ROLEWATCH_PORT="x")

        assert (done.returncode, json.loads(done.stdout)["state"]) == (2, "failed"), redirect


@pytest.mark.parametrize("words", [["check", "--config", "/nowhere"], ["check", "--nope"], ["explain", "nope"]])
def test_a_full_pipe_at_standard_error_is_not_waited_for(words: Sequence[str]) -> None:
    """An error that nobody reads ends with the status of the error. `run` has blocked its signals by then."""
    statuses = []
    for command in (words, ["run", *words[1:]]) if words[0] == "check" else (words,):
        with full_pipe() as full:
            popen = subprocess.Popen([sys.executable, "-m", "rolewatch", *command], env=environment(), stderr=full)
            try:
                statuses.append(popen.wait(LIMIT))
            finally:
                popen.kill()

    assert set(statuses) <= {64, 78}


def test_wrong_usage_ends_with_64_where_standard_error_is_full() -> None:
    """Never 1, 2 or 3, and not 74: the output is fine."""
    assert shell('"$@" 2>/dev/full', "check", "--nope").returncode == 64


def test_an_interrupt_is_no_traceback(simulator: Simulator) -> None:
    """Ctrl-C during a poll of a silent IMDS ends with 130 and not one line."""
    simulator.switch("silent")
    popen = subprocess.Popen(
        # What a shell starts in the background ignores SIGINT, and so does what that starts: these tests, perhaps.
        ["env", "--default-signal=INT", sys.executable, "-m", "rolewatch", "check", "--endpoint", simulator.endpoint],
        # On a busy machine the default two seconds may be over before the simulator has noted the request.
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(AGENT),
            "ROLEWATCH_IMDS_TIMEOUT": "1m",
            "ROLEWATCH_IMDS_DEADLINE": "1m",
        },
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    while not simulator.requests or not simulator.requests[-1].path.endswith("/web-server") or awake(popen.pid):
        assert popen.poll() is None
        time.sleep(0.01)
    popen.send_signal(signal.SIGINT)
    _, stderr = popen.communicate(timeout=30)

    assert (popen.returncode, stderr) == (130, "")


def test_a_locale_without_our_characters_is_no_reason_to_fail() -> None:
    """What it cannot show is escaped."""
    done = shell('"$@"', "demo", "--for", "2s", "--listen", "127.0.0.1:0", PYTHONIOENCODING="ascii")

    assert done.returncode == 0, done.stderr
    assert "\\u2500" in done.stdout


@pytest.mark.parametrize(("scenario", "count"), [("healthy", 1), ("rotation_overdue", 0)])
def test_a_check_of_a_healthy_role_says_where_programs_that_get_none_are_explained(
    simulator: Simulator, capsys: pytest.CaptureFixture[str], scenario: str, count: int
) -> None:
    """A proxy, keys of its own, IMDSv1 only: check sees none of that."""
    simulator.switch(scenario)
    main(["check", "--endpoint", simulator.endpoint])

    assert capsys.readouterr().out.count("rolewatch explain credentials_overridden") == count


def test_a_check_knows_what_the_daemon_has_learned(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the hourly cadence in the state file, a set that is four hours old is overdue by that."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    state = (
        f'{{"version": 1, "instance_id": null, "boot_id": "{boot}", "faults": {{}}, "served": null, "current": false, '
        '"newest": null, "settled": {"role": null, "instance_profile": null, "instance_profile_id": null}, '
        '"intervals": [3600, 3600, 3600], "credentials_seen": true}'
    )
    (tmp_path / "state.json").write_text(state)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    simulator.switch("rotation_overdue")
    main(["check", "--json", "--endpoint", simulator.endpoint])

    assert '"rotation_interval_seconds": 3600' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("made_by", "endpoint", "said"),
    [
        ("QEMU", "", True),
        ("Amazon EC2", "", False),
        ("Xen", "", False),
        ("", "", False),
        ("QEMU", "http://127.0.0.1:1338", False),
    ],
)
def test_check_says_first_that_this_may_be_no_ec2_instance(made_by: str, endpoint: str, *, said: bool) -> None:
    """By the firmware, and only where the well-known address was asked: a simulator is meant to answer anywhere."""
    lines = list(not_ec2(ImdsSettings(endpoint=endpoint), made_by))

    assert bool(lines) is said
    assert not said or lines[0] == (
        "This may not be an EC2 instance: its firmware says QEMU. http://169.254.169.254 was asked."
    )
