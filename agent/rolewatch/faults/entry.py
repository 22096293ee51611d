"""What an entry of the table of faults consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rolewatch.vocabulary import Document, Evidence, Fault, Severity, Who


@dataclass(frozen=True)
class Step:
    """One step of a fix: what to do, and the command for it where there is one.

    Both may hold placeholders of `PLACEHOLDERS`, filled in with what is known of the instance. A command may have
    several lines of shell; a placeholder never stands between quotes there, so that what is filled in can be quoted.
    """

    text: str
    """What to do: a sentence or some. ``{needs}`` stands where `permissions` are named."""
    command: str = ""
    """Lines of shell to paste; empty where there is nothing to run."""
    id: str = ""
    """What it does, in words with hyphens. No two steps of a remedy have the same."""
    permissions: tuple[str, ...] = ()
    """The IAM actions that it needs, as ``iam:GetRole``."""


@dataclass(frozen=True)
class Remedy:
    """Why it happened and what to do, for one fault or for one reason of a fault."""

    cause: str
    """What brings this about, in one or two sentences."""
    hint: str
    """The fix in one short sentence, for a log line: it names neither the fault nor a command line."""
    fix: tuple[Step, ...]
    takes_effect: str
    """When the fix shows: at the next refresh, at once…"""
    who: Who


@dataclass(frozen=True)
class Entry:
    """All that is to be known about one fault."""

    fault: Fault
    title: str
    """What is wrong, in a few words, to follow the fault's name: no full stop, lower case first unless a name."""
    meaning: str
    """What this means for the instance and its applications, in one or two sentences."""
    remedy: Remedy
    severity: Severity
    debounce: int
    """How many polls in a row (calls, for a confirmation) must see it before it is raised."""
    message_id: str
    """The journal's MESSAGE_ID of its raising and persisting: 32 hex digits, never changed."""
    page: str
    """The AWS page that speaks of it."""
    root_rank: int
    """Its place among root causes: of several active faults, the one with the lowest rank causes the others. A stuck
    rotation follows from a broken chain, a profile that is not found from one that was replaced, a role that is not the
    expected one from a swap."""
    reads: frozenset[Document] = frozenset()
    """The documents that show it. If one of them could not be read, the poll says nothing about this fault."""
    is_imds_failure: bool = False
    """Whether IMDS itself gives no usable answer. A poll that ends with such a fault says nothing about later ones, in
    the order of `Fault`."""
    denies_credentials: bool = False
    """Whether it explains why there are no usable credentials."""
    keeps_credentials: bool = False
    """Whether credentials that were served before it go on working until they expire."""
    seen_from_ec2: bool = False
    """Whether EC2's API alone shows that the instance gets no credentials: for `diagnose` on a workstation."""
    decided_by: str = ""
    """The check of `diagnose` that decides it, for a fault that only a confirmation through the AWS API shows; empty
    for a fault that a poll shows. If that check is skipped, the confirmation says nothing about this fault."""
    alert_after: str = "5m"
    """How long it must be active before its alert fires (``for`` of the alerting rule)."""
    warns_while_usable: bool = False
    """Whether its alert is only a warning while the last credentials are still served and usable."""
    example: Evidence = field(default_factory=dict)
    """Evidence as a poll would give it, for the sample journal line in the runbook."""
    variants: Mapping[str, Remedy] = field(default_factory=dict)
    """Remedies for single reasons, by `Reason` value (or by AWS's Code), where they differ from the remedy."""


PLACEHOLDERS = (
    "instance_id",
    "region",
    "account_id",
    "partition",
    "role",
    "instance_profile",
    "instance_profile_id",
    "expected_role",
    "expected_instance_profile",
    "association_id",
    "iam_region",
    "uid",
)
"""What a fix may be filled in with. Unknown ones are shown as ``<instance-id>`` and so on."""
