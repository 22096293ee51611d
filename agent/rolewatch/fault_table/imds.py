"""IMDS itself: unreachable, cut short by the hop limit, disabled, or answering nonsense."""

from __future__ import annotations

from rolewatch.fault_table import unreachable, unusable
from rolewatch.fault_table.nouns import Entry, Fault, Remedy, Severity, Step, Who
from rolewatch.fault_table.shared import (
    AFTER_OPTIONS,
    AT_ONCE,
    BUDGET,
    FIREWALL,
    METADATA_OPTIONS,
    PAGE_HOP_LIMIT,
    PAGE_LIMITING,
    PAGE_OPTIONS,
    PAGE_RETRIEVAL,
    PROBE,
    ROUTE,
    WATCH_NOTHING,
    who_did_it,
)

ENTRIES = (
    Entry(
        fault=Fault.IMDS_UNREACHABLE,
        title="IMDS cannot be reached",
        meaning=(
            "rolewatch cannot connect to the instance metadata service, so the state of the credentials is unknown. "
            "Applications under the same conditions get no new credentials, and fail when those they hold expire. "
            "Firewall and routing rules may be for single users: what rolewatch sees need not be what they see."
        ),
        remedy=Remedy(
            cause="The connection failed in an unusual way; the errno in the evidence says in which.",
            hint="Look at the route and at the firewall rules for the IMDS address.",
            fix=(PROBE, ROUTE, FIREWALL, BUDGET),
            takes_effect=AT_ONCE,
            who=Who.HOST,
        ),
        severity=Severity.ERROR,
        debounce=3,
        message_id="14426fc115334bbdb939c8519ce8ab9c",
        page=PAGE_LIMITING,
        variants=unreachable.VARIANTS,
    ),
    Entry(
        fault=Fault.IMDS_HOP_LIMIT,
        title="IMDS connects, but its token answer does not arrive",
        meaning=(
            "The request for a session token is sent and its answer is lost. SDKs on the same path hang for seconds "
            "and then fail, or fall back to IMDSv1. No new credentials reach them."
        ),
        remedy=Remedy(
            cause=(
                "Mostly the hop limit: the answer to the token request may travel HttpPutResponseHopLimit hops, 1 by "
                "default, and a container with its own network is one further. On the host itself: link-local packets "
                "are dropped, or a firewall lets the connection through and nothing else."
            ),
            hint="Raise the hop limit to 2 where rolewatch or the application runs in a container.",
            fix=(
                METADATA_OPTIONS,
                Step(
                    "Where it runs in a container, allow one hop more (needs ec2:ModifyInstanceMetadataOptions). Every "
                    "container of the host can get the role's credentials then: where that is not wanted, run "
                    "rolewatch on the host instead.",
                    "aws ec2 modify-instance-metadata-options --region={region} --instance-id={instance_id} \\\n"
                    "  --http-put-response-hop-limit 2 --http-endpoint enabled",
                ),
                Step("Change the launch template, too, or the next instance has the same trouble."),
                BUDGET,
                FIREWALL,
            ),
            takes_effect=AFTER_OPTIONS,
            who=Who.EC2,
        ),
        severity=Severity.ERROR,
        debounce=3,
        message_id="bb8641ed8c1f4210b3c0dc1328fc0573",
        page=PAGE_HOP_LIMIT,
    ),
    Entry(
        fault=Fault.IMDS_DISABLED,
        title="IMDS is disabled for this instance",
        meaning=(
            "IMDS answers 403 to the request for a session token. No application on this instance gets credentials "
            "from the role; those held in memory work until they expire."
        ),
        remedy=Remedy(
            cause=(
                "HttpEndpoint is disabled in the instance's metadata options: by hand, by the launch template, or by a "
                "default of the account. More rarely a proxy adds X-Forwarded-For, which IMDS refuses likewise."
            ),
            hint="Enable the metadata endpoint of the instance.",
            fix=(
                METADATA_OPTIONS,
                Step(
                    "Enable the endpoint (needs ec2:ModifyInstanceMetadataOptions).",
                    "aws ec2 modify-instance-metadata-options --region={region} --instance-id={instance_id} \\\n"
                    "  --http-endpoint enabled",
                ),
                who_did_it("ModifyInstanceMetadataOptions", of_iam=False),
                WATCH_NOTHING,
            ),
            takes_effect=AFTER_OPTIONS,
            who=Who.EC2,
        ),
        severity=Severity.ERROR,
        debounce=2,
        message_id="443ca42c9d304a20acbd2ca786a292a5",
        page=PAGE_OPTIONS,
    ),
    Entry(
        fault=Fault.IMDS_ERROR,
        title="IMDS answers, but not usably",
        meaning=(
            "IMDS can be reached, and what it answers cannot be used, poll after poll. SDKs repeat their requests and "
            'then say "Unable to locate credentials"; credentials held in memory work until they expire.'
        ),
        remedy=unusable.REMEDY,
        severity=Severity.ERROR,
        debounce=3,
        message_id="134c2da4d37943b2bc17d63fd2e6a97e",
        page=PAGE_RETRIEVAL,
        variants=unusable.VARIANTS,
    ),
)
