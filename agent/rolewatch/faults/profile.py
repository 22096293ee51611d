"""Faults of the instance profile: detached, deleted, without a role, or without credentials yet."""

from __future__ import annotations

from rolewatch.faults.entry import Entry, Remedy, Step
from rolewatch.faults.steps import (
    AFTER_ASSOCIATION,
    AFTER_REFRESH,
    ASSOCIATE,
    ERROR_DOCUMENT,
    FORCE,
    LOOK_AT_ASSOCIATION,
    LOOK_AT_PROFILE,
    PAGE_INFO,
    PAGE_NO_KEYS,
    REPLACE,
    SUPPORT,
    who_did_it,
)
from rolewatch.vocabulary import Document, Fault, Severity, Who

_OUTLIVE = (
    "Credentials that applications already hold keep working until they expire, up to about six hours, and then every "
    'AWS call fails with "Unable to locate credentials".'
)

ENTRIES = (
    Entry(
        fault=Fault.INSTANCE_PROFILE_DETACHED,
        title="no instance profile is attached",
        meaning=f"IMDS has no iam subtree: EC2 has no instance profile for this instance. {_OUTLIVE}",
        remedy=Remedy(
            cause=(
                "The association was removed, or the instance was launched without an instance profile. Just after a "
                "launch it is merely not there yet, which rolewatch waits for before it says so."
            ),
            hint="Attach an instance profile.",
            fix=(
                LOOK_AT_ASSOCIATION,
                ASSOCIATE,
                who_did_it("DisassociateIamInstanceProfile", of_iam=False),
                Step(
                    "Look into the launch template or the Auto Scaling group, or the next instance has none either.",
                    id="change-launch-template",
                ),
            ),
            takes_effect=AFTER_ASSOCIATION,
            who=Who.EC2,
        ),
        severity=Severity.CRITICAL,
        debounce=2,
        message_id="10098116ee524771b513495e406a89dc",
        page=PAGE_NO_KEYS,
        root_rank=5,
        reads=frozenset({Document.INFO, Document.LISTING}),
        denies_credentials=True,
        keeps_credentials=True,
        seen_from_ec2=True,
    ),
    Entry(
        fault=Fault.INSTANCE_PROFILE_NOT_FOUND,
        title="the instance profile was deleted",
        meaning=(
            "EC2 can give no credentials to this instance any more, though it still shows the instance profile as "
            f"associated. {_OUTLIVE}"
        ),
        remedy=Remedy(
            cause=(
                "The instance profile was deleted in IAM. Where one of the same name exists, it was created anew: it "
                "has another id ({instance_profile_id} is the one attached), and EC2 goes by the id."
            ),
            hint="Attach a valid instance profile.",
            fix=(
                LOOK_AT_ASSOCIATION,
                Step(
                    "See whether IAM has one of that name, and with which id {needs}. NoSuchEntity: create it first, "
                    "or attach another.",
                    "aws iam get-instance-profile --instance-profile-name={expected_instance_profile} \\\n"
                    "  --query 'InstanceProfile.[InstanceProfileId,Roles[].RoleName]' --output json",
                    id="see-profile-of-that-name",
                    permissions=("iam:GetInstanceProfile",),
                ),
                Step(
                    "Where there is none, create it and put the role in {needs}. EC2 may need some minutes until it "
                    "knows a new one.",
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
        severity=Severity.CRITICAL,
        debounce=2,
        message_id="9572a952b1804ee3a8a83891f4b2f1cd",
        page=PAGE_INFO,
        root_rank=7,
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
                "The role was removed from the instance profile in IAM, and none was put in: by hand, by a tool that "
                "replaces roles, or because the role was deleted."
            ),
            hint="Add the role to the instance profile.",
            fix=(
                LOOK_AT_ASSOCIATION,
                LOOK_AT_PROFILE,
                Step(
                    "Put the role in {needs}.",
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
        severity=Severity.CRITICAL,
        debounce=2,
        message_id="3676a426b84c4bbea0952eb1557a786e",
        page=PAGE_INFO,
        root_rank=8,
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
            "IMDS knows the instance profile and serves no credentials document for its role. Applications that hold "
            "none get none; those that hold some work until they expire."
        ),
        remedy=Remedy(
            cause=(
                "The association is so fresh that the credentials are not there yet, or EC2 failed to get them without "
                "saying why."
            ),
            hint="Wait some minutes after a new association; else disassociate and associate.",
            fix=(
                LOOK_AT_ASSOCIATION,
                Step("Where its State is associating, or it is younger than some minutes, wait.", id="wait"),
                LOOK_AT_PROFILE,
                ERROR_DOCUMENT,
                FORCE,
                SUPPORT,
            ),
            takes_effect=AFTER_ASSOCIATION,
            who=Who.EC2,
        ),
        severity=Severity.CRITICAL,
        debounce=2,
        message_id="4db6573e5dbd42e6892a11d3f0c84122",
        page=PAGE_NO_KEYS,
        root_rank=12,
        reads=frozenset({Document.LISTING, Document.CREDENTIALS}),
        denies_credentials=True,
        example={"role": "app-prod"},
    ),
)
