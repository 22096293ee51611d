"""Debian 12: installed by cloud-init from our repository, as an operator would, and then everything is done to it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rolewatch.simulator.scenarios import Scenario
from vm import probe, sandbox, tls
from vm.guests import ROLE, Boot, Guest, cloud_config
from vm.machine import Machine
from vm.views import POLL_THRICE, SHARES, SYNC, assert_told, await_verdict, page, play, views

SEEKER = Path(__file__).with_name("seeker.py")
DROP_IN = "/run/systemd/system/rolewatch.service.d/test.conf"
SITE = "/etc/rolewatch/conf.d/50-site.toml"
DAY = 86400
SESSION_TOKEN = 56
"""Characters of one of the simulator's."""
SKEWED = {"clock_skew"}


@pytest.fixture(scope="module", name="guest")
def the_guest(boot: Boot) -> Iterator[Guest]:
    """Boot the machine. It is one for all tests, each of which leaves it as it found it."""
    with boot("bookworm", cloud_config()) as guest:
        yield guest


@pytest.fixture(name="machine")
def the_machine(guest: Guest) -> Machine:
    """Return the machine, whose agent is well."""
    guest.imds.switch("healthy")
    await_verdict(guest.machine, "ok", set())
    return guest.machine


@pytest.fixture(name="drop_in")
def the_drop_in(machine: Machine) -> Iterator[list[str]]:
    """Return a list; what a test puts there is a drop-in of the service from `start` on, and gone after the test."""
    yield []
    machine.run(f"rm -f {DROP_IN}; systemctl daemon-reload; systemctl restart rolewatch.service")


def restarts(machine: Machine) -> int:
    """Return how often systemd has restarted the service by itself."""
    return int(machine.run("systemctl show --property=NRestarts --value rolewatch.service").out)


def invocation(machine: Machine) -> str:
    """Return what tells one start of the service from the next."""
    return machine.run("systemctl show --property=InvocationID --value rolewatch.service").out.strip()


def unit_journal(machine: Machine, start: str) -> str:
    """Return what systemd and the service said of the unit since *start*."""
    return machine.run(f"{SYNC}; journalctl --no-pager --output=cat --unit=rolewatch.service --since='{start}'").out


def now_there(machine: Machine) -> str:
    """Return the machine's time, as journalctl takes it."""
    return machine.run("date '+%F %T'").out.strip()


# Installed


def test_rolewatch_runs_when_the_first_boot_has_ended(guest: Guest) -> None:
    """cloud-init has installed it with the cloud-config that we ship, without an error, and it is well."""
    machine = guest.machine
    result = json.loads(machine.run("cat /run/cloud-init/result.json").out)["v1"]
    told = await_verdict(machine, "ok", set())

    assert (result["datasource"], result["errors"]) == ("DataSourceEc2Local", [])
    assert machine.run("systemctl is-enabled rolewatch.service rolewatch.socket").out.split() == ["enabled"] * 2
    assert machine.run("systemctl --failed --no-legend").out == ""
    assert told.sample("rolewatch_role_info", role=ROLE, instance_profile=ROLE) == 1


def test_confirmation_is_installed_and_off(machine: Machine) -> None:
    """It needs permissions and a way to the AWS API: nobody gets it unasked."""
    said = machine.run("systemctl is-enabled rolewatch-confirm.timer rolewatch-confirm.path", check=False).out

    assert said.split() == ["disabled", "disabled"]


def test_the_service_takes_what_it_is_bounded_to(machine: Machine) -> None:
    """No root, no capability, and less than half of the memory from which on its unit slows it down."""
    pid = machine.run("systemctl show --property=MainPID --value rolewatch.service").out.strip()
    status = dict(
        line.split(":\t", 1) for line in machine.run(f"cat /proc/{pid}/status").out.splitlines() if ":\t" in line
    )
    shown = machine.run("systemctl show --property=MemoryCurrent,MemoryHigh rolewatch.service").out
    memory = dict(line.split("=", 1) for line in shown.splitlines())

    assert machine.run(f"stat --format=%U /proc/{pid}").out.strip() == "rolewatch"
    assert int(status["CapBnd"], 16) == int(status["CapEff"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert 0 < int(memory["MemoryCurrent"]) < int(memory["MemoryHigh"]) / 2


# Scenarios, through every view


@pytest.mark.parametrize("scenario", SHARES["bookworm"], ids=lambda scenario: scenario.name)
def test_a_scenario_shows_in_every_view(scenario: Scenario, guest: Guest) -> None:
    """The page, the journal and systemctl tell what the list expects."""
    assert_told(play(guest, scenario), scenario)


def test_a_fault_that_comes_and_goes_is_raised_and_cleared(guest: Guest, machine: Machine) -> None:
    """In the daemon that runs: the role breaks, and is mended; the journal has both, and how long it lasted."""
    machine.run("systemctl restart rolewatch.service")
    await_verdict(machine, "ok", set())
    guest.imds.switch("assume_role_unauthorized")
    await_verdict(machine, "failed", {"assume_role_unauthorized"})
    guest.imds.switch("healthy")
    await_verdict(machine, "ok", set())
    seen = views(machine)

    assert [entry["ROLEWATCH_FAULT"] for entry in seen.events("fault_raised")] == ["assume_role_unauthorized"]
    (cleared,) = seen.events("fault_cleared")
    assert float(cleared["ROLEWATCH_DURATION_SECONDS"]) > 0
    states = [entry["ROLEWATCH_STATE"] for entry in seen.events("state_changed")]
    assert "failed" in states
    assert states[-1] == "ok"


def test_the_commands_agree_with_the_daemon(guest: Guest, machine: Machine) -> None:
    """`rolewatch check` as root, from the package: the verdict, the fix with this instance's names, the exit status."""
    well = machine.run("rolewatch check", check=False)
    guest.imds.switch("assume_role_unauthorized")
    ill = machine.run("rolewatch check", check=False)
    guest.imds.switch("healthy")

    assert (well.status, well.out.splitlines()[0][:2]) == (0, "OK")
    assert ill.status == 2
    assert f"aws iam get-role --role-name={ROLE}" in ill.out
    told = machine.run("rolewatch history", check=False)
    assert (told.status, "started" in told.out) == (0, True)
    assert machine.run("man --pager=cat rolewatch | head -n 5").out


def test_diagnose_judges_as_the_services_that_run(machine: Machine) -> None:
    """With the real systemctl: of one unit by its name, whose variables send its requests to a proxy, and of all."""
    unit = "/run/systemd/system/app.service"
    machine.write(
        unit,
        "[Service]\nUser=nobody\nExecStart=/usr/bin/sleep infinity\n"
        'Environment="HTTP_PROXY=http://10.9.9.9:3128" "NO_PROXY=localhost"\n',
    )
    machine.run("systemctl daemon-reload; systemctl start app.service")
    try:
        one = machine.run("rolewatch diagnose --unit app --json", check=False, timeout=300)
        own = machine.run("rolewatch diagnose --unit rolewatch.service --json", check=False, timeout=300)
        every = machine.run("rolewatch diagnose --all-units", check=False, timeout=300)
    finally:
        machine.run(f"systemctl stop app.service; rm {unit}; systemctl daemon-reload")
    faults = {each["fault"] for each in json.loads(one.out)["faults"]}

    assert "credentials_overridden" in faults
    assert one.status == 1
    assert "HTTP_PROXY" in one.out
    assert "10.9.9.9" not in one.out
    assert "credentials_overridden" not in {each["fault"] for each in json.loads(own.out)["faults"]}
    assert "app.service" in every.out
    assert "rolewatch.service" in every.out


# The sandbox, tried from inside


def test_the_sandbox_holds(machine: Machine) -> None:
    """A program in the service's place reaches IMDS and writes its state, and nothing else that it tries succeeds."""
    sandbox.assert_it_holds(machine, "rolewatch.service", *probe.TRIES)

    assert "call_over_d_bus" in sandbox.done_outside(machine)


def test_a_scrape_from_outside_the_private_ranges_is_dropped(machine: Machine) -> None:
    """The socket unit's own filter: 10.9.9.7 gets the page, 198.51.100.7 gets no answer at all."""
    machine.run(
        "ip netns add scraper; ip link add outside type veth peer name inside netns scraper; "
        "ip addr add 198.51.100.1/24 dev outside; ip addr add 10.9.9.1/24 dev outside; ip link set outside up; "
        "ip -n scraper addr add 198.51.100.7/24 dev inside; ip -n scraper addr add 10.9.9.7/24 dev inside; "
        "ip -n scraper link set inside up"
    )
    scrape = "ip netns exec scraper curl --silent --output /dev/null --write-out '%{http_code}' --max-time 10 "
    try:
        private = machine.run(f"{scrape} http://10.9.9.1:10169/metrics", check=False)
        public = machine.run(f"{scrape} http://198.51.100.1:10169/metrics", check=False)
    finally:
        machine.run("ip netns delete scraper")

    assert (private.status, private.out) == (0, "200")
    assert (public.status, public.out) == (28, "000")  # curl's word for a time-out


def test_a_tls_key_that_stays_root_s_is_handed_in_by_systemd(machine: Machine, tmp_path: Path) -> None:
    """`LoadCredential=`: the daemon's user cannot read the key, and the daemon has it."""
    tls.assert_spoken(machine, tmp_path)


# Confirmation


def test_a_confirmation_reaches_the_daemon_from_a_sandbox_of_its_own(machine: Machine) -> None:
    """Switched on, it says what it could not ask AWS, the daemon reads it, and neither can touch the other's files."""
    machine.run("systemctl enable --quiet --now rolewatch-confirm.timer rolewatch-confirm.path")
    try:
        machine.run("systemctl start rolewatch-confirm.service", timeout=300)
        evidence = json.loads(machine.run("cat /run/rolewatch-confirm/result/evidence.json").out)
        listed = machine.run("stat --format='%U %G %a' /run/rolewatch-confirm/result/evidence.json").out.strip()
        await_verdict(machine, "ok", set())
    finally:
        machine.run("systemctl disable --quiet --now rolewatch-confirm.timer rolewatch-confirm.path")

    assert listed == "rolewatch-confirm rolewatch 640"
    assert evidence["state"] == "ok"
    assert page(machine).sample("rolewatch_publisher_failures_total", publisher="confirmation") in (None, 0)


# What befalls a machine


def test_it_is_back_after_kill_9(machine: Machine) -> None:
    """Systemd starts it again, it remembers, and the journal says that it was killed."""
    before, start = restarts(machine), now_there(machine)
    machine.run("systemctl kill --kill-who=main --signal=KILL rolewatch.service")
    machine.wait_until(lambda: restarts(machine) > before, "systemd has restarted it")
    await_verdict(machine, "ok", set())

    assert "status=9/KILL" in unit_journal(machine, start)


def test_the_watchdog_ends_a_daemon_that_hangs(machine: Machine, drop_in: list[str]) -> None:
    """Stopped in its tracks it is ended and started again; the journal has where it stood, without a value."""
    machine.write(DROP_IN, "[Service]\nWatchdogSec=20s\n")
    drop_in.append(DROP_IN)
    machine.run("systemctl daemon-reload; systemctl restart rolewatch.service")
    await_verdict(machine, "ok", set())
    before, start = restarts(machine), now_there(machine)
    machine.run("systemctl kill --kill-who=main --signal=STOP rolewatch.service")
    machine.wait_until(lambda: restarts(machine) > before, "the watchdog has acted")
    await_verdict(machine, "ok", set())
    said = unit_journal(machine, start)

    assert "Watchdog timeout" in said
    assert "Fatal Python error: Aborted" in said


def test_a_frozen_daemon_goes_on_when_it_is_thawed(machine: Machine) -> None:
    """`systemctl freeze` for longer than its wait between two polls, and `thaw`: the same process polls again."""
    before, polls = restarts(machine), page(machine).sample("rolewatch_polls_total")
    pid = machine.run("systemctl show --property=MainPID --value rolewatch.service").out
    machine.run("systemctl freeze rolewatch.service; sleep 20; systemctl thaw rolewatch.service")
    await_verdict(machine, "ok", set())

    assert machine.run("systemctl show --property=MainPID --value rolewatch.service").out == pid
    assert restarts(machine) == before
    machine.wait_until(lambda: (page(machine).sample("rolewatch_polls_total") or 0) > (polls or 0), "it polls again")


def test_a_full_disk_stops_nothing_but_what_is_written(guest: Guest, machine: Machine) -> None:
    """The page stays right; the state file that cannot be written is told, and written again when there is space."""
    machine.run("systemctl restart rolewatch.service")
    await_verdict(machine, "ok", set())
    machine.run(
        "fallocate --length $(df --output=avail --block-size=1 / | tail -n 1) /filling; "
        "until [ $(df --output=avail / | tail -n 1) = 0 ]; do head -c 4096 /dev/zero >>/filling || break; done"
    )
    try:
        guest.imds.switch("instance_profile_detached")
        told = await_verdict(machine, "failed", {"instance_profile_detached"})
        failures = told.sample("rolewatch_publisher_failures_total", publisher="state_file")
    finally:
        machine.run("rm /filling")
    guest.imds.switch("healthy")
    await_verdict(machine, "ok", set())
    failed = views(machine).events("publisher_failed")
    size = machine.run("stat --format=%s /var/lib/rolewatch/*").out.split()

    assert failures is not None
    assert failures > 0
    assert failed[0]["ROLEWATCH_PUBLISHER"] == "state_file"
    assert "No space left on device" in failed[0]["MESSAGE"]
    assert all(int(each) > 0 for each in size)


@pytest.mark.parametrize("units", ["systemd-journald.service", "systemd-journald.service systemd-journald.socket"])
def test_it_goes_on_telling_after_journald_was_restarted(guest: Guest, machine: Machine, units: str) -> None:
    """The next fault is in the journal, and nothing was dropped. With its socket, which is another one then, too."""
    machine.run(f"systemctl restart {units}")
    guest.imds.switch("credentials_missing")
    await_verdict(machine, "failed", {"credentials_missing"})
    raised = views(machine).events("fault_raised")
    guest.imds.switch("healthy")

    assert raised[-1]["ROLEWATCH_FAULT"] == "credentials_missing"
    assert page(machine).sample("rolewatch_log_messages_dropped_total") == 0


def test_broken_settings_are_refused_and_the_old_ones_stay(machine: Machine) -> None:
    """A reload is counted and told with the file; a restart stays down with it, and comes back without."""
    broken = "/etc/rolewatch/conf.d/90-broken.toml"
    machine.write(broken, '[poll]\ninterval = "often"\n')
    try:
        machine.run("systemctl reload rolewatch.service")
        machine.wait_until(
            lambda: page(machine).sample("rolewatch_config_last_reload_successful") == 0, "the reload is refused"
        )
        rejected = machine.wait_until(lambda: views(machine).events("config_rejected"), "the journal says so")
        await_verdict(machine, "ok", set())
        start = now_there(machine)
        machine.run("systemctl restart rolewatch.service", check=False)
        stopped = machine.run("systemctl show --property=ExecMainStatus --value rolewatch.service").out.strip()
        said = unit_journal(machine, start)
    finally:
        machine.run(f"rm {broken}; systemctl reset-failed rolewatch.service; systemctl restart rolewatch.service")
    told = await_verdict(machine, "ok", set())

    assert broken in rejected[-1]["MESSAGE"]
    assert stopped == "78"
    assert broken in said
    assert told.sample("rolewatch_config_last_reload_successful") == 1


def test_a_memory_limit_that_is_hit_is_survived(machine: Machine) -> None:
    """The kernel ends it, systemd starts it again once there is memory, and the journal says why."""
    before, start = restarts(machine), now_there(machine)
    machine.run("systemctl set-property --runtime rolewatch.service MemoryHigh=infinity MemoryMax=4M", check=False)
    try:
        machine.wait_until(lambda: restarts(machine) > before, "it was ended and started again")
    finally:
        machine.run(
            "systemctl set-property --runtime rolewatch.service MemoryMax=128M MemoryHigh=96M; "
            "systemctl reset-failed rolewatch.service || true; systemctl start rolewatch.service"
        )
    await_verdict(machine, "ok", set())

    assert "oom-kill" in unit_journal(machine, start)


@pytest.mark.parametrize("days", [1, -1], ids=["ahead", "behind"])
def test_a_clock_that_is_a_day_off_is_told_and_fools_nobody(machine: Machine, days: int) -> None:
    """IMDS's own clock judges the expiry: `clock_skew`, and not expired credentials; set right it is over."""
    machine.run("systemctl restart rolewatch.service")
    await_verdict(machine, "ok", set())
    machine.run(f"date --set=@{int(time.time()) + days * DAY}")
    try:
        await_verdict(machine, "degraded", SKEWED)
    finally:
        machine.run(f"date --set=@{int(time.time())}")
    told = await_verdict(machine, "ok", set())
    raised = views(machine).events("fault_raised")

    assert [entry["ROLEWATCH_FAULT"] for entry in raised] == ["clock_skew"]
    offset = told.sample("rolewatch_clock_offset_seconds")
    assert offset is not None
    assert abs(offset) < 60


def test_a_boot_without_imds_is_told_and_ends_well(machine: Machine) -> None:
    """Blocked for its user from the start, as a firewall rule does it: the unit is up all the same, and says so."""
    rule = "meta skuid rolewatch ip daddr 169.254.169.254 reject with tcp reset"
    machine.write(
        "/etc/nftables.conf",
        "table ip test {\n chain out {\n  type filter hook output priority 0;\n"
        f"  meta l4proto tcp {rule};\n }}\n}}\n",
    )
    machine.run("systemctl enable --quiet nftables.service")
    machine.restart()
    try:
        await_verdict(machine, "unknown", {"imds_unreachable"})
        active = machine.run("systemctl is-active rolewatch.service").out.strip()
        raised = views(machine).events("fault_raised")
    finally:
        machine.run("systemctl disable --quiet nftables.service; nft delete table ip test")
    await_verdict(machine, "ok", set())

    assert active == "active"
    assert [(entry["ROLEWATCH_FAULT"], entry["ROLEWATCH_REASON"]) for entry in raised] == [
        ("imds_unreachable", "refused")
    ]


# Secrets


def test_no_served_secret_is_anywhere_on_the_machine(guest: Guest, machine: Machine) -> None:
    """After all that was done to it, an abort, and a confirmation: journal, files, processes, the daemon's memory.

    Of the session tokens only the last are looked for: each is good for a minute.
    """
    machine.run("systemctl restart rolewatch.service")
    for scenario in ("imds_truncated", "endless_headers", "healthy"):
        guest.imds.switch(scenario)
        guest.imds.rotate()
        machine.run(POLL_THRICE)
    machine.run("systemctl kill --kill-who=main --signal=ABRT rolewatch.service")
    machine.run("systemctl start rolewatch-confirm.service", timeout=300)
    await_verdict(machine, "ok", set())
    before = guest.imds.secrets
    guest.imds.rotate()
    machine.run(POLL_THRICE)
    tokens = {request.headers.get("x-aws-ec2-metadata-token", "") for request in guest.imds.requests[-200:]}
    keys = {secret for secret in guest.imds.secrets if len(secret) != SESSION_TOKEN}
    machine.write("/usr/local/lib/seeker.py", SEEKER.read_text(encoding="utf-8"))
    said = machine.run(
        "python3 -I /usr/local/lib/seeker.py $(systemctl show --property=MainPID --value rolewatch.service)",
        stdin=json.dumps({"anywhere": sorted(keys | tokens - {""}), "in memory": sorted(keys - before)}),
        timeout=600,
    ).out
    found = {place: (count, size) for place, count, size in map(json.loads, said.splitlines())}
    pattern, *files = machine.run("cat /proc/sys/kernel/core_pattern; ls --almost-all /var/lib/rolewatch").out.split()

    assert {place: count for place, (count, _) in found.items() if count} == {}
    assert found["journal"][1] > 100_000
    assert found["/var/lib/rolewatch"][1] > 100
    assert found["/run/rolewatch-confirm"][1] > 1000
    assert pattern == "core"  # it would lie where the daemon works
    assert [name for name in files if name.startswith("core")] == []
    assert found["memory"][1] > 1_000_000
