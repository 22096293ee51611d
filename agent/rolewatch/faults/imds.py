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
            "The connection was refused. On an EC2 instance, a firewall rule rejects it, often for single users, as "
            "in AWS's own guide. Inside a container, perhaps nothing listens there."
        ),
        hint="Allow the user that runs rolewatch through the firewall rule that rejects it.",
        fix=(
            PROBE,
            FIREWALL,
            Step(
                "If the rule protects IMDS by user, allow rolewatch before the rule that rejects. Save the new rule "
                "with your firewall rules, or it is lost at the next reboot.",
                "sudo iptables -I OUTPUT -d 169.254.169.254 -m owner --uid-owner {uid} -j ACCEPT",
                id="allow-user",
            ),
        ),
        takes_effect=AT_ONCE,
        who=Who.HOST,
    ),
    "no_route": Remedy(
        cause=(
            "The kernel has no route to the address (ENETUNREACH): no network yet, a missing default route, a network"
            " namespace without one, or the IPv6 endpoint, which is off by default."
        ),
        hint="Restore the route to the IMDS address.",
        fix=(
            ROUTE,
            Step(
                "If the route is missing, restart the network service.",
                "sudo systemctl restart systemd-networkd   # or NetworkManager, where that runs",
                id="restart-network",
            ),
            Step(
                'If rolewatch uses the IPv6 endpoint (endpoint_mode = "ipv6"), set it to "ipv4", or enable IPv6 in '
                "EC2, on Nitro only {needs}.",
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
            "The kernel has a route, but no host answers on it (EHOSTUNREACH): an `unreachable` route, or a route "
            "through the wrong interface, where no neighbour has the address."
        ),
        hint="Correct the route to the IMDS address.",
        fix=(
            ROUTE,
            Step(
                "Remove an unreachable route, unless it was set on purpose.",
                "sudo ip route del unreachable 169.254.169.254",
                id="remove-unreachable-route",
            ),
        ),
        takes_effect=AT_ONCE,
        who=Who.HOST,
    ),
    "prohibited": Remedy(
        cause=(
            "A `prohibit` route refuses the address to this user (EACCES). The lock of systemd-imdsd is such a route "
            "(systemd 261 and later, systemd.imds.network=locked): only root and systemd-imdsd may use IMDS."
        ),
        hint="Lift the prohibit route for the user that runs rolewatch, or systemd-imdsd's lock.",
        fix=(
            Step(
                "Check whether systemd-imdsd locks IMDS, and which rule prohibits.",
                "grep -o 'systemd.imds[^ ]*' /proc/cmdline\n"
                "ip rule show\n"
                "ip route show table all type prohibit\n"
                "ip route get 169.254.169.254 uid {uid}",
                id="see-imdsd",
            ),
            Step(
                "If it is systemd-imdsd, unlock it with systemd.imds.network=unlocked on the kernel command line. "
                "Until then, applications that do not run as root are locked out, too.",
                "sudo grubby --update-kernel=ALL --args=systemd.imds.network=unlocked   # RHEL, Amazon Linux\n"
                "sudo systemctl reboot",
                id="unlock-imdsd",
            ),
            Step(
                "If it is your own route, remove it, or move it into a table that only the rules for the users to "
                "exclude use (ip rule add uidrange).",
                "sudo ip route del prohibit 169.254.169.254",
                id="remove-prohibit-route",
            ),
        ),
        takes_effect="With a route of your own at once; with systemd-imdsd's lock after a reboot.",
        who=Who.HOST,
    ),
    "blackhole": Remedy(
        cause=(
            'A `blackhole` route drops packets to the address (EINVAL, "Invalid argument"). The Amazon ECS agent sets'
            " one for tasks with their own network, so that they cannot reach the instance's role."
        ),
        hint="Remove the blackhole route, unless it is intended.",
        fix=(
            Step(
                "List the blackhole routes.",
                "ip route show table all type blackhole\nip rule show",
                id="see-blackhole-route",
            ),
            Step(
                "Inside an ECS task it is intended: run rolewatch on the host instead. Elsewhere, remove it.",
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
                "Show which addresses the unit may reach, and its drop-ins.",
                "systemctl show rolewatch.service -p IPAddressAllow -p IPAddressDeny -p DropInPaths",
                id="see-unit-filter",
            ),
            FIREWALL,
            Step(
                "If a drop-in removed the address, add it in a drop-in of your own, then restart.",
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
            "No answer arrived, not even a refusal: a firewall rule drops packets, or EC2 does, because the network "
            "interface exceeds its budget of link-local packets."
        ),
        hint="Check for a firewall rule that drops packets, and check linklocal_allowance_exceeded.",
        fix=(
            BUDGET,
            Step(
                "If the counter grows, find what sends so many packets: mostly DNS without a cache, or a program that"
                " requests IMDS in a loop. A local DNS cache helps most.",
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
            "A setting disables requests to IMDS: AWS_EC2_METADATA_DISABLED is set for rolewatch, or its settings "
            "have `disabled = true` under [imds]. SDKs with the same variable do not use IMDS either."
        ),
        hint="Unset AWS_EC2_METADATA_DISABLED for rolewatch, or stop rolewatch if this host does not use IMDS.",
        fix=(
            Step(
                "Find where it is set.",
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
            "IMDS answered 429 or 503: something on this instance sends too many requests. rolewatch sends 4 a poll, "
            "and has slowed down."
        ),
        hint="Find what sends so many requests to IMDS.",
        fix=(
            CLIENTS,
            BUDGET,
            Step(
                "Make that program keep its session token and its credentials: both are valid for hours.",
                id="keep-token",
            ),
        ),
        takes_effect="Within minutes after the requests stop.",
        who=Who.HOST,
    ),
    "unauthorized": Remedy(
        cause=(
            "IMDS answered 401 to a session token that it had just issued. That happens in the first moments after "
            "boot, or if something between host and IMDS answers instead of it or changes headers."
        ),
        hint="Wait if the instance has just booted; otherwise find the proxy between host and IMDS.",
        fix=(
            Step("If the instance has just booted, wait some minutes.", id="wait-after-boot"),
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
        hint="Remove the proxy between host and IMDS.",
        fix=(
            REDIRECT,
            METADATA_OPTIONS,
        ),
        takes_effect=AT_ONCE,
        who=Who.HOST,
    ),
    "empty": Remedy(
        cause=(
            "IMDS answered 200 without a body. That happens when the instance sends too many requests, or when "
            "link-local packets are dropped."
        ),
        hint="Find what sends so many requests to IMDS.",
        fix=(
            BUDGET,
            CLIENTS,
            SUPPORT,
        ),
        takes_effect="Within minutes after the requests stop.",
        who=Who.HOST,
    ),
    "server_error": Remedy(
        cause="IMDS answered with a 5xx status: IMDS, or what answers instead of it, has an internal error.",
        hint="Wait some minutes, then open a case with AWS Support.",
        fix=(
            Step("Wait some minutes: a restart of the IMDS service on the host ends by itself.", id="wait"),
            REDIRECT,
            STOP_AND_START,
            SUPPORT,
        ),
        takes_effect=AT_ONCE,
        who=Who.EC2,
    ),
    "no_answer": Remedy(
        cause=(
            "IMDS gave a session token, but did not finish a later answer in time: packets are dropped on the way, or"
            " IMDS is slow."
        ),
        hint="Check linklocal_allowance_exceeded; raise the time-out if IMDS is only slow.",
        fix=(
            BUDGET,
            Step(
                "If IMDS is only slow, raise timeout under [imds] in /etc/rolewatch/rolewatch.toml, up to deadline.",
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
            "The connection was cut before the answer was complete: a firewall that tracks connections, a proxy "
            "instead of IMDS, or dropped packets."
        ),
        hint="Check for a proxy instead of IMDS, and check linklocal_allowance_exceeded.",
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
            "The answer has a status that IMDS does not give here, perhaps a redirect. rolewatch does not follow "
            "redirects, because the document is a secret. Mostly, something else answers instead of IMDS."
        ),
        hint="Find what answers instead of IMDS.",
        fix=(
            RESPONDER,
            Step(
                "Find what redirects requests for IMDS to itself, and check the endpoint of rolewatch.",
                "sudo iptables -t nat -S | grep -F 169.254.169.254\nrolewatch config show",
                id="see-redirect-and-endpoint",
            ),
        ),
        takes_effect=AT_ONCE,
        who=Who.HOST,
    ),
    "ambiguous": Remedy(
        cause=(
            "The listing names more than one role. An instance has at most one, so something else answers instead of "
            "IMDS, or IMDS answers wrongly. rolewatch uses the first, as the SDKs for Go and Ruby do."
        ),
        hint="Find what answers instead of IMDS.",
        fix=(
            Step(
                "Show the list.",
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
        "The answer could not be read: cut off, too large, not JSON, or a page of HTML. Either something else answers"
        " instead of IMDS, or IMDS has an internal error."
    ),
    hint="Find what answers instead of IMDS, or wait if it is IMDS itself.",
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
