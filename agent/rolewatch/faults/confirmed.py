"""Faults that only the AWS API shows: they come from a confirmation, never from IMDS alone."""

from __future__ import annotations

from rolewatch.faults.entry import Entry, Remedy, Step
from rolewatch.faults.steps import (
    AFTER_ASSOCIATION,
    AFTER_REFRESH,
    FORCE,
    LOOK_AT_ASSOCIATION,
    LOOK_AT_PROFILE,
    NOT_FROM_HERE,
    PAGE_IDS,
    PAGE_INFO,
    PAGE_WRONG_ROLE,
    REPLACE,
    RESTART_APPLICATIONS,
    TRUST_STEPS,
    who_did_it,
)
from rolewatch.vocabulary import Fault, Severity, Who

ENTRIES = (
    Entry(
        fault=Fault.CREDENTIALS_REJECTED,
        title="AWS refuses the credentials that IMDS serves",
        meaning=(
            "The credentials look right, and AWS STS refuses them, so every AWS call of the applications fails now. "
            "IMDS shows nothing of it."
        ),
        remedy=Remedy(
            cause=(
                "The role was deleted, and perhaps created anew under the same name: sessions belong to the role's id, "
                "not to its name. (A revoked session is not this: STS still answers it, and other calls are denied.)"
            ),
            hint="Check whether the role was deleted or created anew, then disassociate and associate.",
            fix=(
                Step(
                    "See whether the role exists, and since when {needs}. Created after "
                    "LastUpdated: it is a new one. " + NOT_FROM_HERE,
                    "aws iam get-role --role-name={role} --query 'Role.[RoleId,CreateDate]' --output text",
                    id="see-role",
                    permissions=("iam:GetRole",),
                ),
                LOOK_AT_PROFILE,
                Step(
                    "Where the instance profile lost the role with it, put the role in {needs}.",
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
        severity=Severity.CRITICAL,
        debounce=2,
        message_id="32733e176f74426baedd14ad7403d967",
        page=PAGE_IDS,
        root_rank=11,
        decided_by="sts.proof",
        example={"code": "InvalidClientTokenId", "role": "app-prod"},
    ),
    Entry(
        fault=Fault.INSTANCE_PROFILE_REPLACED,
        title="the instance profile was deleted and created anew under the same name",
        meaning=(
            "IAM has an instance profile of that name, with another id than the one attached. The credentials work "
            "until they expire; then there will be none."
        ),
        remedy=Remedy(
            cause=(
                "The instance profile was deleted and created anew, as tools do that replace instead of change. EC2 "
                "goes by the id ({instance_profile_id} is attached), and that one is gone."
            ),
            hint="Attach the instance profile again.",
            fix=(
                LOOK_AT_ASSOCIATION,
                LOOK_AT_PROFILE,
                Step(
                    "Attach the one that exists now, by the same name, while the instance runs {needs}.",
                    REPLACE.command,
                    id="replace-association",
                    permissions=("ec2:ReplaceIamInstanceProfileAssociation", "iam:PassRole"),
                ),
                who_did_it("DeleteInstanceProfile", of_iam=True),
            ),
            takes_effect=AFTER_ASSOCIATION,
            who=Who.EC2,
        ),
        severity=Severity.WARNING,
        debounce=2,
        message_id="cb463cf6bcc646f0b4e8bcaa3957b655",
        page=PAGE_INFO,
        root_rank=6,
        keeps_credentials=True,
        decided_by="iam.profile_id",
        example={"instance_profile": "app-prod", "instance_profile_id": "AIPAEXAMPLE"},
    ),
    Entry(
        fault=Fault.ROLE_SWAP_PENDING,
        title="the role in the instance profile was replaced, and IMDS still serves the old one",
        meaning=(
            "IAM's instance profile holds another role than IMDS serves. Applications work with the old role, and "
            "change to the new one at the next refresh, without being asked."
        ),
        remedy=Remedy(
            cause="The role was replaced in IAM within the last hour or so. EC2 has not refreshed yet: normal.",
            hint="Wait up to an hour, or disassociate and associate.",
            fix=(
                LOOK_AT_ASSOCIATION,
                LOOK_AT_PROFILE,
                Step("Where the new role is the right one, wait for the next refresh.", id="wait"),
                FORCE,
                Step(
                    "Where it is the wrong one, put the old one back before the refresh {needs}.",
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
        severity=Severity.WARNING,
        debounce=1,
        message_id="b3c12a2564134383b8440e70f4c79d4d",
        page=PAGE_WRONG_ROLE,
        root_rank=16,
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
                "The trust policy was edited: ec2.amazonaws.com is not among its principals, is denied, or has to meet "
                "a condition that it cannot meet."
            ),
            hint="Let ec2.amazonaws.com assume the role in its trust policy, before the credentials expire.",
            fix=(*TRUST_STEPS, who_did_it("UpdateAssumeRolePolicy", of_iam=True)),
            takes_effect=(
                "IAM needs some seconds. Done before EC2's next refresh, nobody notices; after it, see "
                "assume_role_unauthorized."
            ),
            who=Who.IAM,
        ),
        severity=Severity.WARNING,
        debounce=1,
        message_id="fb04ff30e6044ab49d503ac179814b0d",
        page=PAGE_INFO,
        root_rank=10,
        keeps_credentials=True,
        decided_by="iam.trust",
        example={"role": "app-prod"},
    ),
)
