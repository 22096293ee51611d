"""The rules in promtool, Prometheus's own tool: when they fire, minute by minute, and their texts."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from prometheus.timeline import MINUTE, Instance, between, input_series, on_and_off, rotated, steady
from rolewatch.alerts import Alert, Options, alert_name, alerts, groups, rule_file, severity_of
from rolewatch.cli import EX_USAGE, main
from rolewatch.faults import DAEMON_FAULTS, FAULTS, Fault
from rolewatch.faults.explain import explain
from rolewatch.vocabulary import FailureLabel

SHIPPED = Path(__file__).parents[2] / "packaging" / "prometheus" / "rolewatch.rules.yml"
NEEDS_PROMTOOL = pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no promtool: package prometheus")
OVERDUE, EXPIRED, DETACHED = Fault.ROTATION_OVERDUE, Fault.CREDENTIALS_EXPIRED, Fault.INSTANCE_PROFILE_DETACHED


def promtool(*words: object) -> str:
    """Run promtool and return its output. Fail the test if promtool finds an error."""
    ran = subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def play(
    directory: Path,
    instances: Sequence[Instance],
    expected: Mapping[int, Sequence[str]],
    *,
    options: Options | None = None,
) -> None:
    """Run promtool on *instances*. At each minute of *expected* exactly these alerts fire."""
    rules = directory / "rules.yml"
    rules.write_text(SHIPPED.read_text(encoding="utf-8") if options is None else rule_file(options), encoding="utf-8")
    test = {
        "interval": "1m",
        "input_series": input_series(instances, max(expected)),
        "promql_expr_test": [
            {
                "expr": 'count by (alertname, severity) (ALERTS{alertstate="firing"})',
                "eval_time": f"{minute}m",
                "exp_samples": [
                    {"labels": '{{alertname="{}", severity="{}"}}'.format(*each.split()), "value": count}
                    for each, count in counted(firing).items()
                ],
            }
            for minute, firing in expected.items()
        ],
    }
    # Groups have no order of their own: where the recording rules come last, what rests on them is a minute later.
    order = [group.name for group in groups(Options())]
    document = {
        "rule_files": [str(rules)],
        "evaluation_interval": "1m",
        "group_eval_order": order,
        "tests": [test],
    }
    file = directory / "test.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    promtool("test", "rules", file)


def counted(firing: Sequence[str]) -> dict[str, int]:
    """Return how often each alert is expected: ``name severity``, or ``12 x name severity``."""
    counts: dict[str, int] = {}
    for each in firing:
        number, times, name = each.partition(" x ")
        counts[name if times else each] = int(number) if times else 1
    return counts


# The file


def test_the_default_set_is_pinned() -> None:
    """Sites route and silence by names, severities and waits. A new fault changes no other alert."""
    listed = [
        f"{alert.name} {alert.severity} {alert.wait} {alert.keep_firing_for or '-'}" for alert in alerts(Options())
    ]

    pinned = [
        "RolewatchDown warning 10m -",
        "RolewatchFleetDown critical 15m -",
        "RolewatchPollStale warning 5m -",
        "RolewatchCrashLooping warning 0m 30m",
        "RolewatchConfigReloadFailed warning 10m -",
        "RolewatchPollErrors warning 15m -",
        "RolewatchThrottled warning 10m -",
        "RolewatchLinklocalPacketsDropped warning 15m -",
        "RolewatchImdsUnreachable warning 5m 5m",
        "RolewatchImdsHopLimit warning 5m 5m",
        "RolewatchImdsDisabled warning 5m 5m",
        "RolewatchImdsError warning 5m 5m",
        "RolewatchInstanceProfileDetached critical 5m 5m",
        "RolewatchInstanceProfileNotFound critical 5m 5m",
        "RolewatchInstanceProfileNotFound warning 5m 5m",
        "RolewatchInstanceProfileWithoutRole critical 5m 5m",
        "RolewatchInstanceProfileWithoutRole warning 5m 5m",
        "RolewatchCredentialsMissing critical 5m 5m",
        "RolewatchAssumeRoleUnauthorized critical 10m 5m",
        "RolewatchCredentialsError critical 5m 5m",
        "RolewatchCredentialsExpired critical 1m 5m",
        "RolewatchRotationOverdue warning 15m 5m",
        "RolewatchRoleMismatch critical 10m 5m",
        "RolewatchClockSkew warning 15m 5m",
        "RolewatchCredentialsRejected critical 5m 5m",
        "RolewatchInstanceProfileReplaced warning 5m 5m",
        "RolewatchRoleSwapPending warning 5m 5m",
        "RolewatchTrustPolicyDeniesEc2 warning 5m 5m",
        "RolewatchCredentialsExpiring critical 2m 5m",
        "RolewatchFleetFault critical 3m 5m",
        "RolewatchFleetFault warning 3m 5m",
    ]
    assert [alert for alert in listed if alert in pinned] == pinned


@pytest.mark.parametrize("fault", DAEMON_FAULTS)
def test_every_fault_reaches_exactly_one_alert(fault: Fault) -> None:
    """The alert for the fleet is about many instances."""
    responsible = {
        alert.name
        for alert in alerts(Options())
        if alert.name != "RolewatchFleetFault"
        and any(
            re.fullmatch(pattern, fault.value) for pattern in re.findall(r'fault=~?"([^"]*)"', fault_selector(alert))
        )
    }

    assert responsible == {alert_name(fault)}


def fault_selector(alert: Alert) -> str:
    """Return the condition of *alert*, without its exceptions."""
    return alert.expr.partition("unless")[0]


@pytest.mark.parametrize("fault", DAEMON_FAULTS)
def test_an_alert_has_cause_and_fix_from_the_table(fault: Fault) -> None:
    """What is wrong, where, why, what to do, when it takes effect, who can do it, and the commands."""
    explanation = explain(fault, {}, {"instance_id": "{{ $labels.instance }}"})
    for alert in (each for each in alerts(Options()) if each.name == alert_name(fault)):
        words = (
            fault.value,
            explanation.title,
            explanation.meaning,
            explanation.cause,
            explanation.hint,
            explanation.takes_effect,
            explanation.who,
        )
        assert [each for each in ("{{ $labels.instance }}", *words) if each not in alert.description] == []
        assert all(step.text in alert.fix for step in explanation.fix)
        assert all(line in alert.fix for step in explanation.fix for line in step.command.splitlines())
        assert alert.summary == f"{{{{ $labels.instance }}}}: {explanation.title}."
        assert alert.runbook == fault.value


@NEEDS_PROMTOOL
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(Options(runbooks="https://example.org/runbooks"), id="default"),
        pytest.param(Options(selector='job=~"node|agents", env!="test"'), id="selector"),
        pytest.param(
            Options(expiring=300, poll_failures=0.5, down=0.5, fleet_hosts=3, fleet_share=0.5), id="thresholds"
        ),
        pytest.param(Options(keep_firing_for=False), id="old-prometheus"),
    ],
)
def test_promtool_accepts_the_file(options: Options, tmp_path: Path) -> None:
    """The shipped one, and one for each option. It has every rule and every option."""
    file = tmp_path / "rules.yml"
    file.write_text(rule_file(options), encoding="utf-8")
    text = file.read_text(encoding="utf-8")

    assert f"{len(alerts(Options())) + 4} rules found" in promtool("check", "rules", file)
    assert text.count(f"{{{options.selector}") > len(alerts(Options()))
    assert ("keep_firing_for" in text) is options.keep_firing_for
    assert text.count("runbook_url: ") == (len(alerts(Options())) if options.runbooks else 0)


def test_the_command_prints_what_is_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    """Without options. Each option changes its value."""
    assert main(["rules"]) == 0
    assert capsys.readouterr().out == SHIPPED.read_text(encoding="utf-8")
    assert main(["rules", "--selector", '{job="node"}', "--expiring", "5m", "--runbooks", "https://wiki.example/"]) == 0
    printed = capsys.readouterr().out
    assert 'up{job="node"} == 0' in printed
    assert "time() < 300" in printed
    assert "runbook_url: https://wiki.example/role_mismatch\n" in printed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--selector", "rolewatch"], "is no label matcher"),
        (["--expiring", "soon"], "is not a duration"),
        (["--down", "20"], "is not a share"),
        (["--fleet-hosts", "0"], "is not a number of instances"),
    ],
)
def test_an_invalid_option_is_refused(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The message has a valid value, and no rules are printed."""
    with pytest.raises(SystemExit) as ended:
        main(["rules", *words])
    printed = capsys.readouterr()

    assert (ended.value.code, printed.out) == (EX_USAGE, "")
    assert said in printed.err


# Fault by fault


def filled_in(alert: Alert, instance: str) -> dict[str, str]:
    """Return the annotations of *alert* in the shipped file, filled in for *instance*."""
    yaml = pytest.importorskip("yaml")
    document = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    rules: list[dict[str, Any]] = [rule for group in document["groups"] for rule in group["rules"]]
    (rule,) = (
        each for each in rules if each.get("alert") == alert.name and each["labels"]["severity"] == alert.severity
    )
    return {key: str(text).replace("{{ $labels.instance }}", instance) for key, text in rule["annotations"].items()}


@NEEDS_PROMTOOL
@pytest.mark.parametrize("fault", DAEMON_FAULTS)
def test_a_long_fault_fires_with_its_text_and_a_short_one_does_not(fault: Fault, tmp_path: Path) -> None:
    """It fires after its wait, with all annotations, and ends after its ``keep_firing_for``."""
    (alert, *_) = (each for each in alerts(Options()) if each.name == alert_name(fault))
    wait = int(alert.wait.rstrip("m"))
    faulty = Instance("i-0a", faults={fault: between(10, 50)}, usable=between(10, 50, other=1, value=0))
    short = Instance("i-0b", faults={fault: between(10, 10 + wait)}, usable=between(10, 10 + wait, other=1, value=0))
    expected = {
        "exp_labels": {
            "severity": alert.severity,
            "job": "rolewatch",
            "instance": "i-0a",
            "fault": fault.value,
        },
        "exp_annotations": filled_in(alert, "i-0a"),
    }
    test = {
        "interval": "1m",
        "input_series": input_series([faulty, short], 60),
        "alert_rule_test": [
            {"alertname": alert.name, "eval_time": f"{minute}m", "exp_alerts": exp}
            for minute, exp in ((9 + wait, []), (10 + wait, [expected]), (49, [expected]), (54, [expected]), (56, []))
        ],
    }
    file = tmp_path / "test.json"
    file.write_text(
        json.dumps({"rule_files": [str(SHIPPED)], "evaluation_interval": "1m", "tests": [test]}), encoding="utf-8"
    )

    promtool("test", "rules", file)


@NEEDS_PROMTOOL
@pytest.mark.parametrize("fault", [fault for fault in DAEMON_FAULTS if FAULTS[fault].warns_while_usable])
def test_a_fault_is_a_warning_until_the_credentials_are_unusable(fault: Fault, tmp_path: Path) -> None:
    """A ticket hours before, a page when the last credentials expire, and no gap between them."""
    faulty = Instance("i-0a", faults={fault: between(10, 90)}, usable=between(10, 50))
    name = alert_name(fault)

    play(
        tmp_path,
        [faulty],
        {14: [], 15: [f"{name} warning"], 49: [f"{name} warning"], 54: [f"{name} warning"], 55: [f"{name} critical"]}
        | {70: [f"{name} critical"]},
    )


# What a fleet goes through


NOTHING: Sequence[str] = ()
DOWN, FLEET_DOWN = "RolewatchDown warning", "RolewatchFleetDown critical"
OVERDUE_TOLD, EXPIRED_TOLD = "RolewatchRotationOverdue warning", "RolewatchCredentialsExpired critical"
EXPIRING = "RolewatchCredentialsExpiring critical"
THROTTLED, DROPPED = "RolewatchThrottled warning", "RolewatchLinklocalPacketsDropped warning"
STALE, CRASHING, ERRORS = "RolewatchPollStale warning", "RolewatchCrashLooping warning", "RolewatchPollErrors warning"
DETACHED_TOLD = "RolewatchInstanceProfileDetached critical"
MISMATCH = "RolewatchRoleMismatch critical"
UNREACHABLE, IMDS_ERROR = "RolewatchImdsUnreachable warning", "RolewatchImdsError warning"


def fleet(size: int) -> list[Instance]:
    """Return *number* instances without a fault."""
    return [Instance(f"i-{number:04x}") for number in range(size)]


@pytest.mark.slow
@NEEDS_PROMTOOL
@pytest.mark.parametrize(
    ("every", "life"),
    [
        pytest.param(60, 362, id="hourly"),
        pytest.param(62, 362, id="two-minutes-late"),
        pytest.param(170, 362, id="every-2-h-50"),
        pytest.param(10, 15, id="15-minute-credentials"),
        pytest.param(50, 60, id="1-hour-credentials"),
        pytest.param(55, 60, id="1-hour-credentials-at-the-last-moment"),
    ],
)
def test_a_fleet_without_faults_has_no_alert_for_a_day(every: int, life: int, tmp_path: Path) -> None:
    """At any rotation interval, no alert fires at any minute."""
    well = Instance("i-0a", credentials=rotated(every, life))

    play(tmp_path, [well], dict.fromkeys(range(0, 1440, 7), NOTHING))


@NEEDS_PROMTOOL
def test_short_problems_do_not_alert(tmp_path: Path) -> None:
    """Five failed scrapes, four minutes of a fault, nine of a mismatch, one restart, one instance that is scaled in."""
    instances = [
        Instance("i-scrapes", up=between(20, 25, other=1, value=0)),
        Instance("i-fault", faults={Fault.IMDS_UNREACHABLE: between(20, 24), DETACHED: between(30, 34)}),
        Instance("i-mismatch", faults={Fault.ROLE_MISMATCH: between(20, 29)}),
        Instance("i-restart", started=between(20, 999, value=20 * MINUTE)),
        Instance("i-scaled-in", up=lambda minute: 1 if minute < 20 else 0 if minute < 28 else None),
    ]

    play(tmp_path, instances, dict.fromkeys(range(61), NOTHING))


@NEEDS_PROMTOOL
@pytest.mark.parametrize("life", [15, 60])
def test_short_lived_credentials_that_are_not_rotated_alert_before_the_end(life: int, tmp_path: Path) -> None:
    """Two minutes before it: AWS promises the next ones five minutes before."""
    stuck = Instance("i-0a", credentials=(steady(0), steady(life * MINUTE)))

    play(tmp_path, [stuck], {life - 5: [], life - 4: [], life - 1: [EXPIRING], life + 5: [EXPIRING]})


@NEEDS_PROMTOOL
def test_a_stuck_rotation_alerts_hours_before_the_end_without_a_gap(tmp_path: Path) -> None:
    """Overdue two hours after the last one, expiring a quarter of an hour before the end, expired at the end."""
    stuck = Instance(
        "i-0a",
        credentials=(steady(0), steady(360 * MINUTE)),
        faults={OVERDUE: between(120, 999), EXPIRED: between(360, 999)},
        usable=between(0, 360),
    )

    play(
        tmp_path,
        [stuck],
        {134: NOTHING, 135: [OVERDUE_TOLD], 347: [OVERDUE_TOLD], 348: [OVERDUE_TOLD, EXPIRING]}
        | {360: [OVERDUE_TOLD, EXPIRING], 361: [OVERDUE_TOLD, EXPIRING, EXPIRED_TOLD]},
    )


@NEEDS_PROMTOOL
def test_credentials_that_expire_while_the_agent_hangs_alert(tmp_path: Path) -> None:
    """Its last metrics are enough."""
    hung = Instance(
        "i-0a", credentials=(steady(0), steady(360 * MINUTE)), last_poll=lambda minute: min(minute, 100) * 60.0
    )

    play(tmp_path, [hung], {104: NOTHING, 111: [STALE], 348: [STALE, EXPIRING], 400: [STALE, EXPIRING]})


@NEEDS_PROMTOOL
def test_a_late_rotation_alerts_unless_the_threshold_allows_it(tmp_path: Path) -> None:
    """Five minutes before the end is what AWS promises: by default that is too late, with --expiring 5m it is not."""
    late = [Instance("i-0a", credentials=rotated(every=355, life=360))]

    play(tmp_path, late, {347: NOTHING, 348: [EXPIRING], 359: [EXPIRING], 361: NOTHING, 600: NOTHING})
    play(tmp_path, late, dict.fromkeys(range(300, 720, 3), NOTHING), options=Options(expiring=300))


@NEEDS_PROMTOOL
def test_a_loop_that_hangs_alerts_while_the_page_answers(tmp_path: Path) -> None:
    """Five intervals and at least five minutes, and five more."""
    hung = Instance("i-0a", last_poll=lambda minute: min(minute, 20) * 60.0)

    play(tmp_path, [hung], {30: NOTHING, 31: [STALE], 90: [STALE]})


@NEEDS_PROMTOOL
def test_agents_that_are_down_alert_singly_and_as_a_fleet(tmp_path: Path) -> None:
    """Three of ten alert as a fleet. A small fleet has single alerts only."""
    gone = between(11, 999, other=1, value=0)
    for number, size, expected in ((1, 10, [DOWN]), (3, 10, [f"3 x {DOWN}", FLEET_DOWN]), (3, 9, [f"3 x {DOWN}"])):
        instances = fleet(size)
        for instance in instances[:number]:
            instance.up = gone

        play(tmp_path, instances, {20: NOTHING, 21: [f"{number} x {DOWN}"], 26: expected})


@NEEDS_PROMTOOL
def test_a_missing_job_alerts(tmp_path: Path) -> None:
    """It has no target, and so no other series."""
    never = Instance("i-0a", up=lambda minute: 1 if minute < 10 else None)

    play(tmp_path, [never], {24: NOTHING, 25: [FLEET_DOWN], 90: [FLEET_DOWN]})


@NEEDS_PROMTOOL
def test_a_fault_that_flickers_is_one_alert_or_none(tmp_path: Path) -> None:
    """Seven minutes on and two off: one alert. Four on and two off: none."""
    long = Instance("i-0a", faults={Fault.IMDS_UNREACHABLE: on_and_off(7, 2)})
    brief = Instance("i-0b", faults={Fault.IMDS_UNREACHABLE: on_and_off(4, 2)})

    play(tmp_path, [long], dict.fromkeys(range(5, 90), (UNREACHABLE,)) | {4: NOTHING})
    play(tmp_path, [brief], dict.fromkeys(range(90), NOTHING))


@NEEDS_PROMTOOL
def test_polls_that_fail_sometimes_alert_as_a_share(tmp_path: Path) -> None:
    """Half of the polls are throttled for an hour, which raises no fault."""
    throttled = Instance("i-0a", failures=lambda minute: float(min(max(minute - 31, 0), 60)))

    play(
        tmp_path,
        [throttled],
        {31: NOTHING, 40: NOTHING, 50: [THROTTLED], 60: [ERRORS, THROTTLED], 100: [ERRORS, THROTTLED], 160: NOTHING},
    )


@NEEDS_PROMTOOL
def test_one_throttled_poll_in_an_hour_is_an_alert(tmp_path: Path) -> None:
    """Other programs lose far more. Throttling that lasts is a fault, and has that alert alone."""
    once = Instance("i-0a", failures=lambda minute: float(minute >= 31))
    lasting = Instance(
        "i-0b", failures=lambda minute: float(max(minute - 31, 0)), faults={Fault.IMDS_ERROR: between(35, 999)}
    )

    play(tmp_path, [once], {31: NOTHING, 45: [THROTTLED], 80: [THROTTLED], 95: NOTHING})
    play(tmp_path, [lasting], {34: NOTHING, 60: [IMDS_ERROR], 90: [IMDS_ERROR]})


@NEEDS_PROMTOOL
def test_dropped_packets_alert_while_their_number_grows(tmp_path: Path) -> None:
    """A counter that grew before, or in one burst, is no alert."""
    growing = Instance("i-0a", dropped=lambda minute: 5000.0 + min(max(minute - 10, 0), 30))
    burst = Instance("i-0b", dropped=lambda minute: 900.0 * (minute >= 10))

    play(tmp_path, [growing], {11: NOTHING, 20: NOTHING, 30: [DROPPED], 45: [DROPPED], 60: NOTHING})
    play(tmp_path, [burst], dict.fromkeys(range(60), NOTHING))


@NEEDS_PROMTOOL
def test_an_outage_of_imds_does_not_alert_again_after_it(tmp_path: Path) -> None:
    """All polls failed for twenty minutes, which is a fault. The share of half an hour stays high after it."""
    repaired = Instance(
        "i-0a",
        faults={Fault.IMDS_UNREACHABLE: between(10, 30)},
        failures=lambda minute: 2.0 * min(max(minute - 10, 0), 20),
        failure_label=FailureLabel.CONNECT,
    )
    after = dict.fromkeys(range(36, 90), NOTHING)

    play(tmp_path, [repaired], {14: NOTHING, 20: [UNREACHABLE], 32: [UNREACHABLE], **after})


@NEEDS_PROMTOOL
def test_an_agent_that_keeps_restarting_alerts_and_one_upgrade_does_not(tmp_path: Path) -> None:
    """Five starts in five minutes. The alert keeps firing for a while."""
    restarting = Instance("i-0a", started=lambda minute: 60.0 * min(max(minute - 20, 0), 5))

    play(tmp_path, [restarting], {23: NOTHING, 24: [CRASHING], 80: [CRASHING], 109: [CRASHING], 116: NOTHING})


@NEEDS_PROMTOOL
def test_settings_that_were_rejected_alert(tmp_path: Path) -> None:
    """The alert ends when the settings are loaded."""
    refused = Instance("i-0a", config_ok=between(10, 40, other=1, value=0))

    play(tmp_path, [refused], {19: NOTHING, 20: ["RolewatchConfigReloadFailed warning"], 40: NOTHING})


@NEEDS_PROMTOOL
def test_credentials_that_were_withdrawn_never_expire(tmp_path: Path) -> None:
    """After a detachment no alert counts down credentials that IMDS does not serve."""
    withdrawn = Instance(
        "i-0a",
        credentials=(lambda minute: 0.0 if minute < 10 else None, lambda minute: 21600.0 if minute < 10 else None),
        faults={DETACHED: between(10, 999)},
        usable=between(0, 10),
    )

    play(tmp_path, [withdrawn], {14: NOTHING, 15: [DETACHED_TOLD], 355: [DETACHED_TOLD], 400: [DETACHED_TOLD]})


@pytest.mark.slow
@NEEDS_PROMTOOL
@pytest.mark.parametrize("fault", [Fault.ASSUME_ROLE_UNAUTHORIZED, Fault.CLOCK_SKEW])
def test_a_fault_of_many_instances_alerts_as_a_fleet(fault: Fault, tmp_path: Path) -> None:
    """Ten of eighty are; nine are not, nor ten where a fifth of the fleet must be.

    It is as loud as the single alerts, and before them, so that they are held back when they come.
    """
    name, severity = alert_name(fault), severity_of(fault)
    for number, share, fires in ((10, 0.05, True), (9, 0.05, False), (10, 0.2, False)):
        instances = fleet(80)
        for instance in instances[:number]:
            instance.faults = {fault: between(10, 99)}
        single = f"{number} x {name} {severity}"
        fleet_s = [f"RolewatchFleetFault {severity}"] if fires else []

        expected = {9: NOTHING, 14: fleet_s, 30: [single, *fleet_s]}
        play(tmp_path, instances, expected, options=Options(fleet_share=share))


def test_the_severity_follows_from_the_table() -> None:
    """Warnings of the table and failures of IMDS are tickets. All other faults page."""
    assert {fault for fault in DAEMON_FAULTS if severity_of(fault) == "warning"} == {
        fault for fault, entry in FAULTS.items() if entry.severity.name == "WARNING" or fault.value.startswith("imds_")
    }
