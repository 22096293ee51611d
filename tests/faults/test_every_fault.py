"""Each fault from end to end: scenario, verdict, journal, metric, alert, remedy, catalog, runbook.

Start here to find all that a fault has. What fails names the missing step of docs/developing.md, "To add a fault".
`tests/integration/test_scenarios.py` walks every scenario, and `tests/test_new_fault.py` adds a fault.
"""

from __future__ import annotations

import html
import time
from dataclasses import replace
from pathlib import Path

import pytest

from builders import failure
from harness import in_process, timeouts_for, utc_now
from pages import catalog
from rolewatch.alerts import Options, alert_name, alerts
from rolewatch.aws.diagnose import CHECKS
from rolewatch.faults import CONFIRMED_FAULTS, DAEMON_FAULTS, FAULTS, ROOT_CAUSES, Fault
from rolewatch.faults.explain import explain
from rolewatch.imds import Questions, observe
from rolewatch.imds.client import Client
from rolewatch.monitor.classify import Prior, Verdict, classify
from rolewatch.observation import Answered, Moment, Observation
from rolewatch.settings import ExpectSettings, LimitSettings
from rolewatch.simulator import Simulator
from rolewatch.simulator.scenarios import SCENARIOS, Scenario
from rolewatch.vocabulary import Document
from runbooks import text
from test_faults import RELEASED_IDS

SHOWN_BY_IMDS = [fault for fault in DAEMON_FAULTS if fault not in CONFIRMED_FAULTS]
"""The faults that a poll of IMDS shows. The others rest on the AWS API: tests/test_confirmation.py, tests/aws."""
EACH = pytest.mark.parametrize("fault", DAEMON_FAULTS, ids=lambda fault: fault.value)
EACH_SHOWN_BY_IMDS = pytest.mark.parametrize("fault", SHOWN_BY_IMDS, ids=lambda fault: fault.value)
ROOT = Path(__file__).parents[2]
STEP = 'docs/developing.md, "To add a fault", step'


def scenario_of(fault: Fault) -> Scenario:
    """Return the first scenario in which *fault* is the only one. Fail where there is none."""
    for scenario in SCENARIOS:
        if scenario.expect.faults == (fault,):
            return scenario
    pytest.fail(f"{fault.value}: no scenario in simulator/scenarios.py expects it alone ({STEP} 3)")


def observation_of(scenario: Scenario) -> Observation:
    """Return what one poll observes in *scenario*."""
    with Simulator(now=utc_now, scenario_name=scenario.name) as imds:
        client = Client(imds.endpoint, timeouts_for(scenario), monotonic=time.monotonic)
        return observe(client, ExpectSettings(), Questions())


def judge(observation: Observation, scenario: Scenario) -> Verdict:
    """Return the verdict on *observation* with the settings of *scenario*."""
    prior = Prior(expected_role=scenario.expect.expect_role)
    return classify(observation, prior, LimitSettings(), Moment(utc_now(), uptime=1e6))


def faults(verdict: Verdict) -> list[Fault]:
    """Return the faults in *verdict*."""
    return [finding.fault for finding in verdict.findings]


@EACH_SHOWN_BY_IMDS
def test_a_poll_of_its_scenario_finds_the_fault(fault: Fault) -> None:
    """The simulator serves it, `observe` reads it, and `classify` names it and no other."""
    scenario = scenario_of(fault)

    assert faults(judge(observation_of(scenario), scenario)) == [fault], f"monitor/classify.py ({STEP} 2)"


@EACH_SHOWN_BY_IMDS
def test_a_document_that_cannot_be_read_never_clears_the_fault(fault: Fault) -> None:
    """The verdict still has the fault, or leaves it undetermined, whichever document fails."""
    scenario = scenario_of(fault)
    observation = observation_of(scenario)
    if not isinstance(observation, Answered):
        return  # no document was read: no token
    for document in Document:
        verdict = judge(without(document, observation), scenario)

        assert fault in [*faults(verdict), *verdict.undetermined], f"{document.name} belongs to `reads` ({STEP} 1)"


def without(document: Document, observation: Answered) -> Answered:
    """Return *observation* as it is where *document* cannot be read. Without a listing no credentials are requested."""
    unread = failure(document=document.value)
    if document is Document.INFO:
        return replace(observation, info=unread)
    if document is Document.CREDENTIALS:
        return observation if observation.credentials is None else replace(observation, credentials=unread)
    return replace(observation, listing=unread, credentials=None)


@EACH_SHOWN_BY_IMDS
def test_the_daemon_raises_the_fault_in_journal_and_metrics(fault: Fault, tmp_path: Path) -> None:
    """One journal entry with its MESSAGE_ID, priority and hint; its metric is 1, and every other is 0."""
    scenario, entry = scenario_of(fault), FAULTS[fault]
    with in_process(tmp_path, scenario.name, expect=ExpectSettings(role=scenario.expect.expect_role)) as daemon:
        seen = daemon.run()

    (raised,) = seen.events("fault_raised")
    assert raised["ROLEWATCH_FAULT"] == fault.value
    assert (raised["MESSAGE_ID"], raised["PRIORITY"]) == (entry.message_id, str(entry.severity.value))
    assert raised["MESSAGE"].startswith(f"{fault.value}: {entry.title}")
    active = {each for each in DAEMON_FAULTS if seen.sample("rolewatch_fault_active", fault=each.value) == 1.0}
    assert active == {fault}
    assert f'rolewatch_fault_active{{fault="{fault.value}"}} 1.0' in seen.textfile
    (shown,) = seen.status["faults"]
    assert (shown["fault"], shown["title"], shown["page"]) == (fault.value, entry.title, entry.page)
    assert shown["fix"][0]["text"] == explain(fault, shown["evidence"], {}).fix[0].text
    assert entry.title in html.unescape(seen.page)


@EACH
def test_the_fault_has_an_alert_a_catalog_entry_and_a_runbook(fault: Fault) -> None:
    """Each names the others by the same words: fault, alert, MESSAGE_ID."""
    entry, page = FAULTS[fault], text(fault.value)

    assert next(alert.runbook for alert in alerts(Options()) if alert.name == alert_name(fault)) == fault.value
    assert f"-- {entry.message_id}\nSubject: {fault.value}: {entry.title}\n" in catalog.render()
    assert f"Alert: `{alert_name(fault)}`" in page, "make generate"
    assert f"MESSAGE_ID={entry.message_id}`" in page, "make generate"
    assert f'rolewatch_fault_active{{fault="{fault.value}"}} 1.0\n{fault.value}: {entry.title}' in page


def test_a_fault_that_is_not_released_is_in_the_changelog() -> None:
    """Operators read there what is new."""
    unreleased = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").partition("## Unreleased")[2].partition("\n## ")[0]
    new = [fault.value for fault in Fault if fault.value not in RELEASED_IDS]

    assert [fault for fault in new if f"`{fault}`" not in unreleased] == [], f"CHANGELOG.md ({STEP} 5)"


def test_every_fault_has_a_rank_among_root_causes() -> None:
    """`diagnose` can name any fault as the cause of the others."""
    assert sorted(ROOT_CAUSES) == sorted(Fault)


def test_a_check_of_diagnose_decides_each_confirmed_fault() -> None:
    """One check for one fault: the evidence file is read by the name of the check."""
    deciding = [FAULTS[fault].decided_by for fault in CONFIRMED_FAULTS]

    assert len(set(deciding)) == len(deciding)
    assert set(deciding) <= {check.id for check in CHECKS}
