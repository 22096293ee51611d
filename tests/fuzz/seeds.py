"""Where fuzzing begins: what the simulator says in each scenario, written down as `targets` reads it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from builders import START
from fuzz.targets import ANSWER, POLL, SECRETS
from rolewatch.errors import ImdsError
from rolewatch.imds import Questions, observe
from rolewatch.imds.client import Answer, Client
from rolewatch.settings import ExpectSettings, ImdsSettings
from rolewatch.simulator import Simulator
from rolewatch.simulator.scenarios import SCENARIOS, Scenario

TAGGED = ExpectSettings(role_tag="ExpectedRole", instance_profile_tag="team")


class _Writer(Client):
    """A client that writes down what it was answered."""

    def __init__(self, endpoint: str) -> None:
        """Ask *endpoint*, in earnest."""
        super().__init__(endpoint, ImdsSettings(), monotonic=time.monotonic)
        self.records: list[bytes] = []
        self.bodies: set[bytes] = set()

    def send(self, method: str, path: str, headers: Mapping[str, str], shown_path: str) -> Answer:
        """Ask, and write the answer down."""
        try:
            answer = super().send(method, path, headers, shown_path)
        except ImdsError:
            self.records.append(b"!5")
            raise
        body = bytes(answer.body) if answer.status == HTTPStatus.OK else b""  # of an error nobody reads it
        self.records.append(f"{answer.status} {answer.date}\n".encode() + body)
        self.bodies.add(body)
        return answer


@dataclass(frozen=True)
class Seeds:
    """What the targets begin with, by target."""

    parse: frozenset[bytes]
    watch: frozenset[bytes]

    def of(self, target: str) -> list[bytes]:
        """Return those of *target*, in one order."""
        return sorted({"parse": self.parse, "watch": self.watch}[target])


def seeds() -> Seeds:
    """Ask the simulator in every scenario in which it answers at all, and write it down."""
    bodies: set[bytes] = {b"2026-11-23T17:31:25Z", b"2026-11-23T18:31:25+01:00", b"arn:aws:iam::123456789012:role/web"}
    polls: dict[str, bytes] = {}
    with Simulator(now=_now) as simulator:
        for scenario in filter(_is_read, SCENARIOS):
            simulator.switch(scenario.name)
            writer = _Writer(simulator.endpoint)
            observe(writer, TAGGED, Questions(identity=True, tags=True))
            marked = [_marked(record, simulator.secrets) for record in writer.records]
            bodies.update(_marked(body, simulator.secrets) for body in writer.bodies)
            polls[scenario.name] = ANSWER.join(marked)
    healthy = polls["healthy"]
    histories = {
        b"%d" % which + POLL.join(b"%s%s%s" % (first, ANSWER, poll) for first in (b"30 0", b"30 0", b"30 0 r"))
        for which in range(3)
        for poll in polls.values()
    }
    histories |= {
        b"0" + POLL.join((b"30 0" + ANSWER + healthy, b"3600 90 b" + ANSWER + poll, b"40000 -86400" + ANSWER + b"!5"))
        for poll in polls.values()
    }
    return Seeds(frozenset(bodies), frozenset(histories))


def _now() -> datetime:
    return START


def _is_read(scenario: Scenario) -> bool:
    """Return whether the answers of *scenario* reach the parser: harms of the wire do not."""
    return scenario.conditions.listening and not scenario.conditions.network_faults


def _marked(record: bytes, secrets: frozenset[str]) -> bytes:
    """Return *record* with marks in the place of secrets."""
    marks = iter(SECRETS)
    for secret in sorted(secrets, key=len):
        if secret.encode() in record:
            record = record.replace(secret.encode(), next(marks, b"@T"))
    return record
