"""What the journal's catalog says of the events that are no faults. Prose only; `catalog` renders it."""

from __future__ import annotations

from collections.abc import Mapping

from rolewatch.publish import messages
from rolewatch.vocabulary import EventKind

_STATES = "; ".join(f"{state.value} ({meaning})" for state, meaning in messages.STATES.items())

EVENTS: Mapping[EventKind, tuple[str, str]] = {
    EventKind.STARTED: (
        "rolewatch has started",
        (
            "rolewatch @ROLEWATCH_VERSION@ watches the credentials that this instance gets from its role. It asks IMDS "
            "at @ROLEWATCH_ENDPOINT@ and answers Prometheus at @ROLEWATCH_LISTEN@. Nothing has to be done."
        ),
    ),
    EventKind.STOPPING: (
        "rolewatch stops",
        (
            "rolewatch was asked to stop. Until it is started again nobody watches the role's credentials, and its "
            "metrics end."
        ),
    ),
    EventKind.STATE_CHANGED: (
        "The state changed from @ROLEWATCH_PREVIOUS_STATE@ to @ROLEWATCH_STATE@",
        (
            "The overall verdict on the credentials of instance @ROLEWATCH_INSTANCE_ID@ is now @ROLEWATCH_STATE@. "
            f"The states: {_STATES}. "
            "The faults behind it have entries of their own.\n"
            "See what stands: rolewatch check"
        ),
    ),
    EventKind.FAULT_CLEARED: (
        "@ROLEWATCH_FAULT@ is over",
        (
            "The fault @ROLEWATCH_FAULT@, which stood since @ROLEWATCH_SINCE@, was not seen in two polls in a row. "
            "Applications may still hold old credentials, or have given up: restart those that did not come back.\n"
            "See what happened: rolewatch history"
        ),
    ),
    EventKind.ROLE_CHANGED: (
        "The instance has another role or instance profile",
        (
            "Instance @ROLEWATCH_INSTANCE_ID@ had role @ROLEWATCH_PREVIOUS_ROLE@ of instance profile "
            "@ROLEWATCH_PREVIOUS_INSTANCE_PROFILE@, and now has role @ROLEWATCH_ROLE@ of instance profile "
            "@ROLEWATCH_INSTANCE_PROFILE@.\n"
            "Where that was planned, nothing has to be done but this: running applications keep the credentials of the "
            "old role until they refresh them, up to six hours, or are restarted.\n"
            "Where it was not, an automation may have attached its own instance profile. CloudTrail tells who called "
            "ReplaceIamInstanceProfileAssociation or AssociateIamInstanceProfile in @ROLEWATCH_REGION@, or "
            "RemoveRoleFromInstanceProfile and AddRoleToInstanceProfile in IAM."
        ),
    ),
    EventKind.CREDENTIALS_ROTATED: (
        "IMDS serves new credentials of role @ROLEWATCH_ROLE@",
        (
            "The credentials were replaced, as happens about every hour. They expire at @ROLEWATCH_EXPIRATION@. "
            "Nothing has to be done."
        ),
    ),
    EventKind.POLL_FAILED: (
        "IMDS gave no usable answer (@ROLEWATCH_PHASE@, @ROLEWATCH_REASON@)",
        (
            "One poll failed. A single failure is no fault: IMDS drops and throttles requests at times. Where it "
            "lasts, rolewatch raises a fault that says what to do. To keep the journal short, the first failure is "
            "told, then the tenth, the hundredth and so on, until there was none for a while; the metric "
            "rolewatch_poll_failures_total counts them all."
        ),
    ),
    EventKind.CONFIG_WARNING: (
        "rolewatch has started with a setting that is probably a mistake",
        (
            "@ROLEWATCH_PROBLEM@\n"
            "The daemon runs. The setting is ignored, or has an effect that is probably not intended.\n"
            "List all warnings: rolewatch config check"
        ),
    ),
    EventKind.CONFIG_RELOADED: (
        "rolewatch has read its settings anew",
        "The new settings are in force. Nothing has to be done.\nSee them: rolewatch config show",
    ),
    EventKind.CONFIG_REJECTED: (
        "rolewatch cannot use its new settings, and keeps the old ones",
        (
            "@ROLEWATCH_PROBLEM@\n"
            "The daemon goes on with the settings it had. At its next start it would not come up with these.\n"
            "See what is wrong in which line: rolewatch config check\n"
            "After mending it: systemctl reload rolewatch.service"
        ),
    ),
    EventKind.STATE_FILE_IGNORED: (
        "rolewatch ignores what it remembered",
        (
            "@ROLEWATCH_PROBLEM@\n"
            "The state file holds since when faults stand and how often credentials rotate, and no secret. It could "
            "not be read, or belongs to another instance, as in an image that was made of a running one. rolewatch "
            "starts without it, learns anew within hours, and writes a new one. Nothing has to be done."
        ),
    ),
    EventKind.PUBLISHER_FAILED: (
        "rolewatch could not tell what it found by way of @ROLEWATCH_PUBLISHER@",
        (
            "@ROLEWATCH_PROBLEM@\n"
            "The watching goes on, and the other ways of telling work. A metric "
            "counts such failures; this entry comes with the first of them."
        ),
    ),
}
"""Subject and body of the events that are no faults. Raised and persisting faults have their fault's id and entry."""
