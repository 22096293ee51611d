"""The life of the rpm, on a copy of this machine. Its scripts are plain sh, and run here as on Fedora's family."""

from __future__ import annotations

import re

import pytest

from packages.built import OLDER, OURS_IN_OLDER
from packages.system import System

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

INSTALL = "rpm --nodeps --upgrade --oldpackage /packages/{}.rpm"
ERASE = "rpm --nodeps --erase rolewatch"
SETTINGS = "/etc/rolewatch/rolewatch.toml"
CHANGE = f"""sed -i 's/^#timeout = .*/timeout = "3s"/' {SETTINGS}"""
ENABLED = "systemctl is-enabled rolewatch.service rolewatch.socket rolewatch-confirm.timer rolewatch-confirm.path"


def test_an_installed_package_works_at_once(system: System) -> None:
    """Its users are there, the preset enables the daemon and leaves confirmation off, and the command works."""
    system.do(INSTALL.format("today"))

    assert system.run(ENABLED).out.split() == ["enabled", "enabled", "disabled", "disabled"]
    assert "/usr/sbin/nologin" in system.do("getent passwd rolewatch rolewatch-confirm")
    assert system.do("setpriv --reuid=nobody --clear-groups rolewatch config check").startswith("ok: 1 file")


def test_a_site_s_preset_comes_before_ours(system: System) -> None:
    """Where a site says that nothing is enabled by being installed, nothing is."""
    system.do("mkdir -p /etc/systemd/system-preset && echo 'disable *' >/etc/systemd/system-preset/00-site.preset")
    system.do(INSTALL.format("today"))

    assert system.run(ENABLED).out.split() == ["disabled"] * 4


def test_the_users_are_those_of_sysusers(system: System) -> None:
    """Rpm before 4.19 does not read sysusers.d; what the script makes is what systemd-sysusers finds made."""
    system.do("userdel rolewatch; userdel rolewatch-confirm; groupdel rolewatch; groupdel rolewatch-confirm; true")
    system.do(INSTALL.format("today"))
    made = system.do("getent passwd rolewatch rolewatch-confirm && getent group rolewatch rolewatch-confirm")
    system.do("systemd-sysusers /usr/lib/sysusers.d/rolewatch.conf")

    again = system.do("getent passwd rolewatch rolewatch-confirm && getent group rolewatch rolewatch-confirm")
    assert made == again


def test_an_upgrade_brings_new_settings_where_nobody_changed_them(system: System) -> None:
    """An untouched file is replaced."""
    system.do(INSTALL.format("older"))
    before = system.do(f"cat {SETTINGS}")
    system.do(INSTALL.format("today"))

    assert before.endswith(OURS_IN_OLDER)
    assert OURS_IN_OLDER not in system.do(f"cat {SETTINGS}")


def test_a_changed_setting_survives_an_upgrade(system: System) -> None:
    """It stays in force, and ours lies beside it."""
    system.do(INSTALL.format("older"))
    system.do(CHANGE)
    system.do(INSTALL.format("today"))

    assert re.search(r'imds.timeout +"3s"', system.do("rolewatch config show"))
    assert "rolewatch.toml.rpmnew" in system.do("ls /etc/rolewatch")


def test_a_downgrade_works(system: System) -> None:
    """Back to the version before, with the settings that were changed meanwhile."""
    system.do(INSTALL.format("today"))
    system.do(CHANGE)
    system.do(INSTALL.format("older"))

    assert system.do("rolewatch --version") == f"rolewatch {OLDER}\n"
    assert re.search(r'imds.timeout +"3s"', system.do("rolewatch config show"))


def test_a_disabled_unit_stays_disabled(system: System) -> None:
    """The preset is for the first installation only."""
    system.do(INSTALL.format("older"))
    system.do("systemctl disable rolewatch.service rolewatch.socket && systemctl enable rolewatch-confirm.timer")
    system.do(INSTALL.format("today"))

    assert system.run(ENABLED).out.split() == ["disabled", "disabled", "enabled", "disabled"]


def test_what_is_erased_keeps_what_is_not_ours(system: System) -> None:
    """Changed settings are put aside; conf.d, the state and the users stay; no link to a unit is left."""
    system.do(INSTALL.format("today"))
    system.do("mkdir /var/lib/rolewatch && touch /var/lib/rolewatch/state.json /etc/rolewatch/conf.d/50-site.toml")
    system.do(CHANGE)
    system.do(ERASE)

    assert system.do("find /etc/rolewatch -type f | sort").split() == [
        "/etc/rolewatch/conf.d/50-site.toml",
        "/etc/rolewatch/rolewatch.toml.rpmsave",
    ]
    assert system.do("ls /var/lib/rolewatch") == "state.json\n"
    assert system.run("getent passwd rolewatch").status == 0
    assert system.do("find /usr/lib/rolewatch /etc/systemd -name '*rolewatch*' 2>/dev/null; true") == ""
