"""What a program can reach from within the sandboxes of the units, tried in a machine with `vm.probe`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vm import probe
from vm.guests import Guest
from vm.machine import Machine
from vm.views import SYNC, await_verdict, page

PROBE = "/usr/local/lib/probe.py"
UNITS = {"rolewatch.service": "rolewatch", "rolewatch-confirm.service": "rolewatch-confirm"}
"""Each unit and its user."""
JOURNAL = "/run/systemd/journal/"
LOGS = {f"{JOURNAL}{name}" for name in ("dev-log", "socket", "stdout")}
"""The sockets that journald reads entries from. Where rsyslog or the like runs there is another one: syslog."""
NOTIFY = "/run/systemd/notify"
PLANTED_SOCKETS = (
    "/run/nscd/socket",
    "/run/planted.sock",
    "/run/systemd/resolve/io.systemd.Resolve",
    "/opt/planted.sock",
    "/srv/planted.sock",
    "/var/lib/sss/pipes/nss",
)
"""In the places of a resolver, of nscd and of SSSD, and in others."""
PLANTED_FILES = [
    f"/{directory}/planted"
    for directory in ("boot", "dev/shm", "media", "mnt", "opt", "run", "srv", "tmp", "var/lib", "var/log")
]
LISTEN = """\
import os, signal, socket, sys
servers = []
for path in sys.argv[1:]:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    servers.append(socket.socket(socket.AF_UNIX))
    servers[-1].bind(path)
    servers[-1].listen(100)
    os.chmod(path, 0o666)
signal.pause()
"""
RESOLV_CONF = "/run/systemd/resolve/stub-resolv.conf"


def install_probe(machine: Machine) -> None:
    """Put the probe where both users can read it."""
    machine.write(PROBE, Path(probe.__file__).read_text(encoding="utf-8"))
    machine.run(f"chmod 0644 {PROBE}")


def outcomes(said: str) -> dict[str, Any]:
    """Return what the probe found, from what it *said*."""
    return dict(json.loads(line) for line in said.splitlines() if line.startswith("["))


@contextlib.contextmanager
def in_place_of(machine: Machine, unit: str, command: str) -> Iterator[None]:
    """Let *unit* run *command*, once, in its own sandbox; then put the unit back.

    The unit stays active until then: of an inactive one that nothing refers to, systemd forgets the invocation.
    """
    drop_in = f"/run/systemd/system/{unit}.d/sandbox.conf"
    machine.run(f"systemctl stop {unit}")
    machine.write(
        drop_in,
        f"[Service]\nType=oneshot\nRemainAfterExit=yes\nRestart=no\nWatchdogSec=0\nExecStart=\nExecStart={command}\n",
    )
    machine.run("systemctl daemon-reload")
    try:
        yield
    finally:
        machine.run(f"systemctl stop {unit}; rm {drop_in}; systemctl daemon-reload; systemctl start rolewatch.service")


def output(machine: Machine, unit: str, command: str) -> str:
    """Return what *command* says in the sandbox of *unit*."""
    with in_place_of(machine, unit, command):
        machine.run(f"systemctl start {unit}", timeout=300)
        return machine.run(
            f"{SYNC}; journalctl --output=cat _SYSTEMD_INVOCATION_ID="
            f"$(systemctl show --property=InvocationID --value {unit})"
        ).out


def probed(machine: Machine, unit: str, *names: str) -> dict[str, Any]:
    """Return what the probe finds of *names* in the sandbox of *unit*."""
    return outcomes(output(machine, unit, " ".join(["/usr/bin/python3 -I", PROBE, *names])))


def outside(machine: Machine, user: str, *names: str) -> dict[str, Any]:
    """Return what the probe finds of *names* as *user*, in no sandbox."""
    command = " ".join(["runuser -u", user, "-- /usr/bin/python3 -I", PROBE, *names])
    return outcomes(machine.run(command, timeout=300).out)


def done_outside(machine: Machine) -> set[str]:
    """Return which tries at the sockets of others succeed without the sandbox: the probe does try them."""
    return {what for what, outcome in outside(machine, "rolewatch", "call_over_d_bus").items() if outcome == "done"}


def assert_it_holds(machine: Machine, unit: str, *tries: str) -> None:
    """Hold the sandbox of *unit* to it that no socket answers but the journal's and, for the daemon, systemd's.

    And that nothing can be read but /etc, /usr and what the unit needs; of *tries* only those succeed that it works by.
    Sockets and files that are for everybody lie in all other places, and the unit's user reaches them without it.
    """
    install_probe(machine)
    machine.write("/usr/local/lib/listen.py", LISTEN)
    machine.run(
        f"for path in {' '.join(PLANTED_FILES)}; do echo data >$path; chmod 0644 $path; done; "
        f"systemd-run --quiet --unit=planted python3 -I /usr/local/lib/listen.py {' '.join(PLANTED_SOCKETS)}"
    )
    try:
        machine.wait_until(
            lambda: set(PLANTED_SOCKETS) <= set(outside(machine, UNITS[unit], "sockets")["sockets"]),
            "the planted sockets can be reached without the sandbox",
        )
        free = outside(machine, UNITS[unit], "sockets", "files")
        found = probed(machine, unit, "sockets", "files", *tries)
    finally:
        machine.run(f"systemctl stop planted.service; rm --force {' '.join((*PLANTED_SOCKETS, *PLANTED_FILES))}")
    files = set(found.pop("files"))
    own = {path for path in files if path.startswith((JOURNAL, "/run/rolewatch-confirm/", "/var/lib/rolewatch/"))}

    assert "/run/dbus/system_bus_socket" in free["sockets"]
    assert set(found.pop("sockets")) == LOGS | ({NOTIFY} if unit == "rolewatch.service" else set())
    assert set(free["files"]) >= {"/boot", "/dev", "/media", "/mnt", "/opt", "/srv", "/tmp", "/var/lib/planted"}  # noqa: S108
    assert files - own == {"/etc", "/usr"}
    assert unit == "rolewatch.service" or not any(path.startswith("/var") for path in own)
    assert set(found) == set(tries)
    assert {what for what, outcome in found.items() if outcome == "done"} == {"imds", "write_state"} & set(tries)


def assert_resolvers_are_read(machine: Machine) -> None:
    """Let /etc/resolv.conf lead below /run, and hold the confirmation to it that it reads that file."""
    machine.run(
        f"mv /etc/resolv.conf /etc/resolv.conf.kept; mkdir --parents {Path(RESOLV_CONF).parent}; "
        f"echo nameserver 192.0.2.53 >{RESOLV_CONF}; ln --symbolic ..{RESOLV_CONF} /etc/resolv.conf"
    )
    try:
        said = output(machine, "rolewatch-confirm.service", "/usr/bin/cat /etc/resolv.conf")
    finally:
        machine.run(f"rm /etc/resolv.conf {RESOLV_CONF}; mv /etc/resolv.conf.kept /etc/resolv.conf", check=False)

    assert "nameserver 192.0.2.53" in said


def assert_systemd_is_reached_after_a_reexecution(guest: Guest, drop_ins: list[str]) -> None:
    """Execute systemd again. The notify socket that is mounted into the sandbox must be the one that it reads then."""
    machine, drop_in = guest.machine, "/run/systemd/system/rolewatch.service.d/test.conf"
    machine.write(drop_in, "[Service]\nWatchdogSec=20s\n")
    drop_ins.append(drop_in)
    machine.run("systemctl daemon-reload; systemctl restart rolewatch.service")
    await_verdict(machine, "ok", set())
    shown = "systemctl show --property=MainPID,NRestarts rolewatch.service"
    before = machine.run(shown).out
    machine.run("systemctl daemon-reexec; sleep 30")
    machine.run("systemctl reload rolewatch.service")
    guest.imds.switch("credentials_missing")
    await_verdict(machine, "failed", {"credentials_missing"})
    guest.imds.switch("healthy")
    await_verdict(machine, "ok", set())

    assert machine.run(shown).out == before
    assert page(machine).sample("rolewatch_config_last_reload_successful") == 1
