"""What rolewatch sends to systemd and receives from it, over real sockets."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from promises import Area, promise
from publish.snapshots import DEGRADED, FIRST, NOON, OK, UNKNOWN, active, with_changes
from rolewatch.errors import UsageError
from rolewatch.faults import FAULTS, Fault
from rolewatch.publish import Report, Snapshot
from rolewatch.publish.systemd import Systemd, sockets, status_line, watchdog_interval
from rolewatch.vocabulary import State

AGENT = Path(__file__).resolve().parents[2] / "agent"


_STUFFING = "STATUS=somebody else's"


class Manager:
    """A datagram socket where systemd would listen for notifications."""

    def __init__(self, address: str) -> None:
        """Listen at *address*; ``@`` begins an abstract one."""
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0", 1) if address.startswith("@") else address)
        self._socket.settimeout(0)

    def received(self) -> list[str]:
        """Return the messages that have come since the last call."""
        messages = []
        with contextlib.suppress(BlockingIOError):
            while True:
                messages.append(self._socket.recv(1 << 16).decode())
        return [message for message in messages if message != _STUFFING]

    def freeze(self) -> int:
        """Fill the queue, as other services fill that of a manager which does not read; return how many it took."""
        for count in itertools.count():
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
                try:
                    sender.sendto(_STUFFING.encode(), self._socket.getsockname())
                except BlockingIOError:
                    return count
        raise AssertionError

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """Yield a service manager, at either kind of address."""
    there = Manager(str(tmp_path / "notify") if request.param == "path" else f"@{secrets.token_hex(8)}")
    yield there
    there.close()


def test_it_sends_systemd_each_step(manager: Manager) -> None:
    """Each message is one datagram, as systemd reads it."""
    systemd = Systemd({"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "180000000"})
    systemd.ready()
    systemd.publish(Report(OK))
    systemd.alive()
    systemd.reloading(12.345678)
    systemd.ready()
    systemd.stopping()

    assert manager.received() == [
        "READY=1",
        "STATUS=ok: role web-role, credentials until 17:40 UTC",
        "WATCHDOG=1",
        "RELOADING=1\nMONOTONIC_USEC=12345678",
        "READY=1",
        "STOPPING=1",
    ]


def test_the_status_is_sent_when_it_changes(manager: Manager) -> None:
    """Every poll has a status, and most have the same: systemd need not hear it again."""
    systemd = Systemd({"NOTIFY_SOCKET": manager.address})
    for snapshot in (OK, OK, DEGRADED, DEGRADED, OK):
        systemd.publish(Report(snapshot))

    assert [message[:10] for message in manager.received()] == ["STATUS=ok:", "STATUS=deg", "STATUS=ok:"]


@pytest.mark.parametrize("environ", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}])
def test_no_sign_of_life_where_nobody_watches(environ: dict[str, str], manager: Manager) -> None:
    """Without WatchdogSec=, or where it is another process that is watched."""
    Systemd({"NOTIFY_SOCKET": manager.address, **environ}).alive()

    assert manager.received() == []


@promise(
    Area.SURROUNDINGS,
    "systemd is frozen, and the queue of its notify socket is full",
    "Nothing waits for it; the ready message and the sign of life are sent once it reads again",
)
def test_a_frozen_manager_is_not_waited_for_and_hears_in_the_end_that_it_is_ready(manager: Manager) -> None:
    """Ready is said again with each sign of life until it is taken, for systemd ends who does not say it."""
    systemd = Systemd({"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "1000000"})
    assert manager.freeze()
    systemd.ready()
    systemd.alive()
    systemd.reloading(1.0)
    systemd.publish(Report(OK))
    assert manager.received() == []
    systemd.alive()

    assert manager.received() == ["READY=1", "STATUS=ok: role web-role, credentials until 17:40 UTC", "WATCHDOG=1"]


def test_a_manager_that_takes_no_status_from_poll_to_poll_is_reported(manager: Manager) -> None:
    """Once it may have been busy. Twice is a publisher that fails; and what it takes in the end is the last word."""
    systemd = Systemd({"NOTIFY_SOCKET": manager.address})
    manager.freeze()
    systemd.publish(Report(OK))
    with pytest.raises(BlockingIOError):
        systemd.publish(Report(DEGRADED))
    manager.received()
    systemd.alive()

    assert [message[:10] for message in manager.received()] == ["STATUS=deg"]


def test_an_outdated_status_is_not_sent_late(manager: Manager) -> None:
    """It was ok, could not say that it was not, and is ok again: nothing is left to say."""
    systemd = Systemd({"NOTIFY_SOCKET": manager.address})
    systemd.publish(Report(OK))
    manager.received()
    manager.freeze()
    systemd.publish(Report(DEGRADED))
    systemd.publish(Report(OK))
    manager.received()
    systemd.alive()

    assert manager.received() == []


def test_what_was_taken_is_not_said_again(manager: Manager) -> None:
    """After READY comes nothing but signs of life."""
    systemd = Systemd({"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "1000000"})
    systemd.ready()
    systemd.alive()
    systemd.alive()

    assert manager.received() == ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]


def test_an_address_of_another_kind_stops_nothing() -> None:
    """A virtual machine's manager may listen on vsock; a unit never has such an address."""
    Systemd({"NOTIFY_SOCKET": "vsock:2:9999"}).ready()


def test_a_manager_that_has_gone_stops_nothing_but_publish_says_so(manager: Manager) -> None:
    """The messages are lost; the status fails, which is counted and reported, and is tried again at the next turn."""
    systemd = Systemd({"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "1000000"})
    manager.close()
    systemd.ready()
    systemd.alive()
    systemd.reloading(1.0)
    systemd.stopping()
    for _ in range(2):
        with pytest.raises(OSError, match="refused"):
            systemd.publish(Report(OK))


def test_without_systemd_nothing_happens() -> None:
    """No variable, no message, no sockets, no limit, and the module is not imported."""
    program = (
        "import sys\n"
        "from rolewatch.publish.systemd import Systemd\n"
        "systemd = Systemd({})\n"
        "systemd.ready(); systemd.alive(); systemd.reloading(1.0); systemd.stopping()\n"
        "assert systemd.sockets() == [] and systemd.watchdog_interval() is None\n"
        "assert 'systemd' not in sys.modules and 'systemd.daemon' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": str(AGENT)}, check=True)


def test_where_the_module_is_missing_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that does not answer where systemd listens for it is worse than one that does not start."""
    monkeypatch.setitem(sys.modules, "systemd", None)
    monkeypatch.setitem(sys.modules, "systemd.daemon", None)
    with pytest.raises(UsageError, match="install the package python3-systemd"):
        Systemd({"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}).sockets()


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "180000000"}, 90.0),
        ({"WATCHDOG_USEC": "180000000", "WATCHDOG_PID": "42"}, 90.0),
        ({"WATCHDOG_USEC": "180000000", "WATCHDOG_PID": "43"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": ""}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "9" * 5000}, None),
    ],
    ids=lambda value: str(value)[:50],
)
def test_the_sign_of_life_is_due_at_half_the_limit(environ: dict[str, str], interval: float | None) -> None:
    """As sd_watchdog_enabled(3) advises; a variable that is meant for another process, or is no number, sets none."""
    assert watchdog_interval(environ, 42) == interval


@pytest.mark.parametrize(
    "environ",
    [{}, {"LISTEN_FDS": "1"}, {"LISTEN_FDS": "1", "LISTEN_PID": "43"}, {"LISTEN_FDS": "", "LISTEN_PID": "42"}],
    ids=str,
)
def test_sockets_that_are_not_for_us_are_left_alone(environ: dict[str, str]) -> None:
    """A child inherits the variables, and not what they mean."""
    assert sockets(environ, 42) == []


HANDED_IN = """
import os, sys
from rolewatch.errors import UsageError
from rolewatch.publish.systemd import Systemd
try:
    for each in Systemd(dict(os.environ)).sockets():
        print(each.getsockname()[1], each.family.name, each.type.name)
except UsageError as error:
    print(error)
print([name for name in os.environ if name.startswith("LISTEN_")])
"""


def handed_in(*descriptors: int) -> list[str]:
    """Return what a process says that gets *descriptors* as systemd hands them in: from 3 on, with its own id."""
    pytest.importorskip("systemd.daemon", reason="systemd-python is not installed")
    redirect = " ".join(f"{3 + index}<&{descriptor}" for index, descriptor in enumerate(descriptors))
    script = f'export LISTEN_PID=$$ LISTEN_FDS={len(descriptors)}; exec "$0" -c "$1" {redirect}'
    done = subprocess.run(
        ["/bin/bash", "-c", script, sys.executable, HANDED_IN],
        env={"PYTHONPATH": str(AGENT), "PATH": os.environ["PATH"]},
        pass_fds=descriptors,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("count", ["2", "-1", "x", "9" * 500])
def test_a_wrong_number_of_sockets_ends_with_a_sentence(count: str) -> None:
    """No problem of the output, as it was reported: a wrapper script has set the variable."""
    pytest.importorskip("systemd.daemon", reason="systemd-python is not installed")
    done = subprocess.run(
        ["/bin/bash", "-c", 'export LISTEN_PID=$$ LISTEN_FDS=$1; exec "$0" -m rolewatch run', sys.executable, count],
        env={"PYTHONPATH": str(AGENT), "PATH": os.environ["PATH"], "ROLEWATCH_METRICS_LISTEN": "127.0.0.1:0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert done.returncode == 64
    assert done.stderr.startswith(f"rolewatch: LISTEN_FDS={count[:3].strip('x')}"), done.stderr
    assert "number of open descriptors" in done.stderr
    assert done.stderr.count("\n") == 1


def high(listening: socket.socket) -> int:
    """Return a descriptor of *listening* that is in nobody's way."""
    return os.dup2(listening.fileno(), 60 + listening.fileno())


def test_the_sockets_that_systemd_hands_in_are_taken() -> None:
    """In order, of either family, and the variables are gone afterwards: a child must not take them, too."""
    with (
        socket.create_server(("127.0.0.1", 0)) as four,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
    ):
        descriptors = (high(four), high(six))
        said = handed_in(*descriptors)
        ports = [each.getsockname()[1] for each in (four, six)]
        for descriptor in descriptors:
            os.close(descriptor)

    assert said == [f"{ports[0]} AF_INET SOCK_STREAM", f"{ports[1]} AF_INET6 SOCK_STREAM", "[]"]


def test_a_socket_of_another_kind_is_refused() -> None:
    """ListenDatagram= in the socket unit is a mistake that is reported, not served."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
        descriptor = high(datagram)
        said = handed_in(descriptor)
        os.close(descriptor)

    assert "ListenStream=" in said[0]


# The line of STATUS

EARLY = timedelta(hours=13)


@pytest.mark.parametrize(
    ("snapshot", "line"),
    [
        (FIRST, "starting: before the first verdict, or shortly after boot"),
        (OK, "ok: role web-role, credentials until 17:40 UTC"),
        (
            replace(OK, state=State.FAILED, faults=(active(Fault.CREDENTIALS_EXPIRED, hours=2.5),)),
            f"failed: credentials_expired since 09:30 UTC: {FAULTS[Fault.CREDENTIALS_EXPIRED].title}",
        ),
        (
            replace(DEGRADED, faults=DEGRADED.faults[:2]),
            (
                f"degraded: instance_profile_not_found since 09:30 UTC: "
                f"{FAULTS[Fault.INSTANCE_PROFILE_NOT_FOUND].title}; rotation_overdue since 11:00 UTC: "
                f"{FAULTS[Fault.ROTATION_OVERDUE].title}, credentials until 17:40 UTC"
            ),
        ),
        (UNKNOWN, f"unknown: imds_unreachable since 11:00 UTC: {FAULTS[Fault.IMDS_UNREACHABLE].title}"),
        (
            replace(UNKNOWN, faults=(active(Fault.IMDS_ERROR, hours=36),)),
            f"unknown: imds_error since 2026-02-28 00:00 UTC: {FAULTS[Fault.IMDS_ERROR].title}",
        ),
        (with_changes(OK, role=None, expiration=None), "ok: nothing is wrong"),
        (with_changes(OK, role="a\nREADY=1"), "ok: role a\\nREADY=1, credentials until 17:40 UTC"),
    ],
    ids=["starting", "ok", "failed", "degraded", "unknown", "since yesterday", "no role", "newline"],
)
def test_the_status_is_one_line_that_a_person_can_read(snapshot: Snapshot, line: str) -> None:
    """State, role, until when; or each fault, since when, in words. Nothing in it can pose as another message."""
    assert status_line(snapshot) == line


@pytest.mark.parametrize("state", State)
def test_every_state_has_a_line_without_a_fault(state: State) -> None:
    """Before the first fault is confirmed there is something to say, too."""
    line = status_line(replace(FIRST, state=state))

    assert line.startswith(f"{state.value}: ")
    assert len(line) > len(state.value) + 2


def test_the_day_of_a_fault_is_that_of_utc() -> None:
    """Eleven at night yesterday is not today."""
    fault = replace(active(Fault.CLOCK_SKEW), since=NOON - EARLY)

    assert "since 2026-02-28 23:00 UTC" in status_line(replace(OK, faults=(fault,)))
