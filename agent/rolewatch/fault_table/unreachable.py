"""Why IMDS cannot be reached, reason by reason.

The errno of each was measured on Linux in a network namespace of its own; docs/states.md has the table.
"""

from __future__ import annotations

from typing import Mapping

from rolewatch.fault_table.nouns import Remedy, Step, Who
from rolewatch.fault_table.shared import (
    AT_ONCE,
    BUDGET,
    FIREWALL,
    PROBE,
    ROUTE,
    WATCH_NOTHING,
)

VARIANTS: Mapping[str, Remedy] = {
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
            ),
            Step(
                'Where rolewatch is set to the IPv6 endpoint (endpoint_mode = "ipv6"), set it to "ipv4", or enable '
                "IPv6 in EC2 (Nitro only; needs ec2:ModifyInstanceMetadataOptions).",
                "aws ec2 modify-instance-metadata-options --region={region} --instance-id={instance_id} \\\n"
                "  --http-protocol-ipv6 enabled --http-endpoint enabled",
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
            ),
            Step(
                "Where it is systemd-imdsd, unlock it with the kernel command line systemd.imds.network=unlocked. "
                "Mind that applications that are not root are locked out, too, until then.",
                "sudo grubby --update-kernel=ALL --args=systemd.imds.network=unlocked   # RHEL, Amazon Linux\n"
                "sudo systemctl reboot",
            ),
            Step(
                "Where it is a route of your own, remove it, or put it into a table that a rule asks only for users "
                "who are to be kept out (ip rule add uidrange).",
                "sudo ip route del prohibit 169.254.169.254",
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
            Step("See where it is.", "ip route show table all type blackhole\nip rule show"),
            Step(
                "Inside an ECS task it is meant: run rolewatch on the host instead. Elsewhere, remove it.",
                "sudo ip route del blackhole 169.254.169.254",
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
            ),
            FIREWALL,
            Step(
                "Where a drop-in took the address away, give it back in a drop-in of your own, then restart.",
                "printf '[Service]\\nIPAddressAllow=169.254.169.254 fd00:ec2::254\\n' |\n"
                "  sudo install -D -m 644 /dev/stdin /etc/systemd/system/rolewatch.service.d/imds.conf\n"
                "sudo systemctl daemon-reload\n"
                "sudo systemctl restart rolewatch.service",
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
            ),
            Step("Remove it there, then restart.", "sudo systemctl restart rolewatch.service"),
            WATCH_NOTHING,
        ),
        takes_effect="After the restart.",
        who=Who.HOST,
    ),
}
