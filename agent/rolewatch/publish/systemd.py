"""systemd's notify protocol (READY, STATUS, WATCHDOG, RELOADING, STOPPING) and socket activation."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from types import ModuleType

from rolewatch.errors import UsageError
from rolewatch.faults import FAULTS
from rolewatch.publish import ActiveFault, Report, Snapshot, messages
from rolewatch.text import bounded, shortened
from rolewatch.vocabulary import State


def status_line(snapshot: Snapshot) -> str:
    """Return *snapshot* in one line: ``ok: role app-prod, credentials until 17:31 UTC``. Times are of day, in UTC."""
    if snapshot.faults:
        words = "; ".join(_fault(active, snapshot) for active in snapshot.faults)
    elif snapshot.binding.role and snapshot.state in (State.OK, State.DEGRADED):
        words = f"role {snapshot.binding.role}"
    else:
        words = messages.STATES[snapshot.state]
    return bounded(f"{snapshot.state.value}: {words}{_expiration(snapshot)}")


def _fault(active: ActiveFault, snapshot: Snapshot) -> str:
    days = (snapshot.moment.utc.date() - active.since.astimezone(snapshot.moment.utc.tzinfo).date()).days
    date = f"{active.since:%Y-%m-%d} " if days else ""
    return f"{active.fault.value} since {date}{messages.clock(active.since)}: {FAULTS[active.fault].title}"


def _expiration(snapshot: Snapshot) -> str:
    if snapshot.credentials.expiration is None or snapshot.state not in (State.OK, State.DEGRADED):
        return ""
    return f", credentials until {messages.clock(snapshot.credentials.expiration)}"


_MOST_DIGITS = 20
"""Of a number of microseconds: 64 bits."""
_NOTIFY, _LISTEN = "NOTIFY_SOCKET", "LISTEN_FDS"
_LISTENING = (_LISTEN, "LISTEN_PID", "LISTEN_FDNAMES")


class Systemd:
    """Reports the daemon to the service manager.

    Nothing blocks. READY and STATUS that the manager did not accept are sent again with the next watchdog ping. Only
    `publish` raises: if a status was not accepted from one poll to the next, or if there is no manager.
    """

    name = "systemd"

    def __init__(self, environ: Mapping[str, str], *, pid: int | None = None) -> None:
        """Read the variables that systemd sets from *environ*. *pid* is our process id."""
        self._environ = environ
        self._pid = os.getpid() if pid is None else pid
        address = environ.get(_NOTIFY, "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._beats = self.watchdog_interval() is not None
        self._is_ready = True
        """Whether systemd has accepted READY=1, if it has to be sent."""
        self._status, self._news = "", ""
        """The status that systemd accepted last, and one that is still to be sent."""

    def publish(self, report: Report) -> None:
        """Send the STATUS of *report* if it has changed. Raise `OSError` if that fails."""
        status = status_line(report.snapshot)
        stuck, self._news = self._news, "" if status == self._status else status
        try:
            self._send_status()
        except BlockingIOError:
            if stuck:
                raise

    def ready(self) -> None:
        """Report that start-up, or a reload, is done."""
        self._is_ready = self._try("READY=1")

    def alive(self) -> None:
        """Send the watchdog ping, if systemd expects it. Only the loop itself calls this, never another thread."""
        if not self._is_ready:
            self.ready()
        with contextlib.suppress(OSError):
            self._send_status()
        if self._beats:
            self._try("WATCHDOG=1")

    def reloading(self, monotonic: float) -> None:
        """Report that a reload begins, at *monotonic* seconds of CLOCK_MONOTONIC. `ready` ends it.

        Both lines have to be in one datagram: sd_notify(3), for systemd 253 and later.
        """
        self._try(f"RELOADING=1\nMONOTONIC_USEC={int(monotonic * 1_000_000)}")

    def stopping(self) -> None:
        """Report that the daemon stops as requested."""
        self._try("STOPPING=1")

    def watchdog_interval(self) -> float | None:
        """Return the seconds between two `alive`: half of what systemd allows. None if it expects no ping."""
        return watchdog_interval(self._environ, self._pid)

    def sockets(self) -> list[socket.socket]:
        """Return the listening sockets that systemd passes. Call it once: the caller closes them."""
        return sockets(self._environ, self._pid)

    def _send_status(self) -> None:
        if self._news:
            self._notify(f"STATUS={self._news}")
            self._status, self._news = self._news, ""

    def _try(self, state: str) -> bool:
        """Send *state*; return whether it was accepted."""
        with contextlib.suppress(OSError):
            self._notify(state)
            return True
        return False

    def _notify(self, state: str) -> None:
        if self._address:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as way:
                way.sendto(state.encode("utf-8", "backslashreplace"), self._address)


def watchdog_interval(environ: Mapping[str, str], pid: int) -> float | None:
    """Return half of WATCHDOG_USEC in seconds, as sd_watchdog_enabled(3) advises; None if it is not for us."""
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    text = environ.get("WATCHDOG_USEC", "")
    limit = int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else 0
    return limit / 2 / 1_000_000 if limit else None


def sockets(environ: Mapping[str, str], pid: int) -> list[socket.socket]:
    """Return the sockets of LISTEN_FDS, if they are for us, and remove the variables from the process's environment.

    Raise `UsageError` if python3-systemd is not installed, if LISTEN_FDS is not the number of descriptors, or if one is
    not a listening stream socket.
    """
    if not environ.get(_LISTEN) or environ.get("LISTEN_PID") != str(pid):
        return []
    daemon = _daemon()
    try:
        descriptors = daemon.listen_fds(unset_environment=True)
        for descriptor in descriptors:
            if not daemon.is_socket(descriptor, socket.AF_UNSPEC, socket.SOCK_STREAM, 1):
                raise UsageError(
                    f"systemd handed in descriptor {descriptor}, which is no listening stream socket: "
                    "rolewatch.socket may hold ListenStream= only."
                )
    except OSError as error:
        raise UsageError(
            f"{_LISTEN}={shortened(environ[_LISTEN], _MOST_DIGITS)} is not the number of open descriptors from 3 on "
            f"({error.strerror}): let systemd set it, or start rolewatch without it."
        ) from error
    finally:
        for variable in _LISTENING:
            os.environ.pop(variable, None)  # Python's copy of what libsystemd has removed
    return [socket.socket(fileno=descriptor) for descriptor in descriptors]


def _daemon() -> ModuleType:
    try:
        import systemd.daemon  # noqa: PLC0415 - compiled, and of no use without systemd
    except ImportError as error:
        raise UsageError(
            f"systemd has set {_LISTEN}, and its Python module is missing: install the package python3-systemd "
            f"(or systemd-python from PyPI), or start rolewatch without {_LISTEN}."
        ) from error
    module: ModuleType = systemd.daemon
    return module
