"""Text file mode against Debian's node_exporter, and the daemon that writes for it, alive, stopped and killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from daemon_process import LIMIT, DaemonProcess, config, daemon, free_port
from harness import TEXTFILE, get, in_process, utc_now
from rolewatch.cli import main
from rolewatch.simulator import Simulator
from rolewatch.simulator.scenarios import SCENARIOS
from rolewatch.vocabulary import State

EXPORTER = shutil.which("prometheus-node-exporter") or shutil.which("node_exporter")
NEEDS_EXPORTER = pytest.mark.skipif(EXPORTER is None, reason="there is no node_exporter here: apt-get install it")


@contextlib.contextmanager
def node_exporter(directory: Path) -> Iterator[str]:
    """Run node_exporter with its text file collector on *directory*, and nothing else; yield its page's address."""
    assert EXPORTER is not None
    address = f"127.0.0.1:{free_port()}"
    command = [
        EXPORTER,
        "--collector.disable-defaults",
        "--collector.textfile",
        f"--collector.textfile.directory={directory}",
        "--web.disable-exporter-metrics",
        f"--web.listen-address={address}",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={}) as process:
        try:
            assert process.stderr is not None
            said: list[str] = []
            while "istening on" not in "".join(said[-1:]):
                said.append(process.stderr.readline())
                assert said[-1], f"node_exporter has ended: {said}"
            yield f"http://{address}/metrics"
        finally:
            process.terminate()
            process.communicate(timeout=LIMIT)


@contextlib.contextmanager
def writing(file: Path, simulator: Simulator) -> Iterator[DaemonProcess]:
    """Run a daemon that writes *file*."""
    environ = {"ROLEWATCH_TEXTFILE_PATH": str(file), "ROLEWATCH_METRICS_LISTEN": "127.0.0.1:0"}
    with daemon("--endpoint", simulator.endpoint, environ=environ) as process:
        yield process


def samples(page: str) -> dict[str, float]:
    """Return the samples of *page* by name and labels, as they are written."""
    return {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in page.splitlines()
        if line and not line.startswith("#")
    }


def through(url: str) -> dict[str, float]:
    """Return the metrics of node_exporter at *url*: ours, and its own of the text file collector."""
    return {
        name: value for name, value in samples(get(url)[1]).items() if name.startswith(("rolewatch_", "node_textfile_"))
    }


@NEEDS_EXPORTER
@pytest.mark.parametrize("scenario", ["healthy", "assume_role_unauthorized", "imds_unreachable", "odd_role_name"])
def test_node_exporter_serves_what_the_daemon_wrote(scenario: str, tmp_path: Path) -> None:
    """Every sample is as in the file, and the collector reports no error."""
    with in_process(tmp_path, scenario) as daemon:
        seen = daemon.run()
    directory = tmp_path / "collected"
    directory.mkdir()
    (directory / TEXTFILE).write_text(seen.textfile)
    with node_exporter(directory) as url:
        exported = through(url)

    ours = {name.replace('le="1.0"', 'le="1"'): value for name, value in samples(seen.textfile).items()}
    assert exported.pop("node_textfile_scrape_error") == 0
    assert {name for name in exported if not name.startswith("rolewatch_")} == {
        f'node_textfile_mtime_seconds{{file="{directory / TEXTFILE}"}}'
    }
    # node_exporter writes the bounds of buckets in its own way, see docs/textfile.md.
    assert {name: value for name, value in exported.items() if name.startswith("rolewatch_")} == ours


def test_the_file_has_what_the_port_serves(tmp_path: Path) -> None:
    """The same report, at the same moment, but for what is of the process."""
    with in_process(tmp_path, "instance_profile_detached") as daemon:
        seen = daemon.run()
    page = {name: value for name, value in samples(seen.metrics).items() if name.startswith("rolewatch_")}

    assert samples(seen.textfile) == page
    assert 'publisher="textfile"' in seen.textfile


def test_without_a_port_there_is_the_file(simulator: Simulator, tmp_path: Path) -> None:
    """`listen = []` opens nothing, and the start says where the metrics are."""
    file = tmp_path / TEXTFILE
    settings = config(tmp_path, simulator)
    environ = {"ROLEWATCH_METRICS_LISTEN": "", "ROLEWATCH_TEXTFILE_PATH": str(file)}
    with daemon("--config", str(settings), environ=environ) as process:
        started = process.wait_for("started")
        process.wait_for("state_changed", state="ok")
        process.popen.send_signal(signal.SIGUSR1)
        wait_for(file, 'rolewatch_state{state="ok"} 1.0')
        sockets = listening(process.popen.pid)

    assert str(started["message"]).endswith(f"metrics on {file}.")
    assert sockets == []


def test_a_stop_takes_the_file_away(simulator: Simulator, tmp_path: Path) -> None:
    """A daemon that stops removes its metrics, as with a port."""
    file = tmp_path / TEXTFILE
    with daemon(
        "--config", str(config(tmp_path, simulator)), environ={"ROLEWATCH_TEXTFILE_PATH": str(file)}
    ) as process:
        process.wait_for("state_changed", state="ok")
        wait_for(file, "rolewatch_state")
        process.popen.terminate()
        status = process.exit_status()

    assert status == 0
    assert [each.name for each in tmp_path.iterdir() if "prom" in each.name] == []


@NEEDS_EXPORTER
def test_a_killed_daemon_leaves_a_file_whose_age_is_a_metric(simulator: Simulator, tmp_path: Path) -> None:
    """The trap of every text file: node_exporter goes on serving `ok`. Two series of it do not go on."""
    directory = tmp_path / "collected"
    directory.mkdir()
    file = directory / TEXTFILE
    begun = time.time()
    with daemon(
        "--config", str(config(tmp_path, simulator)), environ={"ROLEWATCH_TEXTFILE_PATH": str(file)}
    ) as process:
        process.wait_for("state_changed", state="ok")
        wait_for(file, 'rolewatch_state{state="ok"} 1.0')
        process.popen.kill()
        process.exit_status()
    old = begun - 3600
    os.utime(file, (old, old))
    with node_exporter(directory) as url:
        exported = through(url)

    assert exported['rolewatch_state{state="ok"}'] == 1
    assert exported["node_textfile_scrape_error"] == 0
    assert begun <= exported["rolewatch_poll_last_timestamp_seconds"] <= time.time()
    assert abs(exported[f'node_textfile_mtime_seconds{{file="{file}"}}'] - old) < 1


def test_a_file_that_cannot_be_written_is_reported_and_polling_goes_on(simulator: Simulator, tmp_path: Path) -> None:
    """It is an event, it is counted at the port, and it ends when the directory is there."""
    file = tmp_path / "later" / TEXTFILE
    with daemon(
        "--config", str(config(tmp_path, simulator)), environ={"ROLEWATCH_TEXTFILE_PATH": str(file)}
    ) as process:
        address = process.wait_for("started")["listen"]
        process.popen.send_signal(signal.SIGUSR1)
        failed = process.wait_for("publisher_failed", publisher="textfile")
        _, page = get(f"http://{address}/metrics")
        file.parent.mkdir()
        process.popen.send_signal(signal.SIGUSR1)
        wait_for(file, 'rolewatch_state{state="ok"} 1.0')

    assert f"{file} cannot be written: No such file or directory" in str(failed["message"])
    assert samples(page)['rolewatch_publisher_failures_total{publisher="textfile"}'] >= 1


@pytest.mark.parametrize("name", ["healthy", "role_mismatch", "instance_profile_detached", "imds_disabled"])
def test_one_poll_writes_its_verdict(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`check --textfile` prints nothing, and its exit status is the state's, as ever."""
    (scenario,) = (each for each in SCENARIOS if each.name == name)
    file = tmp_path / TEXTFILE
    expect = [word for pattern in scenario.expect.expect_role for word in ("--expect-role", pattern)]
    with Simulator(now=utc_now, scenario_name=name) as simulator:
        status = main(["check", "--endpoint", simulator.endpoint, "--textfile", str(file), *expect])
    exported = {
        sample.labels["state"]: sample.value
        for family in text_string_to_metric_families(file.read_text())
        for sample in family.samples
        if sample.name == "rolewatch_state"
    }

    assert status == scenario.expect.state.exit_code
    assert exported == {state.value: float(state is scenario.expect.state) for state in State}
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        pytest.param("rolewatch.txt", (64, "node_exporter reads files that end in .prom only"), id="name"),
        pytest.param("missing/rolewatch.prom", (69, "cannot be written: No such file or directory"), id="directory"),
    ],
)
def test_a_poll_that_cannot_write_is_no_verdict(
    simulator: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, problem: tuple[int, str]
) -> None:
    """Its exit status is none of 0 to 3, and one line says why."""
    given = main(["check", "--endpoint", simulator.endpoint, "--textfile", str(tmp_path / name)])
    printed = capsys.readouterr()

    assert (given, printed.out) == (problem[0], "")
    assert problem[1] in printed.err


def test_the_text_file_is_one_form_among_others(simulator: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    """It cannot be had together with another."""
    with pytest.raises(SystemExit) as ended:
        main(["check", "--endpoint", simulator.endpoint, "--textfile", "/x.prom", "--json"])

    assert ended.value.code == 64
    assert "not allowed with" in capsys.readouterr().err


def wait_for(file: Path, text: str) -> None:
    """Return as soon as *file* contains *text*."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        with contextlib.suppress(FileNotFoundError):
            if text in file.read_text():
                return
    pytest.fail(f"{file} still lacks {text}")


def listening(pid: int) -> list[str]:
    """Return the TCP sockets on which the process *pid* listens, as /proc/net/tcp has them (state 0A)."""
    sockets = {each.resolve().name for each in Path(f"/proc/{pid}/fd").iterdir()}
    tables = [Path(f"/proc/{pid}/net/{name}").read_text().splitlines() for name in ("tcp", "tcp6")]
    lines = [line.split() for table in tables for line in table]
    return [line[1] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in sockets]
