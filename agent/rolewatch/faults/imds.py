"""Remedies of the faults of IMDS itself, by the reason why a request failed."""

from __future__ import annotations

from collections.abc import Mapping

from rolewatch.faults.remedy import Remedy, Step
from rolewatch.faults.steps import (
    AT_ONCE,
    BUDGET,
    CLIENTS,
    ERROR_DOCUMENT,
    FIREWALL,
    METADATA_OPTIONS,
    PROBE,
    REDIRECT,
    RESPONDER,
    ROUTE,
    STOP_AND_START,
    SUPPORT,
    WATCH_NOTHING,
)
from rolewatch.vocabulary import Who

UNREACHABLE: Mapping[str, Remedy] = {
    "refused": Remedy(
        cause=(
            "The connection was refused. On an EC2 instance that is a firewall rule that rejects, often one for single "
            "users as AWS's own guide shows; inside a container it may be that nothing listens there."
        ),
        hint="Allow the user that runs rolewatch through the firewall rule that rejects it.",
        fix=(
            PROBE,
            FIREWALL,
            Step(
                "Where the rule guards IMDS by user, let rolewatch through, before the rule that rejects. Keep the "
                "rule in the place where your firewall rules are kept, or the next reboot undoes this.",
                "sudo iptables -I OUTPUT -d 169.254.169.254 -m owner --uid-owner {uid} -j ACCEPT",
                id="allow-user",
            ),
        ),
        takes_effect=AT_ONCE,
        who=Who.HOST,
    ),
    "no_route": Remedy(
        cause=(
            "The kernel has no route to the address (ENETUNREACH): no network yet, a missing default route, a network "
            "namespace without one, or the IPv6 endpoint, which is off unless it was enabled."
        ),
        hint="Restore the route to the IMDS address.",
        fix=(
            ROUTE,
            Step(
                "Where the route is missing, let the network service set the interface up again.",
                "sudo systemctl restart systemd-networkd   # or NetworkManager, where that runs",
                id="restart-network",
            ),
            Step(
                'Where rolewatch is set to the IPv6 endpoint (endpoint_mode = "ipv6"), set it to "ipv4", or enable '
                "IPv6 in EC2, on Nitro only {needs}.",
                "aws ec2 modify-instance-metadata-options --region={region} --instance-id={instance_id} \\\n"
                "  --http-protocol-ipv6 enabled --http-endpoint enabled",
                id="use-ipv4-or-enable-ipv6",
                permissions=("ec2:ModifyInstanceMetadataOptions",),
            ),
        ),
        takes_effect=AT_ONCE,
        who=Who.HOST,
    ),
    "host_unreachable": Remedy(
        cause=(
            "The kernel has a route, and nobody answers on it (EHOSTUNREACH): an `unreachable` route, or an address "
            "that was routed out of the wrong interface, where no neighbour has it."
        ),
        hint="Correct the route to the IMDS address.",
        fix=(
            ROUTE,
            Step(
                "Where an unreachable route was set on purpose, ask whoever set it. Else remove it.",
                "sudo ip route del unreachable 169.254.169.254",
                id="remove-unreachable-route",
            ),
        ),
        takes_effect=AT_ONCE,
        who=Who.HOST,
    ),
    "prohibited": Remedy(
        cause=(
            "A `prohibit` route refuses the address to this user (EACCES). That is what systemd-imdsd's lock looks "
            "like (systemd 261 and later, systemd.imds.network=locked): only root and systemd-imdsd may ask IMDS."
        ),
        hint="Lift the prohibit route for the user that runs rolewatch, or systemd-imdsd's lock.",
        fix=(
            Step(
                "See whether systemd-imdsd holds the lock, and which rule prohibits.",
                "grep -o 'systemd.imds[^ ]*' /proc/cmdline\n"
                "ip rule show\n"
                "ip route show table all type prohibit\n"
                "ip route get 169.254.169.254 uid {uid}",
                id="see-imdsd",
            ),
            Step(
                "Where it is systemd-imdsd, unlock it with the kernel command line systemd.imds.network=unlocked. "
                "Mind that applications that are not root are locked out, too, until then.",
                "sudo grubby --update-kernel=ALL --args=systemd.imds.network=unlocked   # RHEL, Amazon Linux\n"
                "sudo systemctl reboot",
                id="unlock-imdsd",
            ),
            Step(
                "Where it is a route of your own, remove it, or put it into a table that a rule asks only for users "
                "who are to be kept out (ip rule add uidrange).",
                "sudo ip route del prohibit 169.254.169.254",
                id="remove-prohibit-route",
            ),
        ),
        takes_effect="With a route of your own at once; with systemd-imdsd's lock after a reboot.",
        who=Who.HOST,
    ),
    "blackhole": Remedy(
        cause=(
            'A `blackhole` route swallows the address (EINVAL, "Invalid argument"). The Amazon ECS agent sets one for '
            "tasks with their own network, so that they cannot reach the instance's role."
        ),
        hint="Remove the blackhole route, unless it is meant.",
        fix=(
            Step("See where it is.", "ip route show table all type blackhole\nip rule show", id="see-blackhole-route"),
            Step(
                "Inside an ECS task it is meant: run rolewatch on the host instead. Elsewhere, remove it.",
                "sudo ip route del blackhole 169.254.169.254",
                id="remove-blackhole-route",
            ),
        ),
        takes_effect=AT_ONCE,
        who=Who.HOST,
    ),
    "filtered": Remedy(
        cause=(
            "A local filter refused to send the packet (EPERM): the IP filter of the systemd unit (IPAddressDeny=), an "
            "nftables rule, or seccomp."
        ),
        hint="Allow the IMDS address in the unit's IP filter or in nftables.",
        fix=(
            Step(
                "See what the unit may reach, and by which drop-in.",
                "systemctl show rolewatch.service -p IPAddressAllow -p IPAddressDeny -p DropInPaths",
                id="see-unit-filter",
            ),
            FIREWALL,
            Step(
                "Where a drop-in took the address away, give it back in a drop-in of your own, then restart.",
                "printf '[Service]\\nIPAddressAllow=169.254.169.254 fd00:ec2::254\\n' |\n"
                "  sudo install -D -m 644 /dev/stdin /etc/systemd/system/rolewatch.service.d/imds.conf\n"
                "sudo systemctl daemon-reload\n"
                "sudo systemctl restart rolewatch.service",
                id="allow-in-unit",
            ),
        ),
        takes_effect=AT_ONCE,
        who=Who.HOST,
    ),
    "connect_timeout": Remedy(
        cause=(
            "Nothing came back, not even a refusal: a firewall rule that drops, or the link-local packet budget of the "
            "network interface is used up, and EC2 drops what is beyond it."
        ),
        hint="Look for a firewall rule that drops, and at linklocal_allowance_exceeded.",
        fix=(
            BUDGET,
            Step(
                "Where the figure grows, find who asks so often: DNS without a cache is the usual one, then something "
                "that asks IMDS in a loop. A local DNS cache ends most of it.",
                "sudo timeout 10 tcpdump -nn -q -c 2000 -i any 'net 169.254.169.0/24' | awk '{print $3, $5}' |\n"
                "  sort | uniq -c | sort -rn | head",
                id="find-busy-process",
            ),
            PROBE,
            FIREWALL,
        ),
        takes_effect=AT_ONCE,
        who=Who.HOST,
    ),
    "switched_off": Remedy(
        cause=(
            "rolewatch was told not to ask: AWS_EC2_METADATA_DISABLED is set for it, or `disabled = true` stands under "
            "[imds] in its settings. SDKs that see the same variable do not ask either."
        ),
        hint="Unset AWS_EC2_METADATA_DISABLED for rolewatch, or stop rolewatch where IMDS is not to be used.",
        fix=(
            Step(
                "See where it comes from.",
                "rolewatch config show\nsystemctl show rolewatch.service -p Environment -p EnvironmentFiles",
                id="see-setting",
            ),
            Step("Remove it there, then restart.", "sudo systemctl restart rolewatch.service", id="remove-setting"),
            WATCH_NOTHING,
        ),
        takes_effect="After the restart.",
        who=Who.HOST,
    ),
}

UNUSABLE: Mapping[str, Remedy] = {
    "throttled": Remedy(
        cause=(
            "IMDS answered 429 or 503: something on this instance asks too often. rolewatch asks 4 times a poll, and "
            "has slowed down."
        ),
        hint="Find what asks IMDS so often.",
        fix=(
            CLIENTS,
            BUDGET,
            Step(
                "Let that program keep its session token and its credentials: both are good for hours.", id="keep-token"
            ),
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
            Step("Within some minutes of a boot, wait.", id="wait-after-boot"),
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
            Step("Wait some minutes: a restart of IMDS's host service heals itself.", id="wait"),
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
                id="raise-timeout",
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
                id="see-redirect-and-endpoint",
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
                id="see-listing",
            ),
            REDIRECT,
            SUPPORT,
        ),
        takes_effect=AT_ONCE,
        who=Who.HOST,
    ),
}

UNUSABLE_REMEDY = Remedy(
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
