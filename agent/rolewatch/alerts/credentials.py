"""The alerts about the credentials: one for each fault, in the words of the table, and what is of a whole fleet."""

from __future__ import annotations

from typing import Iterable, List, Mapping, Tuple

from rolewatch.alerts.nouns import CRITICAL, INSTANCE, WARNING, Alert, Options
from rolewatch.explain import Explained, explain
from rolewatch.faults import FAULTS, IMDS_FAULTS, Fault, Severity

HOLD = "5m"
"""Over which gap a fault's alert is kept: longer than the agent takes to clear and raise a fault again."""

WAIT: Mapping[Fault, str] = {
    Fault.CREDENTIALS_EXPIRED: "1m",  # applications fail now
    Fault.ASSUME_ROLE_UNAUTHORIZED: "10m",  # EC2 was seen to try again within six minutes
    Fault.ROLE_MISMATCH: "10m",  # a swap that is under way
    Fault.ROTATION_OVERDUE: "15m",  # hours are left
    Fault.CLOCK_SKEW: "15m",  # a step of NTP ends within minutes
}
"""How long a fault must stand before it is told, where that is not `Alert.wait`."""

OUTLIVED = (Fault.INSTANCE_PROFILE_NOT_FOUND, Fault.INSTANCE_PROFILE_WITHOUT_ROLE)
"""The faults that IMDS tells while it still serves the last credentials: hours ahead, and then critical."""


def credential_alerts(options: Options) -> Tuple[Alert, ...]:
    """Return the alerts about what is wrong with the credentials, as *options* want them."""
    alerts: List[Alert] = []
    for fault in Fault:
        alerts += _fault_alerts(fault, options)
    return (*alerts, _expiring(options), *_fleet(options))


def alert_name(fault: Fault) -> str:
    """Return the name of the alert that tells of *fault*: ``RolewatchImdsHopLimit``."""
    return "Rolewatch" + fault.value.title().replace("_", "")


def severity_of(fault: Fault) -> str:
    """Return how loud the alert of *fault* is: critical where something is broken now.

    While IMDS cannot be seen nothing is known to be broken, and the credentials that applications hold last for hours.
    """
    return WARNING if fault in IMDS_FAULTS or FAULTS[fault].severity is Severity.WARNING else CRITICAL


def _fault_alerts(fault: Fault, options: Options) -> Iterable[Alert]:
    active = f'rolewatch_fault_active{{{options.selector}, fault="{fault.value}"}} == 1'
    severity = severity_of(fault)
    if fault not in OUTLIVED:
        yield _fault_alert(fault, active, severity)
        return
    usable = f"ignoring (fault) rolewatch_credentials_usable{{{options.selector}}} == 1"
    yield _fault_alert(fault, f"{active}\nunless {usable}", severity)
    yield _fault_alert(
        fault,
        f"{active}\nand {usable}",
        WARNING,
        still=" The last credentials are still served and usable: there are hours left to mend it.",
        why="The same fault hours ahead, while the last credentials are good.",
    )


def _fault_alert(fault: Fault, expr: str, severity: str, *, still: str = "", why: str = "") -> Alert:
    told = explain(fault, {}, {"instance_id": INSTANCE})
    return Alert(
        name=alert_name(fault),
        expr=expr,
        severity=severity,
        summary=f"{INSTANCE}: {told.title}.",
        description=(
            f"{fault.value} on {INSTANCE}: {told.title}. {told.meaning}{still} Cause: {told.cause} Fix: {told.hint} "
            f"Who can: {told.who}. It takes effect: {told.takes_effect} "
            "On the instance, rolewatch check says the same with its own names."
        ),
        runbook=fault.value,
        wait=WAIT.get(fault, Alert.wait),
        hold=HOLD,
        fix=_steps(told),
        why=why,
    )


def _steps(told: Explained) -> str:
    lines: List[str] = []
    for number, step in enumerate(told.fix, start=1):
        lines.append(f"{number}. {step.text}")
        lines += [f"   {line}" for line in step.command.splitlines()]
    return "\n".join(lines)


def _expiring(options: Options) -> Alert:
    of = "{" + options.selector + "}"
    return Alert(
        "RolewatchCredentialsExpiring",
        f"(rolewatch_credentials_expiration_timestamp_seconds{of} - time() < {options.expiring:g})\n"
        f"and\n(time() - rolewatch_credentials_last_updated_timestamp_seconds{of} > 7200)",
        CRITICAL,
        f"{INSTANCE}: the credentials are about to expire, and no new ones came.",
        f"The role's credentials on {INSTANCE} expire in {{{{ $value | humanizeDuration }}}} (a minus: they have "
        "expired), and were not rotated for two hours. When they expire every AWS call fails. Cause: EC2 does not "
        "renew them; the other alerts of this instance say why where it is known. Fix: rolewatch check on the "
        "instance; rolewatch diagnose --instance-id from a workstation. A new association of the instance profile "
        "brings new credentials within a minute.",
        Fault.ROTATION_OVERDUE.value,
        wait="2m",
        hold=HOLD,
        why="Goes by the moments alone, so that it holds when the agent is wedged, and past the expiry. The second "
        "half keeps short-lived credentials out.",
    )


def _fleet(options: Options) -> Iterable[Alert]:
    for severity in (CRITICAL, WARNING):
        faults = "|".join(fault.value for fault in Fault if severity_of(fault) == severity)
        yield Alert(
            "RolewatchFleetFault",
            f'job_fault:rolewatch_fault_active:sum{{fault=~"{faults}"}} >= {options.fleet_hosts}\n'
            f"and\njob_fault:rolewatch_fault_active:sum / on (job) group_left ()\n"
            f'  count by (job) (rolewatch_state{{{options.selector}, state="ok"}}) >= {options.fleet_share:g}',
            severity,
            "{{ $value }} instances have the same fault: {{ $labels.fault }}.",
            "{{ $value }} instances of job {{ $labels.job }} have the fault {{ $labels.fault }}. Cause: one change, "
            "since instances do not break together: of a role, a trust policy, an instance profile, a launch template "
            "or a firewall rule. Fix: look in CloudTrail for who changed it, and mend it there once; the runbook of "
            'the fault has the steps. Which instances: rolewatch_fault_active{fault="{{ $labels.fault }}"} == 1.',
            "RolewatchFleetFault",
            wait="3m",
            hold=HOLD,
            why="One message instead of three hundred: it is there before the single alerts of the same fault, and "
            "holds them back (alertmanager.yml)."
            if severity == CRITICAL
            else "",
        )
