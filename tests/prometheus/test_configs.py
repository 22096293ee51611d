"""The configurations of Prometheus and Alertmanager, checked with their own tools and against the alerts."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rolewatch.alerts import Alert, Options, alerts, groups
from rolewatch.publish.metric_table import FAMILIES

SHIPPED = Path(__file__).parents[2] / "packaging" / "prometheus"
ALERTS = alerts(Options())
NEEDS_PROMTOOL = pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no promtool: package prometheus")
NEEDS_AMTOOL = pytest.mark.skipif(
    shutil.which("amtool") is None, reason="there is no amtool: package prometheus-alertmanager"
)


def said(*words: object) -> subprocess.CompletedProcess[str]:
    """Run a tool and return its output."""
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)


def alertmanager() -> Any:  # noqa: ANN401 - YAML
    """Return the shipped configuration of Alertmanager."""
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load((SHIPPED / "alertmanager.yml").read_text(encoding="utf-8"))


@NEEDS_PROMTOOL
@pytest.mark.parametrize("file", sorted(SHIPPED.glob("prometheus-*.yml")), ids=lambda path: path.stem)
def test_prometheus_accepts_the_scrape_configuration(file: Path) -> None:
    """The rule files that it names are beside it. In Agent mode it may name none."""
    agent = ["--agent"] if file.stem == "prometheus-agent" else []
    checked = said("promtool", "check", "config", *agent, file)
    text = file.read_text(encoding="utf-8")

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "job_name: rolewatch\n" in text
    assert ("rule_files: [rolewatch.rules.yml]" in text) is (not agent)


def test_a_whole_scrape_is_within_the_limit() -> None:
    """No instance exports more than the scrape configuration allows, with any number of faults."""
    limits = {
        re.findall(r"sample_limit: (\d+)", file.read_text("utf-8"))[0] for file in SHIPPED.glob("prometheus-*.yml")
    }

    assert limits == {"120"}


@NEEDS_AMTOOL
def test_alertmanager_accepts_its_configuration() -> None:
    """The shipped one."""
    checked = said("amtool", "check-config", SHIPPED / "alertmanager.yml")

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(alertmanager()['inhibit_rules'])} inhibit rules" in checked.stdout


@NEEDS_AMTOOL
@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert.name}-{alert.severity}")
def test_critical_alerts_page_and_others_are_tickets(alert: Alert) -> None:
    """According to Alertmanager's own routing."""
    routed = said(
        "amtool", "config", "routes", "test", f"--config.file={SHIPPED / 'alertmanager.yml'}",
        f"alertname={alert.name}", f"severity={alert.severity}", "instance=i-0a", "job=rolewatch",
    )  # fmt: skip

    assert routed.stdout.strip() == {"critical": "pager", "warning": "tickets"}[alert.severity]


def test_alerts_are_grouped_and_never_by_instance() -> None:
    """One change that breaks three hundred instances is one message."""
    routes = [alertmanager()["route"], *alertmanager()["route"]["routes"]]

    assert alertmanager()["route"]["group_by"][:2] == ["alertname", "fault"]
    assert not any("instance" in route.get("group_by", ()) for route in routes)


def matched(matchers: list[str]) -> set[str]:
    """Return the names of the alerts that *matchers* match by name and severity."""
    found = set()
    for alert in ALERTS:
        labels = {"alertname": alert.name, "severity": alert.severity}
        fits = True
        for matcher in matchers:
            label, operator, pattern = re.fullmatch(r'(\w+)(=~?)"(.*)"', matcher).groups()  # type: ignore[union-attr]
            if label in labels:
                fits &= bool(re.fullmatch(pattern if operator == "=~" else re.escape(pattern), labels[label]))
        if fits:
            found.add(alert.name)
    return found


def test_every_alert_of_an_inhibition_exists() -> None:
    """An inhibition with the old name of an alert would do nothing, without an error."""
    for rule in alertmanager()["inhibit_rules"]:
        for matchers in (rule["source_matchers"], rule["target_matchers"]):
            (name,) = (each for each in matchers if each.startswith("alertname"))
            named = re.findall(r"Rolewatch\w+", re.sub(r"\((.*?)\)", "", name))
            assert matched(matchers), matchers
            assert all(any(alert.name.startswith(each) for alert in ALERTS) for each in named), named
        assert set(rule["equal"]) <= {"alertname", "job", "instance", "fault"}
        assert "job" in rule["equal"]


@pytest.mark.parametrize(
    ("source", "held_back"),
    [
        ("RolewatchFleetDown", {"RolewatchDown", "RolewatchCrashLooping"}),
        ("RolewatchCredentialsExpiring", {"RolewatchRotationOverdue"}),
        ("RolewatchImdsDisabled", {"RolewatchPollErrors", "RolewatchRotationOverdue"}),
    ],
)
def test_a_cause_inhibits_its_consequences(source: str, held_back: set[str]) -> None:
    """It inhibits no other alert."""
    rules = alertmanager()["inhibit_rules"]
    other = [rule for rule in rules if "fault" not in rule["equal"]]

    assert {
        name
        for rule in other
        if source in matched(rule["source_matchers"])
        for name in matched(rule["target_matchers"])
    } == held_back


def test_alerts_use_existing_metrics_only() -> None:
    """Every name in an expression is one of rolewatch, of Prometheus, or of a recording rule."""
    ours = {family.name for family in FAMILIES} | {"process_start_time_seconds", "up"}
    recorded = {rule.name for group in groups(Options()) for rule in group.rules if not isinstance(rule, Alert)}
    asked = {
        name
        for group in groups(Options())
        for rule in group.rules
        for name in re.findall(r"[a-z_:]*rolewatch_[a-z_:]+|process_[a-z_]+", re.sub(r'"[^"]*"', "", rule.expr))
    }

    assert asked - recorded - ours == set()
