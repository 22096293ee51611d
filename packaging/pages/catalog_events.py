"""The texts of the journal's catalog for the events that are not faults. `catalog` renders them."""

from __future__ import annotations

from collections.abc import Mapping

from rolewatch.publish import messages
from rolewatch.vocabulary import EventKind

_STATES = "; ".join(f"{state.value} ({meaning})" for state, meaning in messages.STATES.items())

EVENTS: Mapping[EventKind, tuple[str, str]] = {
    EventKind.STARTED: (
        "rolewatch has started",
        (
            "rolewatch @ROLEWATCH_VERSION@ monitors the credentials that this instance gets from its role. It polls "
            "IMDS at @ROLEWATCH_ENDPOINT@ and serves metrics at @ROLEWATCH_LISTEN@. No action is needed."
        ),
    ),
    EventKind.STOPPING: (
        "rolewatch stops",
        (
            "rolewatch stops on request. Until its next start nothing monitors the role's credentials, and its "
            "metrics end."
        ),
    ),
    EventKind.STATE_CHANGED: (
        "The state changed from @ROLEWATCH_PREVIOUS_STATE@ to @ROLEWATCH_STATE@",
        (
            "The overall verdict on the credentials of instance @ROLEWATCH_INSTANCE_ID@ is now @ROLEWATCH_STATE@. "
            f"The states: {_STATES}. "
            "Faults have their own entries.\n"
            "To see the active faults: rolewatch status"
        ),
    ),
    EventKind.FAULT_CLEARED: (
        "@ROLEWATCH_FAULT@ is over",
        (
            "The fault @ROLEWATCH_FAULT@, active since @ROLEWATCH_SINCE@, was absent in two polls in a row. "
            "Applications may still use old credentials, or have given up: restart those that did not recover.\n"
            "To see what happened: rolewatch history"
        ),
    ),
    EventKind.ROLE_CHANGED: (
        "The instance has another role or instance profile",
        (
            "Instance @ROLEWATCH_INSTANCE_ID@ had role @ROLEWATCH_PREVIOUS_ROLE@ of instance profile "
            "@ROLEWATCH_PREVIOUS_INSTANCE_PROFILE@, and now has role @ROLEWATCH_ROLE@ of instance profile "
            "@ROLEWATCH_INSTANCE_PROFILE@.\n"
            "If this was planned: running applications keep the credentials of the old role until they refresh them "
            "(up to six hours) or are restarted.\n"
            "If not: an automation may have attached its own instance profile. CloudTrail shows who called "
            "ReplaceIamInstanceProfileAssociation or AssociateIamInstanceProfile in @ROLEWATCH_REGION@, or "
            "RemoveRoleFromInstanceProfile and AddRoleToInstanceProfile in IAM."
        ),
    ),
    EventKind.CREDENTIALS_ROTATED: (
        "IMDS serves new credentials of role @ROLEWATCH_ROLE@",
        (
            "EC2 replaced the credentials, as it does about every hour. They expire at @ROLEWATCH_EXPIRATION@. "
            "No action is needed."
        ),
    ),
    EventKind.POLL_FAILED: (
        "IMDS gave no usable answer (@ROLEWATCH_PHASE@, @ROLEWATCH_REASON@)",
        (
            "One poll failed. A single failure is no fault: IMDS drops and throttles requests at times. If the "
            "failures continue, rolewatch raises a fault with its fix. To keep the journal short, rolewatch logs the "
            "first failure, then the tenth, the hundredth and so on, and starts again after a while without failures. "
            "The metric rolewatch_poll_failures_total counts them all."
        ),
    ),
    EventKind.CONFIG_WARNING: (
        "rolewatch has started with a setting that is probably a mistake",
        (
            "@ROLEWATCH_PROBLEM@\n"
            "The daemon runs. The setting is ignored, or has an effect that is probably not intended.\n"
            "To list all warnings: rolewatch config check"
        ),
    ),
    EventKind.CONFIG_RELOADED: (
        "rolewatch has reloaded its settings",
        "The new settings are in force. No action is needed.\nTo see them: rolewatch config show",
    ),
    EventKind.CONFIG_REJECTED: (
        "rolewatch cannot use its new settings, and keeps the old ones",
        (
            "@ROLEWATCH_PROBLEM@\n"
            "The daemon continues with the old settings. With the new ones it would not start again.\n"
            "To see each error with its line: rolewatch config check\n"
            "After the fix: systemctl reload rolewatch.service"
        ),
    ),
    EventKind.STATE_FILE_IGNORED: (
        "rolewatch ignores its state file",
        (
            "@ROLEWATCH_PROBLEM@\n"
            "The state file has the start times of the active faults and the rotation interval, and no secret. It is "
            "unreadable, or belongs to another instance, for example in an image of a running one. rolewatch "
            "starts without it, learns again within hours, and writes a new one. No action is needed."
        ),
    ),
    EventKind.PUBLISHER_FAILED: (
        "rolewatch could not publish through @ROLEWATCH_PUBLISHER@",
        (
            "@ROLEWATCH_PROBLEM@\n"
            "rolewatch continues to poll, and the other publishers work. A metric "
            "counts these failures; this entry appears at the first, tenth and hundredth."
        ),
    ),
}
"""Subject and body of the events that are not faults. Raised and persisting faults have their fault's id and entry."""
