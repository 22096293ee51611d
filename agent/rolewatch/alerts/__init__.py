"""The alerts, made of the table of faults: what Prometheus is to tell, when, and in which words.

Pure. `rolewatch rules` prints them as a rule file; packaging/prometheus/rolewatch.rules.yml is that without options.
The names of alerts are the contract: routes, silences and runbooks go by them.
"""

from __future__ import annotations

from typing import Tuple

from rolewatch.alerts.agent import agent_alerts, recording_rules
from rolewatch.alerts.credentials import credential_alerts
from rolewatch.alerts.nouns import Alert, Group, Options, Recording

__all__ = ["Alert", "Group", "Options", "Recording", "alerts", "groups"]


def groups(options: Options) -> Tuple[Group, ...]:
    """Return every rule, as *options* want it, in its group.

    Prometheus evaluates the rules of a group one after the other, and groups side by side: what rests on a recording
    rule may be one evaluation later.
    """
    return (
        Group("rolewatch-recording", recording_rules(options)),
        Group("rolewatch-agent", agent_alerts(options)),
        Group("rolewatch-credentials", credential_alerts(options)),
    )


def alerts(options: Options) -> Tuple[Alert, ...]:
    """Return the alerts alone, as *options* want them, in the order of the file."""
    return tuple(rule for group in groups(options) for rule in group.rules if isinstance(rule, Alert))
