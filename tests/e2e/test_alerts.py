"""Every trouble of a fleet fires the right alert, which can be acted on, is grouped and inhibited, and ends."""

from __future__ import annotations

import re

import pytest

import rolewatch
from e2e.latency import GROUP_INTERVAL, at_most
from e2e.shipped import EXPECTED, HELD_BACK, HOME, RULES
from e2e.story import EXPIRED, FACTOR, INSTANCES, STOPPABLE, STRIKE, STRUCK, Story
from rolewatch.faults import DAEMON_FAULTS, Fault
from rolewatch.faults.explain import explain

RUNBOOKS = {
    rule["annotations"]["runbook_url"].rpartition("/")[2]
    for group in RULES["groups"]
    for rule in group["rules"]
    if "alert" in rule
}
RECEIVERS = {"critical": "pager", "warning": "tickets"}
"""By severity."""
LATE = 10.0
"""Seconds by which a busy machine may be late."""


def notified(story: Story, lot: str) -> set[str]:
    """Return the alerts that *lot* fired while the fleet was faulty."""
    return {each.labels["alertname"] for each in story.faulty if each.labels.get("instance") == INSTANCES[lot]}


def test_a_fleet_that_is_well_is_quiet(story: Story) -> None:
    """No alert fires, not even while it starts."""
    assert story.before == []


@pytest.mark.parametrize("lot", INSTANCES)
def test_every_trouble_of_an_instance_fires_the_right_alert(story: Story, lot: str) -> None:
    """And no other. An instance whose trouble does not concern its credentials fires none."""
    assert notified(story, lot) == EXPECTED.get(lot, set())


@pytest.mark.parametrize("fault", DAEMON_FAULTS)
def test_an_alert_needs_no_look_up(story: Story, fault: Fault) -> None:
    """It names the instance, the cause, the fix with its commands, and when that takes effect; and has its runbook."""
    instance = INSTANCES[fault.value]
    (alert, *_) = (each for each in story.faulty if each.labels.get("instance") == instance)
    text = " ".join(alert.annotations.values())
    unquoted = re.sub(r"[\s'\"]", "", alert.annotations["fix"])
    notified = explain(fault, {}, {"instance_id": instance})

    assert alert.annotations["summary"] == f"{instance}: {notified.title}."
    for part in (notified.title, notified.meaning, notified.cause, notified.hint, notified.who, notified.takes_effect):
        assert part in text
    for step in notified.fix:
        assert step.text in text
        assert re.sub(r"[\s'\"]", "", step.command) in unquoted
    assert "{{" not in text
    assert alert.annotations["runbook_url"] == f"{rolewatch.project_url('Runbooks')}/{fault.value}"


@pytest.mark.parametrize("page", sorted(RUNBOOKS))
def test_a_runbook_is_there(page: str) -> None:
    """What runbook_url leads to is a page of docs/runbooks."""
    assert (HOME.parents[1] / "docs" / "runbooks" / f"{page}.md").exists()


def test_alerts_are_grouped_by_what_is_wrong_and_never_by_instance(story: Story) -> None:
    """One change that breaks a whole fleet is one message."""
    groups = [each.notification.group for each in story.faulty]

    assert groups
    assert all("alertname" in group and "instance" not in group for group in groups)
    sizes = [len(each.notification.alerts) for each in story.faulty if each.labels["alertname"] in EXPECTED[EXPIRED]]
    assert max(sizes) > 1


@pytest.mark.parametrize("lot", [lot for lot in INSTANCES if lot in EXPECTED])
def test_severity_decides_who_is_notified(story: Story, lot: str) -> None:
    """What is critical goes to the pager, and the rest to the tickets."""
    notified = [each for each in story.faulty if each.labels.get("instance") == INSTANCES[lot]]

    assert notified
    assert {(each.labels["severity"], each.notification.receiver) for each in notified} <= set(RECEIVERS.items())


@pytest.mark.parametrize("lot", INSTANCES)
def test_the_graver_alert_of_an_instance_inhibits_the_lesser(story: Story, lot: str) -> None:
    """Credentials that have expired were overdue before that: a second message would add nothing."""
    assert story.held_back.get(INSTANCES[lot], set()) == HELD_BACK.get(lot, set())


def test_one_change_that_breaks_half_a_fleet_is_one_message(story: Story) -> None:
    """The fleet's alert names the fault and the number, and inhibits the single ones."""
    (fleet, *_) = (each for each in story.struck if each.labels["alertname"] == "RolewatchFleetFault")

    assert fleet.labels["fault"] == STRIKE.value
    assert "instance" not in fleet.labels
    assert fleet.annotations["summary"] == f"{len(STRUCK)} instances have the same fault: {STRIKE.value}."
    assert all(EXPECTED[STRIKE.value] <= story.held_back_when_struck[INSTANCES[lot]] for lot in STRUCK)


def test_a_fleet_that_is_gone_is_one_message(story: Story) -> None:
    """The single agents that do not answer are inhibited as soon as it is the fleet that does not."""
    assert [each for each in story.stopped if each.labels["alertname"] == "RolewatchFleetDown"]
    assert all("RolewatchDown" in story.held_back_at_last[INSTANCES[lot]] for lot in STOPPABLE)


@pytest.mark.parametrize("lot", [lot for lot in EXPECTED if lot != "crashing"])
def test_what_is_repaired_is_reported_as_resolved(story: Story, lot: str) -> None:
    """Every alert ends, and says so."""
    over = {
        each.labels["alertname"]
        for each in story.repaired
        if each.status == "resolved" and each.labels.get("instance") == INSTANCES[lot]
    }

    assert over >= EXPECTED[lot]


@pytest.mark.parametrize("fault", DAEMON_FAULTS)
def test_a_fault_is_notified_in_time(story: Story, fault: Fault) -> None:
    """First the metric, then the alert, then the webhook; and not later than the durations of the files add up to.

    Where another instance's alert opened the group before, this one waits for the group's next message.
    """
    times = story.times[fault.value]
    (name,) = EXPECTED[fault.value]

    assert times.metric is not None
    assert times.firing is not None
    assert times.notified is not None
    assert times.inflicted < times.metric <= times.firing < times.notified
    assert times.notified - times.inflicted < (at_most(fault.value, name) + GROUP_INTERVAL) / FACTOR + LATE


def test_prometheus_finds_nothing_wrong_with_the_rules(story: Story) -> None:
    """All were loaded, and evaluated without an error."""
    loaded = {rule["name"] for rule in story.rules}

    assert loaded == {rule.get("alert") or rule["record"] for group in RULES["groups"] for rule in group["rules"]}
    assert [(rule["name"], rule["lastError"]) for rule in story.rules if rule["health"] != "ok"] == []


def test_a_repaired_instance_fires_no_new_alert(story: Story) -> None:
    """A resolved alert is not followed by another about the same trouble."""
    late = {
        (lot, each.labels["alertname"])
        for each in story.repaired
        for lot, instance in INSTANCES.items()
        if each.labels.get("instance") == instance and each.status == "firing"
    }

    assert {(lot, name) for lot, name in late if name not in EXPECTED.get(lot, set())} == set()
