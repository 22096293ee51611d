"""Remedies of the faults of IMDS itself, by the reason why a request failed."""

from __future__ import annotations

from collections.abc import Mapping

from rolewatch.faults.remedy import Remedy, Step
from rolewatch.faults.steps import (
    AFTER_OPTIONS,
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

_ENABLE_IPV6 = (
    "aws ec2 modify-instance-metadata-options --region={region} --instance-id={instance_id} \\\n"
    "  --http-protocol-ipv6 enabled --http-endpoint enabled"
)

UNREACHABLE: Mapping[str, Remedy] = {
    "refused": Remedy(
        cause=(
            "The connection was refused. On an EC2 instance, either a firewall rule rejects it, often for single users,"
            " as in AWS's own guide, or a NAT rule sends it to a local program (a role proxy) that does not run. "
            "Inside a container, perhaps nothing listens there."
        ),
        hint="Allow the user that runs rolewatch through the firewall rule that rejects it.",
        fix=(
            ROUTE,
            PROBE,
            FIREWALL,
            REDIRECT,
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
                _ENABLE_IPV6,
                id="use-ipv4-or-enable-ipv6",
                permissions=("ec2:ModifyInstanceMetadataOptions",),
            ),
        ),
        takes_effect=AT_ONCE,
        who=Who.HOST,
    ),
    "no_ipv4": Remedy(
        cause=(
            "This host has IPv6 only, and IMDS does not answer at its IPv6 address, fd00:ec2::254. That endpoint is "
            "off by default; a firewall that drops packets for it looks the same. Or the settings allow IPv4 only "
            '(endpoint_mode = "ipv4").'
        ),
        hint="Enable IMDS's IPv6 endpoint.",
        fix=(
            Step(
                "Enable the IPv6 endpoint of IMDS, on Nitro only {needs}.",
                _ENABLE_IPV6,
                id="enable-ipv6",
                permissions=("ec2:ModifyInstanceMetadataOptions",),
            ),
            Step(
                "Request a token there: 200 is success, 000 is no answer. The token is not shown.",
                "sudo -u rolewatch curl -sS -m 2 --noproxy '*' -o /dev/null -w '%{http_code}\\n' -X PUT \\\n"
                "  -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' 'http://[fd00:ec2::254]/latest/api/token'",
                id="request-token-ipv6",
            ),
            Step(
                "Set AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE=IPv6 for the applications: SDKs use IPv4 by default.",
                id="set-sdk-mode",
            ),
        ),
        takes_effect=AFTER_OPTIONS,
        who=Who.EC2,
    ),
    "wrong_route": Remedy(
        cause=(
            "The kernel sends packets for IMDS the wrong way: through an interface or to a next hop where IMDS is not, "
            "and nobody answers there. The evidence has the interface, the gateway, and the routing table if it is not "
            "the main one. Usual causes: a route of another subnet, kept in an image; a bridge or a second interface "
            "that took 169.254.0.0/16; a VPN or an exit node that takes all traffic."
        ),
        hint="Correct the route to the IMDS address.",
        fix=(
            ROUTE,
            Step(
                "Remove the entry of the routing table that leads there, unless it is a default route. Then remove it "
                "where it is made, or it is back after the next boot: the image's network settings, cloud-init, the "
                "VPN.",
                "ip route get fibmatch 169.254.169.254 uid {uid} | grep -vE '^(default|[0-9.]+/1) ' |\n"
                "  xargs -r sudo ip route del",
                id="remove-wrong-route",
            ),
            Step(
                "If a VPN or a policy rule has to take all other traffic, make an exception for IMDS: a route by the "
                "interface of the default route. Make it permanent where the VPN sets its own.",
                "DEVICE=$(ip route show default table main | sed -n '1s/.* dev \\([^ ]*\\).*/\\1/p')\n"
                'sudo ip route add 169.254.169.254 dev "$DEVICE"\n'
                "sudo ip rule add pref 100 to 169.254.169.254 lookup main",
                id="add-exception",
            ),
        ),
        takes_effect=AT_ONCE,
        who=Who.HOST,
    ),
    "local_address": Remedy(
        cause=(
            "The address of IMDS is an address of this host itself, and nothing answers there. A tool that plays IMDS "
            "put it there (a credentials server, an emulator, a container agent) and left it. No firewall is involved."
        ),
        hint="Remove the address of IMDS from this host's own interface.",
        fix=(
            Step(
                "Show which interface has the address.",
                "ip -o address show to 169.254.169.254",
                id="see-local-address",
            ),
            Step(
                "Remove it there; with the tool that sets it, if that still runs.",
                "sudo ip address del 169.254.169.254/32 dev lo   # or the interface that the first command names",
                id="remove-local-address",
            ),
        ),
        takes_effect=AT_ONCE,
        who=Who.HOST,
    ),
    "rejected": Remedy(
        cause=(
            "Something rejects the packets (ICMP unreachable, such as admin-prohibited), though the kernel's route and "
            "its next hop are well: either a firewall rule of this host with REJECT, or one on the way."
        ),
        hint="Find the firewall rule that rejects packets for IMDS.",
        fix=(ROUTE, PROBE, FIREWALL),
        takes_effect=AT_ONCE,
        who=Who.HOST,
    ),
    "confined": Remedy(
        cause=(
            "The kernel denies the connection to this program (EACCES), and no route prohibits it: mandatory access "
            "control (SELinux, AppArmor), Landlock, or another sandbox of the program. Other programs of this host may "
            "reach IMDS."
        ),
        hint="Let the security policy of this host allow rolewatch to connect to IMDS.",
        fix=(
            Step(
                "Look for the denial: of SELinux in the audit log, of AppArmor in the kernel's.",
                "sudo ausearch -m avc -ts recent 2>/dev/null | tail -n 5\n"
                "sudo journalctl -k --since -1h --grep 'apparmor=\"DENIED\"|avc: *denied' | tail -n 5",
                id="see-denial",
            ),
            Step(
                "Show the policy that rolewatch's process is under: unconfined, or its name.",
                'sudo cat "/proc/$(systemctl show --value -p MainPID rolewatch.service)/attr/current"',
                id="see-confinement",
            ),
            Step(
                "Allow the connection to TCP port 80 in that policy, or take the drop-in away that confines the unit.",
                "systemctl show rolewatch.service -p DropInPaths -p SELinuxContext -p AppArmorProfile",
                id="see-drop-ins",
            ),
        ),
        takes_effect=AT_ONCE,
        who=Who.HOST,
    ),
    "no_free_port": Remedy(
        cause=(
            "This host has no free local port for a new connection (EADDRNOTAVAIL): programs have opened too many. "
            "IMDS is not at fault, and other connections fail, too."
        ),
        hint="Find the program that uses up the local ports.",
        fix=(
            Step(
                "Show how many connections there are by state, and the range of ports for them.",
                "ss -s\nsysctl net.ipv4.ip_local_port_range",
                id="see-ports",
            ),
            Step(
                "Show which programs have the most connections, and to where.",
                "sudo ss -Htnp | awk '{print $5, $6}' | sed 's/:[0-9]* / /; s/,pid=.*//' |\n"
                "  sort | uniq -c | sort -rn | head",
                id="see-users-of-ports",
            ),
            Step(
                "Restart that program, or let it reuse its connections. A wider range of ports gives time.",
                "sudo sysctl -w net.ipv4.ip_local_port_range='10240 65535'",
                id="widen-port-range",
            ),
        ),
        takes_effect=AT_ONCE,
        who=Who.HOST,
    ),
    "host_unreachable": Remedy(
        cause=(
            "The kernel refuses the address (EHOSTUNREACH): an `unreachable` route, set by hand or by provisioning."
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
            "A `prohibit` route refuses the address to this user (EACCES), as the kernel confirms. systemd-imdsd locks "
            "IMDS by one (systemd 261 and later, systemd.imds.network=locked): only root and systemd-imdsd may use it."
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
            "No answer arrived, not even a refusal, though the kernel's route and its next hop look right: either a "
            "firewall drops packets, by a rule or by the policy of a chain (of what goes out or of what comes in), or "
            "EC2 does, because the network interface exceeds its budget of link-local packets."
        ),
        hint="Check for a firewall rule that drops packets, and check linklocal_allowance_exceeded.",
        fix=(
            ROUTE,
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

_ROLE_PROXY = Step(
    "If a proxy or an emulator is meant to answer (kiam, kube2iam), check that it has a role for this program, and "
    "accept it: accept_responder under [imds].",
    "rolewatch config show | grep accept_responder",
    id="accept-responder",
)

INTERCEPTED: Mapping[str, Remedy] = {
    "proxy": Remedy(
        cause=(
            "A proxy answers for IMDS, with its own headers: a transparent proxy, a service mesh's sidecar, or a "
            "rule that redirects port 80. IMDS itself refuses what a proxy forwards with X-Forwarded-For."
        ),
        hint="Let requests for IMDS pass around the proxy.",
        fix=(
            RESPONDER,
            REDIRECT,
            Step("Take the address of IMDS out of what the proxy gets, in its own rules.", id="exclude-from-proxy"),
            _ROLE_PROXY,
        ),
        takes_effect=AT_ONCE,
        who=Who.HOST,
    ),
    "other_instance": Remedy(
        cause=(
            "The IMDS that answers is that of another instance ({answering_instance_id}): packets for IMDS are "
            "forwarded to it, as by a router or a firewall appliance. Programs here act with that instance's role."
        ),
        hint="Correct the route, so that this instance's own IMDS answers.",
        fix=(ROUTE, REDIRECT, RESPONDER),
        takes_effect=AT_ONCE,
        who=Who.HOST,
    ),
    "local_address": Remedy(
        cause=(
            "The address of IMDS is an address of this host itself, and a program of this host answers there: a "
            "credentials server (aws-vault and its like), an emulator, or an agent of containers."
        ),
        hint="Stop the program that plays IMDS on this host, or accept it.",
        fix=(
            Step(
                "Show which interface has the address, and which program answers.",
                "ip -o address show to 169.254.169.254\nsudo ss -Hltnp 'sport = :80'",
                id="see-local-program",
            ),
            _ROLE_PROXY,
        ),
        takes_effect=AT_ONCE,
        who=Who.HOST,
    ),
    "not_ec2": Remedy(
        cause=(
            "The answers are not those of EC2: a role proxy (kiam, kube2iam) that has no role for this program, an "
            "emulator, or the metadata service of another cloud. Attaching an instance profile changes nothing."
        ),
        hint="Find what answers in the place of IMDS; on another cloud, disable rolewatch.",
        fix=(RESPONDER, REDIRECT, _ROLE_PROXY, WATCH_NOTHING),
        takes_effect=AT_ONCE,
        who=Who.HOST,
    ),
}

UNUSABLE: Mapping[str, Remedy] = {
    "throttled": Remedy(
        cause=(
            "IMDS answered 429, or 503 with its own headers: something on this instance sends too many requests. "
            "rolewatch sends 4 a poll, and has slowed down."
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
            "The answer was 401: either to a document's request with a session token that was just issued, or to the "
            "request for a token, which EC2's IMDS never answers so. That happens in the first moments after boot, "
            "or if something between host and IMDS answers instead of it or changes headers."
        ),
        hint="Wait if the instance has just booted; otherwise find the proxy between host and IMDS.",
        fix=(
            RESPONDER,
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
        fix=(RESPONDER, REDIRECT, METADATA_OPTIONS),
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
            RESPONDER,
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
        fix=(RESPONDER, BUDGET, FIREWALL, REDIRECT),
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
            RESPONDER,
            Step(
                "Show the list.",
                "TOKEN=$(curl -sS -m 2 --noproxy '*' -X PUT http://169.254.169.254/latest/api/token \\\n"
                "  -H 'X-aws-ec2-metadata-token-ttl-seconds: 60')\n"
                "curl -sS -m 2 --noproxy '*' -H \"X-aws-ec2-metadata-token: $TOKEN\" \\\n"
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
        RESPONDER,
        ERROR_DOCUMENT,
        REDIRECT,
        BUDGET,
        SUPPORT,
    ),
    takes_effect=AT_ONCE,
    who=Who.HOST,
)
