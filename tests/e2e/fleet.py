"""A fleet: for each instance a simulated IMDS in this process, and a daemon in a process of its own."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from builders import INSTANCE_ID, diagnosis
from e2e.processes import Process, until
from rolewatch.faults import CONFIRMED_FAULTS, Fault
from rolewatch.simulator import Simulator
from rolewatch.simulator.scenarios import SCENARIOS
from rolewatch.text import rfc3339

PROGRAM = Path(__file__).parent / "member.py"
ACCOUNT, REGION = "111122223333", "eu-west-1"
EXPECTED_ROLE = "web-*"
CONFIRMED_EVERY = 21600.0
SPREAD = 300.0
"""Seconds, uncompressed: the defaults of ``[confirm]``."""
QUICK, PATIENT = 0.4, 2.0
"""Seconds after which IMDS passes for one that does not answer, where it does not, and elsewhere. Not compressed: this
much the machine may need."""


def utc_now() -> datetime:
    """Return the time, for the simulators."""
    return datetime.now(timezone.utc)


def scenario_of(fault: Fault) -> str:
    """Return the first scenario that shows *fault*, alone where there is one."""
    fitting = [each for each in SCENARIOS if fault in each.expect.faults]
    return min(fitting, key=lambda each: len(each.expect.faults)).name


@dataclass
class Member:
    """One instance."""

    name: str
    """Its instance id, as the scrape has it."""
    home: Path
    factor: float
    simulator: Simulator
    timeout: float = PATIENT
    address: str = "127.0.0.1:0"
    _process: Process = field(init=False)

    def __post_init__(self) -> None:
        """Prepare; nothing runs yet."""
        self.home.mkdir()
        self.file.write_text("", encoding="utf-8")
        self._process = Process(self.name, [], self.home / "log")

    @property
    def labels(self) -> dict[str, str]:
        """The labels that the scrape of docs/metrics.md would add."""
        return {"instance": self.name, "account_id": ACCOUNT, "region": REGION}

    @property
    def file(self) -> Path:
        """The settings file, which a reload reads."""
        return self.home / "rolewatch.toml"

    @property
    def running(self) -> bool:
        """Whether its daemon runs."""
        return self._process.running

    def start(self) -> None:
        """Start the daemon; after the first time on the address that it had."""
        self._process.command = [sys.executable, str(PROGRAM), json.dumps(self._settings())]
        self.address = self._process.start(says=True)

    def stop(self) -> None:
        """Stop the daemon."""
        self._process.stop()

    def reload(self) -> None:
        """Let the daemon read its settings file again."""
        self._process.reload()

    def tail(self) -> str:
        """Return the end of its log."""
        return self._process.tail(8)

    def inflict(self, fault: Fault) -> None:
        """Cause *fault*: in IMDS, or in the evidence of a confirmation."""
        if fault in CONFIRMED_FAULTS:
            self.confirm(fault)
        else:
            self.simulator.switch(scenario_of(fault))

    def repair(self) -> None:
        """Make IMDS and the evidence healthy again."""
        self.simulator.switch("healthy")
        if self.evidence.exists():
            self.confirm()

    @property
    def evidence(self) -> Path:
        """Where a confirmation leaves what it found out."""
        return self.home / "evidence.json"

    @property
    def request(self) -> Path:
        """What the daemon touches to ask for a confirmation."""
        return self.home / "request"

    def confirm(self, *faults: Fault) -> None:
        """Do what rolewatch-confirm.service does, but for asking AWS: leave evidence that has *faults*.

        Its time is in whole seconds, and a confirmation is one only once.
        """
        seen = self.evidence.read_text(encoding="utf-8") if self.evidence.exists() else ""
        now = until(lambda: "" if (text := rfc3339(utc_now())) in seen else text, "the next second")
        fresh = self.home / "evidence.json.new"
        fresh.write_text(diagnosis(*faults, polled=now, instance_id=INSTANCE_ID), encoding="utf-8")
        fresh.replace(self.evidence)

    def _settings(self) -> dict[str, object]:
        """Return what differs from the defaults. IMDS on loopback is quick, so time-outs are short, too."""
        return {
            "file": str(self.file),
            "imds": {"endpoint": self.simulator.endpoint, "timeout": self.timeout, "deadline": 5.0},
            "poll": {
                "interval": 30.0 / self.factor,
                "confirm_interval": 10.0 / self.factor,
                "max_interval": 120.0 / self.factor,
            },
            "expect": {"role": [EXPECTED_ROLE]},
            "limits": {"boot_grace": 300.0 / self.factor, "reminder": 3600.0 / self.factor},
            "metrics": {"listen": [self.address]},
            "log": {"format": "json"},
            "state": {"directory": str(self.home)},
            "confirm": {
                "file": str(self.evidence),
                "request": str(self.request),
                "interval": CONFIRMED_EVERY / self.factor,
                "spread": SPREAD / self.factor,
            },
        }


@contextlib.contextmanager
def fleet(
    home: Path, names: Sequence[str], factor: float, *, hasty: Sequence[str], speeds: Mapping[str, float]
) -> Iterator[list[Member]]:
    """Run a fleet of healthy instances; yield its members.

    Those that are *hasty* do not wait for a slow IMDS. Credentials are rotated *factor* times as fast as EC2 does, or
    as *speeds* says.
    """
    home.mkdir()
    with contextlib.ExitStack() as running:
        members = []
        for name in names:
            # Each rotates at another moment, as a fleet does.
            speed = speeds.get(name, factor)
            simulator = running.enter_context(Simulator(now=utc_now, speed=speed, seed=name))
            member = Member(name, home / name, factor, simulator, QUICK if name in hasty else PATIENT)
            running.callback(member.stop)
            member.start()
            members.append(member)
        yield members
