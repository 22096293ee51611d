"""The nouns of the table of faults: what an entry is made of. Everybody else imports them from `rolewatch.faults`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Mapping, Tuple


class Fault(str, Enum):
    """The closed vocabulary of faults, in the order in which they are told: the nearest cause first."""

    IMDS_UNREACHABLE = "imds_unreachable"
    IMDS_HOP_LIMIT = "imds_hop_limit"
    IMDS_DISABLED = "imds_disabled"
    IMDS_ERROR = "imds_error"
    INSTANCE_PROFILE_DETACHED = "instance_profile_detached"
    INSTANCE_PROFILE_NOT_FOUND = "instance_profile_not_found"
    INSTANCE_PROFILE_WITHOUT_ROLE = "instance_profile_without_role"
    CREDENTIALS_MISSING = "credentials_missing"
    ASSUME_ROLE_UNAUTHORIZED = "assume_role_unauthorized"
    CREDENTIALS_ERROR = "credentials_error"
    CREDENTIALS_EXPIRED = "credentials_expired"
    ROTATION_OVERDUE = "rotation_overdue"
    ROLE_MISMATCH = "role_mismatch"
    CLOCK_SKEW = "clock_skew"
    CREDENTIALS_REJECTED = "credentials_rejected"
    INSTANCE_PROFILE_REPLACED = "instance_profile_replaced"
    ROLE_SWAP_PENDING = "role_swap_pending"
    TRUST_POLICY_DENIES_EC2 = "trust_policy_denies_ec2"


IMDS_FAULTS = (Fault.IMDS_UNREACHABLE, Fault.IMDS_HOP_LIMIT, Fault.IMDS_DISABLED, Fault.IMDS_ERROR)
"""The faults of IMDS itself, in the order in which a poll meets them: where it failed, it is silent on those after. So
an IMDS that fails now here, now there is called by one of their names in the end, and not by none of them."""

DENYING = (
    Fault.INSTANCE_PROFILE_DETACHED,
    Fault.INSTANCE_PROFILE_NOT_FOUND,
    Fault.INSTANCE_PROFILE_WITHOUT_ROLE,
    Fault.CREDENTIALS_MISSING,
    Fault.ASSUME_ROLE_UNAUTHORIZED,
    Fault.CREDENTIALS_ERROR,
    Fault.CREDENTIALS_EXPIRED,
)
"""The faults that explain why there are no usable credentials."""


class Severity(Enum):
    """How much a raised fault matters; the value is the journal's PRIORITY."""

    CRITICAL = 2
    """No usable credentials, or soon none."""
    ERROR = 3
    """Something is wrong now."""
    WARNING = 4
    """Something will break, or rolewatch cannot see."""


class Who(str, Enum):
    """Who can mend it."""

    HOST = "whoever administers this host (root)"
    EC2 = "whoever may change the instance in EC2"
    IAM = "whoever may change IAM in the account"


@dataclass(frozen=True)
class Step:
    """One step of a fix: what to do, and the command for it where there is one.

    Both may hold placeholders of `PLACEHOLDERS`, filled in with what is known of the instance. A command may have
    several lines of shell; a placeholder never stands between quotes there, so that what is filled in can be quoted.
    """

    text: str
    command: str = ""


@dataclass(frozen=True)
class Remedy:
    """Why it happened and what to do, for one fault or for one reason of a fault."""

    cause: str
    """What brings this about, in one or two sentences."""
    hint: str
    """The fix in one short sentence, for a log line: it names neither the fault nor a command line."""
    fix: Tuple[Step, ...]
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
    confirmation_only: bool = False
    """Whether only the AWS API can tell it, never IMDS alone."""
    variants: Mapping[str, Remedy] = field(default_factory=dict)
    """Remedies for single reasons, by `model.Reason` value (or by AWS's Code), where they differ from the remedy."""


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
    "uid",
)
"""What a fix may be filled in with. Unknown ones are shown as ``<instance-id>`` and so on."""
