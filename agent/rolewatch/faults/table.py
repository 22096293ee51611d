"""The one table of faults: the name of each, what an entry says, and all entries.

A fault's name is the contract: metric label, journal field, alert, runbook and command use the same word, AWS's own
term first. Everything else that is known of a fault is a field of its entry. No other module lists faults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from rolewatch.faults.imds import INTERCEPTED, UNREACHABLE, UNUSABLE, UNUSABLE_REMEDY
from rolewatch.faults.remedy import Remedy, Step
from rolewatch.faults.steps import (
    AFTER_ASSOCIATION,
    AFTER_OPTIONS,
    AFTER_REFRESH,
    ASSOCIATE,
    AT_ONCE,
    BUDGET,
    CORRECT_EXPECTATION,
    DISASSOCIATE,
    ERROR_DOCUMENT,
    FIREWALL,
    FORCE,
    IMDSV1_ONLY,
    LOOK_AT_ASSOCIATION,
    LOOK_AT_PROFILE,
    METADATA_OPTIONS,
    NOT_FROM_HERE,
    PAGE_CHAIN,
    PAGE_HOP_LIMIT,
    PAGE_IDS,
    PAGE_INFO,
    PAGE_LIMITING,
    PAGE_NO_KEYS,
    PAGE_OPTIONS,
    PAGE_RETRIEVAL,
    PAGE_ROLES,
    PAGE_TIME,
    PAGE_WRONG_ROLE,
    PROBE,
    REDIRECT,
    REPLACE,
    RESPONDER,
    RESTART_APPLICATIONS,
    ROUTE,
    STOP_AND_START,
    SUPPORT,
    TRUST_STEPS,
    WATCH_NOTHING,
    who_did_it,
)
from rolewatch.vocabulary import NO_ROLE_EXPECTED, SESSIONS_REVOKED, Document, Evidence, Level, Who


class Fault(str, Enum):
    """The closed set of faults, in the order in which they are reported: the nearest cause first."""

    IMDS_UNREACHABLE = "imds_unreachable"
    IMDS_HOP_LIMIT = "imds_hop_limit"
    IMDS_DISABLED = "imds_disabled"
    IMDS_INTERCEPTED = "imds_intercepted"
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
    CREDENTIALS_OVERRIDDEN = "credentials_overridden"


@dataclass(frozen=True)
class Entry:
    """All that is to be known about one fault."""

    fault: Fault
    title: str
    """What is wrong, in a few words, to follow the fault's name: no full stop, lower case first unless a name."""
    meaning: str
    """What this means for the instance and its applications, in one or two sentences."""
    remedy: Remedy
    severity: Level
    """One of `SEVERITIES`. The journal's PRIORITY when it is raised."""
    debounce: int
    """How many polls in a row (calls, for a confirmation) must see it before it is raised."""
    message_id: str
    """The journal's MESSAGE_ID of its raising and persisting: 32 hex digits, never changed.
    Empty if `only_diagnosed`."""
    page: str
    """The AWS page that speaks of it."""
    root_rank: int
    """Its place among root causes: of several active faults, the one with the lowest rank causes the others.

    Ranks are unique, in steps of ten to leave room. A stuck rotation follows from a broken chain, a profile that is
    not found from one that was replaced, a role that is not the expected one from a swap.
    """
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
    only_diagnosed: bool = False
    """Whether only `diagnose` reports it, because it concerns one program: the daemon publishes nothing about it."""
    alert_after: str = "5m"
    """How long it must be active before its alert fires (``for`` of the alerting rule)."""
    critical_with: str = ""
    """The key of the evidence with which it is critical, whatever `severity` says; empty if there is none."""
    others_with: str = ""
    """The key of the evidence with which only other programs have it: rolewatch's own poll is answered."""
    warns_while_usable: bool = False
    """Whether it is only a warning while the last credentials are still served and usable."""
    example: Evidence = field(default_factory=dict)
    """Evidence as a poll would give it, for the sample journal line in the runbook."""
    variants: Mapping[str, Remedy] = field(default_factory=dict)
    """Remedies for single reasons, by `Reason` value (or by AWS's Code), where they differ from the remedy."""

    def severity_with(self, evidence: Evidence, *, usable: bool | None) -> Level:
        """Return how severe the fault is with *evidence*, while credentials are *usable* or not."""
        if self.warns_while_usable and usable:
            return Level.WARNING
        return Level.CRITICAL if self.critical_with in evidence else self.severity

    def spares_the_poll(self, evidence: Evidence) -> bool:
        """Return whether *evidence* shows that only other programs have the fault."""
        return self.others_with in evidence


_OUTLIVE = (
    "Credentials in the memory of applications work until they expire, up to about six hours. Then every AWS call "
    'fails with "Unable to locate credentials".'
)

ENTRIES: tuple[Entry, ...] = (
    Entry(
        fault=Fault.IMDS_UNREACHABLE,
        title="IMDS cannot be reached",
        meaning=(
            "rolewatch cannot connect to the instance metadata service, so the state of the credentials is unknown. "
            "Applications under the same conditions get no new credentials, and fail when their current ones expire. "
            "Firewall and routing rules may apply to single users: applications may be able to connect although "
            "rolewatch is not."
        ),
        remedy=Remedy(
            cause="The connection failed in an unusual way; the errno in the evidence names it.",
            hint="Check the route and the firewall rules for the IMDS address.",
            fix=(ROUTE, PROBE, FIREWALL, BUDGET),
            takes_effect=AT_ONCE,
            who=Who.HOST,
        ),
        severity=Level.ERROR,
        debounce=3,
        message_id="14426fc115334bbdb939c8519ce8ab9c",
        page=PAGE_LIMITING,
        root_rank=10,
        is_imds_failure=True,
        keeps_credentials=True,
        example={"phase": "connect", "reason": "refused", "errno": 111},
        variants=UNREACHABLE,
    ),
    Entry(
        fault=Fault.IMDS_HOP_LIMIT,
        title="IMDS connects, but its token answer does not arrive",
        meaning=(
            "The request for a session token is sent and its answer is lost: for rolewatch itself or, where the "
            "evidence has a measured hop limit, for containers with a network of their own. SDKs there hang for "
            "seconds and then fail, or fall back to IMDSv1. No new credentials reach them."
        ),
        remedy=Remedy(
            cause=(
                "Mostly the hop limit: the answer to the token request may travel HttpPutResponseHopLimit hops, 1 by "
                "default, and a container with its own network is one hop further. Without a measured hop limit, and "
                "on the host itself: link-local packets are dropped, or a firewall allows only the connection."
            ),
            hint="Raise the hop limit to {needed_hop_limit} if rolewatch or the application runs in a container.",
            fix=(
                METADATA_OPTIONS,
                Step(
                    "If containers are to have the role, allow one more hop {needs}. Then every container of the host "
                    "can get its credentials. If you do not want that, run rolewatch on the host, and do not set "
                    "`containers` in its settings.",
                    "aws ec2 modify-instance-metadata-options --region={region} --instance-id={instance_id} \\\n"
                    "  --http-put-response-hop-limit {needed_hop_limit} --http-endpoint enabled",
                    id="raise-hop-limit",
                    permissions=("ec2:ModifyInstanceMetadataOptions",),
                ),
                Step(
                    "Change the launch template, too, or the next instance has the same fault.",
                    id="change-launch-template",
                ),
                BUDGET,
                FIREWALL,
            ),
            takes_effect=AFTER_OPTIONS,
            who=Who.EC2,
        ),
        severity=Level.ERROR,
        debounce=3,
        message_id="bb8641ed8c1f4210b3c0dc1328fc0573",
        page=PAGE_HOP_LIMIT,
        root_rank=20,
        others_with="hop_limit",
        is_imds_failure=True,
        keeps_credentials=True,
        example={"phase": "token", "reason": "no_answer"},
    ),
    Entry(
        fault=Fault.IMDS_DISABLED,
        title="IMDS is disabled for this instance",
        meaning=(
            "IMDS answers 403 to the request for a session token. No application on this instance gets credentials "
            "from the role; credentials in memory work until they expire."
        ),
        remedy=Remedy(
            cause=(
                "Either HttpEndpoint is disabled in the instance's metadata options (by hand, by the launch "
                "template, or by a default of the account), or something in between refuses or adds X-Forwarded-For, "
                "which IMDS also refuses. Nothing in the answer shows which."
            ),
            hint="Enable the metadata endpoint of the instance.",
            fix=(
                RESPONDER,
                METADATA_OPTIONS,
                Step(
                    "Enable the endpoint {needs}.",
                    "aws ec2 modify-instance-metadata-options --region={region} --instance-id={instance_id} \\\n"
                    "  --http-endpoint enabled",
                    id="enable-endpoint",
                    permissions=("ec2:ModifyInstanceMetadataOptions",),
                ),
                who_did_it("ModifyInstanceMetadataOptions", of_iam=False),
                WATCH_NOTHING,
            ),
            takes_effect=AFTER_OPTIONS,
            who=Who.EC2,
        ),
        severity=Level.ERROR,
        debounce=2,
        message_id="443ca42c9d304a20acbd2ca786a292a5",
        page=PAGE_OPTIONS,
        root_rank=30,
        is_imds_failure=True,
        keeps_credentials=True,
        seen_from_ec2=True,
        example={"phase": "token", "reason": "forbidden", "http_status": 403},
    ),
    Entry(
        fault=Fault.IMDS_INTERCEPTED,
        title="something else answers in the place of this instance's IMDS",
        meaning=(
            "What answers at the address of IMDS is not the IMDS of this instance: a proxy, another instance, a "
            "program on this host, or no EC2 at all. Programs get what it gives: another role's credentials, or none."
        ),
        remedy=Remedy(
            cause=(
                "A rule of this host or of its network leads requests for IMDS elsewhere; the evidence has what "
                "shows it. If this machine is no EC2 instance, it has no role, and rolewatch nothing to watch."
            ),
            hint="Find what answers in the place of IMDS.",
            fix=(RESPONDER, REDIRECT, ROUTE, WATCH_NOTHING),
            takes_effect=AT_ONCE,
            who=Who.HOST,
        ),
        severity=Level.ERROR,
        debounce=3,
        message_id="7f2b9d1c64e84a0c9a3f5e1d2c8b6a47",
        page=PAGE_RETRIEVAL,
        root_rank=35,
        is_imds_failure=True,
        keeps_credentials=True,
        example={"phase": "token", "reason": "forbidden", "http_status": 403, "responder": "proxy", "server": "squid"},
        variants=INTERCEPTED,
    ),
    Entry(
        fault=Fault.IMDS_ERROR,
        title="IMDS answers, but not usably",
        meaning=(
            "IMDS can be reached, but its answers cannot be used, poll after poll. SDKs repeat their requests and "
            'then say "Unable to locate credentials"; credentials in memory work until they expire.'
        ),
        remedy=UNUSABLE_REMEDY,
        severity=Level.ERROR,
        debounce=3,
        message_id="134c2da4d37943b2bc17d63fd2e6a97e",
        page=PAGE_RETRIEVAL,
        root_rank=40,
        is_imds_failure=True,
        keeps_credentials=True,
        example={"phase": "document", "reason": "throttled", "http_status": 503},
        variants=UNUSABLE,
    ),
    Entry(
        fault=Fault.INSTANCE_PROFILE_DETACHED,
        title="no instance profile is attached",
        meaning=f"IMDS has no iam subtree: EC2 has no instance profile for this instance. {_OUTLIVE}",
        remedy=Remedy(
            cause=(
                "The association was removed, or the instance was launched without an instance profile. Shortly after"
                " a launch it is normal that it is missing: rolewatch waits before it raises the fault."
            ),
            hint="Attach an instance profile.",
            fix=(
                LOOK_AT_ASSOCIATION,
                ASSOCIATE,
                who_did_it("DisassociateIamInstanceProfile", of_iam=False),
                Step(
                    "Check the launch template or the Auto Scaling group, or the next instance has none either.",
                    id="change-launch-template",
                ),
                Step(
                    "If this instance is to have none, as with Default Host Management of Systems Manager, set that in "
                    "rolewatch.",
                    "printf '[expect]\\nnone = true\\n' | sudo tee /etc/rolewatch/conf.d/60-no-role.toml\n"
                    "sudo systemctl reload rolewatch.service",
                    id="expect-none",
                ),
            ),
            takes_effect=AFTER_ASSOCIATION,
            who=Who.EC2,
        ),
        severity=Level.CRITICAL,
        debounce=2,
        message_id="10098116ee524771b513495e406a89dc",
        page=PAGE_NO_KEYS,
        root_rank=50,
        reads=frozenset({Document.INFO, Document.LISTING}),
        denies_credentials=True,
        keeps_credentials=True,
        seen_from_ec2=True,
    ),
    Entry(
        fault=Fault.INSTANCE_PROFILE_NOT_FOUND,
        title="the instance profile was deleted",
        meaning=(
            "EC2 can no longer give credentials to this instance, though it still shows the instance profile as "
            f"associated. {_OUTLIVE}"
        ),
        remedy=Remedy(
            cause=(
                "The instance profile was deleted in IAM. If one of the same name exists, it was created later: it "
                "has another id ({instance_profile_id} is attached), and EC2 uses the id."
            ),
            hint="Attach a valid instance profile.",
            fix=(
                LOOK_AT_ASSOCIATION,
                Step(
                    "Check whether IAM has one of that name, and its id {needs}. NoSuchEntity: create it first, or "
                    "attach another.",
                    "aws iam get-instance-profile --instance-profile-name={expected_instance_profile} \\\n"
                    "  --query 'InstanceProfile.[InstanceProfileId,Roles[].RoleName]' --output json",
                    id="see-profile-of-that-name",
                    permissions=("iam:GetInstanceProfile",),
                ),
                Step(
                    "If there is none, create it and add the role {needs}. EC2 may need some minutes to find a new "
                    "one.",
                    "aws iam create-instance-profile --instance-profile-name={expected_instance_profile}\n"
                    "aws iam add-role-to-instance-profile --instance-profile-name={expected_instance_profile} \\\n"
                    "  --role-name={expected_role}",
                    id="create-profile",
                    permissions=("iam:CreateInstanceProfile", "iam:AddRoleToInstanceProfile", "iam:PassRole"),
                ),
                REPLACE,
                ASSOCIATE,
                who_did_it("DeleteInstanceProfile", of_iam=True),
            ),
            takes_effect=AFTER_ASSOCIATION,
            who=Who.EC2,
        ),
        severity=Level.CRITICAL,
        debounce=2,
        message_id="9572a952b1804ee3a8a83891f4b2f1cd",
        page=PAGE_INFO,
        root_rank=70,
        reads=frozenset({Document.INFO}),
        denies_credentials=True,
        keeps_credentials=True,
        warns_while_usable=True,
        example={"code": "InstanceProfileNotFound", "instance_profile_id": "AIPAEXAMPLE"},
    ),
    Entry(
        fault=Fault.INSTANCE_PROFILE_WITHOUT_ROLE,
        title="the instance profile does not contain a role",
        meaning=(
            "The instance profile is attached and empty. EC2 and most audits show it as attached, and iam/info says "
            f"Success. {_OUTLIVE}"
        ),
        remedy=Remedy(
            cause=(
                "The role was removed from the instance profile in IAM, and no other was added: by hand, by a tool "
                "that replaces roles, or because the role was deleted."
            ),
            hint="Add the role to the instance profile.",
            fix=(
                LOOK_AT_ASSOCIATION,
                LOOK_AT_PROFILE,
                Step(
                    "Add the role to the instance profile {needs}.",
                    "aws iam add-role-to-instance-profile --instance-profile-name={instance_profile} \\\n"
                    "  --role-name={expected_role}",
                    id="add-role",
                    permissions=("iam:AddRoleToInstanceProfile", "iam:PassRole"),
                ),
                FORCE,
                who_did_it("RemoveRoleFromInstanceProfile", of_iam=True),
            ),
            takes_effect=AFTER_REFRESH,
            who=Who.IAM,
        ),
        severity=Level.CRITICAL,
        debounce=2,
        message_id="3676a426b84c4bbea0952eb1557a786e",
        page=PAGE_INFO,
        root_rank=80,
        reads=frozenset({Document.INFO}),
        denies_credentials=True,
        keeps_credentials=True,
        warns_while_usable=True,
        example={"instance_profile": "app-prod"},
    ),
    Entry(
        fault=Fault.CREDENTIALS_MISSING,
        title="there is an instance profile, but there are no credentials",
        meaning=(
            "IMDS knows the instance profile, but serves no credentials document for its role. Applications get no "
            "new credentials; credentials in memory work until they expire."
        ),
        remedy=Remedy(
            cause=(
                "The association is so new that the credentials are not there yet, or EC2 failed to get them and gave"
                " no reason."
            ),
            hint="Wait some minutes after a new association; otherwise disassociate and associate.",
            fix=(
                LOOK_AT_ASSOCIATION,
                Step("If its State is associating, or it is only some minutes old, wait.", id="wait"),
                LOOK_AT_PROFILE,
                ERROR_DOCUMENT,
                FORCE,
                SUPPORT,
            ),
            takes_effect=AFTER_ASSOCIATION,
            who=Who.EC2,
        ),
        severity=Level.CRITICAL,
        debounce=2,
        message_id="4db6573e5dbd42e6892a11d3f0c84122",
        page=PAGE_NO_KEYS,
        root_rank=120,
        reads=frozenset({Document.LISTING, Document.CREDENTIALS}),
        denies_credentials=True,
        example={"role": "app-prod"},
    ),
    Entry(
        fault=Fault.ASSUME_ROLE_UNAUTHORIZED,
        title="EC2 is not allowed to assume the role",
        meaning=(
            "EC2 requested credentials of the role and was refused, so IMDS serves an error document instead "
            '(AssumeRoleUnauthorizedAccess), although iam/info says Success. SDKs hide that and say "Unable to locate'
            ' credentials".'
        ),
        remedy=Remedy(
            cause=(
                "The role's trust policy does not let ec2.amazonaws.com assume it: it was edited, it has a condition "
                "that EC2 cannot meet (such as MFA), or the role was deleted and perhaps created again."
            ),
            hint="Let ec2.amazonaws.com assume the role in its trust policy.",
            fix=(*TRUST_STEPS, FORCE, who_did_it("UpdateAssumeRolePolicy", of_iam=True)),
            takes_effect=AFTER_REFRESH,
            who=Who.IAM,
        ),
        severity=Level.CRITICAL,
        debounce=2,
        message_id="60614c121c0c4761ad260b3e2a17b092",
        page=PAGE_INFO,
        root_rank=90,
        reads=frozenset({Document.LISTING, Document.CREDENTIALS}),
        denies_credentials=True,
        alert_after="10m",  # EC2 was seen to try again within six minutes
        example={"code": "AssumeRoleUnauthorizedAccess", "role": "app-prod"},
    ),
    Entry(
        fault=Fault.CREDENTIALS_ERROR,
        title="IMDS serves no usable credentials document",
        meaning=(
            "The document has a Code that rolewatch does not know, or lacks fields that SDKs need. Applications "
            "cannot use it; credentials in memory work until they expire."
        ),
        remedy=Remedy(
            cause=(
                "EC2 could not get credentials for the role, for a reason that AWS does not document; the Code in the"
                " evidence is AWS's. Or something else answers instead of IMDS and omits fields."
            ),
            hint="Read the Code; check the instance profile, the role and its trust policy.",
            fix=(ERROR_DOCUMENT, LOOK_AT_ASSOCIATION, LOOK_AT_PROFILE, FORCE, STOP_AND_START, SUPPORT),
            takes_effect=AFTER_REFRESH,
            who=Who.IAM,
        ),
        severity=Level.CRITICAL,
        debounce=2,
        message_id="a110e976623a4e2f93bfa7b302b702c0",
        page=PAGE_INFO,
        root_rank=130,
        reads=frozenset({Document.INFO, Document.LISTING, Document.CREDENTIALS}),
        denies_credentials=True,
        example={"code": "Failed", "role": "app-prod"},
    ),
    Entry(
        fault=Fault.CREDENTIALS_EXPIRED,
        title="the credentials that IMDS serves have expired",
        meaning=(
            "AWS calls fail with ExpiredToken, or may fail at any moment: SDKs use expired credentials for some more "
            'minutes ("credential expiration extension" in their logs), and a service may accept them for a while. '
            "IMDS's own clock shows it, so a wrong clock on the host is not the reason. If a program says ExpiredToken "
            "while this fault is not active, it uses an old copy (of a file, an environment or a container), which "
            "rolewatch does not see."
        ),
        remedy=Remedy(
            cause=(
                "EC2 has not refreshed the credentials for hours. Either it no longer can (instance profile or role "
                "deleted, role removed, trust policy edited), or its refresh is stuck."
            ),
            hint="Check the instance profile and the role, then disassociate and associate.",
            fix=(
                LOOK_AT_ASSOCIATION,
                LOOK_AT_PROFILE,
                Step(
                    "Correct what differs: the ids must be the same, there must be a role, and it must trust "
                    "ec2.amazonaws.com.",
                    id="correct-chain",
                ),
                FORCE,
                STOP_AND_START,
                RESTART_APPLICATIONS,
                SUPPORT,
            ),
            takes_effect=AFTER_REFRESH,
            who=Who.EC2,
        ),
        severity=Level.CRITICAL,
        debounce=1,
        message_id="bb76ad6b7cd4427aa956558d3886794d",
        page=PAGE_ROLES,
        root_rank=140,
        reads=frozenset({Document.LISTING, Document.CREDENTIALS}),
        denies_credentials=True,
        alert_after="1m",  # applications fail now
        example={"role": "app-prod", "expiration": "2026-11-23T23:31:25Z"},
    ),
    Entry(
        fault=Fault.ROTATION_OVERDUE,
        title="new credentials are overdue",
        meaning=(
            "The credentials work, and EC2 has not replaced them when it should have. It normally does so about every"
            " hour, and each set is valid for six hours: mostly there is time to act before anything fails. With less "
            "than five minutes left the fault is critical: AWS promises a new set before that."
        ),
        remedy=Remedy(
            cause=(
                "EC2's refresh is stuck, or EC2 can no longer get credentials for the role: instance profile or role "
                "deleted, role removed, trust policy edited. AWS promises a new set only five minutes before the old "
                "one expires, so a platform that rotates late is possible."
            ),
            hint="Check the instance profile and the role, then disassociate and associate.",
            fix=(
                LOOK_AT_ASSOCIATION,
                LOOK_AT_PROFILE,
                Step(
                    "First correct what differs: the ids must be the same, there must be a role, and it must trust "
                    "ec2.amazonaws.com. If you disassociate before that, the instance loses the credentials that "
                    "still work.",
                    id="correct-chain",
                ),
                FORCE,
                SUPPORT,
            ),
            takes_effect=AFTER_REFRESH,
            who=Who.EC2,
        ),
        severity=Level.WARNING,
        debounce=1,
        message_id="8c7ac5d5696f487e8c69fa908d270bc2",
        page=PAGE_ROLES,
        root_rank=150,
        reads=frozenset({Document.LISTING, Document.CREDENTIALS}),
        keeps_credentials=True,
        alert_after="15m",  # hours are left
        critical_with="remaining_seconds",
        example={
            "role": "app-prod",
            "age_seconds": 7500,
            "allowed_age_seconds": 7200,
            "rotation_interval_seconds": 3600,
        },
    ),
    Entry(
        fault=Fault.ROLE_MISMATCH,
        title="the role or the instance profile is not the expected one",
        meaning=(
            "Applications get working credentials of a role that is not meant for this instance. They are denied what"
            " that role lacks, and may do what only that role may."
        ),
        remedy=Remedy(
            cause=(
                "The role in the instance profile was replaced, or another instance profile was attached: often by an"
                " automation that attaches its own. After a planned change, IMDS serves the new role within an hour. "
                "Or the expectation of rolewatch is out of date."
            ),
            hint="Attach the expected instance profile, or wait if the change was planned.",
            fix=(
                LOOK_AT_ASSOCIATION,
                LOOK_AT_PROFILE,
                Step(
                    "If IAM already has the expected role in the instance profile, wait up to an hour.",
                    id="wait",
                ),
                Step(
                    "If EC2 has another instance profile attached, replace it by the expected one, while the instance"
                    " runs {needs}.",
                    REPLACE.command,
                    id="replace-association",
                    permissions=("ec2:ReplaceIamInstanceProfileAssociation", "iam:PassRole"),
                ),
                Step(
                    "Or, if the instance profile is right and has the wrong role, change the role in it {needs}. This "
                    "changes every instance that has this instance profile.",
                    "aws iam remove-role-from-instance-profile --instance-profile-name={instance_profile} \\\n"
                    "  --role-name={role}\n"
                    "aws iam add-role-to-instance-profile --instance-profile-name={instance_profile} \\\n"
                    "  --role-name={expected_role}",
                    id="change-role",
                    permissions=("iam:RemoveRoleFromInstanceProfile", "iam:AddRoleToInstanceProfile", "iam:PassRole"),
                ),
                FORCE,
                CORRECT_EXPECTATION,
                RESTART_APPLICATIONS,
                who_did_it("ReplaceIamInstanceProfileAssociation", of_iam=False),
            ),
            takes_effect=AFTER_REFRESH,
            who=Who.EC2,
        ),
        severity=Level.ERROR,
        debounce=2,
        message_id="c5d4cc298bf244d087f86fe4b5476e40",
        page=PAGE_WRONG_ROLE,
        root_rank=170,
        reads=frozenset({Document.LISTING}),
        variants={
            NO_ROLE_EXPECTED: Remedy(
                cause=(
                    "The instance is to have no instance profile, and one was attached: often by an automation that "
                    "attaches its own. Or the expectation of rolewatch is out of date."
                ),
                hint="Remove the association, or correct the expectation.",
                fix=(
                    LOOK_AT_ASSOCIATION,
                    replace(DISASSOCIATE, text="If the instance is to have none, remove the association {needs}."),
                    CORRECT_EXPECTATION,
                    who_did_it("AssociateIamInstanceProfile", of_iam=False),
                ),
                takes_effect=AFTER_REFRESH,
                who=Who.EC2,
            )
        },
        alert_after="10m",  # a swap may be under way
        example={"role": "admin-break-glass", "expected_role": "app-prod"},
    ),
    Entry(
        fault=Fault.CLOCK_SKEW,
        title="the clock of this host is wrong",
        meaning=(
            "The local clock differs from that of IMDS. AWS refuses requests whose signature is more than five minutes "
            "off (RequestTimeTooSkewed, SignatureDoesNotMatch, AuthFailure), which looks like bad credentials, and "
            "SDKs misjudge when theirs expire. rolewatch corrects for it."
        ),
        remedy=Remedy(
            cause=(
                "The time service does not run or cannot reach its source, or the instance was resumed from "
                "hibernation and its clock was not stepped."
            ),
            hint="Start the time service and step the clock.",
            fix=(
                Step(
                    "Check whether the time service runs, and its source.",
                    "chronyc tracking\nchronyc sources",
                    id="see-time-service",
                ),
                Step("Step the clock now.", "sudo chronyc makestep", id="step-clock"),
                Step(
                    "If there is no source, use Amazon's: it needs no route out of the VPC. On Debian and Ubuntu the "
                    "file is /etc/chrony/chrony.conf, and the service is called chrony.",
                    "echo 'server 169.254.169.123 prefer iburst minpoll 4 maxpoll 4' | sudo tee -a /etc/chrony.conf\n"
                    "sudo systemctl restart chronyd",
                    id="use-amazon-time",
                ),
                Step(
                    "If systemd-timesyncd keeps the time instead, restart it.",
                    "timedatectl status\nsudo systemctl restart systemd-timesyncd",
                    id="restart-timesyncd",
                ),
            ),
            takes_effect=(
                "At once after the step: the fault clears after two polls in a row without it. Some applications must "
                "be restarted after a step of hours."
            ),
            who=Who.HOST,
        ),
        severity=Level.WARNING,
        debounce=3,
        message_id="f610cd4022a04a9aa448536fbb258359",
        page=PAGE_TIME,
        root_rank=180,
        alert_after="15m",  # a step of NTP ends within minutes
        example={"clock_offset_seconds": 600},
    ),
    Entry(
        fault=Fault.CREDENTIALS_REJECTED,
        title="AWS refuses the credentials that IMDS serves",
        meaning=(
            "The credentials look right, but AWS refuses them, so every AWS call of the applications fails now. "
            "IMDS does not show it."
        ),
        remedy=Remedy(
            cause=(
                "The role was deleted, and perhaps created again under the same name: sessions belong to the role's "
                "id, not to its name."
            ),
            hint="Check whether the role was deleted or created again, then disassociate and associate.",
            fix=(
                Step(
                    "Check whether the role exists, and its CreateDate {needs}. If that is after LastUpdated, the "
                    "role was created again. " + NOT_FROM_HERE,
                    "aws iam get-role --role-name={role} --query 'Role.[RoleId,CreateDate]' --output text",
                    id="see-role",
                    permissions=("iam:GetRole",),
                ),
                LOOK_AT_PROFILE,
                Step(
                    "If the instance profile has no role, add the role {needs}.",
                    "aws iam add-role-to-instance-profile --instance-profile-name={instance_profile} \\\n"
                    "  --role-name={role}",
                    id="add-role",
                    permissions=("iam:AddRoleToInstanceProfile", "iam:PassRole"),
                ),
                FORCE,
                RESTART_APPLICATIONS,
                who_did_it("DeleteRole", of_iam=True),
            ),
            takes_effect=AFTER_REFRESH,
            who=Who.IAM,
        ),
        severity=Level.CRITICAL,
        debounce=2,
        message_id="32733e176f74426baedd14ad7403d967",
        page=PAGE_IDS,
        root_rank=110,
        decided_by="sts.proof",
        example={"code": "InvalidClientTokenId", "role": "app-prod"},
        variants={
            SESSIONS_REVOKED: Remedy(
                cause=(
                    "An inline policy of the role denies every call of the sessions that were issued before a time, "
                    'and the served ones are older: somebody used "Revoke active sessions" (AWSRevokeOlderSessions), '
                    "or a tool did. GetCallerIdentity still answers."
                ),
                hint="Find out who revoked the role's sessions and why; EC2's next rotation ends it.",
                fix=(
                    Step(
                        "Show the role's inline policies: one has a Deny with aws:TokenIssueTime {needs}. Leave it: "
                        "it does not concern newer sessions. " + NOT_FROM_HERE,
                        "for policy in $(aws iam list-role-policies --role-name={role} --query PolicyNames \\\n"
                        "    --output text); do\n"
                        '  aws iam get-role-policy --role-name={role} --policy-name="$policy" --output json\n'
                        "done",
                        id="see-inline-policies",
                        permissions=("iam:ListRolePolicies", "iam:GetRolePolicy"),
                    ),
                    who_did_it("PutRolePolicy", of_iam=True),
                    FORCE,
                    RESTART_APPLICATIONS,
                ),
                takes_effect=AFTER_REFRESH,
                who=Who.IAM,
            )
        },
    ),
    Entry(
        fault=Fault.INSTANCE_PROFILE_REPLACED,
        title="the instance profile was deleted and created anew under the same name",
        meaning=(
            "IAM has an instance profile of that name, but with another id than the attached one. The credentials "
            "work until they expire; then there will be none."
        ),
        remedy=Remedy(
            cause=(
                "The instance profile was deleted and created again, as tools do that replace resources. EC2 uses the"
                " id ({instance_profile_id} is attached), and that instance profile is gone."
            ),
            hint="Attach the instance profile again.",
            fix=(
                LOOK_AT_ASSOCIATION,
                LOOK_AT_PROFILE,
                Step(
                    "Attach the current one, which has the same name, while the instance runs {needs}.",
                    REPLACE.command,
                    id="replace-association",
                    permissions=("ec2:ReplaceIamInstanceProfileAssociation", "iam:PassRole"),
                ),
                who_did_it("DeleteInstanceProfile", of_iam=True),
            ),
            takes_effect=AFTER_ASSOCIATION,
            who=Who.EC2,
        ),
        severity=Level.WARNING,
        debounce=2,
        message_id="cb463cf6bcc646f0b4e8bcaa3957b655",
        page=PAGE_INFO,
        root_rank=60,
        keeps_credentials=True,
        decided_by="iam.profile_id",
        example={"instance_profile": "app-prod", "instance_profile_id": "AIPAEXAMPLE"},
    ),
    Entry(
        fault=Fault.ROLE_SWAP_PENDING,
        title="the role in the instance profile was replaced, and IMDS still serves the old one",
        meaning=(
            "IAM's instance profile has another role than IMDS serves. Applications use the old role, and change to "
            "the new one at the next refresh without notice."
        ),
        remedy=Remedy(
            cause="The role was replaced in IAM within about the last hour, and EC2 has not refreshed yet. That is "
            "normal.",
            hint="Wait up to an hour, or disassociate and associate.",
            fix=(
                LOOK_AT_ASSOCIATION,
                LOOK_AT_PROFILE,
                Step("If the new role is right, wait for the next refresh.", id="wait"),
                FORCE,
                Step(
                    "Or, if it is wrong, restore the old one before the refresh {needs}.",
                    "NEW=$(aws iam get-instance-profile --instance-profile-name={instance_profile} \\\n"
                    "  --query 'InstanceProfile.Roles[0].RoleName' --output text)\n"
                    "aws iam remove-role-from-instance-profile --instance-profile-name={instance_profile} \\\n"
                    '  --role-name="$NEW"\n'
                    "aws iam add-role-to-instance-profile --instance-profile-name={instance_profile} \\\n"
                    "  --role-name={role}",
                    id="restore-role",
                    permissions=("iam:RemoveRoleFromInstanceProfile", "iam:AddRoleToInstanceProfile", "iam:PassRole"),
                ),
                RESTART_APPLICATIONS,
                who_did_it("AddRoleToInstanceProfile", of_iam=True),
            ),
            takes_effect=AFTER_REFRESH,
            who=Who.IAM,
        ),
        severity=Level.WARNING,
        debounce=1,
        message_id="b3c12a2564134383b8440e70f4c79d4d",
        page=PAGE_WRONG_ROLE,
        root_rank=160,
        keeps_credentials=True,
        decided_by="iam.served_role",
        example={"role": "app-prod", "expected_role": "app-prod-v2"},
    ),
    Entry(
        fault=Fault.TRUST_POLICY_DENIES_EC2,
        title="the role's trust policy does not let EC2 assume it",
        meaning=(
            "The credentials that IMDS serves were issued before the trust policy was changed, and work until they "
            "expire. EC2 will get no new ones: this becomes assume_role_unauthorized."
        ),
        remedy=Remedy(
            cause=(
                "The trust policy was edited: ec2.amazonaws.com is not among its principals, is denied, or cannot "
                "meet a condition."
            ),
            hint="Let ec2.amazonaws.com assume the role in its trust policy, before the credentials expire.",
            fix=(*TRUST_STEPS, who_did_it("UpdateAssumeRolePolicy", of_iam=True)),
            takes_effect=(
                "IAM needs some seconds. Before EC2's next refresh, applications do not notice; after it, see "
                "assume_role_unauthorized."
            ),
            who=Who.IAM,
        ),
        severity=Level.WARNING,
        debounce=1,
        message_id="fb04ff30e6044ab49d503ac179814b0d",
        page=PAGE_INFO,
        root_rank=100,
        keeps_credentials=True,
        decided_by="iam.trust",
        example={"role": "app-prod"},
    ),
    Entry(
        fault=Fault.CREDENTIALS_OVERRIDDEN,
        title="a program does not use the role's credentials",
        meaning=(
            "IMDS serves the role, and the programs of a user or a service do not use it: they find other credentials "
            "first, send requests for IMDS to a proxy, or cannot reach IMDS. They act as somebody else, or report "
            "that there are no credentials."
        ),
        remedy=Remedy(
            cause=(
                "A variable, a configuration file or a proxy comes before the role, or the program is confined. The "
                "failed checks of diagnose name it."
            ),
            hint="Remove what the failed checks of diagnose name.",
            fix=(
                Step(
                    "If a variable or a file gives other credentials, remove the variable, or the profile from the "
                    "file. Check first what wrote it: the agent of Systems Manager writes keys again if the host is "
                    "registered by a hybrid activation.",
                    id="remove-override",
                ),
                Step(
                    "If a proxy is named, add the bare address of IMDS to no_proxy and NO_PROXY, where the variable "
                    "is set: in the unit, its EnvironmentFile, or the profile of the shell.",
                    id="except-imds",
                ),
                Step(
                    "Check each other service as the program itself sees the host.",
                    "sudo rolewatch diagnose --unit={unit}",
                    id="check-program",
                ),
                Step("Restart the program: it read its variables when it started.", id="restart-program"),
                IMDSV1_ONLY,
            ),
            takes_effect="When the program is restarted.",
            who=Who.HOST,
        ),
        severity=Level.ERROR,
        debounce=1,
        message_id="",
        page=PAGE_CHAIN,
        root_rank=190,
        only_diagnosed=True,
    ),
)
"""An entry for every fault, in the order of `Fault`."""
