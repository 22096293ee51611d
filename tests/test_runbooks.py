"""The runbooks are complete, agree with the tables, and have commands that work."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import datetime, timezone

import pytest

from pages.runbooks import subjects
from rolewatch.alerts import Options, alerts
from rolewatch.faults import DAEMON_FAULTS, Fault
from rolewatch.simulator import Simulator
from rolewatch.simulator.scenarios import SCENARIOS
from runbooks import HOME, fenced, part, text

ALERTS = alerts(Options())
PARTS = ["How it looks", "Confirm by hand", "Cause and fix", "Prevent it"]
PAGES = [*subjects(), "README"]
BY_NAME = pytest.mark.parametrize("name", PAGES)


def scenario_of(fault: Fault) -> str:
    """Return the scenario in which IMDS shows *fault*; the healthy one for a fault that only the AWS API shows."""
    return next((each.name for each in SCENARIOS if fault in each.expect.faults), "healthy")


def test_every_fault_and_every_alert_has_its_page_and_no_page_is_an_orphan() -> None:
    """Where an alert leads there is a page, and each page is the end of such a way."""
    led_to = {alert.runbook for alert in ALERTS}

    assert {path.stem for path in HOME.iterdir()} == led_to | {fault.value for fault in Fault} | {"README"}
    assert {fault.value for fault in DAEMON_FAULTS} <= led_to


@pytest.mark.parametrize("fault", Fault)
def test_a_runbook_has_its_parts_in_order(fault: Fault) -> None:
    """How it looks, how to confirm it, what to do, how to prevent it: and some text under each."""
    assert re.findall(r"^## (.+)$", text(fault.value), flags=re.MULTILINE) == PARTS
    assert all(len(part(fault.value, heading)) > 50 for heading in PARTS)
    assert "What applications say:" in part(fault.value, "How it looks")


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.parametrize("fault", Fault)
def test_the_questions_of_a_runbook_get_the_answers_that_it_shows(fault: Fault) -> None:
    """On an instance with that fault, which the simulator replaces; and no secret is shown."""
    questions = "".join(fenced(part(fault.value, "Confirm by hand"), "sh"))
    (shown,) = fenced(part(fault.value, "Confirm by hand"), "text")
    with Simulator(now=lambda: datetime.now(timezone.utc), scenario_name=scenario_of(fault)) as imds:
        asked = questions.replace("http://169.254.169.254", imds.endpoint)
        answered = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=False, timeout=50)
        secrets = imds.secrets

    assert "169.254.169.254" not in asked
    assert [line for line in shown.splitlines() if line not in answered.stdout] == []
    assert [secret for secret in secrets if secret in answered.stdout + answered.stderr] == []


@BY_NAME
def test_every_command_is_one_that_a_shell_reads(name: str) -> None:
    """With something in the place of what a person fills in."""
    for block in fenced(text(name), "sh"):
        filled = re.sub(r"<[a-z-]+>", "X", block)
        read = subprocess.run(["bash", "-n"], input=filled, capture_output=True, text=True, check=False)

        assert read.stderr == ""


@BY_NAME
def test_every_link_leads_somewhere(name: str) -> None:
    """To a page that is there."""
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", text(name))

    assert [target for target in targets if not (HOME / target).exists()] == []
