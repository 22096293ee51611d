"""The whole life of a package: the tests of the oldest and the newest Debian, each in a file of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from rolewatch.simulator.scenarios import scenario
from vm import confirmations, sandbox, tls
from vm.guests import EMULATED, ROLE, Guest, previous_or_older
from vm.machine import Machine
from vm.views import SHARE, SHARES, assert_told, await_verdict, play, views

SETTINGS = "/etc/rolewatch/rolewatch.toml"
SITE = "/etc/rolewatch/conf.d/50-site.toml"
USER_DATA = f"""\
#cloud-config
write_files:
  - path: {SITE}
    content: |
      [expect]
      role = "{ROLE}"
      [poll]
      interval = "5s"
      confirm_interval = "2s"
{EMULATED}"""
BROKEN = scenario("assume_role_unauthorized")


@pytest.fixture(name="machine")
def the_machine(guest: Guest) -> Machine:
    """Return the machine, with its IMDS in order."""
    guest.imds.switch("healthy")
    return guest.machine


def suite(machine: Machine) -> str:
    """Return the name of the Debian in *machine*."""
    return machine.run(". /etc/os-release && echo $VERSION_CODENAME").out.strip()


def break_and_mend(guest: Guest) -> None:
    """Break the role, see it told in every view, and mend it."""
    guest.machine.run("systemctl restart rolewatch.service")
    await_verdict(guest.machine, "ok", set())
    guest.imds.switch(BROKEN.name)
    await_verdict(guest.machine, "failed", {"assume_role_unauthorized"})
    seen = views(guest.machine)
    guest.imds.switch("healthy")
    await_verdict(guest.machine, "ok", set())
    assert_told(seen, BROKEN)


def gone(machine: Machine, *paths: str) -> list[str]:
    """Return which of *paths* are not there any more."""
    return [path for path in paths if machine.run(f"test -e {path}", check=False).status]


def assert_is(machine: Machine, systemd: str, python: str) -> None:
    """Hold *machine* to the versions for which its suite stands."""
    assert machine.run("systemctl --version").out.split()[1] == systemd
    assert machine.run("python3 --version").out.startswith(f"Python {python}.")


def test_the_package_installs_and_runs(guest: Guest, machine: Machine, deb: Path, tmp_path: Path) -> None:
    """The last one before this; it is on and runs, and tells a fault."""
    machine.copy(previous_or_older(deb, tmp_path), "/root/rolewatch-older.deb")
    machine.run("apt-get install --yes --quiet /root/rolewatch-older.deb", timeout=300)

    assert machine.run("systemctl is-enabled rolewatch.service").out.strip() == "enabled"
    assert machine.run("systemctl is-active rolewatch.service").out.strip() == "active"
    break_and_mend(guest)


def test_an_upgrade_restarts_it_and_keeps_what_was_changed(guest: Guest, machine: Machine, deb: Path) -> None:
    """The settings that the operator changed stay, what it has learned stays, and the new one runs."""
    machine.run(f"echo '# changed by hand' >>{SETTINGS}")
    before = machine.run("systemctl show --property=MainPID --value rolewatch.service").out
    machine.copy(deb, "/root/rolewatch.deb")
    machine.run("DEBIAN_FRONTEND=noninteractive dpkg --force-confold --install /root/rolewatch.deb", timeout=300)

    assert machine.run("systemctl show --property=MainPID --value rolewatch.service").out != before
    assert machine.run(f"tail -n 1 {SETTINGS}").out == "# changed by hand\n"
    assert gone(machine, SITE, "/var/lib/rolewatch/state.json") == []
    break_and_mend(guest)


@pytest.mark.parametrize("number", range(SHARE))
def test_a_scenario_of_its_share_shows_in_every_view(number: int, guest: Guest, machine: Machine) -> None:
    """The page, the journal and systemctl tell what the list expects, whatever systemd and Python there are."""
    scenario_ = SHARES[suite(machine)][number]

    assert_told(play(guest, scenario_), scenario_)


def test_a_tls_key_that_stays_root_s_is_handed_in_by_systemd(machine: Machine, tmp_path: Path) -> None:
    """`LoadCredential=`: the daemon's user cannot read the key, and the daemon has it."""
    tls.assert_spoken(machine, tmp_path)


def test_the_sandboxes_hold(machine: Machine) -> None:
    """The daemon's and the confirmation's, on the oldest and the newest systemd: sockets, files, resolvers."""
    for unit in sandbox.UNITS:
        sandbox.assert_it_holds(machine, unit)
    sandbox.assert_resolvers_are_read(machine)


def test_systemd_is_reached_after_it_was_executed_again(guest: Guest, machine: Machine) -> None:
    """As an update of systemd does it: the watchdog is fed, the state is in `systemctl status`, and a reload ends."""
    drop_ins: list[str] = []
    sandbox.assert_systemd_is_reached_after_a_reexecution(guest, drop_ins)
    machine.run(f"rm {' '.join(drop_ins)}; systemctl daemon-reload; systemctl restart rolewatch.service")


def test_requests_in_a_storm_make_few_confirmations(machine: Machine) -> None:
    """As many as the timer lets through; and a request that comes later is served."""
    confirmations.assert_requests_are_bounded(machine)


def test_a_disabled_service_stays_so(machine: Machine) -> None:
    """An upgrade does not switch on what the operator switched off."""
    machine.run("systemctl disable --quiet --now rolewatch.service rolewatch.socket")
    machine.run("DEBIAN_FRONTEND=noninteractive dpkg --force-confold --install /root/rolewatch.deb", timeout=300)
    state = machine.run("systemctl is-enabled rolewatch.service; systemctl is-active rolewatch.service", check=False)
    machine.run("systemctl enable --quiet --now rolewatch.service")

    assert state.out.split() == ["disabled", "inactive"]


def test_a_removal_closes_the_port_and_a_purge_leaves_what_is_the_operator_s(machine: Machine) -> None:
    """Purged, nothing runs, nothing listens, the state is gone; the file in conf.d is the operator's and stays."""
    machine.run("apt-get remove --yes --quiet rolewatch", timeout=300)
    page = machine.get("/metrics")
    kept = gone(machine, "/var/lib/rolewatch", SETTINGS)
    machine.run("apt-get purge --yes --quiet rolewatch", timeout=300)

    assert page is None
    assert kept == []
    assert gone(machine, "/var/lib/rolewatch", SETTINGS, SITE, "/usr/lib/rolewatch", "/usr/bin/rolewatch") == [
        "/var/lib/rolewatch",
        SETTINGS,
        "/usr/lib/rolewatch",
        "/usr/bin/rolewatch",
    ]
    assert machine.run("systemctl list-units --failed --no-legend 'rolewatch*'").out == ""
