"""The one table of our metrics. Names, types and labels are the contract: never rename one.

HELP is a full sentence on what a series means; `absent` is when it does not exist. docs/metrics.md shows this table.
The conventions are Prometheus's (docs/practices/naming, 2025): base units, moments instead of ages, every label value
from the first scrape on, no ids and no ARNs in labels.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """One metric."""

    name: str
    """As in PromQL; a histogram's without its suffixes."""
    kind: str
    """``gauge``, ``counter``, ``histogram`` or ``info``, as OpenMetrics has them."""
    help: str
    labels: tuple[str, ...] = ()
    absent: str = ""
    """When the metric, or a series of it, is not exported. Empty: it always is."""

    @property
    def base(self) -> str:
        """The family's name in OpenMetrics: a counter's without ``_total``, an info's without ``_info``."""
        suffix = {"counter": "_total", "info": "_info"}.get(self.kind, "")
        return self.name[: len(self.name) - len(suffix)]


_NOT_SERVED = "While IMDS serves no credentials, or none were seen yet."
_UNPOLLED = "Before the first poll has ended."

FAMILIES = (
    Family(
        "rolewatch_build_info",
        "info",
        "Version of the running rolewatch and of its Python.",
        ("version", "python_version"),
    ),
    Family(
        "rolewatch_state",
        "gauge",
        "Overall verdict on the instance-role credentials; exactly one state is 1, the others are 0.",
        ("state",),
    ),
    Family(
        "rolewatch_state_since_timestamp_seconds",
        "gauge",
        "Unix time at which the state became this one, by the clock of IMDS where that is believed.",
        absent=_UNPOLLED,
    ),
    Family(
        "rolewatch_fault_active",
        "gauge",
        "Whether a fault is active (1) or not (0), after debouncing; several may be active at once.",
        ("fault",),
    ),
    Family(
        "rolewatch_fault_active_since_timestamp_seconds",
        "gauge",
        "Unix time at which an active fault was first seen; other faults have no such series.",
        ("fault",),
        "For a fault that is not active.",
    ),
    Family(
        "rolewatch_credentials_usable",
        "gauge",
        "Whether the last credentials of IMDS are well-formed and have not expired.",
        absent="Until IMDS has answered for the first time.",
    ),
    Family(
        "rolewatch_credentials_expiration_timestamp_seconds",
        "gauge",
        "Unix time at which the credentials that IMDS served last expire (Expiration).",
        absent=_NOT_SERVED,
    ),
    Family(
        "rolewatch_credentials_last_updated_timestamp_seconds",
        "gauge",
        "Unix time at which EC2 obtained the credentials that IMDS served last (LastUpdated).",
        absent=_NOT_SERVED,
    ),
    Family(
        "rolewatch_credentials_rotations_total",
        "counter",
        "Changes of the credential set seen since rolewatch started.",
    ),
    Family(
        "rolewatch_rotation_interval_seconds",
        "gauge",
        "Time between two rotations of the credentials, as learned on this instance.",
        absent="Until enough rotations were seen.",
    ),
    Family(
        "rolewatch_role_info",
        "info",
        "Role and instance profile as last seen, or (other) for both after ten pairs since rolewatch started.",
        ("role", "instance_profile"),
        "While neither is known, and with `role_info = false` in `[metrics]`.",
    ),
    Family(
        "rolewatch_polls_total",
        "counter",
        "Polls of IMDS that have ended since rolewatch started, whatever their result.",
    ),
    Family(
        "rolewatch_poll_failures_total",
        "counter",
        "Polls of IMDS that yielded no usable answer since rolewatch started, by cause.",
        ("reason",),
    ),
    Family("rolewatch_poll_duration_seconds", "histogram", "Wall time of one whole poll of IMDS."),
    Family(
        "rolewatch_poll_interval_seconds", "gauge", "Nominal time between two polls, as configured.", absent=_UNPOLLED
    ),
    Family(
        "rolewatch_poll_last_timestamp_seconds",
        "gauge",
        "Unix time at which the last poll ended, whatever its result.",
        absent=_UNPOLLED,
    ),
    Family(
        "rolewatch_poll_last_success_timestamp_seconds",
        "gauge",
        "Unix time at which the last poll ended that yielded a credentials document.",
        absent="Until a poll has yielded one.",
    ),
    Family(
        "rolewatch_confirmation_last_timestamp_seconds",
        "gauge",
        "Unix time at which the last confirmation through the AWS API was made that rolewatch has read.",
        absent="Where there is none, as where nobody confirms (`rolewatch-confirm.timer` is off).",
    ),
    Family(
        "rolewatch_clock_offset_seconds",
        "gauge",
        "Local clock minus the clock of IMDS (Date), as last seen; positive where the local clock is ahead.",
        absent="Until IMDS has sent a `Date` that is believed: the third, if it is far ahead of the local clock.",
    ),
    Family(
        "rolewatch_imds_hop_limit",
        "gauge",
        "Hop limit of IMDS's token answer, as measured on this host up to `container_hop_limit` (2): 2 may be more.",
        absent="Until it is measured, beside the first poll with an answer, and if `endpoint` has a host name.",
    ),
    Family(
        "rolewatch_linklocal_packets_dropped_total",
        "counter",
        "Packets to link-local addresses (IMDS, DNS, NTP) that EC2 has dropped since the network driver was loaded.",
        absent="If the network driver has no counter `linklocal_allowance_exceeded`; that of ENA has it.",
    ),
    Family(
        "rolewatch_config_last_reload_successful",
        "gauge",
        "Whether the last load or reload of the settings was successful; if not, the old ones are in force.",
    ),
    Family(
        "rolewatch_config_last_reload_success_timestamp_seconds",
        "gauge",
        "Unix time at which the settings in force were loaded.",
    ),
    Family(
        "rolewatch_log_messages_total",
        "counter",
        "Warnings and errors logged since rolewatch started, by level.",
        ("level",),
    ),
    Family(
        "rolewatch_log_messages_dropped_total",
        "counter",
        "Log messages since rolewatch started that could not be written anywhere.",
    ),
    Family(
        "rolewatch_publisher_failures_total",
        "counter",
        "How often a publisher has failed since rolewatch started.",
        ("publisher",),
    ),
)
"""Every metric of ours, in the order in which the page has them."""

PROCESS_FAMILIES = (
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_max_fds",
)
"""The exported families of prometheus-client's process collector; virtual memory of a Python process means nothing."""
