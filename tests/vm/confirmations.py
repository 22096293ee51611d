"""Requests for confirmations in a machine, as a daemon that was taken over could make them."""

from __future__ import annotations

from vm.machine import Machine
from vm.views import SYNC

REQUEST = "/run/rolewatch-confirm/request/confirm"
WAIT = 10
"""Seconds that the timer waits here, where it waits two minutes as shipped."""
STORM = 40
"""Seconds of requests."""
DROP_INS = {
    "rolewatch-confirm-requested.timer": f"[Timer]\nOnActiveSec=\nOnActiveSec={WAIT}s\n",
    "rolewatch-confirm.service": "[Service]\nExecStart=\nExecStart=/usr/bin/true\n",
}


def assert_requests_are_bounded(machine: Machine) -> None:
    """Touch the file of the requests over and over, as the daemon's user; count the confirmations; then touch it once.

    A confirmation is `true` here: what limits them is systemd.
    """
    for unit, text in DROP_INS.items():
        machine.write(f"/run/systemd/system/{unit}.d/storm.conf", text)
    machine.run("systemctl daemon-reload; systemctl start rolewatch-confirm.path")
    start = machine.run("date '+%F %T'").out.strip()

    def made() -> int:
        said = machine.run(f"{SYNC}; journalctl --output=cat --unit=rolewatch-confirm.service --since='{start}'").out
        return sum(line.startswith("Finished ") for line in said.splitlines())

    def is_quiet() -> bool:
        said = machine.run("systemctl is-active rolewatch-confirm-requested.timer", check=False).out
        return said.strip() == "inactive"

    storm = f"end=$(($(date +%s) + {STORM})); while [ $(date +%s) -lt $end ]; do touch {REQUEST}; sleep 0.1; done"
    try:
        machine.run(f"runuser -u rolewatch -- sh -c '{storm}'", timeout=STORM + 120)
        machine.wait_until(is_quiet, "the last request was served")
        in_storm = made()
        machine.run(f"runuser -u rolewatch -- sh -c 'rm -f {REQUEST}; ln -s confirm {REQUEST}'")  # to itself
        machine.wait_until(lambda: made() > in_storm, "the link is a request like any other")
        machine.wait_until(is_quiet, "it was served")
        before = made()
        machine.run(f"runuser -u rolewatch -- sh -c 'rm {REQUEST}; touch {REQUEST}'")
        machine.wait_until(lambda: made() > before, "a later request is served")
        active = machine.run("systemctl is-active rolewatch-confirm.path").out.strip()
    finally:
        files = " ".join(f"/run/systemd/system/{unit}.d/storm.conf" for unit in DROP_INS)
        machine.run(f"systemctl stop rolewatch-confirm.path; rm {files}; systemctl daemon-reload")

    assert 1 <= in_storm <= STORM / WAIT + 1
    assert active == "active"
