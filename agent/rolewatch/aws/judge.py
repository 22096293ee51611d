"""The ordered list of checks, in the order of AWS's page "Troubleshoot IAM and Amazon EC2". Pure.

First whether IMDS can be reached, and what stands in the way; then the ``iam`` subtree and its documents; then what
only AWS can tell. docs/diagnose.md has a section on each.
"""

from __future__ import annotations

from typing import Tuple

from rolewatch.aws import judge_aws, judge_host, judge_iam, judge_imds
from rolewatch.aws.checks import Check
from rolewatch.aws.context import Context

_HERE = (judge_imds.on_instance,)
_TOKEN = (judge_imds.on_instance, judge_imds.token)
_EC2 = (judge_aws.known_instance,)
_IAM = (judge_iam.asked,)
_PROFILE = (judge_iam.asked, judge_iam.existing)
_ROLE = (judge_iam.asked, judge_iam.existing, judge_iam.with_role)

CHECKS: Tuple[Check[Context], ...] = (
    Check("imds.token", "IMDS gives a session token", judge_imds.reachable, _HERE),
    Check("host.route", "This host has a route to IMDS", judge_host.route, _HERE),
    Check("host.firewall", "No firewall stands before IMDS", judge_host.firewall, _HERE),
    Check("host.hop_limit", "The answer to the token request comes back", judge_host.hop_limit, _HERE),
    Check("host.allowance", "No link-local packets are dropped", judge_host.allowance, _HERE),
    Check("host.imdsd", "systemd-imdsd does not lock IMDS", judge_host.imdsd, _HERE),
    Check("host.proxy", "No proxy is set for IMDS", judge_host.proxy, _HERE),
    Check("imds.iam", "IMDS has the iam subtree", judge_imds.subtree, _TOKEN),
    Check("imds.info", "iam/info names no error", judge_imds.info, _TOKEN),
    Check("imds.listing", "IMDS lists a role", judge_imds.listing, _TOKEN),
    Check("imds.credentials", "IMDS serves usable credentials", judge_imds.credentials, _TOKEN),
    Check("imds.rotation", "The credentials are renewed", judge_imds.rotation, _TOKEN),
    Check("imds.clock", "The local clock agrees with IMDS's", judge_imds.clock, _HERE),
    Check("imds.expected_role", "The served role is the expected one", judge_imds.expected, _TOKEN),
    Check("sts.proof", "AWS accepts the served credentials", judge_aws.proof, _TOKEN),
    Check("aws.caller", "AWS can be asked", judge_aws.caller),
    Check("ec2.attached", "An instance profile is attached", judge_aws.attached, _EC2),
    Check("ec2.association", "The association is complete", judge_aws.state, _EC2),
    Check("ec2.metadata_options", "EC2 has IMDS enabled", judge_aws.options, _EC2),
    Check("iam.profile", "IAM has the instance profile", judge_iam.exists, _IAM),
    Check("iam.profile_id", "It is the one that is attached", judge_iam.same_id, _PROFILE),
    Check("iam.profile_role", "It holds a role", judge_iam.holds_role, _PROFILE),
    Check("iam.served_role", "IMDS serves that role", judge_iam.same_role, (*_ROLE, judge_iam.served)),
    Check("iam.expected_role", "It is the expected one", judge_iam.expected, _ROLE),
    Check("iam.role_id", "The credentials are of that role", judge_iam.same_role_id, (*_PROFILE, judge_iam.served)),
    Check("iam.trust", "The role's trust policy lets EC2 assume it", judge_iam.trusts_ec2, _ROLE),
    Check("shadow.environment", "No variable shadows the role", judge_host.environment, _HERE),
    Check("shadow.files", "No configuration file shadows the role", judge_host.files, _HERE),
    Check("shadow.container", "No container's role shadows the role", judge_host.container, _HERE),
)
