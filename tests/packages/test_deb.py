"""The deb on a copy of this machine: installation, upgrade, downgrade, removal, purge."""

from __future__ import annotations

import re

import pytest

from packages.built import OLDER, OURS_IN_OLDER
from packages.system import System

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

INSTALL = "dpkg --install --force-confdef --force-confold /packages/{}.deb"
SETTINGS = "/etc/rolewatch/rolewatch.toml"
CHANGE = f"""sed -i 's/^#timeout = .*/timeout = "3s"/' {SETTINGS}"""
SYSTEMCTL = b"""#!/bin/sh
echo "$@" >>/asked
case $* in
    *start* | *reload* | *is-active*) ;;
    *) SYSTEMD_OFFLINE=1 exec /usr/bin/systemctl.real "$@" ;;
esac
"""
"""Where no systemd runs: its calls are recorded, and the files are checked as always."""


def enabled(system: System) -> str:
    """Return whether service and socket are enabled, in this order."""
    return " ".join(system.run("systemctl is-enabled rolewatch.service rolewatch.socket").out.split())


def test_an_installed_package_works_at_once(system: System) -> None:
    """Its user exists, its units are enabled, its settings are valid, and every user can run its command.

    Confirmation asks the AWS API: it is shipped, and the administrator enables it.
    """
    system.do(INSTALL.format("today"))
    confirmation = system.run("systemctl is-enabled rolewatch-confirm.timer rolewatch-confirm.path").out.split()

    assert enabled(system) == "enabled enabled"
    assert confirmation == ["disabled", "disabled"]
    assert "/usr/sbin/nologin" in system.do("getent passwd rolewatch rolewatch-confirm")
    assert system.do("setpriv --reuid=nobody --clear-groups rolewatch config check").startswith("ok: 1 file")
    assert "clock_skew" in system.do("cd / && rolewatch explain clock_skew")


def test_an_upgrade_brings_new_settings_where_nobody_changed_them(system: System) -> None:
    """An unchanged file is replaced without a question."""
    system.do(INSTALL.format("older"))
    before = system.do(f"cat {SETTINGS}")
    system.do(INSTALL.format("today"))

    assert before.endswith(OURS_IN_OLDER)
    assert OURS_IN_OLDER not in system.do(f"cat {SETTINGS}")
    assert f"rolewatch {OLDER}" not in system.do("rolewatch --version")


def test_an_upgrade_keeps_changed_settings_and_disabled_units(system: System) -> None:
    """A changed setting stays in force and ours lies beside it; conf.d is not touched; units stay as they were set."""
    system.do(INSTALL.format("older"))
    system.do(CHANGE)
    system.do("printf '[expect]\\nrole = \"app\"\\n' >/etc/rolewatch/conf.d/50-site.toml")
    system.do("systemctl disable rolewatch.service rolewatch.socket")
    system.do("systemctl enable rolewatch-confirm.timer")
    system.do(INSTALL.format("today"))

    shown = system.do("rolewatch config show")

    assert re.search(r'imds.timeout +"3s"', shown)
    assert "50-site.toml" in shown
    assert "rolewatch.toml.dpkg-dist" in system.do("ls /etc/rolewatch")
    assert enabled(system) == "disabled disabled"
    assert system.do("systemctl is-enabled rolewatch-confirm.timer") == "enabled\n"


def test_a_downgrade_works(system: System) -> None:
    """Back to the version before, with the settings that were changed meanwhile."""
    system.do(INSTALL.format("today"))
    system.do(CHANGE)
    system.do(INSTALL.format("older"))

    assert system.do("rolewatch --version") == f"rolewatch {OLDER}\n"
    assert re.search(r'imds.timeout +"3s"', system.do("rolewatch config show"))
    assert enabled(system) == "enabled enabled"


def test_a_removal_keeps_settings_and_state_and_nothing_else(system: System) -> None:
    """Removed by mistake and installed again, it is as before. What the installation compiled is removed, too."""
    system.do(INSTALL.format("today"))
    compiled = system.do("ls /usr/lib/rolewatch/rolewatch/__pycache__")
    system.do(f"echo '# mine' >>{SETTINGS} && mkdir /var/lib/rolewatch && touch /var/lib/rolewatch/state.json")
    system.do("dpkg --remove rolewatch")

    assert "settings.cpython-" in compiled
    assert system.do(f"tail -n 1 {SETTINGS}") == "# mine\n"
    assert system.do("ls /var/lib/rolewatch") == "state.json\n"
    assert "No such file" in system.run("ls /usr/lib/rolewatch").out
    assert "No such file" in system.run("ls /usr/bin/rolewatch").out


def test_a_purge_takes_all_but_the_user(system: System) -> None:
    """Settings, state and links are removed. The user stays: a firewall rule may allow its number."""
    system.do(INSTALL.format("today"))
    system.do("mkdir /var/lib/rolewatch && touch /var/lib/rolewatch/state.json")
    system.do("dpkg --purge rolewatch")
    left = system.do("find /etc /usr /var/lib -xdev -name '*rolewatch*' -not -path '/usr/share/doc/*'")

    assert left == ""
    assert system.run("getent passwd rolewatch").status == 0


def test_a_purge_leaves_what_somebody_put_into_conf_d(system: System) -> None:
    """Automation wrote these files, and relies on them."""
    system.do(INSTALL.format("today"))
    system.do("touch /etc/rolewatch/conf.d/50-site.toml")
    system.do("dpkg --purge rolewatch")

    assert system.do("find /etc/rolewatch -type f") == "/etc/rolewatch/conf.d/50-site.toml\n"


@pytest.mark.parametrize("image", [False, True], ids=["on-a-machine", "in-an-image-build"])
def test_an_image_build_starts_nothing(system: System, *, image: bool) -> None:
    """`policy-rc.d` with 101 forbids the start, which there is without it; at the first boot the units are enabled."""
    system.do("mkdir -p /run/systemd/system")
    system.do("mv /usr/bin/systemctl /usr/bin/systemctl.real")
    system.write("/usr/bin/systemctl", SYSTEMCTL, 0o755)
    if image:
        system.write("/usr/sbin/policy-rc.d", b"#!/bin/sh\nexit 101\n", 0o755)
    system.do(INSTALL.format("today"))
    asked = system.do("rmdir /run/systemd/system && cat /asked")

    assert ("start rolewatch.service" in asked) is not image
    assert "rolewatch-confirm" not in asked
    assert enabled(system) == "enabled enabled"
