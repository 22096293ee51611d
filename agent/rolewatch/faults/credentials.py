"""Faults of the credentials document, and of what it is compared with: trust, time, expectation, clock."""

from __future__ import annotations

from rolewatch.faults.entry import Entry, Remedy, Step
from rolewatch.faults.steps import (
    AFTER_REFRESH,
    ERROR_DOCUMENT,
    FORCE,
    LOOK_AT_ASSOCIATION,
    LOOK_AT_PROFILE,
    PAGE_INFO,
    PAGE_ROLES,
    PAGE_TIME,
    PAGE_WRONG_ROLE,
    REPLACE,
    RESTART_APPLICATIONS,
    STOP_AND_START,
    SUPPORT,
    TRUST_STEPS,
    who_did_it,
)
from rolewatch.vocabulary import Document, Fault, Severity, Who

ENTRIES = (
    Entry(
        fault=Fault.ASSUME_ROLE_UNAUTHORIZED,
        title="EC2 is not allowed to assume the role",
        meaning=(
            "EC2 asked for credentials of the role and was refused, so IMDS serves an error document in their place "
            '(AssumeRoleUnauthorizedAccess), although iam/info says Success. SDKs hide that and say "Unable to locate '
            'credentials".'
        ),
        remedy=Remedy(
            cause=(
                "The role's trust policy does not let ec2.amazonaws.com assume it: it was edited, it has a condition "
                "that EC2 cannot meet (MFA, for example), or the role was deleted and perhaps created anew."
            ),
            hint="Let ec2.amazonaws.com assume the role in its trust policy.",
            fix=(*TRUST_STEPS, FORCE, who_did_it("UpdateAssumeRolePolicy", of_iam=True)),
            takes_effect=AFTER_REFRESH,
            who=Who.IAM,
        ),
        severity=Severity.CRITICAL,
        debounce=2,
        message_id="60614c121c0c4761ad260b3e2a17b092",
        page=PAGE_INFO,
        root_rank=9,
        reads=frozenset({Document.LISTING, Document.CREDENTIALS}),
        denies_credentials=True,
        alert_after="10m",  # EC2 was seen to try again within six minutes
        example={"code": "AssumeRoleUnauthorizedAccess", "role": "app-prod"},
    ),
    Entry(
        fault=Fault.CREDENTIALS_ERROR,
        title="IMDS serves no usable credentials document",
        meaning=(
            "The document has a Code that rolewatch does not know, or lacks fields that SDKs need. Applications cannot "
            "use it; those that hold credentials work until they expire."
        ),
        remedy=Remedy(
            cause=(
                "EC2 could not get credentials for the role, for a reason that AWS does not document; the Code in the "
                "evidence is AWS's. Or something else answers in IMDS's place and leaves fields out."
            ),
            hint="Read the Code; check the instance profile, the role and its trust policy.",
            fix=(ERROR_DOCUMENT, LOOK_AT_ASSOCIATION, LOOK_AT_PROFILE, FORCE, STOP_AND_START, SUPPORT),
            takes_effect=AFTER_REFRESH,
            who=Who.IAM,
        ),
        severity=Severity.CRITICAL,
        debounce=2,
        message_id="a110e976623a4e2f93bfa7b302b702c0",
        page=PAGE_INFO,
        root_rank=13,
        reads=frozenset({Document.INFO, Document.LISTING, Document.CREDENTIALS}),
        denies_credentials=True,
        example={"code": "Failed", "role": "app-prod"},
    ),
    Entry(
        fault=Fault.CREDENTIALS_EXPIRED,
        title="the credentials that IMDS serves have expired",
        meaning=(
            "AWS calls fail with ExpiredToken, or may fail at any moment: SDKs go on with expired credentials for some "
            'minutes ("credential expiration extension" in their logs), and a service may accept them for a while. '
            "This is told by IMDS's own clock, so a wrong clock on the host is not the reason."
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
                    "Mend what you find there: the ids must be the same, there must be a role, and it must trust "
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
        severity=Severity.CRITICAL,
        debounce=1,
        message_id="bb76ad6b7cd4427aa956558d3886794d",
        page=PAGE_ROLES,
        root_rank=14,
        reads=frozenset({Document.LISTING, Document.CREDENTIALS}),
        denies_credentials=True,
        alert_after="1m",  # applications fail now
        example={"role": "app-prod", "expiration": "2026-11-23T23:31:25Z"},
    ),
    Entry(
        fault=Fault.ROTATION_OVERDUE,
        title="new credentials are overdue",
        meaning=(
            "The credentials work, and EC2 has not replaced them when it should have. It normally does so about every "
            "hour, though each set lives six hours: there is time to act before anything fails."
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
                    "Mend what you find there first: the ids must be the same, there must be a role, and it must "
                    "trust ec2.amazonaws.com. Disassociating while that is wrong takes away the credentials that "
                    "still work.",
                    id="correct-chain",
                ),
                FORCE,
                SUPPORT,
            ),
            takes_effect=AFTER_REFRESH,
            who=Who.EC2,
        ),
        severity=Severity.WARNING,
        debounce=1,
        message_id="8c7ac5d5696f487e8c69fa908d270bc2",
        page=PAGE_ROLES,
        root_rank=15,
        reads=frozenset({Document.LISTING, Document.CREDENTIALS}),
        keeps_credentials=True,
        alert_after="15m",  # hours are left
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
            "Applications get working credentials of another role than was meant for this instance. Expect "
            "AccessDenied where that role may less, and a leak of rights where it may more."
        ),
        remedy=Remedy(
            cause=(
                "The role in the instance profile was replaced, or another instance profile was attached: often by an "
                "automation that attaches its own. After a planned change it takes up to an hour until IMDS serves the "
                "new role. Or what rolewatch expects is out of date."
            ),
            hint="Attach the expected instance profile, or wait where the change is under way.",
            fix=(
                LOOK_AT_ASSOCIATION,
                LOOK_AT_PROFILE,
                Step(
                    "Where IAM already has the expected role in the instance profile, the change is under way: wait "
                    "up to an hour.",
                    id="wait",
                ),
                Step(
                    "Where EC2 has another instance profile attached than the expected one, replace it, while the "
                    "instance runs {needs}.",
                    REPLACE.command,
                    id="replace-association",
                    permissions=("ec2:ReplaceIamInstanceProfileAssociation", "iam:PassRole"),
                ),
                Step(
                    "Where the instance profile is right and holds the wrong role, change the role in it {needs}. "
                    "This changes every instance that has this instance profile.",
                    "aws iam remove-role-from-instance-profile --instance-profile-name={instance_profile} \\\n"
                    "  --role-name={role}\n"
                    "aws iam add-role-to-instance-profile --instance-profile-name={instance_profile} \\\n"
                    "  --role-name={expected_role}",
                    id="change-role",
                    permissions=("iam:RemoveRoleFromInstanceProfile", "iam:AddRoleToInstanceProfile", "iam:PassRole"),
                ),
                FORCE,
                Step(
                    "Where the role served is the right one, correct the expectation: [expect] in "
                    "/etc/rolewatch/rolewatch.toml, or the instance's tag.",
                    "sudo systemctl reload rolewatch.service",
                    id="correct-expectation",
                ),
                RESTART_APPLICATIONS,
                who_did_it("ReplaceIamInstanceProfileAssociation", of_iam=False),
            ),
            takes_effect=AFTER_REFRESH,
            who=Who.EC2,
        ),
        severity=Severity.ERROR,
        debounce=2,
        message_id="c5d4cc298bf244d087f86fe4b5476e40",
        page=PAGE_WRONG_ROLE,
        root_rank=17,
        reads=frozenset({Document.LISTING}),
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
                    "See whether the time service runs, and from where it has the time.",
                    "chronyc tracking\nchronyc sources",
                    id="see-time-service",
                ),
                Step("Step the clock now.", "sudo chronyc makestep", id="step-clock"),
                Step(
                    "Where there is no source, use Amazon's: it needs no route out of the VPC. On Debian and Ubuntu "
                    "the file is /etc/chrony/chrony.conf, and the service is called chrony.",
                    "echo 'server 169.254.169.123 prefer iburst minpoll 4 maxpoll 4' | sudo tee -a /etc/chrony.conf\n"
                    "sudo systemctl restart chronyd",
                    id="use-amazon-time",
                ),
                Step(
                    "Where systemd-timesyncd keeps the time instead, restart it.",
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
        severity=Severity.WARNING,
        debounce=3,
        message_id="f610cd4022a04a9aa448536fbb258359",
        page=PAGE_TIME,
        root_rank=18,
        alert_after="15m",  # a step of NTP ends within minutes
        example={"clock_offset_seconds": 600},
    ),
)
