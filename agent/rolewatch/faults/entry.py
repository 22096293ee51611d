"""What an entry of the table of faults consists of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping, Tuple

from rolewatch.vocabulary import Fault, Severity, Who

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
