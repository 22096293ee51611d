"""What an alerting rule consists of, and the options of a site."""

from __future__ import annotations

from dataclasses import dataclass

CRITICAL, WARNING = "critical", "warning"
"""Page somebody now, or leave a ticket. The label values are those of the monitoring mixins (2026-08)."""

INSTANCE = "{{ $labels.instance }}"
"""The instance, in the text of an alert: Prometheus fills it in."""


@dataclass(frozen=True)
class Options:
    """What a site may want otherwise, without editing rules."""

    selector: str = 'job="rolewatch"'
    """The label matchers of every series."""
    runbooks: str = ""
    """The address below which the runbooks are."""
    expiring: float = 900.0
    """Seconds before the expiration at which credentials that were not rotated are critical. botocore insists on new
    ones 10 minutes before, and AWS promises them 5 minutes before; 300 where the platform rotates that late."""
    poll_failures: float = 0.2
    """The share of polls that may fail in half an hour."""
    down: float = 0.2
    """The share of agents that may be out of reach before it is the fleet's trouble."""
    fleet_hosts: int = 10
    """From how many instances on one trouble is the fleet's. Smaller fleets keep to single alerts."""
    fleet_share: float = 0.05
    """From which share of the instances on one fault is the fleet's."""
    keep_firing_for: bool = True
    """Whether to hold alerts over short gaps. Prometheus before 2.42 refuses the whole file for the word."""


@dataclass(frozen=True)
class Recording:
    """A recording rule."""

    name: str
    expr: str


@dataclass(frozen=True)
class Alert:
    """One alerting rule. Several may share a name: then each is for another severity."""

    name: str
    expr: str
    severity: str
    summary: str
    """One sentence for a list and for the display of a telephone. May name the instance."""
    description: str
    """What is wrong, why, what to do, and when that takes effect."""
    runbook: str
    """The page below the address of the runbooks."""
    wait: str = "5m"
    """``for``: how long it must hold. Faults are debounced in the agent already."""
    hold: str = ""
    """``keep_firing_for``: over which gap it is kept. Empty: over none."""
    fix: str = ""
    """The steps of the fix with their commands, a line for each; empty where the description says it all."""
    why: str = ""
    """A comment for who reads the file: why this expression, why it does not flap."""


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated one after the other."""

    name: str
    rules: tuple[Recording | Alert, ...]
