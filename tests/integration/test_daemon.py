"""The daemon as a process: its signals, its files, its exit status. Everything is on loopback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from daemon_process import LIMIT, RUN, DaemonProcess, config, daemon, environment, free_port, full_pipe
from e2e.processes import until
from harness import DatagramSocket, get
from promises import Area, promise
from rolewatch.monitor.loop import MIN_GAP
from rolewatch.simulator import Simulator


def test_it_says_that_it_started_and_how_it_is(simulator: Simulator, tmp_path: Path) -> None:
    """The first poll is at once, and its verdict is logged."""
    with daemon("--config", str(config(tmp_path, simulator))) as process:
        process.wait_for("started")
        assert process.wait_for("state_changed")["state"] == "ok"


def test_its_page_answers_where_it_says(simulator: Simulator, tmp_path: Path) -> None:
    """The `started` entry names the address, and /metrics is there."""
    with daemon("--config", str(config(tmp_path, simulator))) as process:
        address = process.wait_for("started")["listen"]
        process.wait_for("state_changed")
        status, page = get(f"http://{address}/metrics")

    assert status == 200
    assert 'rolewatch_state{state="ok"} 1.0' in page


def test_sigterm_ends_it_well(simulator: Simulator, tmp_path: Path) -> None:
    """SIGTERM during the wait ends it at once, with status 0 and a word."""
    with daemon("--config", str(config(tmp_path, simulator))) as process:
        process.wait_for("state_changed")
        process.popen.send_signal(signal.SIGTERM)
        assert process.exit_status() == 0
        process.wait_for("stopping")

    assert process.other == []


def test_sigusr1_polls_at_once(simulator: Simulator, tmp_path: Path) -> None:
    """Each SIGUSR1 is a poll: two of them raise a fault long before the next poll is due."""
    with daemon("--config", str(config(tmp_path, simulator))) as process:
        process.wait_for("state_changed")
        simulator.switch("assume_role_unauthorized")
        process.popen.send_signal(signal.SIGUSR1)
        wait_for_polls(process, 2)
        process.popen.send_signal(signal.SIGUSR1)
        assert process.wait_for("fault_raised")["fault"] == "assume_role_unauthorized"


def wait_for_polls(process: DaemonProcess, count: int) -> None:
    """Return once the daemon has ended *count* polls."""
    address = process.wait_for("started")["listen"]
    for _ in range(2000):
        if f"rolewatch_polls_total {float(count)}" in get(f"http://{address}/metrics")[1]:
            return
    pytest.fail("no such poll")


def test_sighup_puts_new_settings_in_force(simulator: Simulator, tmp_path: Path) -> None:
    """After a reload the new expectation is judged by."""
    path = config(tmp_path, simulator)
    with daemon("--config", str(path)) as process:
        process.wait_for("state_changed")
        config(tmp_path, simulator, '[expect]\nrole = "somebody-else"\n')
        process.popen.send_signal(signal.SIGHUP)
        process.wait_for("config_reloaded")
        process.popen.send_signal(signal.SIGUSR1)
        assert process.wait_for("fault_raised")["fault"] == "role_mismatch"


def test_a_bad_file_at_sighup_keeps_the_old_settings(simulator: Simulator, tmp_path: Path) -> None:
    """It is logged with its line, counted as a failed reload, and polling continues; the fix is logged, too."""
    path = config(tmp_path, simulator)
    with daemon("--config", str(path)) as process:
        address = process.wait_for("started")["listen"]
        process.wait_for("state_changed")
        config(tmp_path, simulator, "[poll]\nintervall = 30\n")
        process.popen.send_signal(signal.SIGHUP)
        rejected = process.wait_for("config_rejected")
        assert "rolewatch.toml:6" in str(rejected["message"])
        assert "interval" in str(rejected["message"])
        assert "rolewatch_config_last_reload_successful 0.0" in get(f"http://{address}/metrics")[1]
        config(tmp_path, simulator)
        process.popen.send_signal(signal.SIGHUP)
        process.wait_for("config_reloaded")
        assert "rolewatch_config_last_reload_successful 1.0" in get(f"http://{address}/metrics")[1]


def test_bad_settings_at_the_start_end_it_with_78(simulator: Simulator, tmp_path: Path) -> None:
    """EX_CONFIG, and every problem on stderr: systemd does not restart into it."""
    path = config(tmp_path, simulator, '[poll]\nintervall = 30\n[expect]\nrole = "no/such name"\n')
    with daemon("--config", str(path)) as process:
        assert process.exit_status() == 78

    assert len(process.other) == 2
    assert all(line.startswith(f"rolewatch: {path}:") for line in process.other)


@promise(
    Area.SURROUNDINGS,
    "The port is taken",
    "It ends with status 69, and says which address and what to do; systemd tries again",
)
def test_a_port_that_is_taken_ends_it_with_69(simulator: Simulator) -> None:
    """EX_UNAVAILABLE, with the address and what to do: systemd may try again."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with daemon("--endpoint", simulator.endpoint, "--listen", address) as process:
            assert process.exit_status() == 69

    assert address in "".join(process.other)
    assert "Traceback" not in "".join(process.other)


def test_what_it_learned_survives_a_restart(simulator: Simulator, tmp_path: Path) -> None:
    """A fault that was active before the restart is active after the first poll, with its start and a reminder."""
    path = config(tmp_path, simulator)
    state = {"STATE_DIRECTORY": str(tmp_path)}
    with daemon("--config", str(path), environ=state) as process:
        process.wait_for("state_changed")
        simulator.switch("instance_profile_without_role")
        process.popen.send_signal(signal.SIGUSR1)
        wait_for_polls(process, 2)
        process.popen.send_signal(signal.SIGUSR1)
        since = process.wait_for("fault_raised")["since"]
        process.popen.send_signal(signal.SIGTERM)
        assert process.exit_status() == 0
    with daemon("--config", str(path), environ=state) as process:
        entry = process.wait_for("fault_persists")

    assert (entry["fault"], entry["since"]) == ("instance_profile_without_role", since)


def test_systemd_is_notified_that_it_is_ready_alive_and_stopping(simulator: Simulator, tmp_path: Path) -> None:
    """READY, STATUS, WATCHDOG and STOPPING come in on the notify socket; a reload is announced and ended."""
    notify = DatagramSocket(tmp_path / "notify")
    environ = {"NOTIFY_SOCKET": str(notify.path), "WATCHDOG_USEC": "2000000"}
    with daemon("--config", str(config(tmp_path, simulator)), environ=environ) as process:
        process.wait_for("state_changed")
        process.popen.send_signal(signal.SIGHUP)
        process.wait_for("config_reloaded")
        process.popen.send_signal(signal.SIGTERM)
        assert process.exit_status() == 0
    lines = [line for datagram in notify.received() for line in datagram.decode().splitlines()]
    notify.close()

    assert lines[0] == "READY=1"
    assert lines[-1] == "STOPPING=1"
    assert "WATCHDOG=1" in lines
    assert [line for line in lines if line.startswith("STATUS=ok")]
    reloading = lines.index("RELOADING=1")
    assert any(line.startswith("MONOTONIC_USEC=") for line in lines[reloading : reloading + 2])
    assert "READY=1" in lines[reloading:]


def test_it_takes_the_socket_that_systemd_hands_in(simulator: Simulator, tmp_path: Path) -> None:
    """With socket activation it serves there, and binds nothing itself."""
    pytest.importorskip("systemd.daemon", reason="systemd-python is not installed")  # systemd/ is a folder of ours
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        port = listener.getsockname()[1]
        path = config(tmp_path, simulator)
        # The shell hands the socket in as descriptor 3, with its own process id, as systemd does.
        script = 'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$0" -m rolewatch run --config "$1" 3<&"$2"'
        command = ["/bin/bash", "-c", script, sys.executable, str(path), str(listener.fileno())]
        with daemon(command=command, pass_fds=[listener.fileno()]) as process:
            process.wait_for("state_changed")
            assert f":{port}" in str(process.wait_for("started")["listen"])
            assert get(f"http://127.0.0.1:{port}/-/ready")[0] == 200


def test_the_daemon_loads_no_boto3_and_no_rich(simulator: Simulator, tmp_path: Path) -> None:
    """What only commands for people and for AWS need costs the daemon nothing."""
    command = [sys.executable, "-X", "importtime", *RUN[1:]]
    with daemon("--config", str(config(tmp_path, simulator)), command=command) as process:
        process.wait_for("state_changed")
        imported = {line.rpartition("|")[2].strip() for line in process.other if line.startswith("import time:")}

    assert "rolewatch.monitor.loop" in imported
    assert imported & {"boto3", "botocore", "rich.console", "rolewatch.simulator", "rolewatch.aws"} == set()


def polls_of(simulator: Simulator) -> int:
    """Return how often *simulator* was polled: each poll that gets a token reads ``iam/info``."""
    return sum(request.path.endswith("iam/info") for request in simulator.requests)


def test_a_stop_goes_before_everything_else(simulator: Simulator, tmp_path: Path) -> None:
    """SIGHUP, SIGUSR1 and SIGTERM that wait together: it stops, without reading or polling once more."""
    with daemon("--config", str(config(tmp_path, simulator))) as process:
        process.wait_for("state_changed")
        process.popen.send_signal(signal.SIGSTOP)
        time.sleep(MIN_GAP)  # or no signal would make it poll yet
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM, signal.SIGCONT):
            process.popen.send_signal(number)
        assert process.exit_status() == 0

    assert not [entry for entry in process.entries if entry["event"] == "config_reloaded"]
    assert polls_of(simulator) == 1


@promise(
    Area.SURROUNDINGS,
    "Hundreds of SIGHUP and SIGUSR1 come at once",
    "A second lies between two polls at the least, with two readings of the settings at most; a stop is taken at once",
)
def test_a_storm_of_signals_is_no_storm_on_imds(simulator: Simulator, tmp_path: Path) -> None:
    """Whatever comes, a second lies between two polls: the budget of packets to IMDS is the whole host's."""
    with daemon("--config", str(config(tmp_path, simulator))) as process:
        process.wait_for("state_changed")
        for _ in range(200):
            process.popen.send_signal(signal.SIGUSR1)
            process.popen.send_signal(signal.SIGHUP)
        process.wait_for("config_reloaded")
        process.popen.send_signal(signal.SIGTERM)
        assert process.exit_status() == 0

    assert polls_of(simulator) <= 4


def test_a_reload_says_what_needs_a_restart(simulator: Simulator, tmp_path: Path) -> None:
    """Port and log are those of the start: a reload that changes them logs that they need a restart."""
    path = config(tmp_path, simulator)
    with daemon("--config", str(path)) as process:
        process.wait_for("state_changed")
        path.write_text(
            path.read_text().replace("127.0.0.1:0", f"127.0.0.1:{free_port()}") + '[log]\nlevel = "debug"\n'
        )
        process.popen.send_signal(signal.SIGHUP)
        entry = process.wait_for("config_reloaded", level="warning")

    assert "[metrics] and [log]" in str(entry["message"])
    assert "needs a restart" in str(entry["message"])


def test_a_reload_puts_the_allowed_hosts_in_force(simulator: Simulator, tmp_path: Path) -> None:
    """It needs no restart; a name that is taken out is refused again. A file that cannot be used changes nothing."""
    path = config(tmp_path, simulator)
    before = path.read_text()
    with daemon("--config", str(path)) as process:
        url = f"http://{process.wait_for('started')['listen']}/status.json"
        process.wait_for("state_changed")
        refused, why = get(url, Host="app-1.example.com")
        path.write_text(before + 'allowed_hosts = ["app-1.example.com"]\n')
        process.popen.send_signal(signal.SIGHUP)
        entry = process.wait_for("config_reloaded")
        allowed, _ = get(url, Host="app-1.example.com")
        path.write_text(before + 'allowed_hosts = ["http://app-1.example.com"]\n')
        process.popen.send_signal(signal.SIGHUP)
        process.wait_for("config_rejected")
        kept, _ = get(url, Host="app-1.example.com")
        path.write_text(before)
        process.popen.send_signal(signal.SIGHUP)
        process.wait_for("config_reloaded", 2)
        refused_again, _ = get(url, Host="app-1.example.com")

    assert "restart" not in str(entry["message"])
    assert (refused, allowed, kept, refused_again) == (421, 200, 200, 421)
    assert "allowed_hosts in [metrics]" in why


def test_a_warning_at_the_start_is_an_event(simulator: Simulator, tmp_path: Path) -> None:
    """The daemon logs in one form only, so a warning comes as an entry."""
    environ = {"ROLEWATCH_PORT": "tcp://10.0.0.1:80"}
    with daemon("--config", str(config(tmp_path, simulator)), environ=environ) as process:
        entry = process.wait_for("config_warning", level="warning")
        process.wait_for("started")

    assert "ROLEWATCH_PORT" in str(entry["message"])
    assert entry["problem"] == entry["message"]
    assert process.other == []


def test_a_warning_at_the_start_waits_for_no_reader(simulator: Simulator, tmp_path: Path) -> None:
    """With standard error a full pipe, the daemon starts, serves its page and ends at SIGTERM."""
    port = free_port()
    words = ["run", "--config", str(config(tmp_path, simulator)), "--listen", f"127.0.0.1:{port}"]
    with (
        full_pipe() as full,
        subprocess.Popen(
            [sys.executable, "-m", "rolewatch", *words],
            env=environment(ROLEWATCH_PORT="tcp://10.0.0.1:80"),
            stdin=subprocess.DEVNULL,
            stderr=full,
        ) as popen,
    ):
        try:
            until(lambda: answers(port), "the page", patience=LIMIT)
            popen.terminate()

            assert popen.wait(LIMIT) == 0
        finally:
            popen.kill()


def answers(port: int) -> bool:
    """Return whether the daemon at *port* says that it is ready: it has polled."""
    try:
        return get(f"http://127.0.0.1:{port}/-/ready")[0] == 200
    except OSError:
        return False


def test_a_warning_at_a_reload_is_an_event_and_blocks_nothing(simulator: Simulator, tmp_path: Path) -> None:
    """Without a reader of standard error the daemon continues, and the entry has the warning."""
    environ = {"ROLEWATCH_NOPE": "1"}
    with daemon("--config", str(config(tmp_path, simulator)), environ=environ) as process:
        address = process.wait_for("started")["listen"]
        process.wait_for("state_changed")
        process.popen.send_signal(signal.SIGHUP)
        entry = process.wait_for("config_reloaded", level="warning")
        assert "ROLEWATCH_NOPE" in str(entry["problem"])
        assert process.popen.stderr is not None
        os.kill(process.popen.pid, signal.SIGHUP)
        process.wait_for("config_reloaded", count=2)
        assert get(f"http://{address}/-/healthy")[0] == 200
