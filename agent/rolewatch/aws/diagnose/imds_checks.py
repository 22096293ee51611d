"""The checks of what IMDS says, in the order of AWS's page. Their faults are those of `classify`."""

from __future__ import annotations

from rolewatch.aws.checks import Outcome, failed, passed, skipped, unknown
from rolewatch.aws.diagnose.collect import Context
from rolewatch.faults import DENYING_FAULTS, Fault, faults_read_from
from rolewatch.faults.explain import explain
from rolewatch.monitor.classify import Finding
from rolewatch.observation import Absent, Failure, ProfileInfo, RoleListing, Unanswered
from rolewatch.publish.messages import duration
from rolewatch.text import rfc3339
from rolewatch.vocabulary import Document, State

ON_INSTANCE = "anybody on the instance: rolewatch diagnose"


def on_instance(context: Context) -> Outcome | None:
    """Need: IMDS was asked."""
    if context.look is not None:
        return None
    return skipped("It can only be seen on the instance itself.", ON_INSTANCE)


def token(context: Context) -> Outcome | None:
    """Need: IMDS gave a session token."""
    if context.answered is not None:
        return None
    return unknown("IMDS gave no session token, so nothing more could be asked.")


def reachable(context: Context) -> Outcome:
    """Judge whether IMDS gives a session token, and in which phase it fails."""
    seen = context.look.seen if context.look else None
    if not isinstance(seen, Unanswered):
        return passed("IMDS gave a session token (IMDSv2).")
    failure = seen.failure
    finding = context.finding(
        Fault.IMDS_UNREACHABLE, Fault.IMDS_HOP_LIMIT, Fault.IMDS_DISABLED, Fault.IMDS_ERROR
    ) or Finding(Fault.IMDS_ERROR, failure.evidence)
    what = f"It failed in the phase {failure.phase.value} ({failure.reason.value})."
    return failed(f"{what} {_cause(finding)}", finding.fault, finding.evidence)


def subtree(context: Context) -> Outcome:
    """Judge whether the ``iam`` subtree is there."""
    answered = context.answered
    if answered is None or not (isinstance(answered.info, Absent) and isinstance(answered.listing, Absent)):
        return passed("The iam subtree is there.")
    finding = context.finding(Fault.INSTANCE_PROFILE_DETACHED)
    if finding is None:
        return unknown("There is no iam subtree yet. So shortly after boot that is normal.")
    return _found(finding, "There is no iam subtree: EC2 has no instance profile for this instance.")


def info(context: Context) -> Outcome:
    """Judge ``iam/info``."""
    document = context.answered.info if context.answered else None
    finding = context.finding(Fault.INSTANCE_PROFILE_NOT_FOUND, Fault.INSTANCE_PROFILE_WITHOUT_ROLE)
    if finding is not None:
        return _found(finding, _INFO[finding.fault].format(id=finding.evidence.get("instance_profile_id", "its id")))
    if isinstance(document, Failure):
        return _unread(context, document, "iam/info")
    if not isinstance(document, ProfileInfo):
        return unknown("There is no iam/info.")
    error = context.finding(Fault.CREDENTIALS_ERROR)
    if error is not None and error.evidence.get("document") == Document.INFO:
        return _found(error, f"iam/info has the Code {document.code}, which AWS does not document.")
    return passed(
        f"iam/info says {document.code or 'nothing wrong'} of the instance profile {document.name or '(not named)'}.",
        instance_profile=document.name,
        instance_profile_id=document.id,
    )


_INFO = {
    Fault.INSTANCE_PROFILE_NOT_FOUND: "iam/info says InstanceProfileNotFound: the instance profile {id} was deleted.",
    Fault.INSTANCE_PROFILE_WITHOUT_ROLE: (
        "iam/info says Success, and in its Message that the instance profile does not contain a role."
    ),
}


def listing(context: Context) -> Outcome:
    """Judge ``iam/security-credentials/``."""
    answered = context.answered
    found = answered.listing if answered else None
    error = context.finding(Fault.IMDS_ERROR)
    if isinstance(found, RoleListing):
        if found.roles > 1 and error is not None:
            return _found(error, f"The listing names {found.roles} roles; an instance has one.")
        return passed(f"IMDS lists the role {found.role}.", role=found.role)
    if isinstance(found, Failure):
        return _unread(context, found, "The listing of the role")
    finding = context.finding(Fault.CREDENTIALS_MISSING)
    if finding is not None:
        return _found(finding, "IMDS lists no role, though there is an instance profile.")
    if _explained(context):
        return failed("IMDS lists no role, for the reason that the checks before this one name.")
    return unknown("IMDS lists no role yet. So shortly after boot that is normal.")


def credentials(context: Context) -> Outcome:
    """Judge the credentials document: is it there, what is its Code, are its fields, has it expired."""
    document = context.answered.credentials if context.answered else None
    if document is None:
        return unknown("Without a role in the listing there is no document to ask for.")
    if isinstance(document, Failure):
        return _unread(context, document, "The credentials document")
    finding = context.finding(*DENYING_FAULTS & faults_read_from(Document.CREDENTIALS))
    if finding is not None and finding.evidence.get("document") is None:
        return _found(finding, _cause(finding))
    if isinstance(document, Absent):
        return unknown("There is no credentials document yet. So shortly after boot that is normal.")
    when = rfc3339(document.expiration) if document.expiration else "an unknown time"
    return passed(f"IMDS serves credentials of the role {document.role} that expire at {when}.", role=document.role)


def rotation(context: Context) -> Outcome:
    """Judge whether the credentials are renewed."""
    finding = context.finding(Fault.ROTATION_OVERDUE)
    if finding is not None:
        age = duration(float(finding.evidence.get("age_seconds", 0)))
        return _found(finding, f"The credentials are {age} old; EC2 renews them about every hour.")
    document = context.credentials
    if document is None or document.last_updated is None:
        return unknown("There are no credentials whose age could be told.")
    return passed(f"The credentials were renewed at {rfc3339(document.last_updated)}.")


def clock(context: Context) -> Outcome:
    """Judge the local clock against IMDS's."""
    offset = context.look.verdict.clock_offset if context.look else None
    if offset is None:
        return unknown("IMDS told no time to compare the local clock with.")
    finding = context.finding(Fault.CLOCK_SKEW)
    side = "ahead of" if offset > 0 else "behind"
    note = f"The local clock is {duration(abs(offset))} {side} IMDS's."
    return passed(note) if finding is None else _found(finding, note)


def expected(context: Context) -> Outcome:
    """Judge the served role against the expected one."""
    finding = context.finding(Fault.ROLE_MISMATCH)
    if finding is not None:
        wanted = finding.evidence.get("expected_role") or finding.evidence.get("expected_instance_profile")
        served = finding.evidence.get("role") if "expected_role" in finding.evidence else None
        return _found(
            finding, f"IMDS serves {served or finding.evidence.get('instance_profile')}, expected is {wanted}."
        )
    if not context.expected_role:
        return skipped("No role is expected: name one with --expect-role, or in the settings.")
    if context.served_role is None:
        return unknown("IMDS lists no role to compare.")
    return passed(f"The role {context.served_role} is the expected one.")


def _found(finding: Finding, note: str) -> Outcome:
    return failed(note, finding.fault, finding.evidence)


def _unread(context: Context, failure: Failure, what: str) -> Outcome:
    note = f"{what} could not be read ({failure.reason.value})."
    if context.finding(Fault.IMDS_ERROR) is None:
        return unknown(note)
    return failed(note, Fault.IMDS_ERROR, failure.evidence)


def _explained(context: Context) -> bool:
    """Return whether IMDS itself says why there is no role."""
    state = context.look.snapshot.state if context.look else State.UNKNOWN
    return state not in (State.STARTING, State.UNKNOWN)


def _cause(finding: Finding) -> str:
    return explain(finding.fault, finding.evidence, {}).cause
