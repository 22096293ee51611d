"""What happens, once, for all tests of this directory: a fleet is healthy, faulty, queried, repaired, stopped.

Every fault of the table has an instance of its own, all at the same time. There are also instances on which
rolewatch itself is in trouble. The results are kept, and the tests read them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from e2e.compress import compressed
from e2e.fleet import Member, fleet
from e2e.monitoring import Prometheus, Series, alertmanager, prometheus
from e2e.processes import until
from e2e.webhook import Arrival, Notification, Webhook
from harness import get
from rolewatch.faults import DAEMON_FAULTS, Fault
from rolewatch.simulator.conditions import HEALTHY, Effect, NetworkFault, Target

FACTOR = 60.0
"""An hour of a fleet is a minute here: Prometheus scrapes every second, rolewatch polls twice a second."""
PATIENCE = 120.0
"""Seconds that a whole fleet may take for one step, on a machine that has other things to do, too."""
CALM = 10
"""Scrapes of a healthy fleet, before the first fault: ten minutes, uncompressed."""
RESTARTS = 4
REQUESTS = 4
"""Of one poll."""
ONE_FAILS = replace(HEALTHY, network_faults=(NetworkFault(Effect.STATUS, Target.CREDENTIALS, status=500, times=1),))

WELL, SLOW, FLICKERING, REFUSED, SPOILED, CRASHING, STOPPED, EXPIRED = (
    "well",
    "slow",
    "flickering",
    "refused",
    "spoiled",
    "crashing",
    "stopped",
    "expired",
)
"""The states of the instances that have no fault of their own, or two."""
LOTS = (*(fault.value for fault in DAEMON_FAULTS), WELL, SLOW, FLICKERING, REFUSED, SPOILED, CRASHING, STOPPED, EXPIRED)
"""The troubles: each has an instance of its own."""
INSTANCES = {lot: f"i-0{number:016x}" for number, lot in enumerate(LOTS, 0xE2E0)}
"""Their instance ids."""
STRUCK, STRIKE = LOTS[:12], Fault.INSTANCE_PROFILE_DETACHED
"""Those that get the same fault in the end, as after one wrong change: more than ten."""
STOPPABLE = LOTS[: len(LOTS) // 3]
"""Those whose daemons are stopped at last: more than a fifth of the fleet."""
SPEEDS = {WELL: 8 * FACTOR, Fault.CLOCK_SKEW.value: 1.0}
"""How fast credentials are rotated where it is not `FACTOR`. One is in a hurry, so that a cadence is learned before
anybody asks. And where IMDS's clock is ten minutes off, sets live six hours: those of six minutes would have expired by
Prometheus's clock, which is here the one that is wrong, too."""


@dataclass
class Times:
    """When the trouble of an instance was seen in each place: Unix times."""

    inflicted: float
    metric: float | None = None
    firing: float | None = None
    notified: float | None = None
    repaired: float | None = None
    resolved: float | None = None


@dataclass
class Story:
    """What came of it."""

    before: list[Notification] = field(default_factory=list)
    """The notifications while the fleet was healthy."""
    faulty: list[Arrival] = field(default_factory=list)
    """The alerts of which the webhook was notified until the fleet was repaired."""
    repaired: list[Arrival] = field(default_factory=list)
    """Those from then on."""
    struck: list[Arrival] = field(default_factory=list)
    """Those when half of the fleet had the same fault."""
    stopped: list[Arrival] = field(default_factory=list)
    """Those after a third of the fleet had been stopped."""
    held_back: dict[str, set[str]] = field(default_factory=dict)
    """The alerts that Alertmanager inhibited because of another, by instance, while the fleet was faulty."""
    held_back_when_struck: dict[str, set[str]] = field(default_factory=dict)
    held_back_at_last: dict[str, set[str]] = field(default_factory=dict)
    """Likewise, when half of it had been struck, and when a third had been stopped."""
    times: dict[str, Times] = field(default_factory=dict)
    """By lot."""
    answers: dict[str, list[Series]] = field(default_factory=dict)
    """The results of the queries while the fleet was faulty."""
    rules: list[dict[str, Any]] = field(default_factory=list)
    """The rules as Prometheus had them at the end, with their health."""


@dataclass
class Stage:
    """What the story is played with."""

    members: dict[str, Member]
    """By lot."""
    prometheus: Prometheus
    alertmanager: str
    webhook: Webhook
    story: Story = field(default_factory=Story)
    _started: set[float] = field(default_factory=set)
    _flickered: int = 0

    def wait_until_healthy(self) -> None:
        """Wait until every instance is healthy and was scraped for a while, and no alert is even pending."""
        members = len(self.members)
        calm = f'count(count_over_time((rolewatch_state{{state="ok"}} == 1)[{2 * CALM}s:1s]) >= {CALM})'
        until(lambda: self._value(calm) == members, "a healthy fleet", patience=PATIENCE)
        until(lambda: not self.prometheus.alerts(), "no alert at all")
        self.story.before = self.webhook.notifications

    def inflict_faults(self, expected: Mapping[str, set[str]], held: Mapping[str, set[str]]) -> None:
        """Inflict every fault; wait until the webhook has all alerts of *expected*, and all *held* are inhibited."""
        for fault in DAEMON_FAULTS:
            self._inflict(fault.value, lambda member, fault=fault: member.inflict(fault))
        self._inflict(SLOW, lambda member: member.simulator.switch("slow"))
        self._inflict(EXPIRED, lambda member: member.simulator.switch("credentials_expired"))
        self._inflict(REFUSED, _refuse)
        self._inflict(SPOILED, lambda member: member.evidence.write_text("no JSON", encoding="utf-8"))
        self._inflict(STOPPED, lambda member: member.stop())
        for lot in (CRASHING, FLICKERING):
            self.story.times[lot] = Times(time.time())

        def notified() -> bool:
            self._go_on()
            return not self._missing(expected) and len(self._started) > RESTARTS and self._holds_back(held)

        try:
            until(notified, "all alerts", patience=PATIENCE)
        except TimeoutError:
            message = f"not notified: {self._missing(expected)}; held back: {self._held_back()}"
            raise TimeoutError(message) from None
        self.story.held_back = self._held_back()
        self.story.faulty = list(self.webhook.arrivals())

    def query(self, queries: Sequence[str]) -> None:
        """Ask Prometheus all *queries*."""
        self.story.answers = {query: self.prometheus.query(query) for query in queries}

    def repair_all(self, expected: Mapping[str, set[str]]) -> None:
        """Repair everything, and wait until every alert of *expected*, by lot, is resolved.

        Except that of the crashing one: its window is an hour, and it keeps firing for half an hour more.
        """
        for lot, member in self.members.items():
            if lot == STOPPED:
                member.start()
            member.file.write_text("", encoding="utf-8")
            if lot == REFUSED:
                member.reload()
            member.repair()
            if lot in self.story.times:
                self.story.times[lot].repaired = time.time()

        def over() -> bool:
            names = {(each.labels.get("instance"), each.labels["alertname"]) for each in self._resolved()}
            return all(
                (INSTANCES[lot], name) in names
                for lot, alerts in expected.items()
                for name in alerts
                if lot != CRASHING
            )

        until(over, "every alert to be over", patience=PATIENCE)
        self.story.repaired = list(self.webhook.arrivals())[len(self.story.faulty) :]

    def break_half(self, single: str) -> None:
        """Inflict one fault on half of the fleet; wait for the alert of the fleet, and for it to inhibit *single*."""
        for lot in STRUCK:
            self.members[lot].inflict(STRIKE)
        self.story.struck = self._fleet_alerts("RolewatchFleetFault", {lot: {single} for lot in STRUCK})
        self.story.held_back_when_struck = self._held_back()

    def stop_a_third(self, single: str) -> None:
        """Stop a third of the daemons; wait for the alert of the fleet, and for it to inhibit *single*."""
        for lot in STOPPABLE:
            self.members[lot].stop()
        self.story.stopped = self._fleet_alerts("RolewatchFleetDown", {lot: {single} for lot in STOPPABLE})
        self.story.held_back_at_last = self._held_back()

    def _fleet_alerts(self, name: str, held: Mapping[str, set[str]]) -> list[Arrival]:
        known = len(list(self.webhook.arrivals()))

        def notified() -> bool:
            news = list(self.webhook.arrivals("firing"))
            return any(each.labels["alertname"] == name for each in news) and self._holds_back(held)

        until(notified, name, patience=PATIENCE)
        return list(self.webhook.arrivals())[known:]

    def _holds_back(self, wanted: Mapping[str, set[str]]) -> bool:
        held = self._held_back()
        return all(names <= held.get(INSTANCES[lot], set()) for lot, names in wanted.items())

    def note_times(self, expected: Mapping[str, set[str]]) -> None:
        """Find out when each lot was seen where."""
        for lot, times in self.story.times.items():
            instance = INSTANCES[lot]
            active = self.prometheus.query(f'rolewatch_fault_active{{instance="{instance}", fault="{lot}"}}[15m]')
            times.metric = _first(active, times.inflicted)
            for name in expected.get(lot, ()):
                alert = f'ALERTS{{instance="{instance}", alertname="{name}", alertstate="firing"}}[15m]'
                times.firing = _first(self.prometheus.query(alert), times.inflicted)
                times.notified = _arrival(self.story.faulty, instance, name, "firing")
                times.resolved = _arrival(self.story.repaired, instance, name, "resolved")

    def logs(self) -> str:
        """Return the ends of all logs, to find out what went wrong."""
        return "\n".join(f"{lot} ({member.name}):\n{member.tail()}" for lot, member in self.members.items())

    def _inflict(self, lot: str, act: Any) -> None:  # noqa: ANN401 - the result is not used
        self.story.times[lot] = Times(time.time())
        act(self.members[lot])

    def _go_on(self) -> None:
        """Do what lasts: make the confirmations that are asked for, let one daemon crash, and one IMDS flicker."""
        for lot, member in self.members.items():
            if member.request.exists():
                member.request.unlink()
                if member.evidence.exists() and lot in {fault.value for fault in Fault}:
                    member.confirm(Fault(lot))
        self._flicker(self.members[FLICKERING])
        crashing = self.members[CRASHING]
        seen = self._value(f'process_start_time_seconds{{instance="{crashing.name}"}}')
        if seen is not None and seen not in self._started:
            self._started.add(seen)
            if len(self._started) <= RESTARTS:
                crashing.stop()
                crashing.start()

    def _flicker(self, member: Member) -> None:
        """Let one poll of *member* fail if one succeeded since the last that failed: never two in a row."""
        asked = len(member.simulator.requests)
        if asked - self._flickered >= 2 * REQUESTS:
            self._flickered = asked
            member.simulator.enter(ONE_FAILS)

    def _value(self, expr: str) -> float | None:
        series = self.prometheus.query(expr)
        return series[0].value if series else None

    def _missing(self, expected: Mapping[str, set[str]]) -> dict[str, set[str]]:
        notified: dict[str | None, set[str]] = {}
        for arrival in self.webhook.arrivals("firing"):
            notified.setdefault(arrival.labels.get("instance"), set()).add(arrival.labels["alertname"])
        missing = {lot: names - notified.get(INSTANCES[lot], set()) for lot, names in expected.items()}
        return {lot: names for lot, names in missing.items() if names}

    def _resolved(self) -> list[Arrival]:
        return [each for each in list(self.webhook.arrivals())[len(self.story.faulty) :] if each.status == "resolved"]

    def _held_back(self) -> dict[str, set[str]]:
        held: dict[str, set[str]] = {}
        _, body = get(f"{self.alertmanager}/api/v2/alerts", timeout=PATIENCE)
        for alert in json.loads(body):
            if alert["status"]["inhibitedBy"]:
                held.setdefault(alert["labels"].get("instance", ""), set()).add(alert["labels"]["alertname"])
        return held


def _refuse(member: Member) -> None:
    member.file.write_text("[poll]\ninterval = 'often'\n", encoding="utf-8")
    member.reload()


def _first(series: Sequence[Series], since: float) -> float | None:
    """Return the time of the first sample from *since* on that is 1."""
    times = [at for each in series for at, value in each.samples if at >= since and value == 1]
    return min(times, default=None)


def _arrival(arrivals: Sequence[Arrival], instance: str, name: str, status: str) -> float | None:
    fitting = (
        each.at
        for each in arrivals
        if (each.labels.get("instance"), each.labels["alertname"], each.status) == (instance, name, status)
    )
    return min(fitting, default=None)


def play(  # noqa: PLR0913 - keyword-only; all are independent
    home: Path,
    *,
    rules: Mapping[str, Any],
    config: Mapping[str, Any],
    expected: Mapping[str, set[str]],
    held: Mapping[str, set[str]],
    queries: Sequence[str],
) -> Story:
    """Play it, with the rule file and Alertmanager's configuration as they are shipped; return what came of it."""
    with ExitStack() as running:
        webhook = running.enter_context(Webhook())
        members = running.enter_context(
            fleet(
                home / "fleet",
                list(INSTANCES.values()),
                FACTOR,
                hasty=[INSTANCES[Fault.IMDS_HOP_LIMIT.value]],
                speeds={INSTANCES[lot]: speed for lot, speed in SPEEDS.items()},
            )
        )
        manager = running.enter_context(
            alertmanager(home / "alertmanager", compressed(sent_to(webhook.url, config), FACTOR))
        )
        server = running.enter_context(
            prometheus(
                home / "prometheus",
                rules=compressed(rules, FACTOR),
                targets={member.address: member.labels for member in members},
                alertmanager=manager,
                factor=FACTOR,
            )
        )
        stage = Stage(dict(zip(LOTS, members)), server, manager, webhook)
        try:
            stage.wait_until_healthy()
            stage.inflict_faults(expected, held)
            stage.query(queries)
            stage.repair_all(expected)
            stage.note_times(expected)
            stage.break_half(*expected[STRIKE.value])
            stage.stop_a_third(*expected[STOPPED])
            stage.story.rules = server.rules()
        except BaseException:
            print(stage.logs())  # noqa: T201 - pytest shows it with the failure
            for name in ("prometheus", "alertmanager"):
                print((home / name / "log").read_text(encoding="utf-8")[-5000:])  # noqa: T201
            raise
        return stage.story


def sent_to(url: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return *config* with every receiver replaced by one of the same name at *url*."""
    receivers = [
        {"name": receiver["name"], "webhook_configs": [{"url": f"{url}/{receiver['name']}", "send_resolved": True}]}
        for receiver in config["receivers"]
    ]
    return {**config, "receivers": receivers}
