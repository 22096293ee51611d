"""What a fix consists of: remedies and their steps."""

from __future__ import annotations

from dataclasses import dataclass

from rolewatch.vocabulary import Who


@dataclass(frozen=True)
class Step:
    """One step of a fix: what to do, and the command for it, if there is one.

    Both may have placeholders of `PLACEHOLDERS`, which `explain` fills in. A command may have several lines of shell.
    No placeholder is between quotes there, because the value brings its own.
    """

    text: str
    """What to do, in one or more sentences. ``{needs}`` is replaced by `permissions`."""
    command: str = ""
    """Lines of shell to paste; empty if there is nothing to run."""
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
    "unit",
    "answering_instance_id",
    "needed_hop_limit",
)
"""What a fix may be filled in with. Unknown ones are shown as ``<instance-id>`` and so on."""
