"""What an operator sees of rolewatch in a machine: the metrics page, the journal, `systemctl status`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from harness import sample_of
from rolewatch.faults import FAULTS
from rolewatch.publish.journal import MESSAGE_IDS
from rolewatch.simulator.scenarios import SCENARIOS, Scenario
from rolewatch.vocabulary import EventKind, State
from vm.guests import Guest
from vm.machine import Machine

CATALOG = Path(__file__).parents[2] / "packaging" / "catalog" / "rolewatch.catalog"
MARK = "=== the next view ==="
SYNC = "journalctl --sync"
"""Before the journal is read: journald writes down what it was told, and then this ends."""


@dataclass(frozen=True)
class Page:
    """A metrics page."""

    text: str

    def sample(self, name: str, **labels: str) -> float | None:
        """Return the value of one series; None where it is not there."""
        return sample_of(self.text, name, labels)

    @property
    def verdict(self) -> tuple[str, set[str]]:
        """The state that holds, and the faults that stand."""
        ones: dict[str, list[str]] = {"rolewatch_state": [], "rolewatch_fault_active": []}
        for family in text_string_to_metric_families(self.text):
            for sample in family.samples:
                if sample.name in ones and sample.value == 1:
                    ones[sample.name] += sample.labels.values()
        return "".join(ones["rolewatch_state"]), set(ones["rolewatch_fault_active"])


def page(machine: Machine) -> Page:
    """Return the metrics page as the host scrapes it; an empty one where there is none."""
    return Page(machine.get("/metrics") or "")


POLL_THRICE = (
    'if [ "$(systemctl is-active rolewatch.service)" = active ]; then '
    "daemon=$(systemctl show --property=MainPID --value rolewatch.service); "
    'for _ in 1 2 3; do kill -USR1 "$daemon"; sleep 1.1; done; fi'
)
"""Three polls more, as fast as the daemon takes them: with the one at its start they confirm any fault. Only once it is
ready: what comes before, its poll at the start answers."""


def await_verdict(machine: Machine, state: str, faults: set[str]) -> Page:
    """Wait until the metrics page says *state* and *faults*, and nothing else; let the daemon poll meanwhile.

    And until systemctl says so, too: the daemon tells the journal before it tells systemd.
    """
    last, line = Page(""), ""

    def told() -> bool:
        nonlocal last, line
        last = page(machine)
        if last.verdict != (state, faults):
            machine.run(POLL_THRICE, check=False)
            return False
        line = machine.run("systemctl show --property=StatusText --value rolewatch.service").out
        return line.startswith(f"{state}: ") and set(re.findall(r"(\w+) since ", line)) == faults

    machine.wait_until(
        told,
        f"the page and systemctl say {state} {sorted(faults)}",
        look=lambda: f"The page says {last.verdict}, and systemctl {line!r}.",
    )
    return last


@dataclass(frozen=True)
class Views:
    """What the commands of an operator print of the daemon that runs."""

    entries: list[dict[str, str]]
    """`journalctl --output=json` of this start of the service."""
    explained: str
    """`journalctl --catalog`, likewise."""
    status: str
    """`systemctl status`."""

    def events(self, kind: str) -> list[dict[str, str]]:
        """Return the journal entries of one kind."""
        return [entry for entry in self.entries if entry.get("ROLEWATCH_EVENT") == kind]


def views(machine: Machine) -> Views:
    """Return what the commands say, of this start of the service."""
    since = "_SYSTEMD_INVOCATION_ID=$(systemctl show --property=InvocationID --value rolewatch.service)"
    said = machine.run(
        f"{SYNC}; journalctl --output=json --identifier=rolewatch {since}; echo '{MARK}'; "
        f"journalctl --catalog --no-pager --identifier=rolewatch {since}; echo '{MARK}'; "
        "systemctl status --no-pager --full --lines=0 rolewatch.service || true"
    ).out
    entries, explained, status = said.split(MARK)
    return Views([json.loads(line) for line in entries.splitlines() if line.startswith("{")], explained, status)


PLAYED = tuple({(each.expect.state, each.expect.faults): each for each in reversed(SCENARIOS)}.values())
"""One scenario for each verdict that there is: what the machine shows follows from the verdict alone, and
tests/integration plays all scenarios. Played on a machine, one takes ten seconds."""
SHARE = len(PLAYED) // 4
_ELSEWHERE = tuple(each for each in PLAYED if each.conditions.listening)
SHARES = {"bullseye": _ELSEWHERE[1::3][:SHARE], "trixie": _ELSEWHERE[2::3][:SHARE]}
"""Which scenarios are played where: bookworm has the rest. So the two that run at a time take as long. `BLOCK`
works on bookworm, and was seen not to work on bullseye."""
SHARES["bookworm"] = tuple(each for each in PLAYED if each not in SHARES["bullseye"] + SHARES["trixie"])
EXPECTATION = "/etc/rolewatch/conf.d/60-test.toml"
BLOCK = (
    "nft add table ip test; nft 'add chain ip test out { type filter hook output priority 0; }'; "
    "nft add rule ip test out ip daddr 169.254.169.254 tcp dport 80 reject with tcp reset; "
)
"""For an IMDS that does not listen: qemu takes the connection and drops it again; the refusal must be the machine's."""


def play(guest: Guest, scenario: Scenario) -> Views:
    """Start the service anew in *scenario*, with nothing remembered and the role that it expects; return the views."""
    machine, expected = guest.machine, scenario.expect
    block = "" if scenario.conditions.listening else BLOCK
    guest.imds.switch(scenario.name)
    try:
        machine.run(
            f"systemctl stop rolewatch.service; rm -f /var/lib/rolewatch/*; cat >{EXPECTATION}; {block}"
            f"systemctl start rolewatch.service; {POLL_THRICE}",
            stdin=f"[expect]\nrole = {json.dumps(expected.expect_role)}\n",
        )
        await_verdict(machine, expected.state.value, {fault.value for fault in expected.faults})
        seen = views(machine)
    finally:
        machine.run(f"rm {EXPECTATION}; {'nft delete table ip test' if block else ''}")
    return seen


def subject(message_id: str) -> str:
    """Return a pattern for the Subject that the catalog we ship has for *message_id*."""
    entry = re.search(rf"^-- {message_id}\nSubject: (.+)$", CATALOG.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert entry is not None, f"the catalog has no {message_id}"
    return r"Subject: " + re.sub(r"@[A-Z_]+@", ".+", re.escape(entry.group(1)).replace("\\@", "@"))


def assert_told(seen: Views, scenario: Scenario) -> None:
    """Hold the views to what *scenario* expects."""
    expected = scenario.expect
    raised = {entry["ROLEWATCH_FAULT"]: entry for entry in seen.events("fault_raised")}
    assert set(raised) == {fault.value for fault in expected.faults}
    for fault in expected.faults:
        entry = raised[fault.value]
        assert entry["MESSAGE_ID"] == FAULTS[fault].message_id
        severity = FAULTS[fault].severity_with({}, usable=expected.state is State.DEGRADED)
        assert entry["PRIORITY"] == str(severity.value)
        assert entry["SYSLOG_IDENTIFIER"] == "rolewatch"
        assert entry["MESSAGE"].startswith(f"{fault.value}: {FAULTS[fault].title}")
        assert re.search(subject(FAULTS[fault].message_id), seen.explained)
    assert re.search(subject(MESSAGE_IDS[EventKind.STARTED]), seen.explained)
    assert f'Status: "{expected.state.value}' in seen.status
    assert all(fault.value in seen.status for fault in expected.faults)
