"""Why what IMDS answers cannot be used, reason by reason."""

from __future__ import annotations

from typing import Mapping

from rolewatch.fault_table.nouns import Remedy, Step, Who
from rolewatch.fault_table.shared import (
    AT_ONCE,
    BUDGET,
    CLIENTS,
    ERROR_DOCUMENT,
    FIREWALL,
    METADATA_OPTIONS,
    REDIRECT,
    RESPONDER,
    STOP_AND_START,
    SUPPORT,
)

VARIANTS: Mapping[str, Remedy] = {
    "throttled": Remedy(
        cause=(
            "IMDS answered 429 or 503: something on this instance asks too often. rolewatch asks 4 times a poll, and "
            "has slowed down."
        ),
        hint="Find what asks IMDS so often.",
        fix=(
            CLIENTS,
            BUDGET,
            Step("Let that program keep its session token and its credentials: both are good for hours."),
        ),
        takes_effect="Within minutes of the requests ending.",
        who=Who.HOST,
    ),
    "unauthorized": Remedy(
        cause=(
            "IMDS answered 401 to a session token that it had just issued. Seen in the first moments after boot, and "
            "where something between host and IMDS answers in its place or alters the headers."
        ),
        hint="Wait where the instance has just booted; else look for a proxy between host and IMDS.",
        fix=(
            Step("Within some minutes of a boot, wait."),
            REDIRECT,
            SUPPORT,
        ),
        takes_effect=AT_ONCE,
        who=Who.HOST,
    ),
    "forbidden": Remedy(
        cause=(
            "IMDS gave a session token and then answered 403: it refuses requests that carry X-Forwarded-For, which a "
            "proxy adds, or the endpoint was disabled between two requests."
        ),
        hint="Take the proxy out of the way to IMDS.",
        fix=(
            REDIRECT,
            METADATA_OPTIONS,
        ),
        takes_effect=AT_ONCE,
        who=Who.HOST,
    ),
    "empty": Remedy(
        cause=(
            "IMDS answered 200 without a body. That has been seen when the instance asks too often, or when link-local "
            "packets are dropped."
        ),
        hint="Find what asks IMDS so often.",
        fix=(
            BUDGET,
            CLIENTS,
            SUPPORT,
        ),
        takes_effect="Within minutes of the requests ending.",
        who=Who.HOST,
    ),
    "server_error": Remedy(
        cause="IMDS answered with a 5xx status: it has trouble of its own, or what answers in its place has.",
        hint="Wait some minutes, then open a case with AWS Support.",
        fix=(
            Step("Wait some minutes: a restart of IMDS's host service heals itself."),
            REDIRECT,
            STOP_AND_START,
            SUPPORT,
        ),
        takes_effect=AT_ONCE,
        who=Who.EC2,
    ),
    "no_answer": Remedy(
        cause=(
            "IMDS gave a session token, and did not finish a later answer in time: packets are dropped on the way, or "
            "IMDS is slow."
        ),
        hint="Look at linklocal_allowance_exceeded; raise the time-out where IMDS is merely slow.",
        fix=(
            BUDGET,
            Step(
                "Where it is merely slow, wait longer: timeout under [imds] in /etc/rolewatch/rolewatch.toml, up to "
                "deadline.",
                "sudo systemctl reload rolewatch.service",
            ),
            SUPPORT,
        ),
        takes_effect=AT_ONCE,
        who=Who.HOST,
    ),
    "reset": Remedy(
        cause=(
            "The connection was cut before the answer was complete: a firewall that tracks connections, a proxy in "
            "IMDS's place, or dropped packets."
        ),
        hint="Look for a proxy in IMDS's place, and at linklocal_allowance_exceeded.",
        fix=(
            BUDGET,
            FIREWALL,
            REDIRECT,
        ),
        takes_effect=AT_ONCE,
        who=Who.HOST,
    ),
    "unexpected_status": Remedy(
        cause=(
            "The answer had a status that IMDS does not give here, a redirect perhaps. rolewatch does not follow "
            "redirects: what is read is a secret. Mostly something else answers in IMDS's place."
        ),
        hint="Find what answers in IMDS's place.",
        fix=(
            RESPONDER,
            Step(
                "Look for something that redirects IMDS to itself, and at the endpoint that rolewatch asks.",
                "sudo iptables -t nat -S | grep -F 169.254.169.254\nrolewatch config show",
            ),
        ),
        takes_effect=AT_ONCE,
        who=Who.HOST,
    ),
    "ambiguous": Remedy(
        cause=(
            "The listing names more than one role. An instance has at most one, so it is not EC2's IMDS that answers, "
            "or it answers wrongly. rolewatch went by the first, as the SDKs for Go and Ruby do."
        ),
        hint="Find what answers in IMDS's place.",
        fix=(
            Step(
                "See what is listed.",
                "TOKEN=$(curl -sS -m 2 -X PUT http://169.254.169.254/latest/api/token \\\n"
                "  -H 'X-aws-ec2-metadata-token-ttl-seconds: 60')\n"
                'curl -sS -m 2 -H "X-aws-ec2-metadata-token: $TOKEN" \\\n'
                "  http://169.254.169.254/latest/meta-data/iam/security-credentials/",
            ),
            REDIRECT,
            SUPPORT,
        ),
        takes_effect=AT_ONCE,
        who=Who.HOST,
    ),
}

REMEDY = Remedy(
    cause=(
        "The answer could not be read: cut off, too large, not JSON, or a page of HTML. Either something else answers "
        "in IMDS's place, or IMDS has trouble of its own."
    ),
    hint="Find what answers in IMDS's place, or wait where it is IMDS itself.",
    fix=(
        ERROR_DOCUMENT,
        RESPONDER,
        REDIRECT,
        BUDGET,
        SUPPORT,
    ),
    takes_effect=AT_ONCE,
    who=Who.HOST,
)
