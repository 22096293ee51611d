"""Alerts and recording rules for Prometheus: one alert per fault from the table, fleet-wide ones, and rolewatch's own.

`rule_file` writes them as YAML. The options are those of `rolewatch rules`.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rolewatch.faults import DAEMON_FAULTS, FAULTS, Fault
from rolewatch.faults.explain import Explained, explain
from rolewatch.vocabulary import Level

CRITICAL, WARNING = Level.CRITICAL.name.lower(), Level.WARNING.name.lower()
"""Values of the label ``severity``, as in the monitoring mixins (2026-08): page somebody now, or open a ticket."""

INSTANCE = "{{ $labels.instance }}"
"""Placeholder for the instance in the text of an alert. Prometheus fills it in."""


@dataclass(frozen=True)
class Options:
    """Values that a site may change without editing rules."""

    selector: str = 'job="rolewatch"'
    """Label matchers of every series."""
    runbooks: str = ""
    """URL below which the runbooks are. Empty: no links."""
    expiring: float = 900.0
    """Seconds before the expiration at which credentials that were not rotated are critical.

    botocore requires new ones 10 minutes before, and AWS promises them 5 minutes before. Use 300 where the platform
    rotates that late.
    """
    poll_failures: float = 0.2
    """Share of polls that may fail in half an hour."""
    down: float = 0.2
    """Share of agents that may be unreachable before one alert for the fleet fires."""
    fleet_hosts: int = 10
    """Least number of instances with the same problem for an alert for the fleet. Smaller fleets have single alerts."""
    fleet_share: float = 0.05
    """Least share of the instances with the same fault for an alert for the fleet."""
    keep_firing_for: bool = True
    """Whether alerts keep firing over short gaps. Prometheus before 2.42 rejects the whole file for that field."""

    @property
    def series(self) -> str:
        """The selector in braces."""
        return f"{{{self.selector}}}"


@dataclass(frozen=True)
class Recording:
    """A recording rule."""

    name: str
    expr: str


@dataclass(frozen=True)
class Alert:
    """One alerting rule. Several may have the same name, each with its own severity."""

    name: str
    expr: str
    severity: str
    summary: str
    """One sentence for a list or a telephone's display. May name the instance."""
    description: str
    """What is wrong, why, what to do, and when the fix takes effect."""
    runbook: str
    """Name of the runbook's page."""
    wait: str = "5m"
    """``for``: how long the expression must be true. The agent has debounced faults already."""
    keep_firing_for: str = ""
    """Gap over which the alert keeps firing. Empty: none."""
    fix: str = ""
    """Steps of the fix with their commands, one per line. Empty where the description is enough."""
    why: str = ""
    """Comment for readers of the file: why this expression, and why it does not flap."""


@dataclass(frozen=True)
class Group:
    """Rules that Prometheus evaluates one after the other."""

    name: str
    rules: tuple[Recording | Alert, ...]


# -- rules -------------------------------------------------------------------------------------------------------------


def recording_rules(options: Options) -> tuple[Recording, ...]:
    """Return the series that the alerts for the fleet and the dashboards share."""
    return (
        Recording("job:rolewatch_up:avg", f"avg by (job) (up{options.series})"),
        Recording("job:rolewatch_up:count", f"count by (job) (up{options.series})"),
        Recording(
            "job_fault:rolewatch_fault_active:sum", f"sum by (job, fault) (rolewatch_fault_active{options.series})"
        ),
        Recording(
            "job:rolewatch_credentials_usable:avg", f"avg by (job) (rolewatch_credentials_usable{options.series})"
        ),
    )


def agent_alerts(options: Options) -> tuple[Alert, ...]:
    """Return the alerts about rolewatch itself: it is down, stale, restarting, or has old settings."""
    return (
        Alert(
            "RolewatchDown",
            f"up{options.series} == 0",
            WARNING,
            f"rolewatch on {INSTANCE} cannot be scraped.",
            f"rolewatch on {INSTANCE} has not answered a scrape for 10 minutes, so its role's credentials are "
            "not monitored. Cause: the service does not run, a security group or the socket's address filter drops "
            "the scrape, the certificate of its port has expired, or the host has failed. Fix: on the host, "
            "systemctl status rolewatch.service rolewatch.socket; from Prometheus, curl the target's /-/healthy.",
            "RolewatchDown",
            wait="10m",
            why="Longer than a boot, a restart and a refresh of the service discovery, so that scaling in never fires.",
        ),
        Alert(
            "RolewatchFleetDown",
            f"(job:rolewatch_up:avg < {1 - options.down:g} and job:rolewatch_up:count >= {options.fleet_hosts})\n"
            f"or\nabsent(up{options.series}) - 1",
            CRITICAL,
            "Too many of the rolewatch agents cannot be scraped.",
            "Only {{ $value | humanizePercentage }} of the agents answer; the credentials of the others are not "
            "monitored. Cause: a change of the network, of the service discovery or of the package, since hosts do not "
            "fail together. Fix: check the error of the scrapes on the targets page of Prometheus, and the last "
            "rollout.",
            "RolewatchFleetDown",
            wait="15m",
            why="A share and a minimum number: small fleets have RolewatchDown only. absent() covers a missing job.",
        ),
        Alert(
            "RolewatchPollStale",
            f"time() - rolewatch_poll_last_timestamp_seconds{options.series}\n"
            f"  > clamp_min(5 * rolewatch_poll_interval_seconds{options.series}, 300)",
            WARNING,
            f"rolewatch on {INSTANCE} has stopped polling.",
            f"The metrics of {INSTANCE} are {{{{ $value | humanizeDuration }}}} old. Cause: the loop hangs, or, with "
            "a text file, the daemon or timer has stopped and its file remains. Fix: systemctl restart "
            "rolewatch.service; journalctl -u rolewatch has the stacks that the watchdog wrote.",
            "RolewatchPollStale",
            why="Scales with the interval, and only grows until a poll ends. The only sign of a stopped agent where "
            "node_exporter serves its file.",
        ),
        Alert(
            "RolewatchCrashLooping",
            f"changes(process_start_time_seconds{options.series}[1h]) > 3",
            WARNING,
            f"rolewatch on {INSTANCE} keeps restarting.",
            f"rolewatch on {INSTANCE} has restarted {{{{ $value }}}} times within an hour. Cause: a crash, a memory "
            "limit, or the watchdog. Fix: journalctl -u rolewatch has the exit status; rolewatch config check checks "
            "the settings.",
            "RolewatchCrashLooping",
            wait="0m",
            keep_firing_for="30m",
            why="One upgrade or one reboot is one restart.",
        ),
        Alert(
            "RolewatchConfigReloadFailed",
            f"rolewatch_config_last_reload_successful{options.series} == 0",
            WARNING,
            f"rolewatch on {INSTANCE} runs on old settings.",
            f"The last reload on {INSTANCE} was rejected, and the old settings stay in use; the next restart will "
            "fail. Cause: a mistake in /etc/rolewatch. Fix: rolewatch config check names the file, the line and the "
            "fix; then systemctl reload rolewatch. It takes effect at once.",
            "RolewatchConfigReloadFailed",
            wait="10m",
        ),
        Alert(
            "RolewatchPollErrors",
            f"sum without (reason) (increase(rolewatch_poll_failures_total{options.series}[30m]))\n"
            f"  / increase(rolewatch_polls_total{options.series}[30m])\n"
            f"  > {options.poll_failures:g}\n"
            f"unless on (job, instance)\n"
            f'max_over_time(rolewatch_fault_active{{{options.selector}, fault=~"imds_.+"}}[30m]) == 1',
            WARNING,
            f"Many of the polls of IMDS fail on {INSTANCE}.",
            f"On {INSTANCE} {{{{ $value | humanizePercentage }}}} of the polls of the last half hour gave no usable "
            "answer. Cause: throttling, resets or timeouts that are too short for a fault of their own; "
            "applications get them, too. Fix: find what requests IMDS so often: journalctl -u rolewatch has the "
            "reasons, and ethtool -S the counter linklocal_allowance_exceeded.",
            "RolewatchPollErrors",
            wait="15m",
            why="A share over a window catches failures that are too short for a fault. A fault in that window has its "
            "own alert, and must not alert again after the fix.",
        ),
        Alert(
            "RolewatchThrottled",
            f'increase(rolewatch_poll_failures_total{{{options.selector}, reason="throttled"}}[1h]) > 0\n'
            f"unless on (job, instance)\n"
            f'max_over_time(rolewatch_fault_active{{{options.selector}, fault=~"imds_error"}}[1h]) == 1',
            WARNING,
            f"IMDS throttles requests on {INSTANCE}.",
            f"On {INSTANCE} IMDS has answered a poll of the last hour with 429 or 503. Cause: something on this "
            "instance requests IMDS too often, and its own requests and those of others are refused far more often "
            "than rolewatch's. Fix: ss -Htnp dst 169.254.169.254 on the instance shows what does; let it keep its "
            "credentials.",
            "RolewatchThrottled",
            wait="10m",
            why="A poll meets a burst of requests by chance: one is enough. After 10 minutes a throttling that lasts "
            "is imds_error, which has its own alert.",
        ),
        Alert(
            "RolewatchLinklocalPacketsDropped",
            f"increase(rolewatch_linklocal_packets_dropped_total{options.series}[15m]) > 0",
            WARNING,
            f"EC2 drops packets to IMDS, DNS and NTP on {INSTANCE}.",
            f"On {INSTANCE} the counter linklocal_allowance_exceeded grows. Cause: the programs of this instance send "
            "more than 1024 packets a second to link-local addresses through one network interface; requests for "
            "credentials and names are lost, and SDKs repeat them after seconds. Fix: find what sends them: mostly DNS "
            "without a cache, or a program that requests IMDS for each call.",
            "RolewatchLinklocalPacketsDropped",
            wait="15m",
            why="It has to grow in windows of 15 minutes for 15 minutes: one short burst is no alert.",
        ),
    )


KEEP_FIRING_FOR = "5m"
"""Gap over which a fault's alert keeps firing: longer than the agent takes to clear and raise a fault again."""


def credential_alerts(options: Options) -> tuple[Alert, ...]:
    """Return the alerts about the credentials: for each fault, for the expiration, and for the fleet."""
    alerts: list[Alert] = []
    for fault in DAEMON_FAULTS:
        alerts += _fault_alerts(fault, options)
    return (*alerts, _expiring(options), *_fleet(options))


def alert_name(fault: Fault) -> str:
    """Return the name of the alert for *fault*: ``RolewatchImdsHopLimit``."""
    return "Rolewatch" + fault.value.title().replace("_", "")


def severity_of(fault: Fault) -> str:
    """Return the severity of the alert for *fault*: critical if something is broken now.

    A failure of IMDS is a warning: nothing is known to be broken, and the credentials in use are valid for hours.
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
        still=" The last credentials are still served and usable: there are hours left for the fix.",
        why="The same fault hours before the credentials expire.",
    )


def _fault_alert(fault: Fault, expr: str, severity: str, *, still: str = "", why: str = "") -> Alert:
    explained = explain(fault, {}, {"instance_id": INSTANCE})
    return Alert(
        name=alert_name(fault),
        expr=expr,
        severity=severity,
        summary=f"{INSTANCE}: {explained.title}.",
        description=(
            f"{fault.value} on {INSTANCE}: {explained.title}. {explained.meaning}{still} Cause: {explained.cause} "
            f"Fix: {explained.hint} Who can: {explained.who}. It takes effect: {explained.takes_effect} "
            "On the instance, rolewatch status shows what the daemon says, and rolewatch check the fix with the "
            "instance's names."
        ),
        runbook=fault.value,
        wait=FAULTS[fault].alert_after,
        keep_firing_for=KEEP_FIRING_FOR,
        fix=_steps(explained),
        why=why,
    )


def _steps(explained: Explained) -> str:
    lines: list[str] = []
    for number, step in enumerate(explained.fix, start=1):
        lines.append(f"{number}. {step.text}")
        lines += [f"   {line}" for line in step.command.splitlines()]
    return "\n".join(lines)


_PROMISE_BROKEN = 240
"""Seconds before the expiration: AWS promises the next credentials 300 s before (EC2 user guide, "Retrieve security
credentials from instance metadata", 2026), and a poll and a scrape may show them a minute later."""


def _expiring(options: Options) -> Alert:
    left = f"rolewatch_credentials_expiration_timestamp_seconds{options.series} - time()"
    age = f"time() - rolewatch_credentials_last_updated_timestamp_seconds{options.series}"
    return Alert(
        "RolewatchCredentialsExpiring",
        f"(\n  {left} < {options.expiring:g}\n  and {age} > 7200\n)\n"
        f"or\n(\n  {left} < {_PROMISE_BROKEN}\n  and {age}\n    > {left}\n)",
        CRITICAL,
        f"{INSTANCE}: the credentials are about to expire and were not rotated.",
        f"The role's credentials on {INSTANCE} expire in {{{{ $value | humanizeDuration }}}} (a minus: they have "
        "expired), and were not rotated in time. When they expire, every AWS call fails. Cause: EC2 does not "
        "renew them; other alerts of this instance have the reason where it is known. Fix: rolewatch status on the "
        "instance; rolewatch diagnose --instance-id from a workstation. A new association of the instance profile "
        "brings new credentials within a minute.",
        Fault.ROTATION_OVERDUE.value,
        wait="2m",
        keep_firing_for=KEEP_FIRING_FOR,
        why="Uses timestamps only, so that it fires while the agent hangs, and after the expiration. Credentials of an "
        "hour or less are rotated minutes before their end: for those it counts that AWS promises the next ones five "
        "minutes before, and for a quarter of an hour's that half of it has passed.",
    )


def _fleet(options: Options) -> Iterable[Alert]:
    for severity in (CRITICAL, WARNING):
        faults = "|".join(fault.value for fault in DAEMON_FAULTS if severity_of(fault) == severity)
        yield Alert(
            "RolewatchFleetFault",
            f'job_fault:rolewatch_fault_active:sum{{fault=~"{faults}"}} >= {options.fleet_hosts}\n'
            f"and\njob_fault:rolewatch_fault_active:sum / on (job) group_left ()\n"
            f'  count by (job) (rolewatch_state{{{options.selector}, state="ok"}}) >= {options.fleet_share:g}',
            severity,
            "{{ $value }} instances have the same fault: {{ $labels.fault }}.",
            "{{ $value }} instances of job {{ $labels.job }} have the fault {{ $labels.fault }}. Cause: one change, "
            "since instances do not break together: of a role, a trust policy, an instance profile, a launch template "
            "or a firewall rule. Fix: find the change in CloudTrail, and undo it there once; the runbook of the fault "
            'has the steps. Which instances: rolewatch_fault_active{fault="{{ $labels.fault }}"} == 1.',
            "RolewatchFleetFault",
            wait="3m",
            keep_firing_for=KEEP_FIRING_FOR,
            why="One message instead of three hundred: it fires before the single alerts of the same fault, and "
            "inhibits them (alertmanager.yml)."
            if severity == CRITICAL
            else "",
        )


def groups(options: Options) -> tuple[Group, ...]:
    """Return all rules in their groups.

    Prometheus evaluates the rules of a group one after the other, and the groups at the same time: an alert on a
    recording rule of another group may fire one evaluation later.
    """
    return (
        Group("rolewatch-recording", recording_rules(options)),
        Group("rolewatch-agent", agent_alerts(options)),
        Group("rolewatch-credentials", credential_alerts(options)),
    )


def alerts(options: Options) -> tuple[Alert, ...]:
    """Return all alerts, in the order of the file."""
    return tuple(rule for group in groups(options) for rule in group.rules if isinstance(rule, Alert))


# -- the file ----------------------------------------------------------------------------------------------------------

_WIDTH = 116
_HEAD = """\
# Alerts and recording rules of rolewatch, for Prometheus {since} and newer. What each means: docs/alerts.md.
# Made by `rolewatch rules`. Do not edit: `rolewatch rules --help` has options for the selector and the thresholds.
"""


def rule_file(options: Options) -> str:
    """Return the rule file for *options*, as YAML for people to read."""
    return "\n".join(_file_lines(options)) + "\n"


def _file_lines(options: Options) -> Iterator[str]:
    yield _HEAD.format(since="2.42" if options.keep_firing_for else "2.0")
    yield "groups:"
    for group in groups(options):
        yield f"  - name: {group.name}"
        yield "    rules:"
        for rule in group.rules:
            yield from _rule_lines(rule, options)


def _rule_lines(rule: Alert | Recording, options: Options) -> Iterator[str]:
    if isinstance(rule, Recording):
        yield f"      - record: {rule.name}"
        yield from _block("expr", rule.expr, 8)
        return
    yield from _wrapped(rule.why, " " * 6 + "# ")
    yield f"      - alert: {rule.name}"
    yield from _block("expr", rule.expr, 8)
    yield f"        for: {rule.wait}"
    if rule.keep_firing_for and options.keep_firing_for:
        yield f"        keep_firing_for: {rule.keep_firing_for}"
    yield f"        labels: {{severity: {rule.severity}}}"
    yield "        annotations:"
    yield f"          summary: {json.dumps(rule.summary)}"
    yield "          description: >-"
    yield from _wrapped(rule.description, " " * 12)
    if rule.fix:
        yield from _block("fix", rule.fix, 10)
    if options.runbooks:
        yield f"          runbook_url: {options.runbooks.rstrip('/')}/{rule.runbook}"


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _block(key: str, text: str, indent: int) -> Iterator[str]:
    """Yield *text* as a plain value, or as a literal block where YAML needs one: with all lines as they are."""
    if "\n" not in text and ": " not in text and " #" not in text:
        yield f"{' ' * indent}{key}: {text}"
        return
    yield f"{' ' * indent}{key}: |-"
    yield from (f"{' ' * (indent + 2)}{line}".rstrip() for line in text.splitlines())
