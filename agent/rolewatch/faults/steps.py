"""Text that several entries share: pages, timing, and the steps that inspect, attach and refresh.

Every command has been checked against botocore's service models (tests/test_faults.py).
"""

from __future__ import annotations

from rolewatch.faults.remedy import Step

# Pages: the anchors are those of awsdocs/iam-user-guide (2023); the EC2 guide's were cited in 2025-2026.
_IAM = "https://docs.aws.amazon.com/IAM/latest/UserGuide/"
_EC2 = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/"
PAGE_INFO = _IAM + "troubleshoot_iam-ec2.html#troubleshoot_iam-ec2_errors-info-doc"
PAGE_NO_KEYS = _IAM + "troubleshoot_iam-ec2.html#troubleshoot_iam-ec2_no-keys"
PAGE_WRONG_ROLE = _IAM + "troubleshoot_iam-ec2.html#troubleshoot_iam-ec2_wrongrole"
PAGE_IDS = _IAM + "reference_identifiers.html"
PAGE_ROLES = _EC2 + "iam-roles-for-amazon-ec2.html"
PAGE_RETRIEVAL = _EC2 + "instancedata-data-retrieval.html"
PAGE_LIMITING = _EC2 + "instance-metadata-limiting-access.html"
PAGE_OPTIONS = _EC2 + "configuring-IMDS-existing-instances.html"
PAGE_HOP_LIMIT = _EC2 + "configuring-IMDS-existing-instances.html#modify-PUT-response-hop-limit"
PAGE_CHAIN = "https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html"
PAGE_TIME = _EC2 + "configure-ec2-ntp.html"

KEEP = "Running applications keep their current credentials until they refresh them or are restarted."

AFTER_REFRESH = (
    "IMDS shows the change after EC2's next refresh, which takes up to an hour; within about a minute after "
    "disassociate and associate, or after stop and start. A reboot does not help. " + KEEP
)
"""Up to an hour: IAM guide on instance profiles, 2026. To force it: "Troubleshoot IAM and Amazon EC2"."""

AFTER_ASSOCIATION = f"IMDS serves credentials within about a minute of the association, without a reboot. {KEEP}"
"""Within seconds, or 30 to 60 seconds: two reports of 2026, none of AWS's own."""

AT_ONCE = "At once: the next poll sees it, and the fault clears after two polls in a row without it."

AFTER_OPTIONS = (
    "Within seconds, on the running instance: the change is done when MetadataOptions.State is applied. "
    "No reboot, no restart."
)

NOT_FROM_HERE = "Run the aws commands with credentials that do not come from this instance."

LOOK_AT_ASSOCIATION = Step(
    "Show what EC2 has attached, and note the AssociationId {needs}. " + NOT_FROM_HERE,
    "aws ec2 describe-iam-instance-profile-associations --region={region} \\\n"
    "  --filters Name=instance-id,Values={instance_id} \\\n"
    "  --query 'IamInstanceProfileAssociations[].[AssociationId,State,IamInstanceProfile.[Arn,Id]]' \\\n"
    "  --output json",
    id="see-association",
    permissions=("ec2:DescribeIamInstanceProfileAssociations",),
)

LOOK_AT_PROFILE = Step(
    "Show the instance profile of that name in IAM: its id, its role, and the role's trust policy {needs}.",
    "aws iam get-instance-profile --instance-profile-name={instance_profile} \\\n"
    "  --query 'InstanceProfile.[InstanceProfileId,Roles[].[RoleName,AssumeRolePolicyDocument]]' \\\n"
    "  --output json",
    id="see-profile",
    permissions=("iam:GetInstanceProfile",),
)

ASSOCIATE = Step(
    "If EC2 has none attached, attach one {needs}.",
    "aws ec2 associate-iam-instance-profile --region={region} --instance-id={instance_id} \\\n"
    "  --iam-instance-profile Name={expected_instance_profile}",
    id="associate",
    permissions=("ec2:AssociateIamInstanceProfile", "iam:PassRole"),
)

_FIND_ASSOCIATION = (
    "ASSOCIATION=$(aws ec2 describe-iam-instance-profile-associations --region={region} \\\n"
    "  --filters Name=instance-id,Values={instance_id} Name=state,Values=associated \\\n"
    "  --query 'IamInstanceProfileAssociations[0].AssociationId' --output text)\n"
)


def _replace(association: str) -> str:
    """Return the command that replaces *association*, an id or a variable of the shell."""
    return (
        "aws ec2 replace-iam-instance-profile-association --region={region} \\\n"
        f"  --association-id={association} \\\n"
        "  --iam-instance-profile Name={expected_instance_profile}"
    )


def _refresh(association: str) -> str:
    """Return the commands that disassociate *association*, an id or a variable of the shell, and associate anew."""
    return (
        f"aws ec2 disassociate-iam-instance-profile --region={{region}} --association-id={association}\n"
        "aws ec2 associate-iam-instance-profile --region={region} --instance-id={instance_id} \\\n"
        "  --iam-instance-profile Name={instance_profile}"
    )


REPLACE = Step(
    "If EC2 has one attached, associate fails with IncorrectState: replace the association instead, while the "
    "instance runs {needs}.",
    _FIND_ASSOCIATION + _replace('"$ASSOCIATION"'),
    id="replace-association",
    permissions=("ec2:ReplaceIamInstanceProfileAssociation", "iam:PassRole"),
)

TRUST_STEPS = (
    Step(
        "Save the role's trust policy to a file {needs}. NoSuchEntity: the role was deleted; create it again and add "
        "it to the instance profile. " + NOT_FROM_HERE,
        "aws iam get-role --role-name={role} --query Role.AssumeRolePolicyDocument \\\n"
        "  --output json > trust-policy.json",
        id="save-trust-policy",
        permissions=("iam:GetRole",),
    ),
    Step(
        "Edit the file so that one statement allows sts:AssumeRole for the service ec2.amazonaws.com, without a "
        "condition, and that none denies it. In China, ec2.amazonaws.com.cn works, too. Then replace the whole policy"
        " by the file {needs}.",
        "aws iam update-assume-role-policy --role-name={role} --policy-document file://trust-policy.json",
        id="put-trust-policy",
        permissions=("iam:UpdateAssumeRolePolicy",),
    ),
    Step(
        "Or, instead of the step before, if only EC2 may assume the role: set this policy {needs}. It replaces the "
        "whole policy, and every other principal loses access.",
        "aws iam update-assume-role-policy --role-name={role} --policy-document \\\n"
        '  \'{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",\n'
        '    "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}\'',
        id="set-whole-trust-policy",
        permissions=("iam:UpdateAssumeRolePolicy",),
    ),
)

FORCE = Step(
    "To refresh at once, disassociate and associate the instance profile {needs}. Check first that you have all three"
    " permissions, or the instance is left without one. If the second command answers IncorrectState, repeat it after"
    " some seconds. Stop and start does the same, but loses the instance store and a public address that is not an "
    "Elastic IP.",
    _FIND_ASSOCIATION + _refresh('"$ASSOCIATION"'),
    id="refresh-now",
    permissions=("ec2:DisassociateIamInstanceProfile", "ec2:AssociateIamInstanceProfile", "iam:PassRole"),
)

REPLACE_KNOWN = Step(
    "Replace the association {association_id}, while the instance runs {needs}.",
    _replace("{association_id}"),
    id=REPLACE.id,
    permissions=REPLACE.permissions,
)
"""`REPLACE` where EC2 gave the association's id."""

FORCE_KNOWN = Step(FORCE.text, _refresh("{association_id}"), id=FORCE.id, permissions=FORCE.permissions)
"""`FORCE` where EC2 gave the association's id."""

NOTHING_TO_FORCE = Step(
    "The instance does not run: it gets new credentials at its next start, and nothing has to be forced.",
    id="start-the-instance",
)

ASSOCIATE_NOW = Step(
    "Attach the instance profile {needs}.", ASSOCIATE.command, id=ASSOCIATE.id, permissions=ASSOCIATE.permissions
)
"""`ASSOCIATE` where EC2 has none attached."""

CORRECT_EXPECTATION = Step(
    "Or, if the served role is right, correct the expectation: [expect] in /etc/rolewatch/rolewatch.toml, or the "
    "instance's tag.",
    "sudo systemctl reload rolewatch.service",
    id="correct-expectation",
)

DISASSOCIATE = Step(
    "The instance does not run, so the association cannot be replaced: remove it first {needs}.",
    "aws ec2 disassociate-iam-instance-profile --region={region} \\\n  --association-id={association_id}",
    id="disassociate",
    permissions=("ec2:DisassociateIamInstanceProfile",),
)

WAIT_FOR_ASSOCIATION = Step(
    "The association is changing: wait until EC2 shows it as associated, or shows none.", id="wait-for-association"
)

RESTART_APPLICATIONS = Step(
    "Restart the applications that still use the old credentials: SDKs keep them in memory.", id="restart-applications"
)

ERROR_DOCUMENT = Step(
    "Read the Code and the Message from IMDS, without the secrets.",
    "TOKEN=$(curl -sS -m 2 --noproxy '*' -X PUT http://169.254.169.254/latest/api/token \\\n"
    "  -H 'X-aws-ec2-metadata-token-ttl-seconds: 60')\n"
    "for document in info security-credentials/{role}; do\n"
    "  curl -sS -m 2 --noproxy '*' -H \"X-aws-ec2-metadata-token: $TOKEN\" \\\n"
    '    "http://169.254.169.254/latest/meta-data/iam/$document" |\n'
    '    grep -oE \'"(Code|Message|LastUpdated|Expiration)" *: *"[^"]*"\'\n'
    "done",
    id="read-error-document",
)

PROBE = Step(
    "Request a token as the user that cannot reach IMDS: 200 is success, 000 is no answer. The token is not shown.",
    "sudo -u rolewatch curl -sS -m 2 --noproxy '*' -o /dev/null -w '%{http_code}\\n' -X PUT \\\n"
    "  -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token",
    id="request-token",
)

ROUTE = Step(
    "Show the route that the kernel uses for rolewatch's user; rules may differ between users.",
    "ip route get 169.254.169.254 uid {uid}\nip rule show\nip route show table all | grep -F 169.254.169.254",
    id="see-route",
)

FIREWALL = Step(
    "Find rules for 169.254.169.254 or for the user (--uid-owner, skuid), and chains whose policy drops what no rule "
    "allows.",
    "sudo iptables -S | grep -E '169\\.254|uid-owner|^-P .* DROP|REJECT'\n"
    "sudo nft list ruleset | grep -E '169\\.254|skuid|policy drop|reject'",
    id="see-firewall",
)

BUDGET = Step(
    "Check whether packets to link-local addresses are dropped: IMDS, DNS and NTP share 1024 packets a second on a "
    "network interface. If so, this counter grows.",
    "ethtool -S \"$(ip -o route get 169.254.169.254 | sed -n 's/.* dev \\([^ ]*\\).*/\\1/p')\" |\n"
    "  grep linklocal_allowance_exceeded",
    id="see-dropped-packets",
)

REDIRECT = Step(
    "Find what redirects requests for IMDS to itself (kube2iam, kiam, a transparent proxy), also by a "
    "rule for all of port 80.",
    "sudo iptables -t nat -S | grep -E '169\\.254|DNAT|REDIRECT'\n"
    "sudo nft list ruleset | grep -E '169\\.254|dnat|redirect'",
    id="see-redirect",
)

RESPONDER = Step(
    "Show what answers: IMDS itself says Server: EC2ws, but some others do, too.",
    "curl -sS -m 2 --noproxy '*' -o /dev/null -D - \\\n"
    "  http://169.254.169.254/latest/meta-data/ | grep -iE '^(HTTP|Server|Via|Location)'",
    id="see-responder",
)

CLIENTS = Step(
    "Show which processes connect to IMDS.",
    "sudo timeout 30 sh -c 'while sleep 0.1; do ss -Htnp dst 169.254.169.254; done' |\n"
    "  grep -o 'users:.*' | sort | uniq -c | sort -rn | head",
    id="see-clients",
)

STOP_AND_START = Step(
    "If it lasts, stop and start the instance, which moves it to another host {needs}. A reboot does not move it. Stop "
    "and start loses the instance store and a public address that is not an Elastic IP.",
    "aws ec2 stop-instances --region={region} --instance-ids={instance_id}\n"
    "aws ec2 wait instance-stopped --region={region} --instance-ids={instance_id}\n"
    "aws ec2 start-instances --region={region} --instance-ids={instance_id}",
    id="stop-and-start",
    permissions=("ec2:StopInstances", "ec2:StartInstances"),
)

IMDSV1_ONLY = Step(
    "A program that knows only IMDSv1 sends no token, and gets 401 where tokens are required. CloudWatch counts such "
    "requests as MetadataNoToken and MetadataNoTokenRejected {needs}. AWS's aws-imds-packet-analyzer names the "
    "process. Update that program.",
    "aws cloudwatch get-metric-statistics --region={region} --namespace=AWS/EC2 \\\n"
    "  --metric-name=MetadataNoTokenRejected --dimensions Name=InstanceId,Value={instance_id} \\\n"
    '  --start-time="$(date -ud -1day +%FT%TZ)" --end-time="$(date -u +%FT%TZ)" \\\n'
    "  --statistics=Sum --period=3600",
    id="find-imdsv1-only",
    permissions=("cloudwatch:GetMetricStatistics",),
)

WATCH_NOTHING = Step(
    "If this host does not use IMDS, disable rolewatch.",
    "sudo systemctl disable --now rolewatch.service rolewatch.socket",
    id="stop-rolewatch",
)

METADATA_OPTIONS = Step(
    "Show the instance's metadata options {needs}. " + NOT_FROM_HERE,
    "aws ec2 describe-instances --region={region} --instance-ids={instance_id} \\\n"
    "  --query 'Reservations[].Instances[].MetadataOptions'",
    id="see-metadata-options",
    permissions=("ec2:DescribeInstances",),
)

SUPPORT = Step(
    "If all that is right, EC2 itself fails to refresh: check the AWS Health Dashboard, and open a case with AWS "
    "Support. Give the instance id {instance_id}, LastUpdated and Expiration.",
    id="open-support-case",
)


def who_did_it(event: str, *, of_iam: bool) -> Step:
    """Return the step that finds the last callers of *event* in CloudTrail; IAM's events are in one Region only."""
    where = (
        "IAM's events are in us-east-1, those of China in cn-north-1, those of GovCloud in us-gov-west-1"
        if of_iam
        else "EC2's events are in the instance's Region"
    )
    return Step(
        f"Find who did it, to prevent a repetition: CloudTrail keeps 90 days {{needs}}. {where}.",
        f"aws cloudtrail lookup-events --region={'{iam_region}' if of_iam else '{region}'} --max-results 10 \\\n"
        f"  --lookup-attributes AttributeKey=EventName,AttributeValue={event} \\\n"
        "  --query 'Events[].[EventTime,Username,Resources[].ResourceName]' --output json",
        id="see-who-did-it",
        permissions=("cloudtrail:LookupEvents",),
    )
