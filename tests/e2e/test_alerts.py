"""What befalls a fleet is told by the right alert, can be acted on, is grouped and held back as promised, and ends."""

from __future__ import annotations

from typing import Set

import pytest

from e2e.latency import GROUP_INTERVAL, at_most
from e2e.shipped import EXPECTED, RULES, telling_of
from e2e.story import EXPIRED, FACTOR, INSTANCES, STOPPABLE, Story
from rolewatch.faults import FAULTS, Fault

LATE = 10.0
"""Seconds by which a busy machine may be late."""


def told(story: Story, lot: str) -> Set[str]:
    """Return the alerts that were told of *lot* while the fleet was ill."""
    return {each.labels["alertname"] for each in story.ill if each.labels.get("instance") == INSTANCES[lot]}


def test_a_fleet_that_is_well_is_quiet(story: Story) -> None:
    """Nothing is told, not even while it starts."""
    assert story.before == []


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_has_its_alert(fault: Fault) -> None:
    """Exactly one: two messages for one thing are one too many."""
    assert len(telling_of(fault)) == 1


@pytest.mark.parametrize("lot", INSTANCES)
def test_what_befalls_an_instance_is_told_by_the_right_alert(story: Story, lot: str) -> None:
    """And by no other. An instance whose trouble is none of its credentials' is not told of at all."""
    assert told(story, lot) == EXPECTED.get(lot, set())


@pytest.mark.parametrize("fault", Fault)
def test_an_alert_needs_no_second_look_up(story: Story, fault: Fault) -> None:
    """It names the instance, the cause and the fix, in the words of the table of faults, and has its runbook."""
    (alert, *_) = (each for each in story.ill if each.labels.get("instance") == INSTANCES[fault.value])
    entry = FAULTS[fault]
    text = " ".join(alert.annotations.values())

    assert alert.annotations["summary"]
    assert INSTANCES[fault.value] in text
    assert entry.title in text
    assert entry.remedy.cause.split("{")[0] in text
    assert all(step.text.split("{")[0] in text for step in entry.remedy.fix)
    assert alert.annotations["runbook_url"].startswith("https://")


def test_alerts_are_grouped_by_what_is_wrong_and_never_by_instance(story: Story) -> None:
    """One change that breaks a whole fleet is one message."""
    groups = [each.notification.group for each in story.ill]

    assert groups
    assert all("alertname" in group and "instance" not in group for group in groups)
    sizes = [len(each.notification.alerts) for each in story.ill if each.labels["alertname"] in EXPECTED[EXPIRED]]
    assert max(sizes) > 1


@pytest.mark.parametrize("lot", [lot for lot in INSTANCES if lot in EXPECTED])
def test_severity_decides_who_is_told(story: Story, lot: str) -> None:
    """What is critical goes to another receiver than the rest."""
    receivers = {
        each.notification.receiver
        for each in story.ill
        if each.labels["alertname"] in EXPECTED[lot] and each.labels.get("severity") == "critical"
    }
    others = {each.notification.receiver for each in story.ill if each.labels.get("severity") != "critical"}

    assert receivers & others == set()


def test_the_graver_alert_of_an_instance_holds_the_lesser_back(story: Story) -> None:
    """Credentials that have expired were overdue before that; nobody needs to be told so."""
    assert story.held_back[INSTANCES[EXPIRED]] == telling_of(Fault.ROTATION_OVERDUE)


def test_a_fleet_that_is_gone_is_one_message(story: Story) -> None:
    """The single agents that do not answer are held back as soon as it is the fleet that does not."""
    assert [each for each in story.stopped if each.labels["alertname"] == "RolewatchFleetDown"]
    for lot in STOPPABLE:
        assert "RolewatchDown" in story.held_back_at_last[INSTANCES[lot]]


@pytest.mark.parametrize("lot", [lot for lot in EXPECTED if lot != "crashing"])
def test_what_is_mended_is_told_to_be_over(story: Story, lot: str) -> None:
    """Every alert ends, and says so."""
    over = {
        each.labels["alertname"]
        for each in story.mended
        if each.status == "resolved" and each.labels.get("instance") == INSTANCES[lot]
    }

    assert over >= EXPECTED[lot]


@pytest.mark.parametrize("fault", Fault)
def test_a_fault_is_told_in_time(story: Story, fault: Fault) -> None:
    """First the metric, then the alert, then the webhook; and not later than the durations of the files add up to.

    Where another instance's alert opened the group before, this one waits for the group's next message.
    """
    times = story.times[fault.value]
    (name,) = EXPECTED[fault.value]

    assert times.metric is not None
    assert times.firing is not None
    assert times.told is not None
    assert times.inflicted < times.metric <= times.firing < times.told
    assert times.told - times.inflicted < (at_most(fault.value, name) + GROUP_INTERVAL) / FACTOR + LATE


def test_prometheus_finds_nothing_wrong_with_the_rules(story: Story) -> None:
    """All were loaded, and evaluated without an error."""
    loaded = {rule["name"] for rule in story.rules}

    assert loaded == {rule.get("alert") or rule["record"] for group in RULES["groups"] for rule in group["rules"]}
    assert [(rule["name"], rule["lastError"]) for rule in story.rules if rule["health"] != "ok"] == []
