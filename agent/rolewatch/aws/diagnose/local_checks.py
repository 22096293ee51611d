"""Checks of what this host and IMDS say, in the order of AWS's page. Pure; the faults are those of `classify`."""

from __future__ import annotations

from typing import Callable

from rolewatch.aws.checks import Outcome, failed, passed, skipped, unknown
from rolewatch.aws.diagnose.findings import Context, LocalFindings
from rolewatch.aws.queries import Instance
from rolewatch.faults import IMDS_FAULTS, Fault, faults_read_from
from rolewatch.faults.explain import explain
from rolewatch.monitor.classify import Finding
from rolewatch.observation import Absent, Answered, Credentials, Failure, ProfileInfo, RoleListing, RouteKind
from rolewatch.publish import messages
from rolewatch.publish.messages import duration
from rolewatch.text import rfc3339
from rolewatch.vocabulary import Document, FailureLabel, Reason, State

ON_INSTANCE = "anybody on the instance: rolewatch diagnose"
NOT_HERE = skipped("This is only visible on the instance itself.", ON_INSTANCE)
NO_TOKEN = unknown("IMDS gave no session token, so no document could be read.")


def on_instance(judge: Callable[[LocalFindings], Outcome]) -> Callable[[Context], Outcome]:
    """Return *judge* as a check of a context that is skipped on a workstation."""
    return lambda context: judge(context.local) if context.local else NOT_HERE


def with_token(judge: Callable[[LocalFindings, Answered], Outcome]) -> Callable[[Context], Outcome]:
    """Return *judge* as a check of a context that needs IMDS's documents: unknown if IMDS gave no session token."""

    def judged(local: LocalFindings) -> Outcome:
        return judge(local, local.answered) if local.answered else NO_TOKEN

    return on_instance(judged)


_IMDSV1_ONLY = (
    "programs that know only IMDSv1 get 401. CloudWatch counts their requests (MetadataNoTokenRejected), and "
    "aws-imds-packet-analyzer names them."
)


def token(context: Context) -> Outcome:
    """Check whether IMDS gives a session token, and in which phase it fails."""
    local, instance = context.local, context.aws.instance
    if local is None:
        return NOT_HERE
    if local.failure is None:
        tokens = instance.options.tokens if isinstance(instance, Instance) else None
        when = {"optional": "If you require tokens,", "required": "Tokens are required:"}.get(tokens or "")
        return passed(f"IMDS gave a session token (IMDSv2). {when or 'Where tokens are required,'} {_IMDSV1_ONLY}")
    finding = local.finding(*IMDS_FAULTS) or Finding(Fault.IMDS_ERROR, local.failure.evidence)
    what = f"It failed in the phase {local.failure.phase.value} ({local.failure.reason.value})."
    return failed(f"{what} {_cause(finding)}", finding.fault, finding.evidence)


def responder(local: LocalFindings) -> Outcome:
    """Check whether something else than this instance's IMDS answers."""
    finding = local.finding(Fault.IMDS_INTERCEPTED)
    if finding is not None:
        return failed(_cause(finding), finding.fault, finding.evidence)
    if local.failure is not None:
        return unknown("IMDS gave no session token, and nothing shows who answers.")
    return passed("Nothing shows that something else answers.")


_WAYS = {
    RouteKind.NONE: "The kernel has no route to {}.",
    RouteKind.UNREACHABLE: "An unreachable route rejects {}.",
    RouteKind.PROHIBIT: "A prohibit route rejects {} for this user.",
    RouteKind.BLACKHOLE: "A blackhole route drops what is sent to {}.",
}


def route(local: LocalFindings) -> Outcome:
    """Check the kernel's way to IMDS, for this user and by all rules and tables."""
    address, way = local.host.address, local.host.route
    if way is None:
        return unknown(f"The kernel's route to {address} could not be read.")
    if way.kind in _WAYS:
        return failed(_WAYS[way.kind].format(address))
    if way.kind is RouteKind.LOCAL:
        if local.failure is None or local.failure.reason is not Reason.LOCAL_ADDRESS:
            return passed(f"{address} is an address of this host itself.")
        return failed(f"{address} is an address of this host itself ({way.interface}), and nothing answers there.")
    words = f"{address} goes out through {way.interface}" + (f" by way of {way.gateway}" if way.gateway else "")
    if local.failure is not None and local.failure.reason is Reason.WRONG_ROUTE:
        table = f" (routing table {way.table})" if "route_table" in local.failure.evidence else ""
        why = "nobody answers there" if way.no_neighbour else f"the default route leaves by {way.default_interface}"
        return failed(f"{words}{table}, and {why}.")
    return passed(f"{words}.", interface=way.interface)


_BY_FIREWALL = {
    Reason.REFUSED: (
        "The connection is refused: a firewall rule (REJECT), perhaps only for this user, a NAT rule to a program that "
        "does not run, or nothing listens."
    ),
    Reason.REJECTED: "The packets are rejected though the route is well: a firewall rule (REJECT), here or on the way.",
    Reason.FILTERED: "A local filter refuses the packet: nftables, the unit's IPAddressDeny, or seccomp.",
    Reason.CONNECT_TIMEOUT: (
        "The connection is not answered: a firewall (a rule or a chain's policy of DROP), or packets are lost "
        "on the way."
    ),
}


def firewall(local: LocalFindings) -> Outcome:
    """Check whether the failure looks like one of a firewall. Only root may read its rules."""
    if local.failure is None:
        return passed(
            f"IMDS answers {local.user}. Rules by uid may treat other users, such as applications, differently."
        )
    likely = _BY_FIREWALL.get(local.failure.reason)
    return failed(likely) if likely else passed("The failure is not one that a firewall makes.")


def hop_limit(context: Context) -> Outcome:
    """Check whether the answer to the token request arrives."""
    if context.local is None:
        return NOT_HERE
    instance = context.aws.instance
    limit = instance.options.hop_limit if isinstance(instance, Instance) else None
    measured = context.local.snapshot.hop_limit
    in_ec2 = "" if limit is None else f" EC2 has it at {limit}.{_differs(measured, limit)}"
    finding = context.local.finding(Fault.IMDS_HOP_LIMIT)
    if context.local.failure is None:
        shown = "" if measured is None else f" The measured hop limit is {messages.hop_limit(measured)}."
        note = f"The answer to the token request comes back.{shown}{in_ec2}"
        if finding is None:
            return passed(note, hop_limit=limit, measured=measured)
        return failed(
            f"{note} Containers here need {finding.evidence['needed_hop_limit']}.",
            finding.fault,
            finding.evidence,
            hop_limit=limit,
            measured=measured,
        )
    if finding is None:
        return unknown(f"The token request did not come so far.{in_ec2}", hop_limit=limit)
    return failed(
        f"Connected, and the token request is not answered: the response dies on its way back.{in_ec2}",
        Fault.IMDS_HOP_LIMIT,
        context.local.failure.evidence,
        hop_limit=limit,
    )


def _differs(measured: int | None, limit: int) -> str:
    """Return that the hop limit *measured* here and EC2's *limit* differ, and why they may; empty if they agree."""
    if measured is None or min(limit, 2) <= measured <= limit:
        return ""
    return (
        " The two differ: there is a hop in between, as in a container, a change is not applied yet, or the answers "
        "do not have the limit as their TTL."
    )


def allowance(local: LocalFindings) -> Outcome:
    """Check the budget of link-local packets: IMDS, DNS and NTP share 1024 a second on an interface."""
    interface, count = local.host.route and local.host.route.interface, local.observation.dropped_packets
    if count is None:
        return unknown("The network driver has no counter linklocal_allowance_exceeded, as ENA's has.")
    if count == 0:
        return passed(f"{interface} has dropped no link-local packet since boot.", dropped=0)
    note = f"{interface} has dropped {count} link-local packets since boot"
    if local.failure is not None and local.failure.reason.label is FailureLabel.TIMEOUT:
        return failed(f"{note}, and IMDS does not answer: the budget of 1024 a second is used up.", dropped=count)
    return passed(f"{note}, though IMDS answers now: watch whether the figure grows.", dropped=count)


def imdsd(local: LocalFindings) -> Outcome:
    """Check whether systemd-imdsd locks IMDS for unprivileged processes."""
    installed, locked = local.host.imdsd, local.host.imdsd_network == "locked"
    if local.failure is not None and local.failure.reason is Reason.PROHIBITED:
        if installed or locked:
            return failed("systemd-imdsd locks IMDS for unprivileged processes with a prohibit route.")
        return failed("A prohibit route stands before IMDS, as systemd-imdsd sets one; but it is not installed.")
    if locked and local.failure is None:
        return passed("systemd-imdsd is set to lock IMDS, but this user reaches it; other users may not.")
    return passed("systemd-imdsd does not lock IMDS." if installed else "There is no systemd-imdsd.")


def subtree(local: LocalFindings, answered: Answered) -> Outcome:
    """Check whether the ``iam`` subtree is there."""
    if not (isinstance(answered.info, Absent) and isinstance(answered.listing, Absent)):
        return passed("The iam subtree is there.")
    finding = local.finding(Fault.INSTANCE_PROFILE_DETACHED)
    if finding is None and local.snapshot.expected.none:
        return passed("There is no iam subtree, as expected.")
    if finding is None:
        return unknown("There is no iam subtree yet. That is normal shortly after boot.")
    return _found(finding, "There is no iam subtree: EC2 has no instance profile for this instance.")


def info(local: LocalFindings, answered: Answered) -> Outcome:
    """Check ``iam/info``."""
    document = answered.info
    if isinstance(document, Failure):
        return _unread(local, document, "iam/info")
    if not isinstance(document, ProfileInfo):
        return unknown("There is no iam/info.")
    finding = local.finding(Fault.INSTANCE_PROFILE_NOT_FOUND)
    if finding is not None:
        which = finding.evidence.get("instance_profile_id", "its id")
        return _found(finding, f"iam/info says InstanceProfileNotFound: the instance profile {which} was deleted.")
    finding = local.finding(Fault.INSTANCE_PROFILE_WITHOUT_ROLE)
    if finding is not None:
        return _found(
            finding, "iam/info says Success, and in its Message that the instance profile does not contain a role."
        )
    finding = local.finding(Fault.CREDENTIALS_ERROR)
    if finding is not None and finding.document is Document.INFO:
        return _found(finding, f"iam/info has the Code {document.code}, which AWS does not document.")
    return passed(
        f"iam/info says {document.code or 'nothing wrong'} of the instance profile {document.name or '(not named)'}.",
        instance_profile=document.name,
        instance_profile_id=document.id,
    )


def listing(local: LocalFindings, answered: Answered) -> Outcome:
    """Check ``iam/security-credentials/``."""
    document = answered.listing
    if isinstance(document, Failure):
        return _unread(local, document, "The listing of the role")
    if isinstance(document, RoleListing):
        error = local.finding(Fault.IMDS_ERROR)
        if document.roles > 1 and error is not None:
            return _found(error, f"The listing names {document.roles} roles; an instance has one.")
        return passed(f"IMDS lists the role {document.role}.", role=document.role)
    finding = local.finding(Fault.CREDENTIALS_MISSING)
    if finding is not None:
        return _found(finding, "IMDS lists no role, though there is an instance profile.")
    if local.snapshot.state not in (State.STARTING, State.UNKNOWN):
        as_expected = local.snapshot.expected.none
        why = "as expected" if as_expected else "for the reason that the checks before this one name"
        return (passed if as_expected else failed)(f"IMDS lists no role, {why}.")
    return unknown("IMDS lists no role yet. That is normal shortly after boot.")


_WITH_A_CHECK = {Fault.ROTATION_OVERDUE, Fault.ROLE_MISMATCH}
"""What `credentials` leaves to checks of their own. It reports every other fault of the document, also a new one."""


def credentials(local: LocalFindings, answered: Answered) -> Outcome:
    """Check the credentials document: whether it is there, its Code, its fields, and whether it has expired."""
    document = answered.credentials
    if document is None:
        return unknown("Without a role in the listing there is no document to ask for.")
    if isinstance(document, Failure):
        return _unread(local, document, "The credentials document")
    finding = local.finding(*faults_read_from(Document.CREDENTIALS) - _WITH_A_CHECK)
    if finding is not None and finding.document is None:
        return _found(finding, _cause(finding))
    if isinstance(document, Absent):
        return unknown("There is no credentials document yet. That is normal shortly after boot.")
    when = rfc3339(document.expiration) if document.expiration else "an unknown time"
    return passed(
        f"IMDS serves credentials of the role {document.role} that expire at {when}. Copies of them in files, "
        "environments and containers are not seen: ExpiredToken in a program, while IMDS serves these, means an old "
        "copy.",
        role=document.role,
    )


def rotation(local: LocalFindings, answered: Answered) -> Outcome:
    """Check whether the credentials are renewed."""
    finding = local.finding(Fault.ROTATION_OVERDUE)
    if finding is not None:
        age = duration(float(finding.evidence.get("age_seconds", 0)))
        return _found(finding, f"The credentials are {age} old; EC2 renews them about every hour.")
    document = answered.credentials
    if not isinstance(document, Credentials) or document.last_updated is None:
        return unknown("There are no credentials with a known age.")
    return passed(f"The credentials were renewed at {rfc3339(document.last_updated)}.")


def clock(local: LocalFindings) -> Outcome:
    """Check the local clock against IMDS's."""
    offset = local.verdict.clock_offset
    if offset is None:
        return unknown("IMDS gave no time to compare the local clock with.")
    finding = local.finding(Fault.CLOCK_SKEW)
    side = "ahead of" if offset > 0 else "behind"
    note = f"The local clock is {duration(abs(offset))} {side} IMDS's."
    return passed(note) if finding is None else _found(finding, note)


def expected_role(local: LocalFindings, answered: Answered) -> Outcome:
    """Check the served role against the expected one."""
    finding = local.finding(Fault.ROLE_MISMATCH)
    if finding is not None:
        evidence = finding.evidence
        wanted = evidence.get("expected_role") or evidence.get("expected_instance_profile")
        served = evidence.get("role") if "expected_role" in evidence else None
        return _found(finding, f"IMDS serves {served or evidence.get('instance_profile')}, expected is {wanted}.")
    if local.snapshot.expected.none:
        return passed("IMDS lists no role, as expected.")
    if not local.snapshot.expected.role:
        return skipped("No role is expected: name one with --expect-role, or in the settings.")
    if not isinstance(answered.listing, RoleListing):
        return unknown("IMDS lists no role to compare.")
    return passed(f"The role {answered.listing.role} is the expected one.")


def _found(finding: Finding, note: str) -> Outcome:
    return failed(note, finding.fault, finding.evidence)


def _unread(local: LocalFindings, failure: Failure, what: str) -> Outcome:
    note = f"{what} could not be read ({failure.reason.value})."
    if local.finding(Fault.IMDS_ERROR) is None:
        return unknown(note)
    return failed(note, Fault.IMDS_ERROR, failure.evidence)


def _cause(finding: Finding) -> str:
    return explain(finding.fault, finding.evidence, {}).cause
