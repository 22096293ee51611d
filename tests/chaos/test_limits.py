"""What the kernel refuses: descriptors, memory, threads, processes. And what is done to the process itself."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest

from daemon_process import LIMIT, PAUSE, RUN, DaemonProcess, config, daemon, environment, free_port, stop_and_continue
from harness import DatagramSocket, get
from promises import Area, Measured, promise
from rolewatch.monitor.state_file import StateFile
from rolewatch.simulator import Simulator
from skips import cannot

pytestmark = pytest.mark.slow

FEW = 6
"""Descriptors: fewer than a daemon has open when it watches, and one too few for it to begin."""


@pytest.fixture(name="watching")
def a_daemon(simulator: Simulator, tmp_path: Path) -> Iterator[DaemonProcess]:
    """Yield a daemon that watches, with a state file in the test's directory."""
    environ = {"STATE_DIRECTORY": str(tmp_path)}
    with daemon("--config", str(config(tmp_path, simulator)), environ=environ) as process:
        yield process.watching()


def limit(pid: int, what: int, soft: int) -> int:
    """Set the soft limit of *what* of the process *pid*; return what it was."""
    old, hard = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (soft, hard))
    return old


@promise(
    Area.SURROUNDINGS,
    "No file descriptor is left",
    "Each poll fails with its errno and is reported, polling continues, and the next poll that gets one succeeds",
)
def test_without_descriptors_the_polls_fail_and_recover(watching: DaemonProcess) -> None:
    """EMFILE: for the poll it is an IMDS that cannot be reached, and the evidence says why."""
    old = limit(watching.pid, resource.RLIMIT_NOFILE, FEW)
    watching.signal(signal.SIGUSR1)
    failed = watching.wait_for("poll_failed")
    limit(watching.pid, resource.RLIMIT_NOFILE, old)
    watching.poll()

    assert failed["errno"] == 24
    assert watching.metric("rolewatch_state", state="ok") == 1
    assert watching.metric("rolewatch_poll_failures_total", reason="connect") == 1


@promise(
    Area.SURROUNDINGS,
    "The kernel gives no more memory",
    "It watches on, or ends and is started again by systemd; the state file is whole either way",
)
def test_without_memory_the_state_file_stays_whole(
    watching: DaemonProcess, simulator: Simulator, tmp_path: Path
) -> None:
    """What it has is enough for most polls; what cannot be done without more ends it."""
    sizes = Path(f"/proc/{watching.pid}/statm").read_text().split()
    limit(watching.pid, resource.RLIMIT_AS, int(sizes[0]) * os.sysconf("SC_PAGESIZE"))
    for scenario in ("huge", "assume_role_unauthorized", "imds_html"):
        simulator.switch(scenario)
        try:
            watching.poll()
        except OSError:
            pass
        except AssertionError:  # there was no poll, which is well where there is no daemon any more
            if watching.popen.poll() is None:
                raise

    large = tmp_path / "large.pem"
    large.write_text("# a remark\n" * 80_000)
    with (tmp_path / "rolewatch.toml").open("a") as settings:
        settings.write(f'[metrics.tls]\ncert_file = "{large}"\nkey_file = "{large}"\n')
    if watching.popen.poll() is None:
        watching.signal(signal.SIGHUP)  # for this it needs memory

    assert watching.exit_status() == 1
    assert "MemoryError\n" in watching.other
    assert StateFile(tmp_path).load(boot_id="").instance.id


@promise(
    Area.SURROUNDINGS,
    "No thread can be started when rolewatch starts",
    "It ends with status 69 and a sentence that says what to do; systemd tries again",
)
def test_where_no_thread_can_be_started_it_says_so(simulator: Simulator, tmp_path: Path) -> None:
    """TasksMax=, a limit of processes, no memory for a stack: the kernel does not say which."""
    script = 'ulimit -s unlimited; ulimit -s 8000000; ulimit -v 4000000; exec "$@"'
    command = [sys.executable, "-m", "rolewatch", "run", "--config", str(config(tmp_path, simulator))]
    done = subprocess.run(
        ["/bin/bash", "-c", script, "bash", *command],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout) == (69, ""), done.stderr
    assert "Traceback" not in done.stderr
    assert "TasksMax=" in done.stderr


@promise(
    Area.SURROUNDINGS,
    "No file descriptor is left when rolewatch starts",
    "It ends with status 69 and a sentence that says what to do; it never hangs",
)
def test_where_no_descriptor_is_left_at_the_start_it_says_so(simulator: Simulator, tmp_path: Path) -> None:
    """The server's loop needs some of its own, in its thread: who waits for the thread must hear of it."""
    command = [sys.executable, "-m", "rolewatch", "run", "--config", str(config(tmp_path, simulator))]
    done = subprocess.run(
        ["/bin/bash", "-c", 'ulimit -n "$0"; exec "$@"', str(FEW), *command],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 69, done.stderr
    assert "LimitNOFILE=" in done.stderr


NO_FORK = """
import runpy, sys
def refuse(event, arguments):
    if event in {"os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system", "subprocess.Popen"}:
        raise BlockingIOError(11, "Resource temporarily unavailable")
sys.addaudithook(refuse)
sys.argv[0] = "rolewatch"
runpy.run_module("rolewatch", run_name="__main__")
"""
"""rolewatch, where every fork fails."""


@promise(
    Area.SURROUNDINGS,
    "`fork` fails",
    "rolewatch starts no process and notices nothing",
)
def test_it_needs_no_fork(simulator: Simulator, tmp_path: Path) -> None:
    """From its start over a fault, a reload and the page to its end."""
    command = [sys.executable, "-c", NO_FORK, "run"]
    environ = {"RUNTIME_DIRECTORY": str(tmp_path)}
    with daemon("--config", str(config(tmp_path, simulator)), command=command, environ=environ) as process:
        watching = process.watching()
        simulator.switch("assume_role_unauthorized")
        watching.poll(2)
        watching.signal(signal.SIGHUP)
        process.wait_for("config_reloaded")
        assert get(f"http://{watching.address}/")[0] == 200
        watching.signal(signal.SIGTERM)
        assert process.exit_status() == 0

    assert process.wait_for("fault_raised")
    assert [entry for entry in process.entries if entry["event"] == "publisher_failed"] == []


WAIT = 0.05
"""Seconds that the daemon of `restless` waits at a time: WATCHDOG_USEC is twice as much."""
STOPPED = 8 * WAIT
"""Seconds for which it is stopped: the time-out of its wait expires meanwhile."""


@pytest.fixture(name="restless")
def a_daemon_that_waits_in_short_pieces(simulator: Simulator, tmp_path: Path) -> Iterator[DaemonProcess]:
    """Yield a daemon that polls every 5 s and waits `WAIT` seconds at a time, so that stops need not be long."""
    environ = {"WATCHDOG_USEC": str(int(2 * WAIT * 1_000_000))}
    settings = config(tmp_path, simulator, "[poll]\ninterval = 5\n")
    with daemon("--config", str(settings), environ=environ) as process:
        yield process.watching()


def stop(watching: DaemonProcess, seconds: float) -> None:
    """Stop the daemon for *seconds*. No other signal is sent."""
    stop_and_continue(watching.popen, seconds)


def debug(watching: DaemonProcess, seconds: float) -> None:
    """Attach gdb to the daemon for *seconds*."""
    if shutil.which("gdb") is None:
        cannot("gdb is not installed")
    command = ["gdb", "-nx", "--batch", "-p", str(watching.pid), "-ex", f"shell sleep {seconds}", "-ex", "detach"]
    subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)


@promise(
    Area.SURROUNDINGS,
    "The process is stopped for longer than it waits (SIGSTOP, a debugger), ten times in a row",
    "It goes on as if nothing had happened: no stop and no reload comes of it",
)
@pytest.mark.parametrize("interrupt", [stop, debug])
def test_a_stop_longer_than_the_wait_is_a_time_out(
    interrupt: Callable[[DaemonProcess, float], None], restless: DaemonProcess
) -> None:
    """A wait for signals that is interrupted after its time-out has received no signal. Signals work afterwards."""
    restless.signal(signal.SIGHUP)  # what was received before must not be received again
    restless.wait_for("config_reloaded")
    for _ in range(10):
        interrupt(restless, STOPPED)
        restless.metric("rolewatch_polls_total")
        assert restless.popen.poll() is None, restless.other

    restless.poll()
    restless.signal(signal.SIGTERM)
    assert restless.exit_status() == 0, restless.other
    assert [entry["event"] for entry in restless.entries].count("config_reloaded") == 1


@promise(
    Area.SURROUNDINGS,
    "The process is stopped until after its next poll was due (SIGSTOP)",
    "It polls at once when it goes on, and answers",
)
def test_a_stopped_process_polls_when_it_goes_on(restless: DaemonProcess, measured: Measured) -> None:
    """No other signal is sent: the time-out alone ends the wait."""
    before = restless.polls()
    stop(restless, 6.0)
    begun = time.monotonic()
    restless.wait_for_polls(before + 1)

    measured("from SIGCONT to the end of the poll", time.monotonic() - begun, "s", bound=2.0)


@promise(
    Area.SURROUNDINGS,
    "Polls are asked for (SIGUSR1) while the process is stopped (SIGSTOP)",
    "It makes one poll when it goes on",
)
def test_polls_asked_for_during_a_stop_are_one_poll(watching: DaemonProcess, measured: Measured) -> None:
    """The kernel keeps one of a signal."""
    before = watching.polls()
    watching.signal(signal.SIGSTOP)
    os.waitid(os.P_PID, watching.pid, os.WSTOPPED | os.WNOWAIT)  # until it has stopped, it gets the signals one by one
    for _ in range(2):
        watching.signal(signal.SIGUSR1)
    time.sleep(1.5)
    begun = time.monotonic()
    watching.signal(signal.SIGCONT)
    watching.wait_for_polls(before + 1)

    measured("from SIGCONT to the end of the poll", time.monotonic() - begun, "s", bound=5.0)
    time.sleep(1.5)  # a second one would come after a second
    assert watching.polls() == before + 1


@promise(
    Area.SURROUNDINGS,
    "SIGPIPE comes",
    "It watches on",
)
def test_sigpipe_is_nothing(watching: DaemonProcess) -> None:
    """The reader of a pipe may exit."""
    watching.signal(signal.SIGPIPE)
    watching.poll()

    assert watching.popen.poll() is None


@promise(
    Area.SURROUNDINGS,
    "The settings are gone, or cannot be read, at a reload",
    "The old ones stay in force; log and metrics report it",
)
def test_settings_that_are_gone_change_nothing(watching: DaemonProcess, tmp_path: Path) -> None:
    """A directory that is not mounted, an editor that renames."""
    (tmp_path / "rolewatch.toml").unlink()
    watching.signal(signal.SIGHUP)
    rejected = watching.wait_for("config_rejected")
    watching.poll()

    assert "rolewatch.toml" in str(rejected["message"])
    assert watching.metric("rolewatch_config_last_reload_successful") == 0
    assert watching.metric("rolewatch_state", state="ok") == 1


@promise(
    Area.SURROUNDINGS,
    "Standard input, output and error are closed",
    "It watches as ever; the entries wait, and none is lost",
)
def test_without_standard_streams_it_watches(simulator: Simulator, tmp_path: Path) -> None:
    """A careless supervisor. No descriptor of a socket may be taken for standard error."""
    with outside(simulator, tmp_path, 'exec "$@" <&- >&- 2>&-') as watching:
        watching.wait_for_polls(1)
        watching.poll()
        assert watching.metric("rolewatch_state", state="ok") == 1
        assert watching.metric("rolewatch_log_messages_dropped_total") == 0  # they wait: there is room for 256


@promise(
    Area.SURROUNDINGS,
    "The pipe at standard error is full, and no process reads it",
    "The watching does not wait; the entries do, and come when somebody reads",
)
def test_a_full_pipe_at_stderr_is_not_waited_for(simulator: Simulator, tmp_path: Path, measured: Measured) -> None:
    """A log shipper that hangs: a daemon that writes and waits would hang with it."""
    reader, writer = os.pipe()
    stuffing = b"x" * (fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ) - 1) + b"\n"
    os.write(writer, stuffing)
    with outside(simulator, tmp_path, f'exec "$@" 2>&{writer}', writer) as watching:
        os.close(writer)
        watching.wait_for_polls(1)
        simulator.switch("assume_role_unauthorized")
        measured("slowest poll", watching.poll(2), "s")
        assert watching.metric("rolewatch_state", state="failed") == 1
        with os.fdopen(reader, "rb") as pipe:
            assert pipe.readline() == stuffing
            events = []
            while "fault_raised" not in events:
                events.append(json.loads(pipe.readline())["event"])
        assert watching.metric("rolewatch_log_messages_dropped_total") == 0

    assert events[0] == "started"


@contextlib.contextmanager
def outside(simulator: Simulator, directory: Path, script: str, *descriptors: int) -> Iterator[DaemonProcess]:
    """Yield a daemon that *script* starts as its arguments, of which only the port is known."""
    address = f"127.0.0.1:{free_port()}"
    words = ["--config", str(config(directory, simulator)), "--listen", address]
    command = ["/bin/bash", "-c", script, "bash", *RUN]
    with daemon(*words, command=command, pass_fds=descriptors, address=address) as process:
        yield process


ANOTHER = b"STATUS=of another service"


def another_says(systemd: DatagramSocket) -> None:
    """Send *systemd* a datagram, from a socket of its own: unread datagrams per sender are bounded, too."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as another:
        another.settimeout(0)
        another.sendto(ANOTHER, str(systemd.path))


@promise(
    Area.SURROUNDINGS,
    "systemd is frozen while rolewatch starts and watches, the queue of its notify socket full",
    "It starts, polls and answers; when systemd reads again it hears within 5 s that rolewatch is ready",
)
def test_with_a_frozen_systemd_it_starts_and_watches(simulator: Simulator, tmp_path: Path, measured: Measured) -> None:
    """The whole daemon; tests/publish has the order of the messages."""
    systemd = DatagramSocket(tmp_path / "notify")
    others_said = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            another_says(systemd)
            others_said += 1
    environ = {"NOTIFY_SOCKET": str(systemd.path), "WATCHDOG_USEC": "4000000"}
    with daemon("--config", str(config(tmp_path, simulator)), environ=environ) as process:
        watching = process.watching()
        measured("slowest poll", watching.poll(2), "s")
        with pytest.raises(BlockingIOError):
            another_says(systemd)
        said = systemd.received()
        assert said[:others_said] == [ANOTHER] * others_said
        begun = time.monotonic()
        while b"READY=1" not in said:
            assert time.monotonic() - begun < LIMIT
            said += systemd.received()
            time.sleep(PAUSE)
        measured("until systemd hears that rolewatch is ready", time.monotonic() - begun, "s", bound=5.0)
    systemd.close()
