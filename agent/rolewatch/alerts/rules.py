"""The alerts and recording rules: one alert per fault from the table, fleet-wide alerts, and rolewatch's own."""

from __future__ import annotations

from collections.abc import Iterable

from rolewatch.alerts import CRITICAL, INSTANCE, WARNING, Alert, Group, Options, Recording
from rolewatch.faults import FAULTS, Fault
from rolewatch.faults.explain import Explained, explain
from rolewatch.vocabulary import Level


def recording_rules(options: Options) -> tuple[Recording, ...]:
    """Return the series that the alerts of the fleet and the dashboards share, as *options* select."""
    of = "{" + options.selector + "}"
    return (
        Recording("job:rolewatch_up:avg", f"avg by (job) (up{of})"),
        Recording("job:rolewatch_up:count", f"count by (job) (up{of})"),
        Recording("job_fault:rolewatch_fault_active:sum", f"sum by (job, fault) (rolewatch_fault_active{of})"),
        Recording("job:rolewatch_credentials_usable:avg", f"avg by (job) (rolewatch_credentials_usable{of})"),
    )


def agent_alerts(options: Options) -> tuple[Alert, ...]:
    """Return the alerts that say that an instance, or the fleet, is not watched."""
    of = "{" + options.selector + "}"
    return (
        Alert(
            "RolewatchDown",
            f"up{of} == 0",
            WARNING,
            f"rolewatch on {INSTANCE} cannot be scraped.",
            f"rolewatch on {INSTANCE} has not answered a scrape for 10 minutes, so nothing is heard of its "
            "role's credentials. Cause: the service does not run, a security group or the socket's address filter "
            "drops the scrape, the certificate of its port has ended, or the host is in trouble. Fix: on the host, "
            "systemctl status rolewatch.service rolewatch.socket; from Prometheus, curl the target's /-/healthy.",
            "RolewatchDown",
            wait="10m",
            why="Longer than a boot, a restart and the refresh of the discovery: scaling in never fires.",
        ),
        Alert(
            "RolewatchFleetDown",
            f"(job:rolewatch_up:avg < {1 - options.down:g} and job:rolewatch_up:count >= {options.fleet_hosts})\n"
            f"or\nabsent(up{of}) - 1",
            CRITICAL,
            "Too many of the rolewatch agents cannot be scraped.",
            "Only {{ $value | humanizePercentage }} of the agents answer; of the rest nobody watches the credentials. "
            "Cause: a change of the network, of the discovery or of the package, since hosts do not fail together. "
            "Fix: look at the targets page of Prometheus for the error of the scrapes, and at what was rolled out "
            "last.",
            "RolewatchFleetDown",
            wait="15m",
            why="A share with a floor, so that small fleets keep to RolewatchDown; absent() covers a job that is gone.",
        ),
        Alert(
            "RolewatchPollStale",
            f"time() - rolewatch_poll_last_timestamp_seconds{of}\n"
            f"  > clamp_min(5 * rolewatch_poll_interval_seconds{of}, 300)",
            WARNING,
            f"rolewatch on {INSTANCE} has stopped polling.",
            f"What is told of {INSTANCE} is {{{{ $value | humanizeDuration }}}} old. Cause: the loop hangs, or, in "
            "text file mode, the daemon or timer is dead and its file stays. Fix: systemctl restart rolewatch.service, "
            "and read journalctl -u rolewatch for the stacks that the watchdog left.",
            "RolewatchPollStale",
            why="Scales with the interval, and only grows until a poll ends. The one sign of a dead agent where "
            "node_exporter serves its file.",
        ),
        Alert(
            "RolewatchCrashLooping",
            f"changes(process_start_time_seconds{of}[1h]) > 3",
            WARNING,
            f"rolewatch on {INSTANCE} keeps restarting.",
            f"rolewatch on {INSTANCE} has restarted {{{{ $value }}}} times within an hour. Cause: a crash, a memory "
            "limit, or a watchdog that is not answered. Fix: journalctl -u rolewatch says with which status it ended; "
            "settings are checked by rolewatch config check.",
            "RolewatchCrashLooping",
            wait="0m",
            hold="30m",
            why="One upgrade or one reboot is one.",
        ),
        Alert(
            "RolewatchConfigReloadFailed",
            f"rolewatch_config_last_reload_successful{of} == 0",
            WARNING,
            f"rolewatch on {INSTANCE} runs on old settings.",
            f"The last reload on {INSTANCE} was refused, and the settings from before are in force; the next restart "
            "will fail. Cause: a mistake in /etc/rolewatch. Fix: rolewatch config check names the file, the line and "
            "the remedy; then systemctl reload rolewatch. It takes effect at once.",
            "RolewatchConfigReloadFailed",
            wait="10m",
        ),
        Alert(
            "RolewatchPollErrors",
            f"sum without (reason) (increase(rolewatch_poll_failures_total{of}[30m]))\n"
            f"  / increase(rolewatch_polls_total{of}[30m])\n"
            f"  > {options.poll_failures:g}\n"
            f"unless on (job, instance)\n"
            f'max_over_time(rolewatch_fault_active{{{options.selector}, fault=~"imds_.+"}}[30m]) == 1',
            WARNING,
            f"Many of the polls of IMDS fail on {INSTANCE}.",
            f"On {INSTANCE} {{{{ $value | humanizePercentage }}}} of the polls of the last half hour gave no usable "
            "answer. Cause: throttling, resets or time-outs that are too short to be a fault of their own; "
            "applications meet them, too. Fix: see what asks IMDS so often: journalctl -u rolewatch has the reasons, "
            "and ethtool -S the counter linklocal_allowance_exceeded.",
            "RolewatchPollErrors",
            wait="15m",
            why="A share over a window catches what comes and goes too fast for a fault. What was a fault in that "
            "window is told already, and would be told again after it was mended.",
        ),
    )


HOLD = "5m"
"""Over which gap a fault's alert is kept: longer than the agent takes to clear and raise a fault again."""


def credential_alerts(options: Options) -> tuple[Alert, ...]:
    """Return the alerts about what is wrong with the credentials, as *options* want them."""
    alerts: list[Alert] = []
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
    return WARNING if FAULTS[fault].is_imds_failure or FAULTS[fault].severity is Level.WARNING else CRITICAL


def _fault_alerts(fault: Fault, options: Options) -> Iterable[Alert]:
    active = f'rolewatch_fault_active{{{options.selector}, fault="{fault.value}"}} == 1'
    severity = severity_of(fault)
    if not FAULTS[fault].warns_while_usable:
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
        wait=FAULTS[fault].alert_after,
        hold=HOLD,
        fix=_steps(told),
        why=why,
    )


def _steps(told: Explained) -> str:
    lines: list[str] = []
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


def groups(options: Options) -> tuple[Group, ...]:
    """Return every rule, as *options* want it, in its group.

    Prometheus evaluates the rules of a group one after the other, and groups side by side: what rests on a recording
    rule may be one evaluation later.
    """
    return (
        Group("rolewatch-recording", recording_rules(options)),
        Group("rolewatch-agent", agent_alerts(options)),
        Group("rolewatch-credentials", credential_alerts(options)),
    )


def alerts(options: Options) -> tuple[Alert, ...]:
    """Return the alerts alone, as *options* want them, in the order of the file."""
    return tuple(rule for group in groups(options) for rule in group.rules if isinstance(rule, Alert))
