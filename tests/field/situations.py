"""The field table: situations that people have reported, each as a network namespace and the answers in it.

`test_situations.py` builds each and compares what rolewatch says. docs/situations.md is generated from it (`make
generate`): a row of the page is what a test has shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Union

from confined import DENIED
from rolewatch.faults import Fault
from rolewatch.simulator.conditions import (
    HEALTHY,
    Association,
    Conditions,
    Effect,
    NetworkFault,
    Target,
)
from rolewatch.vocabulary import Scalar, State

INSTANCE_ID = "i-0123456789abcdef0"
"""The instance that the simulator's identity document names."""
OTHER_INSTANCE_ID = "i-0fedcba9876543210"
OVERRIDDEN = "credentials_overridden"
"""The fault of `diagnose` alone."""
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Answer:
    """A server that answers everything alike."""

    status: int
    headers: Headers = ()
    body: str = ""
    delay: float = 0.0
    """Seconds before the answer."""


@dataclass(frozen=True)
class Forwarder:
    """A server that passes requests to a healthy IMDS, and its answers back."""

    adds: Headers = ()
    """What it adds to a request."""
    shows: Headers = ()
    """What it adds to an answer."""


Responder = Union[Conditions, Answer, Forwarder]

NETWORK = """
ip addr add 10.0.0.10/24 dev eth0
ip route add default via 10.0.0.1
"""
"""An instance in a subnet. The EC2 host answers for 169.254.169.254, too, where that is asked for by ARP."""
NETWORK_IPV6 = """
ip addr add 2001:db8::10/64 dev eth0 nodad
ip route add default via 2001:db8::1
"""
TUNNEL = """
ip link add tun0 type veth peer name far
ip addr add 10.8.0.2/24 dev tun0
ip link set tun0 up
ip link set far up
ip neigh replace 10.8.0.1 lladdr 02:00:00:00:00:02 dev tun0 nud permanent
"""
"""A tunnel whose far end takes packets and answers none."""
BRIDGE = """
ip link add docker0 type bridge
ip addr add 172.17.0.1/16 dev docker0
ip link set docker0 up
"""
CHAIN = "nft add table t; nft add chain t {hook} '{{ type filter hook {hook} priority 0; policy {policy}; }}'\n"
OUT = CHAIN.format(hook="output", policy="accept")
SHORT_HOPS = """
nft add table t
nft add chain t before '{ type filter hook prerouting priority -300; }'
nft add rule t before ip saddr 169.254.169.254 ip length gt 80 ip ttl set 1
"""
"""Answers arrive with a TTL of 1, those of the TCP handshake with another: HttpPutResponseHopLimit is 1."""
LOCAL = "ip addr add 169.254.169.254/32 dev lo\n"
HIDDEN_PORTS = """
echo '40000 40000' > /proc/sys/net/ipv4/ip_local_port_range
"$PYTHON" -c 'import socket, time
taken = socket.socket()
taken.bind(("10.0.0.10", 40000))
taken.listen()
print("taken", flush=True)
time.sleep(30)' > /dev/null 2>&1 < /dev/null &
for _ in 1 2 3 4 5 6 7 8 9; do ss -Hltn 'sport = 40000' | grep -q . && break; sleep 0.2; done
"""
PUT_404 = Answer(404, (("Server", "Apache"), ("Content-Type", "text/html")), "<html>Not Found</html>")
PROXY_503 = Answer(503, (("Content-Type", "text/html"), ("Cache-Control", "no-cache")), "<html>no server</html>")
SILENT_TOKEN = replace(HEALTHY, network_faults=(NetworkFault(Effect.SILENCE, Target.TOKEN),))


@dataclass(frozen=True)
class Situation:
    """One row: what is built, and what rolewatch says of it."""

    name: str
    title: str
    """The situation as an operator would describe it; no full stop."""
    knows: str = ""
    """How rolewatch knows; no full stop."""
    reports: tuple[str, ...] = ()
    """Public reports of it: owner, repository and number on GitHub."""
    group: str = "Ordinary life"
    """The part of docs/situations.md; a key of `GROUPS`."""
    build: str = ""
    """Shell commands that bring the instance into the situation."""
    network: str = NETWORK
    """Shell commands that set addresses and routes before."""
    answers: Responder = HEALTHY
    """What answers at the addresses of IMDS, on the EC2 host."""
    answers_on_host: Responder | None = None
    """What answers at 169.254.169.254 on the instance itself; None: nothing."""
    in_container: bool = False
    """Whether rolewatch runs in a container behind a bridge."""
    firmware_id: str = ""
    """The instance id in the firmware; empty: the one that IMDS names."""
    vendor: str = "Amazon EC2"
    image_of: str = ""
    """The instance whose state file was left in the image; empty: there is no state file."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """The environment of rolewatch."""
    timeout: str = "1s"
    """``imds.timeout``."""
    sandbox: str = ""
    """Python code that confines the process of rolewatch."""
    words: tuple[str, ...] = ("check", "--json")
    """What is run: `check`, or `diagnose` where only that can see the situation."""
    state: State = State.UNKNOWN
    faults: tuple[str, ...] = ()
    """Exactly the active faults: of `Fault`, or `OVERRIDDEN`."""
    evidence: Mapping[str, Scalar | None] = field(default_factory=dict)
    """Evidence of the first fault; None: it must not be there."""
    says: tuple[str, ...] = ()
    """Parts of the output: the cause, or the command of a step."""
    never: tuple[str, ...] = ()
    """What would mislead."""
    not_yet: bool = False
    """Whether rolewatch does not get it right yet. Such a row is not on the page."""


GROUPS = ("The way to IMDS", "Who answers", "The role and its credentials", "Ordinary life")
WAY, WHO, ROLE, LIFE = GROUPS


def _unreachable(name: str, title: str, reason: str, knows: str, reports: tuple[str, ...], **more: Any) -> Situation:
    """Return a situation in which IMDS cannot be reached for *reason*."""
    evidence = {"phase": "connect", "reason": reason, **more.pop("evidence", {})}
    return Situation(
        name,
        title,
        knows,
        reports,
        WAY,
        faults=(Fault.IMDS_UNREACHABLE,),
        evidence=evidence,
        **more,
    )


def _intercepted(name: str, title: str, responder: str, knows: str, reports: tuple[str, ...], **more: Any) -> Situation:
    """Return a situation in which *responder* answers in the place of IMDS."""
    evidence = {"responder": responder, **more.pop("evidence", {})}
    return Situation(
        name,
        title,
        knows,
        reports,
        WHO,
        faults=(Fault.IMDS_INTERCEPTED,),
        evidence=evidence,
        **more,
    )


DIAGNOSE = ("diagnose", "--json", "--endpoint", "http://169.254.169.254")
"""With an endpoint, because the tests disable IMDS for boto3, and the variable would disable it for rolewatch, too."""
NOT_A_FIREWALL = ("nft list ruleset", "iptables -S")
SERVER_STEP = "grep -iE '^(HTTP|Server|Via|Location)'"
ROUTE_STEP = "ip route get 169.254.169.254"
_BY_ROUTE = "the kernel's answer to a route request, for this user"
_BY_ERRNO = "the errno of the connection"
_BY_SERVER = "the `Server` header and the headers of proxies"
_BY_STATUS = "the status: EC2 never answers so to a token request"

_HOP_LIMIT = (
    "cert-manager/cert-manager#7655",
    "velero-io/velero#7853",
    "bitnami/charts#32216",
    "kubernetes-sigs/aws-load-balancer-controller#3955",
    "hashicorp/terraform-provider-aws#38516",
    "fluent/fluent-bit#7803",
)

_WAY = (
    _unreachable(
        "no-default-route",
        "A restart of the DHCP client removed the default route",
        "no_route",
        _BY_ERRNO,
        ("input-output-hk/bitte#85",),
        build="ip route del default",
        evidence={"errno": 101},
        says=(ROUTE_STEP,),
    ),
    _unreachable(
        "unreachable-route",
        "Provisioning left an `unreachable` route to IMDS",
        "host_unreachable",
        "the errno of the connection, and the kernel's route",
        ("StreisandEffect/streisand#1697",),
        build="ip route add unreachable 169.254.169.254",
        evidence={"errno": 113},
        says=(ROUTE_STEP, "ip route del unreachable"),
    ),
    _unreachable(
        "prohibit-route",
        "A `prohibit` route keeps programs away from IMDS",
        "prohibited",
        "EACCES, and the kernel has such a route",
        (),
        build="ip route add prohibit 169.254.169.254",
        evidence={"errno": 13},
        says=("prohibit",),
    ),
    _unreachable(
        "prohibit-rule",
        "A policy rule prohibits what one user sends",
        "prohibited",
        "EACCES, and so the kernel answers about the route",
        (),
        build="ip rule add pref 100 uidrange 0-0 prohibit",
        evidence={"errno": 13},
        says=("ip rule",),
    ),
    _unreachable(
        "confined",
        "SELinux, Landlock or another sandbox denies the connection",
        "confined",
        "EACCES, and the kernel's route does not prohibit",
        ("awslabs/collectd-cloudwatch#24",),
        sandbox=DENIED,
        evidence={"errno": 13},
        never=("ip route del prohibit", "reboot"),
    ),
    _unreachable(
        "gateway-of-another-subnet",
        "The image has a static route to IMDS by the gateway of another subnet",
        "wrong_route",
        "the kernel's route, and that its next hop has not answered",
        ("aws/amazon-ssm-agent#48", "aws/amazon-ssm-agent#348"),
        build="ip route add 169.254.169.254 via 10.0.0.99 dev eth0",
        evidence={"route_interface": "eth0", "route_gateway": "10.0.0.99"},
        says=(ROUTE_STEP,),
        never=NOT_A_FIREWALL,
    ),
    _unreachable(
        "gateway-of-another-family",
        "A static route to IMDS by an IPv6 router that is not there",
        "wrong_route",
        "the kernel's route, and that its next hop has not answered",
        (),
        build="ip route add 169.254.169.254 via inet6 fe80::dead dev eth0",
        evidence={"route_interface": "eth0", "route_gateway": "fe80::dead"},
        says=(ROUTE_STEP,),
        never=NOT_A_FIREWALL,
    ),
    _unreachable(
        "bridge-on-the-link-local-network",
        "A bridge of a container network took 169.254.0.0/16",
        "wrong_route",
        "the kernel's route, and that nobody has answered for the address there",
        ("canonical/cloud-init#4026",),
        build="""
ip link add br0 type bridge
ip addr add 169.254.0.1/16 dev br0
ip link set br0 up
ip link add v0 type veth peer name v1
ip link set v0 master br0
ip link set v0 up
ip link set v1 up""",
        evidence={"route_interface": "br0"},
        says=(ROUTE_STEP,),
        never=NOT_A_FIREWALL,
    ),
    _unreachable(
        "policy-routing",
        "An exit node takes all traffic by a routing policy",
        "wrong_route",
        "the kernel's route, which follows the policy rules: interface, gateway and table",
        ("tailscale/tailscale#11740", "tailscale/tailscale#15276"),
        build=TUNNEL + "ip route add default via 10.8.0.1 table 52\nip rule add pref 5270 table 52",
        evidence={"route_interface": "tun0", "route_gateway": "10.8.0.1", "route_table": 52},
        says=(ROUTE_STEP, "ip rule"),
        never=NOT_A_FIREWALL,
    ),
    _unreachable(
        "policy-routing-of-this-user",
        "A policy rule for one user sends its traffic into a tunnel",
        "wrong_route",
        _BY_ROUTE,
        ("tailscale/tailscale#11740", "tailscale/tailscale#15276"),
        build=TUNNEL + "ip route add default via 10.8.0.1 table 52\nip rule add pref 5270 uidrange 0-0 table 52",
        evidence={"route_interface": "tun0", "route_table": 52},
        says=(ROUTE_STEP + " uid",),
        never=NOT_A_FIREWALL,
    ),
    _unreachable(
        "full-tunnel",
        "A VPN takes all traffic",
        "wrong_route",
        _BY_ROUTE,
        ("amazonlinux/amazon-ec2-net-utils#117",),
        build=TUNNEL + "ip route add 0.0.0.0/1 via 10.8.0.1\nip route add 128.0.0.0/1 via 10.8.0.1",
        evidence={"route_interface": "tun0", "route_gateway": "10.8.0.1", "route_table": None},
        says=(ROUTE_STEP,),
        never=NOT_A_FIREWALL,
    ),
    _unreachable(
        "full-tunnel-diagnose",
        "`diagnose` in a VPN that takes all traffic",
        "wrong_route",
        _BY_ROUTE,
        ("amazonlinux/amazon-ec2-net-utils#117",),
        build=TUNNEL + "ip route add default via 10.8.0.1 table 52\nip rule add pref 5270 table 52",
        words=DIAGNOSE,
        evidence={"route_interface": "tun0"},
        says=(ROUTE_STEP, "tun0"),
        never=("goes out through eth0", "a firewall rule (DROP)"),
    ),
    _unreachable(
        "own-address",
        "A tool that plays IMDS left 169.254.169.254 on this host",
        "local_address",
        "the kernel's route: the address is local, and nothing listens",
        ("99designs/aws-vault#43",),
        build=LOCAL,
        evidence={"errno": 111},
        says=("ip address del",),
        never=NOT_A_FIREWALL,
    ),
    _unreachable(
        "firewall-drops",
        "Hardening drops what this host sends to IMDS",
        "connect_timeout",
        "no answer, while the kernel's route and next hop are in order",
        ("aws/aws-cli#6130", "travis-ci/terraform-config#45"),
        build=OUT + "nft add rule t output ip daddr 169.254.169.254 drop",
        says=("nft list ruleset",),
    ),
    _unreachable(
        "firewall-drops-one-user",
        "A firewall drops what one user sends to IMDS",
        "connect_timeout",
        "no answer, while the kernel's route and next hop are in order",
        ("travis-ci/terraform-config#45",),
        build=OUT + "nft add rule t output ip daddr 169.254.169.254 meta skuid 0 drop",
        says=("skuid",),
    ),
    _unreachable(
        "policy-of-input-chain",
        "The policy of the input chain is DROP, and no rule names IMDS",
        "connect_timeout",
        "no answer, while the kernel's route and next hop are in order",
        ("aws/amazon-ecs-agent#2877",),
        build=CHAIN.format(hook="input", policy="drop"),
        says=("policy drop",),
    ),
    _unreachable(
        "firewall-rejects",
        "Hardening rejects what this host sends to IMDS",
        "refused",
        _BY_ERRNO,
        ("frappe/press#7461",),
        build=OUT + "nft add rule t output ip daddr 169.254.169.254 reject",
        evidence={"errno": 111},
        says=("nft list ruleset",),
    ),
    _unreachable(
        "firewall-rejects-as-prohibited",
        "A firewall rejects with admin-prohibited",
        "rejected",
        "EHOSTUNREACH, while the kernel's route and next hop are in order",
        ("aws/amazon-ecs-agent#2877",),
        build=OUT + "nft add rule t output ip daddr 169.254.169.254 reject with icmp type admin-prohibited",
        evidence={"errno": 113},
        says=("nft list ruleset", "REJECT"),
    ),
    _unreachable(
        "redirect-to-nobody",
        "A NAT rule sends requests for IMDS to a role proxy that does not run",
        "refused",
        _BY_ERRNO,
        (),
        build="""
nft add table n
nft add chain n out '{ type nat hook output priority -100; }'
nft add rule n out ip daddr 169.254.169.254 tcp dport 80 redirect to :8181""",
        says=("iptables -t nat -S", "NAT"),
    ),
    _unreachable(
        "no-free-port",
        "The local ports for new connections are used up",
        "no_free_port",
        "EADDRNOTAVAIL: the kernel has no local port for the connection",
        ("aws/aws-sdk-java-v2#2170",),
        build=HIDDEN_PORTS,
        evidence={"errno": 99},
        says=("ss ",),
        never=(*NOT_A_FIREWALL, "systemctl restart systemd-networkd"),
    ),
    Situation(
        "ipv6-only",
        "A host with IPv6 only, default settings",
        "there is no IPv4 way, and fd00:ec2::254 answers",
        ("aws/aws-sdk#227",),
        WAY,
        network=NETWORK_IPV6,
        state=State.OK,
        says=("fd00:ec2::254",),
    ),
    Situation(
        "ipv6-only-by-settings",
        "A host with IPv6 only, and SDKs are configured for it",
        "`AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE`, and fd00:ec2::254 answers",
        ("aws/aws-sdk#227",),
        WAY,
        network=NETWORK_IPV6,
        settings={"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv6"},
        state=State.OK,
    ),
    Situation(
        "ipv6-only-diagnose",
        "`diagnose` on a host with IPv6 only",
        "there is no IPv4 way, and fd00:ec2::254 answers",
        ("aws/aws-sdk#227",),
        WAY,
        network=NETWORK_IPV6,
        words=("diagnose", "--json"),
        state=State.OK,
        says=("fd00:ec2::254",),
        never=("no route to 169.254.169.254", '"status": "failed"'),
    ),
    _unreachable(
        "ipv6-endpoint-off",
        "An IPv6-only subnet, and the IPv6 endpoint of IMDS is off",
        "no_ipv4",
        "neither address of IMDS has a way",
        ("aws/ec2-macos-init#70",),
        network=NETWORK_IPV6,
        build="ip -6 route add unreachable fd00:ec2::/32",
        says=("--http-protocol-ipv6 enabled",),
        never=("systemctl restart",),
    ),
    _unreachable(
        "ipv6-only-with-a-link-local-address",
        "An IPv6-only host that has an IPv4 link-local address with nobody behind it",
        "wrong_route",
        "the kernel's route, and that nobody has answered for the address there",
        ("aws/ec2-macos-init#70",),
        network=NETWORK_IPV6,
        build="ip -6 route add unreachable fd00:ec2::/32\nip addr add 169.254.77.5/16 dev eth0\n"
        "nft add table arp a\nnft add chain arp a i '{ type filter hook input priority 0; policy drop; }'",
        never=NOT_A_FIREWALL,
    ),
    Situation(
        "container-and-hop-limit-1",
        "rolewatch in a container behind a bridge, and the hop limit is 1",
        "the connection is made, and the token request gets no answer",
        _HOP_LIMIT,
        WAY,
        build=SHORT_HOPS,
        in_container=True,
        faults=(Fault.IMDS_HOP_LIMIT,),
        evidence={"phase": "token", "reason": "no_answer"},
        says=("--http-put-response-hop-limit 2",),
    ),
    Situation(
        "host-and-hop-limit-1",
        "rolewatch on the host, containers are expected, and the hop limit is 1",
        "a token request whose answer the kernel drops unless it could go one hop further (`IP_MINTTL`)",
        _HOP_LIMIT,
        WAY,
        build=SHORT_HOPS,
        settings={"ROLEWATCH_EXPECT_CONTAINERS": "true"},
        state=State.DEGRADED,
        faults=(Fault.IMDS_HOP_LIMIT,),
        evidence={"hop_limit": 1, "needed_hop_limit": 2},
    ),
    Situation(
        "host-and-hop-limit-1-without-containers",
        "The hop limit is 1, and no containers are expected",
        "the role's credentials are served to this host",
        (),
        WAY,
        build=SHORT_HOPS,
        state=State.OK,
    ),
)

_WHO = (
    _intercepted(
        "proxy-refuses",
        "A transparent proxy refuses the token request with 403",
        "proxy",
        _BY_SERVER,
        ("aws/aws-xray-daemon#255",),
        answers=Answer(
            403, (("Server", "squid/5.7"), ("Via", "1.1 fw (squid/5.7)"), ("X-Squid-Error", "ERR_ACCESS_DENIED 0"))
        ),
        evidence={"http_status": 403, "server": "squid"},
        never=("modify-instance-metadata-options",),
    ),
    Situation(
        "sidecar-adds-x-forwarded-for",
        "A sidecar adds X-Forwarded-For, and IMDS refuses with its own 403",
        "403 to the token request; nothing shows the sidecar, so both causes are named",
        ("istio/istio#13009",),
        WHO,
        answers=Forwarder(adds=(("X-Forwarded-For", "10.0.87.108"),)),
        faults=(Fault.IMDS_DISABLED,),
        evidence={"http_status": 403},
        says=("X-Forwarded-For",),
    ),
    Situation(
        "imds-disabled",
        "The IMDS endpoint of this instance is disabled",
        "403 to the token request, with nothing in it of anybody else",
        (),
        WHO,
        answers=replace(HEALTHY, enabled=False),
        faults=(Fault.IMDS_DISABLED,),
        evidence={"http_status": 403},
        says=("--http-endpoint enabled",),
    ),
    _intercepted(
        "proxy-serves",
        "A proxy passes everything to IMDS, and names itself in the answers",
        "proxy",
        _BY_SERVER,
        ("aws/aws-xray-daemon#255",),
        answers=Forwarder(shows=(("Via", "1.1 fw (squid/5.7)"),)),
        state=State.DEGRADED,
        says=(SERVER_STEP,),
    ),
    Situation(
        "accepted-proxy",
        "The same, and the settings accept proxies",
        "`accept_responder` in the settings",
        (),
        WHO,
        answers=Forwarder(shows=(("Via", "1.1 fw (squid/5.7)"),)),
        settings={"ROLEWATCH_IMDS_ACCEPT_RESPONDER": "proxy"},
        state=State.OK,
    ),
    _intercepted(
        "gke-refuses",
        "GKE's metadata server misses its own header",
        "not_ec2",
        _BY_SERVER,
        (),
        answers=Answer(
            403,
            (("Server", "GKE Metadata Server"), ("Content-Type", "text/plain")),
            'Missing required header "Metadata-Flavor": "Google"\n',
        ),
        evidence={"http_status": 403},
        never=("modify-instance-metadata-options",),
    ),
    Situation(
        "empty-403",
        "A role proxy (iam-docker) refuses with 403 and an empty answer",
        "403 to the token request; nothing shows the proxy, so both causes are named",
        (),
        WHO,
        answers=Answer(403),
        faults=(Fault.IMDS_DISABLED,),
        says=(SERVER_STEP,),
    ),
    _intercepted(
        "role-proxy-has-no-role",
        "A role proxy (kiam, kube2iam) does not know this pod: a plain 404 in the iam tree",
        "not_ec2",
        "a 404 without the token's lifetime, which EC2 sends with each of its own",
        ("jtblin/kube2iam#275", "aws/aws-sdk-go#2509"),
        answers=replace(
            HEALTHY,
            network_faults=(
                NetworkFault(Effect.ROLE_PROXY, Target.INFO),
                NetworkFault(Effect.ROLE_PROXY, Target.LISTING),
            ),
        ),
        state=State.FAILED,
        evidence={"http_status": 404},
        never=("associate-iam-instance-profile",),
    ),
    _intercepted(
        "another-instance",
        "A router VM answers for IMDS with its own metadata",
        "other_instance",
        "the identity document and this machine's firmware name different instances",
        ("PaloAltoNetworks/aws#20",),
        firmware_id=OTHER_INSTANCE_ID,
        state=State.DEGRADED,
        evidence={"answering_instance_id": INSTANCE_ID},
        says=(ROUTE_STEP,),
    ),
    _intercepted(
        "program-on-this-host",
        "A program of this host plays IMDS (aws-vault) and serves a role",
        "local_address",
        "the kernel's route: the address is local",
        ("99designs/aws-vault#43",),
        build=LOCAL,
        answers_on_host=HEALTHY,
        state=State.DEGRADED,
    ),
    Situation(
        "accepted-program-on-this-host",
        "The same, and the settings accept that responder",
        "`accept_responder` in the settings",
        ("99designs/aws-vault#43",),
        WHO,
        build=LOCAL,
        answers_on_host=HEALTHY,
        settings={"ROLEWATCH_IMDS_ACCEPT_RESPONDER": "local_address"},
        state=State.OK,
    ),
    _intercepted(
        "emulator-without-identity",
        "An emulator serves credentials, and no identity document",
        "not_ec2",
        "every EC2 instance has an identity document",
        (),
        answers=replace(HEALTHY, network_faults=(NetworkFault(Effect.ROLE_PROXY, Target.IDENTITY),)),
        state=State.DEGRADED,
    ),
    _intercepted(
        "no-token-path",
        "A metadata service that knows IMDSv1 only (Eucalyptus): 404 to the token request",
        "not_ec2",
        _BY_STATUS,
        ("Corymbia/eucalyptus#196",),
        answers=Answer(404, (("Content-Type", "text/html"),), "<html><body>Not Found</body></html>"),
        evidence={"http_status": 404},
        never=("Unable to locate credentials",),
    ),
    _intercepted(
        "token-405",
        "An emulator that knows GET only: 405 to the token request",
        "not_ec2",
        _BY_STATUS,
        (),
        answers=Answer(405, (("Allow", "GET"),)),
        evidence={"http_status": 405},
        never=("Unable to locate credentials",),
    ),
    Situation(
        "token-401",
        "Something refuses the token request with 401",
        "the status of the answer to the token request",
        (),
        WHO,
        answers=Answer(401),
        faults=(Fault.IMDS_ERROR,),
        evidence={"phase": "token", "reason": "unauthorized", "http_status": 401},
        says=("which EC2's IMDS never answers so",),
    ),
    Situation(
        "proxy-without-backend",
        "haproxy has no backend: 503 without a `Server` header",
        "503 that does not name EC2 is not throttling",
        (),
        WHO,
        answers=PROXY_503,
        faults=(Fault.IMDS_ERROR,),
        evidence={"http_status": 503},
        never=('"throttled"',),
    ),
    _intercepted(
        "envoy-without-backend",
        "A service mesh has no backend: 503 of envoy",
        "proxy",
        _BY_SERVER,
        (),
        answers=Answer(503, (("Server", "envoy"),), "upstream connect error"),
        evidence={"http_status": 503, "server": "envoy"},
        never=('"throttled"',),
    ),
    Situation(
        "proxy-with-a-dead-backend",
        "A proxy answers 503 after 3 seconds, because its backend does not",
        "a second, longer wait for the answer to the token request",
        (),
        WHO,
        answers=Answer(503, PROXY_503.headers, PROXY_503.body, 3.0),
        timeout="2s",
        faults=(Fault.IMDS_ERROR,),
        evidence={"http_status": 503},
    ),
    _intercepted(
        "azure",
        "A machine on Azure: 400 to the token request",
        "not_ec2",
        _BY_STATUS,
        (),
        vendor="Microsoft Corporation",
        answers=Answer(
            400,
            (("Server", "IMDS/150.870.65.1854"), ("Content-Type", "application/json")),
            '{ "error": "Bad request" }',
        ),
        evidence={"http_status": 400},
    ),
    _intercepted(
        "gce",
        "A machine on Google Cloud: 405 and a page of HTML",
        "not_ec2",
        _BY_STATUS,
        (),
        vendor="Google",
        answers=Answer(405, (("Server", "Metadata Server for VM"), ("Content-Type", "text/html")), "<!DOCTYPE html>"),
        evidence={"http_status": 405},
    ),
    _intercepted(
        "nova",
        "A guest of OpenStack: 404 to the token request",
        "not_ec2",
        _BY_STATUS,
        ("canonical/cloud-init#4026",),
        vendor="OpenStack Foundation",
        answers=Answer(404, (("Content-Type", "text/html; charset=UTF-8"),), "<html><h1>404 Not Found</h1></html>"),
        evidence={"http_status": 404},
    ),
)

_NO_IAM = replace(HEALTHY, association=Association.DETACHED)
_STARTED = timedelta(seconds=15)
_NEAR_END = replace(
    HEALTHY, age=timedelta(minutes=59, seconds=41), lifetime=timedelta(hours=1), lifetime_spread=timedelta(0)
)

_ROLE = (
    Situation(
        "first-minutes",
        "A new instance has no credentials yet",
        "the identity document says when the instance started",
        ("boto/boto3#3755",),
        ROLE,
        answers=replace(_NO_IAM, uptime=_STARTED),
        state=State.STARTING,
    ),
    Situation(
        "no-profile",
        "The instance has no instance profile",
        "EC2's own 404 for the iam tree",
        ("jenkinsci/aws-credentials-plugin#29",),
        ROLE,
        answers=_NO_IAM,
        state=State.FAILED,
        faults=(Fault.INSTANCE_PROFILE_DETACHED,),
        says=("associate-iam-instance-profile", "efault Host Management"),
    ),
    Situation(
        "no-profile-on-purpose",
        "The instance is to have no profile (Default Host Management)",
        "`none = true` in `[expect]`",
        ("aws/amazon-ssm-agent#577",),
        ROLE,
        answers=_NO_IAM,
        settings={"ROLEWATCH_EXPECT_NONE": "true"},
        state=State.OK,
    ),
    Situation(
        "no-profile-on-purpose-diagnose",
        "`diagnose` where the instance is to have no profile",
        "`none = true` in `[expect]`",
        ("aws/amazon-ssm-agent#577",),
        ROLE,
        answers=_NO_IAM,
        settings={"ROLEWATCH_EXPECT_NONE": "true"},
        words=DIAGNOSE,
        state=State.OK,
        says=("IMDS lists no role, as expected",),
        never=('"status": "failed"',),
    ),
    Situation(
        "profile-where-none-is-expected",
        "The instance is to have no profile, and a role is served",
        "`none = true` in `[expect]`",
        ("aws/amazon-ssm-agent#577",),
        ROLE,
        settings={"ROLEWATCH_EXPECT_NONE": "true"},
        state=State.DEGRADED,
        faults=(Fault.ROLE_MISMATCH,),
        evidence={"expected_role": "none"},
        says=("disassociate-iam-instance-profile",),
        never=("remove-role-from-instance-profile",),
    ),
    Situation(
        "old-profile",
        "A new node keeps the old, static instance profile",
        "`iam/info` names the profile, the settings another",
        ("aws/karpenter-provider-aws#9028",),
        ROLE,
        answers=replace(HEALTHY, instance_profile="OurStaticProfile", role="OurNodeRole"),
        settings={"ROLEWATCH_EXPECT_INSTANCE_PROFILE": "karpenter_*"},
        state=State.DEGRADED,
        faults=(Fault.ROLE_MISMATCH,),
        evidence={"instance_profile": "OurStaticProfile", "expected_instance_profile": "karpenter_*"},
    ),
    Situation(
        "nineteen-seconds-left",
        "Credentials of one hour with 19 seconds left",
        "AWS promises the successor five minutes before the end",
        (),
        ROLE,
        answers=_NEAR_END,
        state=State.DEGRADED,
        faults=(Fault.ROTATION_OVERDUE,),
        says=('"critical"',),
    ),
    Situation(
        "expired",
        "The credentials expired an hour ago",
        "`Expiration` of the served set",
        (),
        ROLE,
        answers=replace(HEALTHY, age=timedelta(hours=7, minutes=2), lifetime_spread=timedelta(0)),
        state=State.FAILED,
        faults=(Fault.CREDENTIALS_EXPIRED,),
    ),
    Situation(
        "two-roles",
        "The listing has two roles, and the first one's document is bad",
        "the listing and the document; the evidence has both",
        (),
        ROLE,
        answers=replace(
            HEALTHY, second_role="web-server-2", network_faults=(NetworkFault(Effect.MALFORMED, Target.CREDENTIALS),)
        ),
        faults=(Fault.IMDS_ERROR,),
        evidence={"reason": "malformed", "roles": 2},
    ),
    Situation(
        "image-of-another-instance",
        "The image has the state file of another instance, and IMDS is silent",
        "the state file names its boot and its instance",
        ("aws/amazon-ssm-agent#348",),
        ROLE,
        build="ip route add unreachable 169.254.169.254",
        image_of=OTHER_INSTANCE_ID,
        faults=(Fault.IMDS_UNREACHABLE,),
        never=(OTHER_INSTANCE_ID, "of-the-image"),
    ),
    Situation(
        "throttled",
        "Many programs ask, and IMDS throttles",
        "429 from EC2",
        ("aws/aws-sdk-go-v2#1995", "aws/graph-explorer#2075", "DataBiosphere/toil#688"),
        ROLE,
        answers=replace(HEALTHY, network_faults=(NetworkFault(Effect.STATUS, status=429),)),
        faults=(Fault.IMDS_ERROR,),
        evidence={"reason": "throttled", "http_status": 429},
        says=("ss -Htnp",),
    ),
    Situation(
        "one-answer-fails",
        "One answer of IMDS is a 500",
        "the status of the document; the daemon raises the fault after three polls in a row",
        ("amazonlinux/amazon-ec2-net-utils#161",),
        ROLE,
        answers=replace(HEALTHY, network_faults=(NetworkFault(Effect.STATUS, Target.CREDENTIALS, status=500),)),
        faults=(Fault.IMDS_ERROR,),
        evidence={"reason": "server_error", "http_status": 500},
    ),
)


def _overridden(name: str, title: str, knows: str, reports: tuple[str, ...] = (), **more: Any) -> Situation:
    """Return a situation in which the role is served, and programs do not get to it."""
    return Situation(
        name, title, knows, reports, ROLE, words=DIAGNOSE, state=State.DEGRADED, faults=(OVERRIDDEN,), **more
    )


_NAMES_OF_VARIABLES = "the environment of the program: names of variables, never values"
_PROGRAM = """{} sleep 20 > /dev/null 2>&1 < /dev/null &
for _ in 1 2 3 4 5 6 7 8 9; do grep -q sleep /proc/$!/comm && break; sleep 0.1; done
echo $! > "$HOME/pid"
"""
_AS_PROGRAM = "import os, sys; sys.argv += ['--pid', open(os.environ['HOME'] + '/pid').read().strip()]"
_DOCTOR = (
    _overridden(
        "proxy-in-the-environment",
        "`http_proxy` is set: SDKs get the role of the machine that the proxy runs on",
        _NAMES_OF_VARIABLES,
        ("boto/boto#1146", "openshift/openshift-ansible#1998"),
        settings={"http_proxy": "http://127.0.0.1:3128"},
        says=("http_proxy",),
    ),
    _overridden(
        "exception-as-a-network",
        "`no_proxy` has 169.254.0.0/16, which botocore does not understand",
        "how botocore, Go, Java and curl read `no_proxy`",
        ("boto/boto#1515", "boto/botocore#1766"),
        settings={"http_proxy": "http://127.0.0.1:3128", "no_proxy": "169.254.0.0/16"},
        says=("botocore", "http_proxy"),
    ),
    _overridden(
        "exception-with-a-port",
        "`no_proxy` has 169.254.169.254:80, which neither botocore nor curl understands",
        "how botocore, Go, Java and curl read `no_proxy`",
        ("boto/boto#1515",),
        settings={"http_proxy": "http://127.0.0.1:3128", "no_proxy": "169.254.169.254:80"},
        says=("botocore", "curl", "http_proxy"),
    ),
    _overridden(
        "keys-in-a-file",
        "The agent of Systems Manager wrote keys to `~/.aws/credentials`",
        "the configuration files of the user",
        ("aws/amazon-ssm-agent#526", "aws/amazon-ssm-agent#157", "aws/aws-sdk-go-v2#2135"),
        build="""
mkdir -p "$HOME/.aws"
printf '[default]\naws_access_key_id = ASIAEXAMPLE\naws_secret_access_key = x\naws_session_token = y\n' \
    > "$HOME"/.aws/credentials""",
        says=(".aws/credentials:2", "ASIA", "expires"),
        never=("ASIAEXAMPLE",),
    ),
    _overridden(
        "keys-in-a-file-of-another-user",
        "The keys are in the home directory of the user of a service",
        "`diagnose --user`: the configuration files of that user",
        ("aws/amazon-ssm-agent#526",),
        build="""
mkdir -p "$HOME/agent/.aws"
printf '[default]\naws_access_key_id = AKIAEXAMPLE\n' > "$HOME/agent/.aws/credentials"
{ cat /etc/passwd; echo "agent:x:65533:65533::$HOME/agent:/bin/sh"; } > "$HOME/passwd"
mount --bind "$HOME/passwd" /etc/passwd""",
        sandbox="import sys; sys.argv += ['--user', 'agent']",
        says=(".aws/credentials:2", "the user agent", "IMDS answers the uid of the user agent"),
        never=("AKIAEXAMPLE",),
    ),
    _overridden(
        "proxy-of-another-program",
        "`HTTP_PROXY` is set for a service, without an exception for IMDS",
        f"`diagnose --pid`: {_NAMES_OF_VARIABLES}",
        ("aws/amazon-ecs-agent#605", "aws/amazon-ecs-agent#805", "DataDog/dd-agent#1594", "aws/aws-xray-daemon#255"),
        build=_PROGRAM.format("env HTTP_PROXY=http://user:canary@10.9.9.9:3128"),
        sandbox=_AS_PROGRAM,
        says=("HTTP_PROXY", "Go", "(sleep)"),
        never=("canary",),
    ),
    _overridden(
        "proxy-of-one-of-all-services",
        "`HTTP_PROXY` is set for one of the services",
        "`diagnose --all-units`: systemd names the services and their processes",
        ("aws/amazon-ecs-agent#605",),
        build=_PROGRAM.format("env HTTP_PROXY=http://user:canary@10.9.9.9:3128")
        + """mkdir "$HOME/bin"
cat > "$HOME/bin/systemctl" << 'END'
#!/bin/sh
[ "$1" = show ] || echo 'agent.service loaded active running An agent'
[ "$1" != show ] || printf 'LoadState=loaded\\nMainPID=%s\\n' "$(cat "$HOME/pid")"
END
chmod +x "$HOME/bin/systemctl"
""",
        sandbox="import os, sys; sys.argv += ['--all-units']; "
        "os.environ['PATH'] = os.environ['HOME'] + '/bin:' + os.environ['PATH']",
        says=("unit.agent.service", "HTTP_PROXY of agent.service"),
        never=("canary",),
    ),
    _overridden(
        "firewall-for-one-program",
        "A firewall rule drops what one user sends to IMDS, and not what root sends",
        "`diagnose --pid`: a request by the uid of the program",
        build=OUT
        + "nft add rule t output ip daddr 169.254.169.254 meta skuid 65534 drop\n"
        + _PROGRAM.format("setpriv --reuid=65534 --regid=65534 --clear-groups"),
        sandbox=_AS_PROGRAM,
        evidence={"reason": "connect_timeout"},
        says=("It answers the user root",),
    ),
    _overridden(
        "program-in-a-network-of-its-own",
        "A program runs in a network namespace without a way to IMDS",
        "`diagnose --pid`: a request in the network namespace of the program",
        build=_PROGRAM.format("unshare --net"),
        sandbox=_AS_PROGRAM,
        evidence={"reason": "no_route"},
        says=("in its network namespace",),
    ),
    Situation(
        "programs-that-know-imdsv1-only",
        "Tokens are required, and a program sends none",
        "rolewatch does not see other programs' requests: it names where EC2 counts them",
        (
            "fluent/fluent-bit#2840",
            "aws/aws-cdi-sdk#136",
            "OpenVPN/openvpn3-linux#192",
            "hashicorp-education/learn-nomad-getting-started#12",
        ),
        ROLE,
        words=DIAGNOSE,
        state=State.OK,
        says=("MetadataNoToken",),
    ),
    Situation(
        "copy-of-the-credentials",
        "A copy of the credentials in a container or a file goes stale, which looks like clock skew",
        "it does not see copies, and `diagnose` says so",
        ("aws-samples/aws-parallelcluster-monitoring#53",),
        ROLE,
        words=DIAGNOSE,
        state=State.OK,
        says=("ExpiredToken in a program, while IMDS serves these, means an old copy",),
    ),
)


def _fine(name: str, title: str, knows: str = "", reports: tuple[str, ...] = (), **more: Any) -> Situation:
    """Return a situation in which nothing is wrong."""
    return Situation(name, title, knows, reports, LIFE, state=State.OK, **more)


_LIFE = (
    _fine("healthy", "An instance in a subnet, with its default route"),
    _fine(
        "names-differ",
        "Instance profile and role have different names",
        reports=("aristidb/aws#188",),
        answers=replace(HEALTHY, instance_profile="web-profile", role="web-role"),
    ),
    _fine(
        "route-on-link",
        "A route to IMDS on the link, as ec2-net-utils sets it",
        build="ip route add 169.254.169.254 dev eth0",
    ),
    _fine(
        "route-by-gateway",
        "A route to IMDS by the subnet's router, as DHCP may set it",
        build="ip route add 169.254.169.254 via 10.0.0.1 dev eth0 proto dhcp metric 100",
    ),
    _fine(
        "link-local-network",
        "169.254.0.0/16 on the primary interface (zeroconf)",
        build="ip route add 169.254.0.0/16 dev eth0 metric 1000",
    ),
    _fine("docker-bridge", "A bridge of Docker beside the primary interface", build=BRIDGE),
    _fine(
        "second-interface",
        "A second interface with policy rules for its own address",
        build="""
ip link add eth1 type veth peer name far1
ip addr add 10.0.1.10/24 dev eth1
ip link set eth1 up
ip link set far1 up
ip route add default via 10.0.1.1 dev eth1 metric 200
ip route add default via 10.0.1.1 dev eth1 table 10001
ip rule add pref 10001 from 10.0.1.10 table 10001""",
    ),
    _fine(
        "tunnel-with-an-exception",
        "A VPN takes all traffic but that to IMDS",
        build=TUNNEL + "ip route add 0.0.0.0/1 via 10.8.0.1\nip route add 128.0.0.0/1 via 10.8.0.1\n"
        "ip route add 169.254.169.254 dev eth0",
    ),
    _fine(
        "firewall-with-an-exception",
        "A firewall drops everything but IMDS and answers",
        build=CHAIN.format(hook="input", policy="drop")
        + CHAIN.format(hook="output", policy="drop")
        + "nft add rule t output ip daddr 169.254.169.254 accept\nnft add rule t input ct state established accept",
    ),
    _fine("faithful-proxy", "A proxy that passes everything to IMDS, and all headers back", answers=Forwarder()),
    _fine(
        "both-protocols",
        "IPv4 and IPv6",
        network=NETWORK + NETWORK_IPV6,
    ),
    _fine("container-and-hop-limit-2", "rolewatch in a container, and the hop limit is 2 or more", in_container=True),
    _fine(
        "rotated-late",
        "Credentials an hour old, still valid for five",
        answers=replace(HEALTHY, age=timedelta(hours=1, minutes=5)),
    ),
    _fine("imdsv1-allowed", "Tokens are not required", answers=replace(HEALTHY, tokens_required=False)),
    _fine(
        "proxy-in-our-own-environment",
        "`http_proxy` is set for rolewatch",
        "rolewatch uses no proxy for IMDS",
        ("boto/boto#1146", "openshift/openshift-ansible#1998"),
        settings={"http_proxy": "http://10.9.9.9:3128", "HTTP_PROXY": "http://10.9.9.9:3128"},
    ),
)

SITUATIONS: Mapping[str, Situation] = {row.name: row for row in (*_WAY, *_WHO, *_ROLE, *_DOCTOR, *_LIFE)}
"""Every row, by name."""
